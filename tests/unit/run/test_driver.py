"""The driver: what it decided is durable before an engine hears of it, and what is left is told at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tests.unit.run.conftest import Desk, OpenDesk, plan_of
from venice_batch.errors import MoneyError, Unavailable
from venice_batch.run.driver import Driver
from venice_batch.run.observer import Summary
from venice_batch.run.tasks import Buy, InputRef, Outcome, Publish, ReadInput, RunFailed, Task
from venice_batch.state import Begun, Event, ItemMoved, OutputPlanned, Reserved


@dataclass
class RecordingEngine:
    """Answers each task at once, and notes it among the events that were durable when it was submitted."""

    desk: Desk
    answer: Callable[[Task], Outcome]
    capacity: int = 64
    released: list[InputRef] = field(default_factory=list)
    closed: bool = False

    def start(self, completed: Callable[[Outcome], None]) -> None:
        self._completed = completed

    def submit(self, task: Task) -> None:
        self.desk.state.log.append(task)
        self._completed(self.answer(task))

    def release(self, ref: InputRef) -> None:
        self.released.append(ref)

    def close(self) -> None:
        self.closed = True


def drive(desk: Desk, engine: RecordingEngine, *names: str) -> Summary:
    items = [desk.item(name) for name in names]
    return Driver(desk.pipeline, plan_of(items), desk.state, replace(desk.context, engine=engine)).run()


def well(desk: Desk, task: Task) -> Outcome:
    match task:
        case ReadInput():
            return desk.read(task)
        case Buy():
            return desk.bought(task)
        case _:
            return desk.published(task)


def test_whatever_a_task_depends_on_is_durable_before_it_is_submitted(open_desk: OpenDesk) -> None:
    desk = open_desk()
    engine = RecordingEngine(desk, lambda task: well(desk, task))
    summary = drive(desk, engine, "a.png", "bb.png", "ccc.png")
    assert summary.ended == {"done": 3, "pending": 0}
    log = desk.state.log
    calls = [entry for entry in log if isinstance(entry, Buy)]
    assert len(calls) == 3
    for call in calls:
        before: list[Event] = log[: log.index(call)]
        (begun,) = [each for each in before if isinstance(each, Begun) and each.result == call.purchase.result]
        assert [each.call for each in before if isinstance(each, Reserved)].count(begun.call) == 1
    for publish in [entry for entry in log if isinstance(entry, Publish)]:
        before = log[: log.index(publish)]
        planned = {each.path for each in before if isinstance(each, OutputPlanned)}
        assert planned >= {file.name for file in publish.files}


def test_nothing_is_submitted_where_the_manifest_cannot_be_written(
    open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = open_desk()
    engine = RecordingEngine(desk, lambda task: well(desk, task))
    write = desk.state.commit

    def no_reservations(events: list[Event]) -> None:
        if any(isinstance(event, Reserved) for event in events):
            raise Unavailable("the disk is full")
        write(events)

    monkeypatch.setattr(desk.state, "commit", no_reservations)
    with pytest.raises(Unavailable, match="disk is full"):
        drive(desk, engine, "a.png")
    assert [type(entry) for entry in desk.state.log if not isinstance(entry, Event)] == [ReadInput]
    assert engine.closed


def test_an_input_is_released_when_its_item_is_recorded_as_ended(open_desk: OpenDesk) -> None:
    desk = open_desk()
    engine = RecordingEngine(desk, lambda task: well(desk, task))
    ended: list[int] = []
    release = engine.release

    def count(ref: InputRef) -> None:
        ended.append(sum(isinstance(each, ItemMoved) and each.state == "done" for each in desk.state.log))
        release(ref)

    engine.release = count  # type: ignore[method-assign]  # the test looks over its shoulder
    drive(desk, engine, "a.png", "bb.png")
    assert sorted(ref.key for ref in engine.released) == ["a.png", "bb.png"]
    assert all(ended)


def test_what_is_left_to_pay_for_is_told_with_the_items_that_were_never_started(open_desk: OpenDesk) -> None:
    desk = open_desk()

    def poor(task: Task) -> Outcome:
        return desk.failed(task, "no-money-account") if isinstance(task, Buy) else well(desk, task)

    engine = RecordingEngine(desk, poor, capacity=1)
    names = [f"{'x' * number}.png" for number in range(1, 10)]
    summary = drive(desk, engine, *names)
    assert isinstance(summary.cause, MoneyError)
    assert summary.ended == {"pending": 9}
    assert summary.left_micros == 9 * 20_000
    assert sum(isinstance(entry, Buy) for entry in desk.state.log) == 1


def test_the_first_cause_ends_the_run(open_desk: OpenDesk) -> None:
    desk = open_desk()
    codes = iter(["no-money-account", "key-refused", "no-rights"])

    def refused(task: Task) -> Outcome:
        return desk.failed(task, next(codes)) if isinstance(task, Buy) else well(desk, task)

    summary = drive(desk, RecordingEngine(desk, refused), "a.png", "bb.png", "ccc.png")
    assert type(summary.cause) is MoneyError


def test_a_bug_in_a_task_ends_the_run_and_counts_the_billed_call(open_desk: OpenDesk) -> None:
    desk = open_desk()

    def broken(task: Task) -> Outcome:
        return RunFailed(task, Unavailable("disk"), billed=True) if isinstance(task, Buy) else well(desk, task)

    summary = drive(desk, RecordingEngine(desk, broken), "a.png")
    assert summary.uncertain_micros == 20_000
    assert summary.spent_micros == 0
    assert desk.state.counted_in_run(1) == 20_000
