"""What is billed, in which currency, and what an empty wallet says."""

from __future__ import annotations

import base64
import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.contract.emulator.conftest import Clock, EmulatorClient, OpenClient, photo, text
from venice_batch.emulator import Key, Settings

PICTURE = text(photo())
EDIT = {"image": PICTURE, "prompt": "on marble"}


def _multi(count: int, model: str, **more: str) -> dict[str, Any]:
    return {"images": [PICTURE] * count, "prompt": "x", "modelId": model, **more}


@pytest.mark.parametrize(
    ("path", "fields", "price"),
    [
        ("/image/upscale", {"image": PICTURE}, "0.02"),
        ("/image/upscale", {"image": PICTURE, "scale": 4}, "0.08"),
        ("/image/upscale", {"image": PICTURE, "scale": 2.1}, "0.08"),
        ("/image/background-remove", {"image": PICTURE}, "0.03"),
        ("/image/edit", EDIT, "0.04"),
        ("/image/edit", {**EDIT, "enhance_prompt": True}, "0.08"),
        ("/image/edit", {**EDIT, "model": "qwen-image-2-edit"}, "0.05"),
        ("/image/edit", {**EDIT, "model": "qwen-image-3-edit"}, "0.04345"),
        ("/image/edit", {**EDIT, "model": "nano-banana-pro-edit"}, "0.18"),
        ("/image/edit", {**EDIT, "model": "nano-banana-pro-edit", "resolution": "2K"}, "0.23"),
        ("/image/edit", {**EDIT, "model": "gpt-image-2-edit"}, "0.34"),
        ("/image/edit", {**EDIT, "model": "flux-2-max-edit"}, "0.12"),
        ("/image/multi-edit", _multi(3, "flux-2-max-edit"), "0.189"),
        ("/image/multi-edit", _multi(2, "qwen-image-3-edit"), "0.0469"),
        ("/image/multi-edit", _multi(2, "gpt-image-2-edit", quality="low"), "0.0392"),
        ("/image/multi-edit", _multi(2, "gpt-image-2-edit", quality="high", resolution="2K"), "0.5292"),
        ("/image/edit", {**EDIT, "model": "grok-imagine-edit"}, "0.0323"),
        ("/image/multi-edit", _multi(1, "firered-image-edit", quality="high", resolution="4K"), "0.04"),
        ("/image/generate", {"model": "gpt-image-2", "prompt": "x"}, "0.27"),
        ("/image/generate", {"model": "gpt-image-2", "prompt": "x", "quality": "high"}, "0.26"),
        ("/images/generations", {"model": "dall-e-3", "prompt": "x"}, "0.01"),
        ("/image/generate", {"model": "z-image-turbo", "prompt": "x", "variants": 3}, "0.03"),
        ("/image/generate", {"model": "nano-banana-pro", "prompt": "x"}, "0.18"),
        ("/image/generate", {"model": "nano-banana-pro", "prompt": "x", "resolution": "2K"}, "0.23"),
        ("/image/generate", {"model": "qwen-image-2", "prompt": "x", "return_binary": True}, "0.05"),
    ],
)
def test_a_call_costs_what_the_price_list_says(
    client: EmulatorClient, path: str, fields: dict[str, Any], price: str
) -> None:
    answer = client.json(path, **fields)
    assert answer.status_code == 200, answer.text
    assert client.billed == Decimal(price)
    assert client.running.books.balances["USD"] == 50 - Decimal(price)


def test_the_balance_headers_report_the_balance_before_the_call(client: EmulatorClient) -> None:
    first, second = client.json("/image/edit", **EDIT), client.json("/image/edit", **EDIT)
    assert first.headers["x-venice-balance-usd"] == "50"
    assert second.headers["x-venice-balance-usd"] == "49.96"
    assert second.headers["x-venice-balance-diem"] == "0"


