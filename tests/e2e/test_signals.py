"""Signals: the first lets calls in flight land, the second ends at once."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.kills import is_whole
from tests.e2e.conftest import CUT, OpenVendor, Work

ITEMS = 5


def _under_way(tmp_path: Path, open_vendor: OpenVendor, latency: float, **run: object) -> Work:
    work = Work(tmp_path / "work", open_vendor(latency=latency))
    work.draw(*(f"{number}.jpg" for number in range(ITEMS)))
    work.write(CUT, run={"concurrency": 3, **run})
    return work


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
        (signal.SIGHUP, 143),
        (signal.SIGQUIT, 143),
        (signal.SIGUSR1, 143),
    ],
)
def test_a_signal_lets_calls_in_flight_land_and_the_next_run_buys_none_of_them_again(
    tmp_path: Path, open_vendor: OpenVendor, number: signal.Signals, code: int
) -> None:
    work = _under_way(tmp_path, open_vendor, latency=0.8)
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) >= 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    assert "3 in flight get 25 s to land" in err
    assert ("Ctrl-C" if number == signal.SIGINT else number.name) in err
    assert len(work.vendor.paid()) == 3, "no new call began"
    assert len(work.results()) == 3, "what was in flight is kept"
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.vendor.paid()) == ITEMS
    assert work.fates() == ["spent"] * ITEMS
    assert len(work.outputs()) == ITEMS


def test_a_second_signal_ends_at_once_and_what_was_in_flight_is_uncertain(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    work = _under_way(tmp_path, open_vendor, latency=8.0)
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) >= 3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)  # two signals at the same instant are one to the kernel
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - began < 7, "it ended at once"
    assert process.returncode == 130, err
    assert work.fates().count("uncertain") == 3


def test_calls_that_do_not_land_within_the_drain_are_uncertain(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = _under_way(tmp_path, open_vendor, latency=8.0, drain="0.5s")
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) >= 3)
    began = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert 0.4 < time.monotonic() - began < 7
    assert work.fates().count("uncertain") == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_while_it_still_plans_ends_it_with_the_signals_code(
    tmp_path: Path, open_vendor: OpenVendor, number: signal.Signals, code: int
) -> None:
    work = _under_way(tmp_path, open_vendor, latency=0.0)
    work.vendor.faults({"match": {"path": "/models"}, "do": {"kind": "hang", "seconds": 20.0}})
    process = work.start()
    work.vendor.until(lambda: any(entry["path"] == "/models" for entry in work.vendor.log()))
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err.strip().startswith("error: ")
    assert "Traceback" not in err
    assert work.vendor.paid() == []


def test_sigterm_with_32_calls_in_flight_ends_within_the_drain_and_the_next_run_goes_on(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=1.0, pictures="canned"))
    for number in range(60):
        # Canned answers are alike for alike sizes: different sizes keep the purchases apart.
        work.take(f"{number:02}.jpg", (300 + number, 256))
    work.write(CUT, run={"concurrency": 32, "drain": "10s"})
    process = work.start()
    work.vendor.until(lambda: sum(call["time_answered"] is None for call in work.vendor.paid()) >= 32)
    time.sleep(random.Random(7).uniform(0, 0.5))  # noqa: S311 - a moment, repeatable
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    # The drain, and what closing and the report take on a busy machine.
    assert time.monotonic() - begun < 10 + 10
    assert all(is_whole(content) for content in work.outputs().values())
    bought = len(work.vendor.bought())
    assert len(work.results()) == bought, "what was paid for in flight is kept"
    assert work.run().code == 0
    assert len(work.vendor.bought()) == 60
    assert len(work.outputs()) == 60


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(
    tmp_path: Path, open_vendor: OpenVendor, number: signal.Signals
) -> None:
    work = _under_way(tmp_path, open_vendor, latency=0.5)
    before = signal.signal(number, signal.SIG_IGN)  # inherited, as from nohup
    try:
        process = work.start()
    finally:
        signal.signal(number, before)
    work.vendor.until(lambda: len(work.vendor.paid()) >= 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert len(work.outputs()) == ITEMS
