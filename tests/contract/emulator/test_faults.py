"""Scripted faults: which requests they hit, what the wire shows, and what is billed."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from PIL import Image, ImageStat

from tests.contract.emulator.conftest import EmulatorClient, OpenClient, opened, photo
from venice_batch.emulator import Settings, serve_in_thread

PRICE = Decimal("0.03")


def _cut(client: EmulatorClient) -> httpx2.Response:
    return client.form("/image/background-remove", photo())


def _fault(client: EmulatorClient, kind: str, **more: Any) -> None:
    client.faults({"match": {"path": "/image/background-remove"}, "do": {"kind": kind, **more}})


def _raw(client: EmulatorClient, *, body: bytes = b"", length: int | None = None) -> tuple[bytes, str]:
    """Send a request byte by byte of our own; return what came, and how the connection ended."""
    address = urlsplit(client.running.url)
    head = (
        f"POST /api/v1/image/background-remove HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {client.running.key}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as wire:
        with contextlib.suppress(ConnectionError):
            wire.sendall(head.encode() + body)
        received = b""
        try:
            while chunk := wire.recv(65536):
                received += chunk
        except ConnectionResetError:
            return received, "reset"
        return received, "closed"


def _body() -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="i.png"\r\nContent-Type: image/png\r\n\r\n'
    return head + photo() + b"\r\n--b--\r\n"


def test_lost_is_billed_and_the_wire_shows_a_reset_without_an_answer(client: EmulatorClient) -> None:
    _fault(client, "lost")
    assert _raw(client, body=_body()) == (b"", "reset")
    assert client.billed == PRICE
    (entry,) = client.log()
    assert (entry["status"], entry["aborted"], entry["billed"]) == (None, True, "0.03")


def test_reset_before_body_strikes_while_the_upload_is_under_way_and_bills_nothing(client: EmulatorClient) -> None:
    _fault(client, "reset-before-body")
    assert _raw(client, body=b"--b\r\n", length=1_000_000) == (b"", "reset")
    assert client.billed == 0


def test_an_early_status_is_answered_while_the_upload_is_under_way(client: EmulatorClient) -> None:
    client.faults({"do": {"status": 429, "headers": {"Retry-After": "3", "Connection": "close"}, "early": True}})
    received, _ = _raw(client, body=b"--b\r\n", length=1_000_000)
    assert received.startswith(b"HTTP/1.1 429")
    assert b"retry-after: 3" in received.lower()


def test_reset_mid_body_sends_the_status_and_a_part_and_is_billed(client: EmulatorClient) -> None:
    _fault(client, "reset-mid-body")
    received, end = _raw(client, body=_body())
    head, _, part = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert part.startswith(b"\x89PNG")
    assert end == "reset"
    assert client.billed == PRICE


def test_truncate_closes_in_order_with_half_the_promised_bytes(client: EmulatorClient) -> None:
    _fault(client, "truncate")
    received, end = _raw(client, body=_body())
    head, _, part = received.partition(b"\r\n\r\n")
    (promised,) = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    assert len(part) == promised // 2
    assert end == "closed"
    assert client.billed == PRICE


def test_hang_says_nothing_until_its_time_is_over(client: EmulatorClient) -> None:
    _fault(client, "hang", seconds=0.15)
    began = time.monotonic()
    assert _raw(client, body=_body()) == (b"", "reset")
    assert time.monotonic() - began >= 0.15
    assert client.billed == 0


def test_slow_trickles_the_whole_answer(client: EmulatorClient) -> None:
    _fault(client, "slow", seconds=0.15)
    began = time.monotonic()
    assert opened(_cut(client)).mode == "RGBA"
    assert time.monotonic() - began >= 0.14


@pytest.mark.parametrize(
    ("kind", "shows"),
    [
        ("html", "html"),
        ("garbage", "not a picture"),
        ("wrong-size", "(200, 150)"),
        ("no-alpha", "RGB"),
        ("wrong-type", "JPEG"),
        ("blank", "one colour"),
        ("blurred", "x-venice-is-blurred"),
        ("violation", "x-venice-is-content-violation"),
    ],
)
def test_a_wrong_answer_is_a_billed_200(client: EmulatorClient, kind: str, shows: str) -> None:
    _fault(client, kind)
    answer = _cut(client)
    assert answer.status_code == 200
    assert shows in _shown(answer)
    assert client.billed == PRICE


def _shown(answer: httpx2.Response) -> set[str]:
    found = {name for name, value in answer.headers.items() if value == "true"}
    if answer.headers["content-type"].startswith("text/html"):
        return found | {"html"}
    assert answer.headers["content-type"] == "image/png"
    try:
        picture = Image.open(io.BytesIO(answer.content))
        picture.load()
    except OSError:
        return found | {"not a picture"}
    plain = all(low == high for low, high in ImageStat.Stat(picture).extrema)
    return found | {str(picture.size), picture.mode, str(picture.format)} | ({"one colour"} if plain else set())


def test_a_status_fault_carries_its_body_and_headers_and_bills_nothing(client: EmulatorClient) -> None:
    client.faults({"do": {"status": 503, "body": {"error": "at capacity"}, "headers": {"Retry-After": "7"}}})
    answer = _cut(client)
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, {"error": "at capacity"}, "7")
    assert client.billed == 0


def test_a_status_fault_may_be_billed_all_the_same(client: EmulatorClient) -> None:
    client.faults({"do": {"status": 504, "billed": True}})
    assert _cut(client).status_code == 504
    assert client.billed == PRICE


def test_nth_every_and_times_choose_among_the_matching_requests(client: EmulatorClient) -> None:
    def run(**match: Any) -> list[int]:
        client.faults({"match": {"path": "/image/styles", **match}, "do": {"status": 500}})
        return [client.get("/image/styles").status_code for _ in range(6)]

    assert run(nth=3) == [200, 200, 500, 200, 200, 200]
    assert run(nth=[1, 6]) == [500, 200, 200, 200, 200, 500]
    assert run(every=2) == [200, 500, 200, 500, 200, 500]
    assert run(times=2) == [500, 500, 200, 200, 200, 200]


def test_probability_is_repeatable_by_its_seed(client: EmulatorClient) -> None:
    def run(seed: int) -> list[int]:
        rule = {"match": {"path": "/image/styles", "probability": 0.5, "seed": seed}, "do": {"status": 500}}
        client.faults(rule)
        return [client.get("/image/styles").status_code for _ in range(16)]

    assert run(1) == run(1) != run(2)
    assert set(run(1)) == {200, 500}


def test_a_rule_may_name_the_model(client: EmulatorClient) -> None:
    client.faults({"match": {"model": "qwen-image-2-edit"}, "do": {"status": 500}})
    assert client.form("/image/edit", photo(), prompt="x").status_code == 200
    assert client.form("/image/edit", photo(), prompt="x", model="qwen-image-2-edit").status_code == 500


@pytest.mark.parametrize("do", [{}, {"kind": "explode"}, {"status": 500, "kind": "lost"}, {"status": 99}])
def test_a_bad_script_is_refused(client: EmulatorClient, do: dict[str, Any]) -> None:
    assert client.http.post(f"{client.running.control}/faults", json=[{"do": do}]).status_code == 400


def test_a_client_that_gives_up_is_billed_and_logged_as_aborted(open_client: OpenClient) -> None:
    client = open_client(Settings(latency=0.3))
    with pytest.raises(httpx2.ReadTimeout):
        client.http.post("/image/background-remove", files={"image": ("i.png", photo())}, timeout=0.1)
    entry = client.running.state.log[-1]
    deadline = time.monotonic() + 3
    while entry.time_answered is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert entry.aborted
    assert client.billed == PRICE


@pytest.mark.server
def test_stopping_does_not_wait_for_a_request_that_hangs() -> None:
    began = time.monotonic()
    with serve_in_thread() as running:
        running.state.faults.script([{"do": {"kind": "hang"}}])
        address = urlsplit(running.url)
        wire = socket.create_connection((address.hostname or "", address.port or 0), timeout=5)
        wire.sendall(b"GET /api/v1/image/styles HTTP/1.1\r\nHost: x\r\n\r\n")
        while not running.state.log:
            time.sleep(0.01)
    wire.close()
    assert time.monotonic() - began < 8