@pytest.mark.parametrize(
    ("diem", "bundled", "usd", "pays"),
    [
        ("1", "1", "1", "DIEM"),
        ("0.03", "1", "1", "BUNDLED_CREDITS"),
        ("0.03", "0.03", "1", "USD"),
        (None, None, "0.04", "USD"),
        ("0.04", None, "0", "DIEM"),
    ],
)
def test_one_currency_pays_the_whole_call(
    open_client: OpenClient, diem: str | None, bundled: str | None, usd: str, pays: str
) -> None:
    amounts = [None if amount is None else Decimal(amount) for amount in (diem, bundled)]
    client = open_client(Settings(usd=Decimal(usd), diem=amounts[0], bundled=amounts[1]))
    assert client.json("/image/edit", **EDIT).status_code == 200
    assert [row.currency for row in client.running.books.rows] == [pays]


def test_currencies_are_not_added_up(open_client: OpenClient) -> None:
    client = open_client(Settings(usd=Decimal("0.03"), diem=Decimal("0.03"), bundled=Decimal("0.03")))
    answer = client.json("/image/edit", **EDIT)
    assert answer.status_code == 402
    assert "Insufficient USD or Diem balance" in answer.text


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (Key("k", usd_limit=Decimal("0.05")), "API key USD spend limit exceeded"),
        (Key("k", diem_limit=Decimal("0.05")), "API key DIEM spend limit exceeded"),
    ],
)
def test_a_limit_of_the_key_has_its_own_402(open_client: OpenClient, key: Key, says: str) -> None:
    only_diem = key.diem_limit is not None
    usd, diem = (Decimal(0), Decimal(9)) if only_diem else (Decimal(9), Decimal(0))
    client = open_client(Settings(keys=(key,), usd=usd, diem=diem))
    assert client.json("/image/edit", **EDIT).status_code == 200
    limits = client.get("/api_keys/rate_limits").json()["data"]["balances"]
    assert limits["DIEM" if only_diem else "USD"] == 0.01
    answer = client.json("/image/edit", **EDIT)
    assert answer.status_code == 402
    assert says in answer.text


def test_no_authorization_is_the_x402_offer_and_a_wrong_key_a_401(client: EmulatorClient) -> None:
    request = client.http.build_request("POST", "/image/edit", json=EDIT)
    del request.headers["authorization"]
    offer = client.http.send(request)
    assert offer.status_code == 402
    assert {"x402Version", "error", "resource", "accepts"} == offer.json().keys()
    assert json.loads(base64.b64decode(offer.headers["payment-required"])) == offer.json()
    wrong = client.http.post("/image/edit", json=EDIT, headers={"Authorization": "Bearer nonsense"})
    assert wrong.status_code == 401


def test_a_key_without_access_is_a_403_and_says_so_beforehand(open_client: OpenClient) -> None:
    client = open_client(Settings(keys=(Key("k", permitted=False),)))
    assert client.json("/image/edit", **EDIT).status_code == 403
    assert client.get("/api_keys/rate_limits").json()["data"]["accessPermitted"] is False


def test_the_balance_can_be_changed_from_outside(client: EmulatorClient) -> None:
    changed = client.http.post(f"{client.running.control}/balance", json={"usd": "0.05", "diem": None})
    assert changed.status_code == 200
    assert client.get("/api_keys/rate_limits").json()["data"]["balances"] == {"USD": 0.05}
    assert client.json("/image/edit", **EDIT).status_code == 200
    assert client.json("/image/edit", **EDIT).status_code == 402


def test_only_an_admin_key_reads_the_account(client: EmulatorClient) -> None:
    refused = client.get("/billing/balance")
    assert (refused.status_code, refused.json()["error"]) == (401, "Admin API key required")
    told = client.get("/billing/balance", admin=True).json()
    assert told["balances"] == {"usd": 50, "diem": 0, "bundledCredits": None, "earnedCredits": None}
    assert (told["canConsume"], told["consumptionCurrency"]) == (True, "USD")


