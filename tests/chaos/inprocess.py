"""A job in this process against an offline vendor in a thread: fast enough for a thousand of them, and mortal.

Dying is a `BaseException` out of a chosen commit. What follows is what a killed process leaves: no row is written any
more, the run stays open, calls that were in flight are billed and most of their answers lost.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from tests.contract.venice.conftest import TimedGate
from tests.e2e.conftest import Vendor
from venice_batch.job import FolderSource, Job, load
from venice_batch.plan.model import PlannedItem
from venice_batch.plan.pricing import PriceList
from venice_batch.plan.selection import ItemFilter
from venice_batch.run.budget import RunBudget
from venice_batch.run.driver import Driver
from venice_batch.run.engines.threads import Threads
from venice_batch.run.observer import Observer, Summary
from venice_batch.run.recorder import Recorder
from venice_batch.run.scheduler import RunContext
from venice_batch.run.session import Session, session
from venice_batch.run.worker import Worker
from venice_batch.state import Event, RunStarted, State
from venice_batch.storage import Place, open_store
from venice_batch.venice import Api, Breaker, Cancel, Client, Lanes, Secret

#: How many schedules are played: 1000 for the full suite, a few in `make test`.
SCHEDULES = int(os.environ.get("VENICE_CHAOS_SCHEDULES", "40"))
FULL = 1000
#: Share of the answers in flight at a death that nobody stored any more.
_LOST_AT_DEATH = 0.7


class Killed(BaseException):
    """The driver's end; no `except Exception` of the code under test may catch it."""


class Mortal(State):
    """A state whose driver dies at one of its commits, before it is durable or just after."""

    def __init__(self, state: State, *, dies_at: int, after: bool) -> None:
        vars(self).update(vars(state))
        self.left = dies_at
        self.after = after
        self.kept: frozenset[Path] = frozenset()

    def commit(self, events: Iterable[Event]) -> None:
        group = list(events)
        # An empty group writes nothing: dying there is dying at the next.
        self.left -= bool(group)
        dying = self.left == 0 and bool(group)
        if dying:
            self.kept = _answers(self.root)
        if not (dying and not self.after):
            super().commit(group)
        if dying:
            raise Killed


@dataclass
class Silent:
    """An observer that only counts how items end."""

    ended: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def item(self, item: PlannedItem, state: str, reason: str) -> None:  # noqa: ARG002 - the protocol's
        self.ended[state] += 1

    def money(self, spent: int, uncertain: int) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, code: str, text: str) -> None:
        self.notes.append(f"{code}: {text}")


def api_of(vendor: Vendor) -> Api:
    return Api(vendor.url, Secret(vendor.key))


def write_job(folder: Path, *steps: object, **sections: Any) -> Job:
    """Write a job file into `folder` and load it: photos in, finished out, unless a section says otherwise."""
    document: Mapping[str, Any] = {
        "version": 1,
        "name": "work",
        "source": {"path": "photos"},
        "steps": list(steps),
        "output": {"path": f"finished-{sections.get('name', 'work')}"},
        **sections,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{document['name']}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return load(file, environ={})


class JoiningSession(Session):
    """A session that waits for its driver's threads before it closes the client under them."""

    @contextmanager
    def _context(self, budget: RunBudget, observer: Observer) -> Iterator[RunContext]:
        with super()._context(budget, observer) as context:
            try:
                yield context
            finally:
                _until_no_worker_is_left()


def _until_no_worker_is_left() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("worker-"):
            thread.join(20)
            assert not thread.is_alive(), "a worker never came back"


@contextmanager
def started(job: Job, vendor: Vendor) -> Iterator[Session]:
    """A start of the job up to its plan."""
    with session(job, api_of(vendor), ItemFilter()) as begun:
        yield begun


def seeded(name: object) -> random.Random:
    """Return chance that can be repeated."""
    return random.Random(f"{name}")  # noqa: S311 - tests are repeatable, not secret


def carry_out(begun: Session, chance: random.Random, *, dies_at: int = 0, after: bool = False) -> bool:
    """Execute the plan as far as money and life reach; return whether the driver lived to its end.

    Args:
        begun: the job with its plan.
        chance: decides which answers the process did not live to keep.
        dies_at: at which of its commits the driver dies; 0 is never.
        after: whether that commit is still durable.
    """
    state = Mortal(begun.state, dies_at=dies_at, after=after)
    try:
        summarised(replace(begun, state=state))
    except Killed:
        _lose_some(begun.state.root, state.kept, chance)
        return False
    return True


def summarised(begun: Session) -> Summary:
    """Execute the plan as far as the money reaches."""
    parts = {each.name: getattr(begun, each.name) for each in fields(begun)}
    return JoiningSession(**parts).execute(Silent(), partial=True)


def _lose_some(root: Place, kept: frozenset[Path], chance: random.Random) -> None:
    """Take away what the threads still stored after the driver's death: most of it, as a killed process would have."""
    for path in sorted(_answers(root) - kept):
        if chance.random() < _LOST_AT_DEATH:
            path.unlink()
            path.with_name(f"{path.name}.json").unlink()


def _answers(root: Place) -> frozenset[Path]:
    assert isinstance(root, Path)
    return frozenset(path for path in root.glob("results/??/*") if "." not in path.name)


@dataclass(frozen=True)
class Parts:
    """The shared parts of a client that a test looks at or sets up differently."""

    cancel: Cancel
    gate: TimedGate
    breaker: Breaker
    lanes: Lanes

    @staticmethod
    def fresh(**breaker: Any) -> Parts:
        cancel = Cancel()
        lanes = Lanes({}, default_rpm=6000, cancel=cancel)
        return Parts(cancel, TimedGate(cancel), Breaker(cancel=cancel, **breaker), lanes)

    def client(self, vendor: Vendor) -> Client:
        return Client(
            api_of(vendor), gate=self.gate, lanes=self.lanes, breaker=self.breaker, cancel=self.cancel, timeout=20
        )


def drive(begun: Session, vendor: Vendor, parts: Parts, scratch: Path) -> Summary:
    """Carry out the plan with a driver whose gate and breaker the test holds in its hands."""
    job, state = begun.job, begun.state
    assert isinstance(job.source, FolderSource)
    run, _ = state.run_to_continue(job.name)
    now = time.time()
    state.commit([RunStarted(run, job.name, now)])
    budget = RunBudget((), run, state.next_call(), now)
    with parts.client(vendor) as client:
        worker = Worker(
            client=client,
            source=open_store(job.source.path),
            output=open_store(job.output.path),
            existing="fail",
            results=state.results,
            scratch=scratch,
            decoders=2,
        )
        engine = Threads(worker, 64)
        prices = PriceList(begun.known.catalogue)
        recorder = Recorder(job.name, state, budget, prices, observer=Silent(), now=time.time)
        context = RunContext(prices, parts.lanes, parts.gate, parts.cancel, engine, recorder, lambda _: {})
        try:
            return Driver(begun.pipeline, begun.plan, state, context).run()
        finally:
            _until_no_worker_is_left()


@contextmanager
def at_most(seconds: int, what: str) -> Iterator[None]:
    """Raise out of a block that does not end: a run that hangs must fail its test, not stop the suite."""

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"no end after {seconds} s: {what}")

    earlier = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
