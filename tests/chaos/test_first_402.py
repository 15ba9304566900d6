"""Rule 6 under load: 64 calls in flight, one answer 402, and not one paid request begun after it was read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.inprocess import Parts, at_most, drive, started, summarised, write_job
from tests.e2e.conftest import CUT, Vendor, Work, draw
from venice_batch.emulator import Settings, serve_in_thread
from venice_batch.errors import Exit, MoneyError
from venice_batch.state import to_read
from venice_batch.venice import Answer, CallFailed

LANE = "bria-bg-remover"
PATH = "/image/background-remove"
EMPTY = "Insufficient USD or Diem balance to complete request."
BLOCKED = "Too many failed attempts (> 20) resulting in a non-success status code."
#: How late the server may stamp a request that the client began before: both stamp in threads of one busy machine.
TOLERANCE = 1.0


def _no_money_at(call: int, last: int) -> list[dict[str, Any]]:
    """The 402 that empties the wallet, and the block of the key that hides it from then on."""
    return [
        {"match": {"path": PATH, "nth": call}, "do": {"status": 402, "body": {"error": EMPTY}}},
        {
            "match": {"path": PATH, "nth": list(range(call + 1, last))},
            "do": {"status": 429, "body": {"error": BLOCKED}, "headers": {"x-ratelimit-remaining": "0"}},
        },
    ]


@pytest.fixture(scope="module")
def slow_vendor() -> Iterator[Vendor]:
    """A second for every picture."""
    with serve_in_thread(Settings(rpm=100_000, latency=1.0, pictures="canned")) as running:
        yield Vendor(running)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "photos"
    for number in range(240):
        draw(folder / f"{number:03}.jpg", (256, 256))
    return folder


def _open_at(log: list[dict[str, Any]], moment: float) -> int:
    """How many of these requests had arrived and were not answered."""
    return sum(
        call["time_begun"] <= moment and (call["time_answered"] is None or call["time_answered"] > moment)
        for call in log
    )


def _buy(vendor: Vendor, parts: Parts, picture: Path, folder: Path, calls: int) -> list[Answer | CallFailed]:
    """Make so many calls from 64 threads that share one client."""
    with parts.client(vendor) as client, ThreadPoolExecutor(64) as crew:

        def call(number: int) -> Answer | CallFailed:
            try:
                return client.background_remove(picture, into=folder / f"{number}.png", lane=LANE)
            except CallFailed as failure:
                return failure

        try:
            return list(crew.map(call, range(calls)))
        finally:
            parts.cancel.set()


def _well_tried() -> Parts:
    """Parts of a client that has had many good answers: its breaker lets 64 calls fly."""
    parts = Parts.fresh()
    for _ in range(40):
        assert parts.breaker.try_admit() == 0
        parts.breaker.record(False)  # noqa: FBT003 - the one thing it tells
    return parts


def test_no_request_begins_after_the_client_has_read_the_402(slow_vendor: Vendor, photos: Path, tmp_path: Path) -> None:
    slow_vendor.reset()
    slow_vendor.faults(*_no_money_at(100, 400))
    parts = _well_tried()
    with at_most(20, "calls behind a gate that did not close"):
        fates = _buy(slow_vendor, parts, photos / "000.jpg", tmp_path, 300)
    slow_vendor.until_quiet()
    closed_at = parts.gate.closed_at
    assert closed_at is not None
    begun = [fate.begun_at for fate in fates if fate.begun_at is not None]
    # Both are stamped under the gate's lock, so this is exact.
    assert [at for at in begun if at > closed_at] == []
    # And the server saw no request that the client does not know of. (A call that met a 429 and then the closed gate
    # made one request, though its last attempt was never begun.)
    log = slow_vendor.paid()
    assert len(log) == sum(fate.attempts for fate in fates)
    assert [call for call in log if call["time_begun"] > closed_at + TOLERANCE] == []
    assert 100 <= len(log) < 180, "it came while calls were beginning"
    assert parts.gate.cause is not None
    assert parts.gate.cause.text == EMPTY
    print(f"{len(log)} begun, {_open_at(log, closed_at)} open at the 402, 0 after it")  # noqa: T201 - a figure


def test_a_run_with_64_calls_in_flight_begins_none_after_the_402_and_keeps_what_lands(
    slow_vendor: Vendor, photos: Path, tmp_path: Path
) -> None:
    slow_vendor.reset()
    slow_vendor.faults(*_no_money_at(150, 400))
    job = write_job(tmp_path, CUT, source={"path": str(photos)}, run={"concurrency": 64})
    parts = _well_tried()
    (tmp_path / "scratch").mkdir()
    with at_most(30, "the run"), started(job, slow_vendor) as begun:
        summary = drive(begun, slow_vendor, parts, tmp_path / "scratch")
    slow_vendor.until_quiet()
    closed_at = parts.gate.closed_at
    assert closed_at is not None
    log = slow_vendor.paid()
    assert [call for call in log if call["time_begun"] > closed_at + TOLERANCE] == []
    # All 64 places are taken; how many of them are between two calls, a busy machine decides.
    assert max(_open_at(log, call["time_begun"]) for call in log[64:128]) >= 16
    assert _open_at(log, closed_at) >= 4
    with to_read(job.state) as state:
        calls = [call for call in state.calls(job.name) if call.begun_at is not None]
        stored = len(list(state.results.keys()))
    assert len(log) == sum(call.attempts for call in calls)
    assert stored == len(slow_vendor.bought()) >= 100
    assert sum(call.fate == "spent" for call in calls) == stored
    assert summary.exit_code == Exit.MONEY
    assert summary.cause is not None
    assert EMPTY in summary.cause.message


def test_the_installed_command_shows_the_402_and_not_the_429_that_follows(
    slow_vendor: Vendor, tmp_path: Path, photos: Path
) -> None:
    vendor = slow_vendor
    vendor.reset()
    vendor.faults(*_no_money_at(150, 400))
    work = Work(tmp_path / "work", vendor)
    work.write(CUT, source={"path": str(photos)})
    ended = work.run("--workers", "64")
    vendor.until_quiet()
    assert ended.code == 5, ended.text
    assert "balance does not cover the call (402)" in ended.err
    assert EMPTY in ended.err
    assert "add credits" in ended.err
    # An answer 429 that is read before the 402 may be told as a wait; it is never the cause.
    assert not any("failed attempts" in line for line in ended.err.splitlines() if not line.startswith("waiting"))
    log = vendor.paid()
    (refused,) = [call for call in log if call["status"] == 402]
    # The answer has to reach the other process first, and find a thread of it awake.
    assert [call for call in log if call["time_begun"] > refused["time_answered"] + TOLERANCE] == []
    assert len(work.results()) == len(vendor.bought())
    assert set(work.states().values()) == {"done", "pending"}


_KINDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "account": ({"body": {"error": EMPTY}}, "account's balance", "add credits"),
    "key in USD": ({"body": {"error": "API key USD spend limit exceeded."}}, "USD limit is used up", "USD limit at"),
    "key in DIEM": ({"body": {"error": "API key DIEM spend limit exceeded."}}, "DIEM limit is used up", "next UTC day"),
    "x402": (
        {"body": {"x402Version": 1, "error": "Payment required", "accepts": []}},
        "payment per request",
        "VENICE_API_KEY",
    ),
    "wallet": (
        {"body": {"code": "PAYMENT_REQUIRED", "error": "below the minimum"}, "headers": {"PAYMENT-REQUIRED": "e30="}},
        "payment per request",
        "VENICE_API_KEY",
    ),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_each_kind_of_402_has_its_own_message_and_remedy(
    kind: str, slow_vendor: Vendor, photos: Path, tmp_path: Path
) -> None:
    fault, words, remedy = _KINDS[kind]
    slow_vendor.reset()
    slow_vendor.faults({"match": {"path": PATH}, "do": {"status": 402, **fault}})
    job = write_job(tmp_path, CUT, source={"path": str(photos), "include": ["000.jpg"]})
    with started(job, slow_vendor) as begun:
        summary = summarised(begun)
    assert isinstance(summary.cause, MoneyError)
    assert words in summary.cause.message
    assert remedy in summary.cause.remedy
    others = {told for name, (_, told, _) in _KINDS.items() if told != words}
    assert not any(told in summary.cause.message for told in others)
    assert slow_vendor.billed() == Decimal(0)
