"""The driver: one thread that owns plan and manifest, keeps the window full, and takes in what comes back.

Order of writing (rule 5): what a group of outcomes changed is committed before the tasks that follow from it are handed
out. So a reservation is durable before its request can be sent, and a finished file before its row says done.
"""

from __future__ import annotations

import functools
import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress

from venice_batch.errors import VeniceBatchError
from venice_batch.plan.model import TO_DO, Plan
from venice_batch.plan.money import micros
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import PriceList
from venice_batch.run.engines.threads import Threads
from venice_batch.run.observer import Summary
from venice_batch.run.queues import Queues
from venice_batch.run.recorder import Recorder
from venice_batch.run.run_context import RunContext
from venice_batch.run.scheduler import Scheduler
from venice_batch.run.stop_rules import Signal, interrupted, signal_name
from venice_batch.run.tasks import Buy, Outcome
from venice_batch.state import State

_MOST_CALLS = 64
#: Threads beside those that may hold a call, so that local work goes on while every call waits for its answer.
_SPARE_THREADS = 4


class Driver:
    """Runs one plan to its end. Everything here happens in one thread; workers only see tasks."""

    def __init__(self, pipeline: Pipeline, plan: Plan, state: State, context: RunContext) -> None:
        self._job = pipeline.job
        self._paid = pipeline.chain.paid
        self._plan = plan
        self._state = state
        self._context = context
        self._recorder = Recorder(pipeline.job.name, state, context.budget, context.observer, context.now)
        self._inbox: queue.SimpleQueue[Outcome | Signal] = queue.SimpleQueue()
        #: What was taken out of the inbox and not looked at yet.
        self._came: deque[Outcome | Signal] = deque()
        self._most_calls = pipeline.job.run.concurrency or _MOST_CALLS
        self._engine: Threads[Outcome] = Threads(self._most_calls + _SPARE_THREADS, self._inbox.put)
        self._waiting = deque(plan.to_do)
        self._queues = Queues(context.lanes, self._most_calls)
        self._scheduler = Scheduler(pipeline, state, context, self._recorder, self._queues)
        self._prices = PriceList(context.catalogue)
        self._deadline: float | None = None
        self._signalled: Signal | None = None

    def signal(self, number: Signal) -> None:
        """Tell the driver of a signal; safe in a signal handler.

        The driver itself may be waiting for a store that is out of reach: that wait ends with the second signal, or
        when the time to drain is over.
        """
        self._inbox.put(number)
        if self._signalled is not None:
            self._state.give_up()
            return
        self._signalled = number
        timer = threading.Timer(self._job.run.drain, self._state.give_up)
        timer.daemon = True
        timer.start()

    def run(self) -> Summary:
        """Work until everything is done or a stop rule holds, and return what came of it.

        Raises:
            Unavailable: the manifest cannot be written; nothing that was not recorded was acted upon.
            LeaseLost: another run has taken over.
            Interrupted: a signal came while the manifest could not be written.
        """
        try:
            going = True
            while going:
                self._admit()
                self._hand_out()
                going = self._land() if self._queues.out else self._go_on_without_money()
            self._scheduler.leave()
            self._recorder.ended["pending"] += len(self._waiting)
            self._recorder.commit()
        except BaseException as error:
            # Whatever it is, the calls in flight are paid for.
            self._let_land()
            if isinstance(error, VeniceBatchError) and self._signalled is not None:
                self._context.observer.note(error.message)
                raise interrupted(self._signalled) from error
            raise
        finally:
            self._engine.close()
        return self._summary()

    def _admit(self) -> None:
        scheduler = self._scheduler
        while self._waiting and scheduler.cause is None and not scheduler.short and self._has_room():
            scheduler.start(self._waiting.popleft())

    def _has_room(self) -> bool:
        windows = sum(self._context.lanes.lane(self._prices.of(step)[1]).window() for step in self._paid)
        return self._scheduler.on_the_way < max(_SPARE_THREADS, min(2 * self._most_calls, 2 * windows + _SPARE_THREADS))

    def _hand_out(self) -> None:
        """Make everything decided so far durable, then let the workers have it."""
        self._scheduler.buy()
        self._recorder.commit()
        for task in self._queues.handed_out():
            self._engine.submit(functools.partial(self._context.worker.do, task))

    def _land(self) -> bool:
        """Take in what came back; return False when the run must be left as it is."""
        patience = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            self._came.append(self._inbox.get(timeout=patience))
        except queue.Empty:
            return False
        with suppress(queue.Empty):
            while True:
                self._came.append(self._inbox.get_nowait())
        signals: list[Signal] = []
        self._scheduler.land(self._outcomes(signals))
        self._context.observer.money(self._recorder.budget.spent, self._recorder.budget.uncertain)
        stays = True
        for number in signals:
            stays = self._interrupt(number) and stays
        return stays

    def _outcomes(self, signals: list[Signal]) -> Iterator[Outcome]:
        """Yield the outcomes that came, one by one: those behind one that cannot be taken in are still known of."""
        while self._came:
            message = self._came.popleft()
            if isinstance(message, int):
                signals.append(message)
            else:
                yield message

    def _go_on_without_money(self) -> bool:
        """With no task out, nobody can give money back any more; return whether there is still something to do."""
        if self._scheduler.cause is not None:
            return False
        self._scheduler.end_unaffordable()
        return bool(self._waiting or self._scheduler.short or self._queues.busy())

    def _interrupt(self, number: Signal) -> bool:
        """Begin to drain on the first signal; return False on the second."""
        if self._deadline is not None:
            return False
        self._deadline = time.monotonic() + self._job.run.drain
        name = signal_name(number)
        flying = self._queues.calls_in_flight
        self._context.observer.note(f"{name}: no new calls; {flying} in flight get {self._job.run.drain:g} s to land")
        self._scheduler.interrupt(interrupted(number))
        return True

    def _let_land(self) -> None:
        """Wait for the calls in flight when nothing can be recorded any more.

        They are paid for: their bytes are kept by the workers, and the next start finds them. Ends with a signal, or
        when the time to drain is over.
        """
        self._context.cancel.set()
        patience = self._job.api.timeout if self._signalled is None else self._job.run.drain
        end = min(time.monotonic() + patience, self._deadline or math.inf)
        while any(isinstance(task, Buy) for task in self._queues.out.values()):
            if not self._came:
                try:
                    self._came.append(self._inbox.get(timeout=max(0.0, end - time.monotonic())))
                except queue.Empty:
                    return
            message = self._came.popleft()
            if isinstance(message, int):
                return
            self._queues.landed(message.task)

    def _summary(self) -> Summary:
        left = Counter(item.left_as or item.standing for item in self._plan.items if item.standing not in TO_DO)
        return Summary(
            ended=dict(self._recorder.ended),
            skipped=self._plan.done,
            left_alone=left,
            spent_micros=self._recorder.budget.spent,
            uncertain_micros=self._recorder.budget.uncertain,
            left_micros=micros(self._recorder.left + sum(item.cost.high for item in self._waiting)),
            cause=self._scheduler.cause or self._scheduler.budget_stop,
            published_flagged=self._scheduler.published_flagged,
        )
