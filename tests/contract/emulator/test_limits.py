"""Requests per minute, the budget of client errors, and the headers that report them."""

from __future__ import annotations

import pytest

from tests.contract.emulator.conftest import Clock, EmulatorClient, OpenClient, photo, text
from venice_batch.emulator import Settings

PICTURE = text(photo())


def _draw(client: EmulatorClient, **more: object) -> int:
    fields: dict[str, object] = {"model": "z-image-turbo", "prompt": "x", "width": 64, "height": 64, **more}
    return client.json("/image/generate", **fields).status_code


def test_a_window_fills_up_and_opens_again_at_the_time_it_named(open_client: OpenClient) -> None:
    clock = Clock()
    client = open_client(Settings(rpm=2, clock=clock))
    assert [_draw(client) for _ in range(3)] == [200, 200, 429]
    refused = client.json("/image/generate", model="z-image-turbo", prompt="x")
    assert refused.json()["error"] == "Rate limit exceeded"
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    reset = int(refused.headers["x-ratelimit-reset-requests"])
    assert reset == (clock.now + 60) * 1000, "milliseconds, not seconds"
    clock.now = reset / 1000 - 0.01
    assert _draw(client) == 429
    clock.now = reset / 1000
    assert _draw(client) == 200


def test_every_variant_counts_and_models_count_apart(open_client: OpenClient) -> None:
    client = open_client(Settings(rpm=100, rpm_by_model={"z-image-turbo": 4}, clock=Clock()))
    assert [_draw(client, variants=3), _draw(client, variants=2), _draw(client)] == [200, 429, 200]
    assert _draw(client, model="qwen-image-2") == 200
    limits = client.get("/api_keys/rate_limits").json()["data"]["rateLimits"]
    by_model = {each["apiModelId"]: each["rateLimits"][0]["amount"] for each in limits}
    assert (by_model["z-image-turbo"], by_model["qwen-image-2"]) == (4, 100)


def test_a_refused_request_does_not_use_up_the_window(open_client: OpenClient) -> None:
    client = open_client(Settings(rpm=1, clock=Clock()))
    assert [_draw(client, width=-1), _draw(client)] == [400, 200]


def test_more_client_errors_than_the_budget_block_the_key_for_every_call(open_client: OpenClient) -> None:
    clock = Clock()
    client = open_client(Settings(rpm=1000, clock=clock))
    assert [_draw(client, width=-1) for _ in range(21)] == [400] * 21
    blocked = client.json("/image/edit", image=PICTURE, prompt="a good one")
    assert blocked.status_code == 429
    assert "Too many failed attempts (> 20)" in blocked.text
    assert blocked.headers["x-ratelimit-remaining"] == "0"
    assert int(blocked.headers["x-ratelimit-resets"]) == (clock.now + 30) * 1000
    assert "x-ratelimit-remaining-requests" not in blocked.headers
    assert client.get("/api_keys/rate_limits").status_code == 429
    clock.now += 30
    assert _draw(client) == 200
    books = client.http.get(f"{client.running.control}/books").json()
    assert (books["abuse_blocks"], len(books["client_errors"])) == (1, 21)


def test_errors_older_than_the_window_are_forgotten(open_client: OpenClient) -> None:
    clock = Clock()
    client = open_client(Settings(rpm=1000, clock=clock))
    for _ in range(60):
        clock.now += 1.6
        assert _draw(client, width=-1) == 400


def test_json_calls_have_a_budget_by_model_and_forms_one_in_all(open_client: OpenClient) -> None:
    client = open_client(Settings(rpm=1000, error_budget=2, clock=Clock()))
    for model in ("z-image-turbo", "qwen-image-2", "venice-sd35"):
        assert [_draw(client, model=model, width=-1) for _ in range(2)] == [400, 400]
    tiny = photo((20, 20))
    assert client.form("/image/upscale", tiny).status_code == 400
    assert client.form("/image/edit", tiny, prompt="x").status_code == 400
    assert client.form("/image/background-remove", tiny, colour="red").status_code == 400
    assert client.form("/image/background-remove", tiny).status_code == 429


def test_a_run_of_empty_wallets_turns_into_429(open_client: OpenClient) -> None:
    client = open_client(Settings(usd=None, diem=None, error_budget=3, clock=Clock()))
    assert [_draw(client) for _ in range(5)] == [402, 402, 402, 402, 429]


@pytest.mark.parametrize(("status", "after"), [(500, 200), (503, 200), (429, 200), (404, 429)])
def test_only_client_errors_count_against_the_budget(open_client: OpenClient, status: int, after: int) -> None:
    client = open_client(Settings(rpm=1000, error_budget=2, clock=Clock()))
    client.faults({"match": {"times": 3}, "do": {"status": status}})
    assert [_draw(client) for _ in range(3)] == [status] * 3
    assert _draw(client) == after


def test_the_limits_can_be_changed_from_outside(client: EmulatorClient) -> None:
    answer = client.http.post(f"{client.running.control}/rpm", json={"models": {"z-image-turbo": 1}})
    assert answer.status_code == 200
    assert [_draw(client), _draw(client)] == [200, 429]
