"""A scheduler with its queues, budget and real state, but no engine: the test gives it outcomes and sees its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.run.test_budget import ANSWER
from tests.unit.steps.conftest import HOST, catalogue_of
from venice_batch.imaging import Facts
from venice_batch.job import load
from venice_batch.plan.model import Candidate, Coverage, Plan, PlannedItem, Range
from venice_batch.plan.money import Cap
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import PriceList
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.run.budget import RunBudget
from venice_batch.run.queues import Queues
from venice_batch.run.recorder import Recorder
from venice_batch.run.scheduler import RunContext, Scheduler
from venice_batch.run.tasks import (
    Bought,
    Buy,
    CallEnded,
    InputRead,
    InputRef,
    Outcome,
    Publish,
    Published,
    ReadInput,
    SetAside,
    Task,
    WrittenFile,
)
from venice_batch.state import (
    Begun,
    Event,
    ItemMoved,
    Reserved,
    ResultsUsed,
    Settled,
    State,
    to_write,
)
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.venice import CallFailed, Cancel, Gate, Lanes

FACTS = Facts(300, 260, "PNG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=9)
CALL = Decimal("0.02")


@dataclass
class Silent:
    """An observer that keeps what it is told."""

    notes: list[str] = field(default_factory=list)

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        pass

    def money(self, spent: int, uncertain: int) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, code: str, text: str) -> None:
        self.notes.append(f"{code}: {text}")


class NoEngine:
    """Where a test has the scheduler alone: nobody hands it a task."""

    capacity = 64

    def start(self, completed: Callable[[Outcome], None]) -> None: ...

    def submit(self, task: Task) -> None: ...

    def release(self, ref: InputRef) -> None: ...

    def close(self) -> None: ...


class RecordingState(State):
    """A real state that keeps every group of events in `log`, once it is durable."""

    def __init__(self, state: State) -> None:
        vars(self).update(vars(state))
        self.log: list[Any] = []

    def commit(self, events: Iterable[Event]) -> None:
        group = list(events)
        super().commit(group)
        self.log += group


def words(event: Event) -> str:
    """Say an event shortly; what the tests of the ledger look at is left out."""
    match event:
        case ItemMoved():
            return f"{event.item.key} {event.state} {event.code}".strip()
        case Reserved():
            return f"reserved {event.step}"
        case Begun():
            return "begun"
        case Settled():
            return f"{event.fate}: {event.outcome}"
        case _:
            return type(event).__name__


@dataclass
class Desk:
    """One run of one job."""

    pipeline: Pipeline
    state: RecordingState
    budget: RunBudget
    queues: Queues
    recorder: Recorder
    scheduler: Scheduler
    context: RunContext
    observer: Silent
    hashes: dict[str, str] = field(default_factory=dict)
    _seen: int = 0

    # Items

    def item(
        self, name: str = "a.png", *, digit: str = "", digest: str = "", high: Decimal | None = None
    ) -> PlannedItem:
        """Return a new item; those with the same `digit` have the same bytes."""
        chain = self.pipeline.chain
        known = Known()
        highest = (self.context.prices.of(step, known).high for step in chain.paid)
        cost = sum(highest, Decimal(0)) if high is None else high
        self.hashes[name] = digest or (digit or f"{len(name)}") * 64
        return PlannedItem(
            Candidate(name, "v"),
            0,
            "new",
            "fingerprint",
            chain,
            InputKey("source", self.hashes[name]),
            Known(),
            (f"out/{name}",),
            cost=Range(cost, cost),
        )

    def start(self, *items: PlannedItem) -> list[Task]:
        for item in items:
            self.scheduler.start(item)
        return self.tasks()

    def buying(self, *items: PlannedItem) -> list[Buy]:
        """Start items, have their inputs read, and return the calls that were dispatched."""
        reads = self.start(*(items or (self.item(),)))
        calls = self.complete(*map(self.read, reads))
        assert all(isinstance(task, Buy) for task in calls), calls
        self.told()
        return [task for task in calls if isinstance(task, Buy)]

    # What the driver does

    def tasks(self) -> list[Task]:
        self.scheduler.schedule_calls()
        self.recorder.commit()
        return self.queues.dispatch()[0]

    def complete(self, *outcomes: Outcome) -> list[Task]:
        self.scheduler.complete(outcomes)
        return self.tasks()

    def told(self) -> list[str]:
        """Return the events since the last question, shortly; `used` tells of results."""
        self.recorder.commit()
        fresh, self._seen = self.state.log[self._seen :], len(self.state.log)
        return [words(event) for event in fresh if not isinstance(event, ResultsUsed)]

    def used(self) -> list[tuple[int, bool]]:
        """Return what was recorded of results that items use: how many, and whether their files are made from them."""
        return [
            (len(event.results.split()), event.finished) for event in self.state.log if isinstance(event, ResultsUsed)
        ]

    @property
    def ended(self) -> dict[str, int]:
        return dict(self.recorder.ended)

    @property
    def money(self) -> tuple[int, int, int]:
        """What is reserved, spent and uncertain, in cents."""
        return self.budget.open // 10_000, self.budget.spent // 10_000, self.budget.uncertain // 10_000

    # Outcomes

    def read(self, task: Task) -> InputRead:
        assert isinstance(task, ReadInput), task
        return InputRead(task, self.hashes[task.input.key], FACTS)

    def bought(self, task: Task, *flags: str, reason: str = "", **answer: Any) -> Bought:
        """Answer a call; the result is stored with these flags, or, with a reason, it is not a picture."""
        assert isinstance(task, Buy), task
        stored: tuple[Event, ...] = () if reason else tuple(self.store(key, *flags) for key in task.purchase.results)
        return Bought(task, replace(ANSWER, paths=(), **answer), reason, stored)

    def store(self, key: str, *flags: str, facts: Facts = FACTS) -> Event:
        results = self.state.results
        file = results.incoming(key)
        file.write_bytes(b"a picture")
        kept = results.keep(key, file, {"sha256": "0" * 64, "price_usd": "0.02"})
        return results.note_verdict(kept, {"facts": facts.to_json(), "flags": list(flags)})

    def failed(self, task: Task, code: str, text: str = "", **more: Any) -> CallEnded:
        assert isinstance(task, Buy), task
        return CallEnded(task, CallFailed(code, text, **more))

    def published(self, task: Task) -> Published:
        assert isinstance(task, Publish), task
        return Published(task, tuple(WrittenFile(file.name, "v", "hash") for file in task.files))

    def set_aside(self, task: SetAside) -> tuple[Event, ...]:
        found = [self.state.results.find(key) for key in task.results]
        return tuple(self.state.results.set_aside(result) for result in found if result is not None)


OpenDesk = Callable[..., Desk]


def plan_of(items: Sequence[PlannedItem]) -> Plan:
    return Plan(tuple(items), 0, (), (), (), {}, Coverage(covered=True), 0.0, ())


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[OpenDesk]:
    """Begin a run of these steps (upscale by default) with a budget in cents; or the next start, `after` another."""
    (tmp_path / "photos").mkdir()
    with ExitStack() as stack:

        def make(
            *steps: object, cents: int | None = None, calls: int = 64, after: Desk | None = None, **run: Any
        ) -> Desk:
            document = {
                "version": 1,
                "name": "work",
                "source": {"path": "photos"},
                "steps": list(steps) or ["upscale"],
                "output": {"path": "out"},
                "run": run,
            }
            file = tmp_path / "work.yaml"
            file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
            pipeline = make_pipeline(load(file, environ={}), HOST)
            state = after.state if after else RecordingState(stack.enter_context(to_write(tmp_path / "state")))
            limits = () if cents is None else (Cap("max_usd", cents * 10_000, 0),)
            budget, cancel, observer = RunBudget(limits, 1, state.next_call(), 1.0), Cancel(), Silent()
            prices, gate = PriceList(catalogue_of()), Gate(cancel)
            recorder = Recorder("work", state, budget, prices, observer=observer, now=lambda: 1.0)
            lanes = Lanes({}, cancel=cancel, default_rpm=6000)
            context = RunContext(prices, lanes, gate, cancel, NoEngine(), recorder, lambda _: {})
            queues = Queues(lanes, calls)
            scheduler = Scheduler(pipeline, state, context, queues)
            return Desk(pipeline, state, budget, queues, recorder, scheduler, context, observer)

        yield make
