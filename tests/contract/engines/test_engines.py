"""What every engine does: each task once, in any order, with plain values that may go to another machine."""

from __future__ import annotations

import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.run.test_budget import ANSWER
from tests.unit.steps.conftest import HOST, SOURCE, paid, step
from venice_batch.errors import Interrupted, ItemError, Unavailable
from venice_batch.imaging import Facts, Rendition
from venice_batch.run.engines import Engine, TaskHandler
from venice_batch.run.engines.threads import Threads
from venice_batch.run.tasks import (
    Bought,
    Buy,
    CallEnded,
    CheckAnswer,
    FinishedFile,
    InputRead,
    InputRef,
    ItemFailed,
    Outcome,
    ProbeStage,
    Publish,
    Published,
    ReadInput,
    ResultsUpdated,
    RunFailed,
    SetAside,
    StageProbed,
    Task,
    WrittenFile,
)
from venice_batch.state import AnswerSetAside, OutputRow
from venice_batch.steps.chain import Chain, Purchase
from venice_batch.steps.conditions import Known
from venice_batch.venice import CallFailed

ROOT = Path(__file__).parents[3]
REF = InputRef("a.png", "v", sha256="5" * 64)
ENGINES = {"threads": Threads}


@dataclass
class Handler:
    """Answers a task with its own number, after whatever the test has it wait for."""

    wait: Callable[[], object] = lambda: None
    released: list[InputRef] = field(default_factory=list)

    def do(self, task: Task) -> Outcome:
        self.wait()
        return ResultsUpdated(CheckAnswer(task.item, "key"))

    def release(self, ref: InputRef) -> None:
        self.released.append(ref)


@dataclass
class Bench:
    """An engine that was started, and the outcomes that it hands back."""

    engine: Engine
    outcomes: queue.SimpleQueue[Outcome]

    def submit(self, *numbers: int) -> None:
        for number in numbers:
            self.engine.submit(ReadInput(number, REF))

    def completed(self, count: int) -> list[int]:
        return sorted(self.outcomes.get(timeout=5).task.item for _ in range(count))


