"""Lines of JSON for containers: one object a line, whatever is in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from venice_batch.errors import Exit, MoneyError
from venice_batch.plan.model import PlannedItem
from venice_batch.report.logs import JsonLines, JsonLog
from venice_batch.report.run_result import RunResult
from venice_batch.run.observer import Observer

HOSTILE = 'a"}\n{"level":"error"}\r\x1b[31m\u2028\u202e\udc80.png'


@dataclass(frozen=True)
class Named:
    """All that a log asks of an item."""

    name: str


def item(name: str = "a.png") -> PlannedItem:
    return cast("PlannedItem", Named(name))


def ticking(times: list[float]) -> Iterator[float]:
    yield from times
    while True:
        yield times[-1]


class Lines:
    def __init__(self) -> None:
        self.written: list[str] = []

    def log(self, now: float = 1_790_000_000.25) -> JsonLog:
        return JsonLog(self.written.append, lambda: now)

    @property
    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_every_line_has_time_level_event_and_message(lines: Lines) -> None:
    lines.log().event("note", "waiting 3 s", "warning", seconds=3)
    assert lines.read == [
        {
            "time": "2026-09-21T14:13:20.250Z",
            "level": "warning",
            "event": "note",
            "message": "waiting 3 s",
            "seconds": 3,
        }
    ]


def test_it_watches_a_run_as_every_observer_does(lines: Lines) -> None:
    observer: Observer = JsonLines(1, lines.log())
    observer.note("hello")
    assert lines.read[0]["message"] == "hello"


@pytest.mark.parametrize("state", ["failed", "invalid", "flagged", "uncertain"])
def test_a_bad_item_is_named_at_once(lines: Lines, state: str) -> None:
    JsonLines(9, lines.log()).item(item("b/c.png"), state, "too small")
    (line,) = lines.read
    assert (line["level"], line["event"], line["item"], line["state"], line["reason"]) == (
        "warning",
        "item",
        "b/c.png",
        state,
        "too small",
    )


def test_a_good_item_is_no_line(lines: Lines) -> None:
    JsonLines(9, lines.log()).item(item(), "done", "")
    assert lines.written == []


def test_progress_is_told_now_and_then_and_at_the_end(lines: Lines) -> None:
    clock = ticking([0.0, 1.0, 12.0, 12.0, 12.0, 13.0, 14.0])
    watching = JsonLines(4, lines.log(), lambda: next(clock))
    watching.money(1_200_000, 50_000)
    for _ in range(4):
        watching.item(item(), "done", "")
        watching.item(item(), "pending", "the run stopped")
    progress = lines.read
    assert [(line["done"], line["total"]) for line in progress] == [(2, 4), (4, 4)]
    assert (progress[0]["spent_usd"], progress[0]["uncertain_usd"]) == ("1.20", "0.05")
    assert progress[0]["seconds_left"] == 12.0
    assert "about 12 s left" in progress[0]["message"]
    assert progress[1]["seconds_left"] == 0


def test_a_hostile_name_stays_inside_its_field_and_its_line(lines: Lines) -> None:
    JsonLines(1, lines.log()).item(item(HOSTILE), "failed", HOSTILE)
    assert len(lines.written) == 2
    assert all(line.isascii() and line.isprintable() for line in lines.written)
    assert lines.read[0]["item"] == HOSTILE
    assert lines.read[0]["level"] == "warning"


def test_an_error_is_one_line_with_its_remedy_and_code(lines: Lines) -> None:
    lines.log().error(MoneyError("one\ntwo", remedy="add credits"))
    (line,) = lines.read
    assert (line["level"], line["event"], line["message"]) == ("error", "error", "one\ntwo")
    assert (line["remedy"], line["exit_code"]) == ("add credits", 5)


def test_a_bug_is_one_line_with_its_traceback(lines: Lines) -> None:
    try:
        raise KeyError("x")  # noqa: TRY301 - to have a traceback
    except KeyError as bug:
        lines.log().crash(bug)
    (line,) = lines.read
    assert line["exit_code"] == 1
    assert "test_logs.py" in line["traceback"]


@pytest.mark.parametrize(
    ("code", "level"), [(Exit.DONE, "info"), (Exit.ITEMS_FAILED, "warning"), (Exit.MONEY, "error")]
)
def test_the_end_says_what_came_of_the_run(lines: Lines, code: Exit, level: str) -> None:
    lines.log().ended(RunResult("nightly", code, 10.0, 12.5, {"done": 2}, 40_000, 0, 20_000))
    (line,) = lines.read
    assert line["level"] == level
    assert {key: line[key] for key in ("event", "job", "exit_code", "items", "spent_usd", "left_usd", "seconds")} == {
        "event": "end",
        "job": "nightly",
        "exit_code": int(code),
        "items": {"done": 2},
        "spent_usd": "0.04",
        "left_usd": "0.02",
        "seconds": 2.5,
    }


def test_threads_do_not_write_into_each_others_lines() -> None:
    text: list[str] = []
    busy: set[int] = set()
    clashes: list[int] = []
    first = threading.Event()

    def write(line: str) -> None:
        busy.add(threading.get_ident())
        clashes.extend([1] if len(busy) > 1 else [])
        first.wait(0.005)
        text.append(line)
        busy.discard(threading.get_ident())

    log = JsonLog(write)
    threads = [threading.Thread(target=log.event, args=("note", "x")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(text) == 8
    assert not clashes