def test_a_limit_in_usd_covers_bundled_credits_and_usd_together(open_client: OpenClient) -> None:
    key = Key("k", usd_limit=Decimal("0.05"))
    client = open_client(Settings(keys=(key,), usd=Decimal(9), diem=None, bundled=Decimal("0.04")))
    assert client.json("/image/edit", **EDIT).status_code == 200
    assert client.get("/api_keys/rate_limits").json()["data"]["balances"] == {"BUNDLED_CREDITS": 0, "USD": 0.01}
    assert "API key USD spend limit" in client.json("/image/edit", **EDIT).text


def test_a_key_bound_to_private_models_sees_and_uses_no_other(open_client: OpenClient) -> None:
    client = open_client(Settings(keys=(Key("k", private_only=True),)))
    listed = {entry["id"] for entry in client.get("/models", type="all").json()["data"]}
    assert "firered-image-edit" in listed
    assert listed.isdisjoint({"bria-bg-remover", "nano-banana-pro-edit"})
    assert client.json("/image/background-remove", image=PICTURE).status_code == 403
    assert client.json("/image/edit", **EDIT).status_code == 200


def test_the_ledger_is_ascending_paged_by_cursor_and_complete(client: EmulatorClient) -> None:
    for number in range(12):
        drawn = client.json("/image/generate", model="z-image-turbo", prompt="x", width=64, enhance_prompt=number == 3)
        assert drawn.status_code == 200
    first = client.get("/billing/usage-history", admin=True, pageSize="10").json()
    assert len(first["data"]) == 10
    second = client.get("/billing/usage-history", admin=True, cursor=first["nextCursor"]).json()
    assert second["nextCursor"] is None
    rows = first["data"] + second["data"]
    assert rows == client.get("/billing/usage-history", admin=True).json()["data"]
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    # The rewriting of a prompt is a row of its own, of the same request.
    assert (len(rows), len({row["inferenceDetails"]["requestId"] for row in rows})) == (13, 12)
    assert {(row["sku"], row["amount"], row["currency"]) for row in rows} == {
        ("z-image-turbo", -0.01, "USD"),
        ("prompt-enhancement", -0.04, "USD"),
    }


def test_the_end_of_a_period_is_not_in_it(open_client: OpenClient) -> None:
    clock = Clock()
    client = open_client(Settings(clock=clock))
    assert client.json("/image/edit", **EDIT).status_code == 200
    stamp = client.get("/billing/usage-history", admin=True).json()["data"][0]["timestamp"]

    def count(**query: str) -> int:
        return len(client.get("/billing/usage-history", admin=True, **query).json()["data"])

    assert (count(startTimestamp=stamp), count(endTimestamp=stamp)) == (1, 0)


def test_the_ledger_comes_as_csv_when_asked_for(client: EmulatorClient) -> None:
    for _ in range(11):
        client.json("/image/edit", **EDIT)
    headers = {"Authorization": f"Bearer {client.running.admin_key}", "Accept": "text/csv"}
    page = client.http.get("/billing/usage-history?pageSize=10", headers=headers)
    assert page.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(page.text)))
    assert [(row["sku"], row["amount"]) for row in rows] == [("firered-image-edit", "-0.04")] * 10
    rest = client.http.get("/billing/usage-history", params={"cursor": page.headers["x-next-cursor"]}, headers=headers)
    assert len(list(csv.DictReader(io.StringIO(rest.text)))) == 1
    assert "x-next-cursor" not in rest.headers


def test_the_ledger_checks_its_filters(client: EmulatorClient) -> None:
    def status(**query: str) -> int:
        return client.get("/billing/usage-history", admin=True, **query).status_code

    assert status(pageSize="9") == status(cursor="x") == status(startTimestamp="yesterday") == 400
    assert status(startTimestamp="2026-01-01T00:00:00Z", currency="USD") == 200


def test_twenty_calls_at_once_cannot_spend_one_dollar_twice(open_client: OpenClient) -> None:
    client = open_client(Settings(usd=Decimal("0.40"), latency=0.05, error_budget=100))
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: client.json("/image/edit", **EDIT).status_code, range(20)))
    assert sorted(statuses) == [200] * 10 + [402] * 10
    assert client.running.books.balances["USD"] == 0