Start = Callable[..., Bench]


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start an engine for so many calls."""
    begun: list[Engine] = []

    def make(handler: TaskHandler | None = None, capacity: int = 4) -> Bench:
        bench = Bench(request.param(handler or Handler(), capacity), queue.SimpleQueue())
        begun.append(bench.engine)
        bench.engine.start(bench.outcomes.put)
        return bench

    yield make
    for engine in begun:
        engine.close()


def test_every_task_has_one_outcome(start: Start) -> None:
    bench = start()
    bench.submit(*range(100))
    assert bench.completed(100) == list(range(100))
    assert bench.outcomes.empty()


def test_as_many_tasks_run_at_once_as_it_has_capacity_for(start: Start) -> None:
    meeting = threading.Barrier(4)
    bench = start(Handler(lambda: meeting.wait(5)))
    assert bench.engine.capacity == 4
    bench.submit(*range(4))
    assert bench.completed(4) == list(range(4)), "each waits for all of them"


def test_submitting_more_than_it_can_carry_out_does_not_block(start: Start) -> None:
    go = threading.Event()
    bench = start(Handler(lambda: go.wait(5)), 1)
    bench.submit(*range(50))
    assert bench.outcomes.empty()
    go.set()
    assert bench.completed(50) == list(range(50))


def test_a_release_reaches_what_keeps_the_copy(start: Start) -> None:
    handler = Handler()
    start(handler).engine.release(REF)
    assert handler.released == [REF]


def test_closing_does_not_wait_for_what_is_under_way(start: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go.wait(5)

    bench = start(Handler(wait))
    bench.submit(1)
    assert begun.wait(5)
    bench.engine.close()
    assert bench.outcomes.empty()
    go.set()
    assert bench.completed(1) == [1], "nothing that was begun is thrown away"


# What goes to an engine and comes back

CHAIN = Chain(HOST, (step("fit", {"max_side": 150}), paid("upscale")))
POSITION, PURCHASE = CHAIN.advance(CHAIN.start(SOURCE, Known()))
assert isinstance(PURCHASE, Purchase)
BUY = Buy(1, PURCHASE, REF, Decimal("0.02"), "upscaler")
STAGE = POSITION.current
FILES = (FinishedFile("x/a.jpg", Rendition("JPEG", 88), OutputRow("a.png", 0, "x/a.jpg", "v", "hash")),)
TASKS: list[Task] = [
    ReadInput(1, REF),
    BUY,
    CheckAnswer(1, "key"),
    SetAside(1, ("key",)),
    ProbeStage(1, STAGE, REF),
    Publish(1, STAGE, REF, FILES),
]
FACTS = Facts(300, 260, "PNG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=9)
OUTCOMES: list[Outcome] = [
    InputRead(ReadInput(1, REF), "hash", FACTS),
    Bought(BUY, ANSWER, "no picture", (AnswerSetAside("key", 1),), "text/html"),
    ResultsUpdated(SetAside(1, ("key",)), (AnswerSetAside("key", 1),)),
    StageProbed(ProbeStage(1, STAGE, REF), FACTS),
    Published(Publish(1, STAGE, REF, FILES), (WrittenFile("x/a.jpg", "v", "hash"),)),
]


@pytest.mark.parametrize("value", [*TASKS, *OUTCOMES], ids=lambda value: type(value).__name__)
def test_tasks_and_outcomes_survive_the_way_to_another_machine(value: Task | Outcome) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - its own bytes


@pytest.mark.parametrize(
    "value",
    [
        CallEnded(BUY, CallFailed("lost-answer", status=504, request_id="ray")),
        ItemFailed(BUY, ItemError("too-small", "is too small", remedy="enlarge it", lasting=False)),
        RunFailed(BUY, Interrupted("stopped", remedy="again", terminated=True), billed=True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_survive_it_with_all_that_they_know(value: CallEnded | ItemFailed | RunFailed) -> None:
    copy = pickle.loads(pickle.dumps(value))  # noqa: S301 - its own bytes
    one, two = (each.failure if isinstance(each, CallEnded) else each.error for each in (value, copy))
    assert (type(two), two.args, vars(two)) == (type(one), one.args, vars(one))
    assert copy.task == value.task


# Threads


def workers() -> int:
    return sum(thread.name.startswith("worker-") for thread in threading.enumerate())


def started(handler: TaskHandler, capacity: int = 4) -> Bench:
    bench = Bench(Threads(handler, capacity), queue.SimpleQueue())
    bench.engine.start(bench.outcomes.put)
    return bench


def test_no_more_tasks_run_at_once_than_calls_and_spare_threads() -> None:
    lock, go = threading.Lock(), threading.Event()
    running, most = 0, 0

    def wait() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go.wait(5)
        with lock:
            running -= 1

    bench = started(Handler(wait), 3)
    bench.submit(*range(20))
    go.set()
    assert len(bench.completed(20)) == 20
    assert 1 <= most <= 3 + 4
    bench.engine.close()


def test_an_idle_thread_does_the_next_task() -> None:
    before, bench = workers(), started(Handler(), 8)
    for number in range(5):
        bench.submit(number)
        bench.completed(1)
        assert workers() <= before + 2, number
    bench.engine.close()


def test_idle_threads_end_when_the_engine_is_closed() -> None:
    before = set(threading.enumerate())
    meeting = threading.Barrier(4)
    bench = started(Handler(lambda: meeting.wait(5)))
    bench.submit(*range(4))
    bench.completed(4)
    mine = set(threading.enumerate()) - before
    bench.engine.close()
    for thread in mine:
        thread.join(5)
    assert len(mine) >= 4
    assert not any(thread.is_alive() for thread in mine)


def test_a_busy_thread_does_not_keep_the_process_alive() -> None:
    code = """
import threading
from venice_batch.run.engines.threads import Threads
from venice_batch.run.tasks import CheckAnswer
class Handler:
    def do(self, task):
        begun.set()
        threading.Event().wait(60)
    def release(self, ref): ...
engine, begun = Threads(Handler(), 2), threading.Event()
engine.start(print)
engine.submit(CheckAnswer(1, "key"))
assert begun.wait(5)
engine.close()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=10)


def test_a_machine_that_starts_no_more_threads_does_the_work_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    bench = started(Handler())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        bench.submit(*range(20))
        with pytest.raises(Unavailable, match="no further thread"):
            started(Handler())
    assert bench.completed(20) == list(range(20))
    bench.engine.close()
