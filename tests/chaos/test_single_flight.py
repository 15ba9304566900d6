"""Single flight: items with the same bytes in one run are bought once, whatever becomes of the first buyer's call."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.inprocess import at_most, started, summarised, write_job
from tests.e2e.conftest import CUT, ENLARGE, Vendor, draw
from venice_batch.emulator import Settings, serve_in_thread
from venice_batch.run.observer import Summary
from venice_batch.state import Event, Reserved, Settled, State

CUTS = "/image/background-remove"
ENLARGEMENTS = "/image/upscale"
EACH = Decimal("0.05")


class Watching(State):
    """A state that remembers how many reservations were open at most, and how many items they were for."""

    def __init__(self, state: State) -> None:
        vars(self).update(vars(state))
        self.open: dict[int, str] = {}
        self.most = self.most_items = 0

    def commit(self, events: Iterable[Event]) -> None:
        group = list(events)
        for event in group:
            if isinstance(event, Reserved):
                self.open[event.call] = event.item.key
            elif isinstance(event, Settled):
                self.open.pop(event.call, None)
        self.most = max(self.most, len(self.open))
        self.most_items = max(self.most_items, len(set(self.open.values())))
        super().commit(group)


@dataclass(frozen=True)
class Ran:
    """What came of a run over twins."""

    summary: Summary
    states: Counter[str]
    fates: Counter[str]
    watched: Watching


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    """Slow enough that every twin stands in line before the first answer comes."""
    with serve_in_thread(Settings(rpm=100_000, latency=0.15, pictures="canned")) as running:
        yield Vendor(running)


def _run(vendor: Vendor, folder: Path, twins: int, *steps: object, faults: Iterable[dict[str, Any]] = ()) -> Ran:
    photos = folder / "photos"
    draw(photos / "00.jpg", (270, 260))
    for number in range(1, twins):
        shutil.copy2(photos / "00.jpg", photos / f"{number:02}.jpg")
    vendor.reset()
    vendor.faults(*faults)
    return _again(vendor, folder, *steps)


def _again(vendor: Vendor, folder: Path, *steps: object) -> Ran:
    job = write_job(folder, *steps, run={"concurrency": 32, "max_failure_rate": "100%"})
    with at_most(30, "twins"), started(job, vendor) as begun:
        watched = Watching(begun.state)
        summary = summarised(replace(begun, state=watched))
        states = Counter(row.state for row in begun.state.items(job.name))
        fates = Counter(call.fate for call in begun.state.calls(job.name))
    vendor.until_quiet()
    return Ran(summary, states, fates, watched)


@pytest.mark.parametrize("twins", [2, 20])
def test_twins_are_bought_once_and_those_in_line_hold_no_reservation(
    vendor: Vendor, tmp_path: Path, twins: int
) -> None:
    ran = _run(vendor, tmp_path, twins, CUT, ENLARGE)
    assert ran.states == {"done": twins}
    assert vendor.billed() == EACH
    assert len(vendor.paid()) == 2
    assert ran.fates["spent"] == 2
    assert (ran.watched.most, ran.watched.most_items) == (2, 1), "only the buyer holds money: one for each of its steps"
    assert ran.watched.open == {}


@pytest.mark.parametrize("twins", [2, 20])
def test_when_the_first_buyers_call_is_refused_the_next_one_leads(vendor: Vendor, tmp_path: Path, twins: int) -> None:
    refused = {"match": {"path": CUTS, "nth": 1}, "do": {"status": 422, "body": {"error": "it cannot be processed"}}}
    ran = _run(vendor, tmp_path, twins, CUT, ENLARGE, faults=[refused])
    assert ran.states == Counter(failed=1, done=twins - 1)
    assert vendor.billed() == EACH
    assert len(vendor.paid(CUTS)) == 2
    assert ran.watched.most_items == 1


def test_a_lost_answer_is_bought_once_more_for_all_twins(vendor: Vendor, tmp_path: Path) -> None:
    lost = {"match": {"path": ENLARGEMENTS, "nth": 1}, "do": {"kind": "lost"}}
    ran = _run(vendor, tmp_path, 20, CUT, ENLARGE, faults=[lost])
    assert ran.states == {"done": 20}
    assert ran.fates["uncertain"] == 1
    assert len(vendor.bought()) == 3
    assert ran.watched.open == {}


def test_a_call_that_is_always_lost_is_bought_twice_for_all_twins_together(vendor: Vendor, tmp_path: Path) -> None:
    lost = {"match": {"path": CUTS}, "do": {"kind": "lost"}}
    ran = _run(vendor, tmp_path, 20, CUT, faults=[lost])
    assert ran.states == {"uncertain": 20}
    assert len(vendor.bought()) == ran.fates["uncertain"] == 2
    _again(vendor, tmp_path, CUT)
    assert len(vendor.bought()) == 3, "each run buys an uncertain call again at most once"


def test_a_flagged_answer_holds_all_twins_back_and_is_bought_once(vendor: Vendor, tmp_path: Path) -> None:
    blurred = {"match": {"path": CUTS}, "do": {"kind": "blurred"}}
    ran = _run(vendor, tmp_path, 20, CUT, ENLARGE, faults=[blurred])
    assert ran.states == {"flagged": 20}
    assert len(vendor.paid()) == 1
    assert ran.watched.open == {}


def test_an_answer_that_is_never_a_picture_is_bought_twice_for_all_twins_together(
    vendor: Vendor, tmp_path: Path
) -> None:
    garbage = {"match": {"path": CUTS}, "do": {"kind": "garbage"}}
    ran = _run(vendor, tmp_path, 20, CUT, ENLARGE, faults=[garbage])
    assert ran.states == {"failed": 20}
    assert len(vendor.bought()) == 2
    assert ran.watched.open == {}
    _again(vendor, tmp_path, CUT, ENLARGE)
    assert len(vendor.bought()) == 3, "a later run buys it again once, not once an item"


def test_twins_do_not_lead_at_the_same_time_when_the_money_reaches_for_one(vendor: Vendor, tmp_path: Path) -> None:
    _run(vendor, tmp_path, 3, CUT)
    job = write_job(tmp_path, CUT, ENLARGE, budget={"max_usd": "0.02"}, name="work", output={"path": "finished-work"})
    with started(job, vendor) as begun:
        summarised(begun)
        assert Counter(row.state for row in begun.state.items(job.name)) == {"done": 3}
    assert vendor.billed() == EACH
