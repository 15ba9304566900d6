"""The error budget is never spent: with every input bad, in every way there is, the key is not blocked once."""

from __future__ import annotations

import signal
import struct
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.inprocess import FULL, SCHEDULES, Parts, at_most, drive, started, write_job
from tests.e2e.conftest import CUT, Vendor, Work, draw
from venice_batch.emulator import Running, Settings, serve_in_thread
from venice_batch.errors import Exit
from venice_batch.state import to_read
from venice_batch.venice import CallFailed

BAD, REFUSED = 500, 60
#: Client errors within a window that the client never exceeds; the API blocks a key beyond 20.
LIMIT = 18
#: The same proportions, twenty times as fast.
WINDOW = 1.5
#: Seconds that the real windows are watched: two and a bit of them, or just the stillness after the first errors.
WATCHED = 66.0 if SCHEDULES >= FULL else 9.0


def _bomb() -> bytes:
    """A PNG whose header, checksum and all, promises 3.6 thousand million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    packed = struct.pack(">I", len(header) - 4) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + packed + b"\0\0\0\0IEND\xaeB`\x82"


def _kinds(folder: Path) -> list[bytes]:
    """One of every kind of bad input."""
    draw(folder / "whole.jpg", (300, 260))
    draw(folder / "whole.png", (300, 260))
    whole, png = (folder / "whole.jpg").read_bytes(), (folder / "whole.png").read_bytes()
    return [
        b"",
        b"this is no picture, it only says so\n" * 40,
        whole[: len(whole) // 2],
        png[:-40],
        whole[:20],
        _bomb(),
        b"<html>Not found</html>",
    ]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 bad inputs, and among them 60 that only the server finds fault with."""
    folder = tmp_path_factory.mktemp("bad")
    kinds = _kinds(folder)
    for number in range(BAD):
        path = folder / "photos" / f"{number:03}-bad.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kinds[number % len(kinds)])
    for number in range(REFUSED):
        draw(folder / "photos" / f"{number * 8:03}-good.jpg", (256, 256))
    return folder / "photos"


def _refusals() -> list[dict[str, Any]]:
    """Every call refused, each with words of its own: no rule about a step that is wrong applies."""
    return [
        {
            "match": {"path": "/image/background-remove", "nth": number},
            "do": {"status": 400 if number % 2 else 422, "body": {"error": f"picture {number} is no good"}},
        }
        for number in range(1, REFUSED + 1)
    ]


def _most_within(times: Sequence[float], window: float) -> int:
    """The most events in any window: a window with the most begins at one of them."""
    return max(sum(start <= at < start + window for at in times) for start in times)


def _client_errors(vendor: Vendor) -> list[float]:
    return [
        call["time_answered"] for call in vendor.paid() if 400 <= (call["status"] or 0) < 500 and call["status"] != 429
    ]


def _blocks(running: Running) -> int:
    return running.state.budget.blocks


@dataclass
class Live:
    """The installed command at work against real windows of 30 seconds."""

    vendor: Vendor
    work: Work
    process: subprocess.Popen[str]
    began: float


@pytest.fixture(scope="module", autouse=True)
def live(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Begin at once: the other tests of this file run while its windows pass."""
    with serve_in_thread(Settings(rpm=6000, latency=0.05, pictures="canned")) as running:
        vendor = Vendor(running)
        vendor.faults(*_refusals())
        work = Work(tmp_path_factory.mktemp("live") / "work", vendor)
        work.write(CUT, source={"path": str(photos)}, run={"max_failure_rate": "100%"})
        process = work.start("--workers", "64")
        try:
            yield Live(vendor, work, process, time.monotonic())
        finally:
            process.kill()
            process.communicate()


def test_500_bad_inputs_and_60_refused_ones_never_come_near_a_block_and_the_run_ends(
    photos: Path, tmp_path: Path
) -> None:
    settings = Settings(rpm=6000, latency=0.02, pictures="canned", error_window=WINDOW, blocked=WINDOW)
    with serve_in_thread(settings) as running:
        vendor = Vendor(running)
        vendor.faults(*_refusals())
        run = {"concurrency": 64, "max_failure_rate": "100%"}
        job = write_job(tmp_path, CUT, source={"path": str(photos)}, run=run)
        (tmp_path / "scratch").mkdir()
        with at_most(60, "the run"), started(job, vendor) as begun:
            summary = drive(begun, vendor, Parts.fresh(window=WINDOW), tmp_path / "scratch")
        errors = _client_errors(vendor)
        assert len(vendor.paid()) == len(errors) == REFUSED, "no bad input was sent, and every good-looking one once"
        assert _most_within(errors, WINDOW) <= LIMIT
        assert _blocks(running) == 0
    assert summary.exit_code == Exit.ITEMS_FAILED
    with to_read(job.state) as state:
        states = Counter(row.state for row in state.items(job.name))
        states["invalid"] += begun.plan.counts()["invalid"]
        calls = Counter(call.fate for call in state.calls(job.name))
    assert states == {"invalid": BAD, "failed": REFUSED}
    assert calls == {"released": REFUSED // 2, "uncertain": REFUSED // 2}, "a 422 may have been charged"
    print(f"{len(errors)} client errors, at most {_most_within(errors, WINDOW)} in a window, 0 blocks")  # noqa: T201 - a figure


def test_a_client_with_a_wider_budget_would_be_blocked(photos: Path, tmp_path: Path) -> None:
    """The counter-proof: it is the breaker that keeps the key free, not the pace of this machine."""
    settings = Settings(rpm=6000, latency=0.02, pictures="canned", error_window=WINDOW, blocked=WINDOW)
    parts = Parts.fresh(window=WINDOW, limit=1000)
    with serve_in_thread(settings) as running, parts.client(Vendor(running)) as client:
        Vendor(running).faults(*_refusals())

        def call(number: int) -> None:
            with suppress(CallFailed):
                client.background_remove(photos / "000-good.jpg", into=tmp_path / f"{number}", lane="bria-bg-remover")

        with ThreadPoolExecutor(32) as crew:
            calls = [crew.submit(call, number) for number in range(REFUSED)]
            Vendor(running).until(lambda: _blocks(running) > 0)
            parts.cancel.set()
        assert [each.exception() for each in calls] == [None] * REFUSED
        assert _most_within(_client_errors(Vendor(running)), WINDOW) > LIMIT


def test_the_installed_command_keeps_to_it_in_real_windows(live: Live) -> None:
    live.vendor.until(lambda: len(_client_errors(live.vendor)) >= LIMIT, 20)
    time.sleep(max(0.0, live.began + WATCHED - time.monotonic()))
    assert live.process.poll() is None, "a third window is still to come"
    stopped = time.time()
    live.process.send_signal(signal.SIGTERM)
    _, err = live.process.communicate(timeout=20)
    assert live.process.returncode == Exit.TERMINATED, err
    errors = _client_errors(live.vendor)
    assert _most_within(errors, 30.0) == LIMIT
    assert len(errors) == LIMIT * (1 + int((stopped - errors[0]) // 30)), "and it uses what it may"
    assert _blocks(live.vendor.running) == 0
    assert live.vendor.bought() == []
    print(f"{len(errors)} client errors in {WATCHED:.0f} s, {_most_within(errors, 30.0)} in any 30 s, 0 blocks")  # noqa: T201 - a figure
