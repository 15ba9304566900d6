"""The driver: one thread that owns plan and manifest, keeps the window full, and acts upon outcomes.

Order of writing (rule 5): what a group of outcomes changed is committed before the tasks that follow from it are
dispatched. So a reservation is durable before its request can be sent, and a finished file before its row says done.
"""

from __future__ import annotations

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
from venice_batch.plan.warnings import DEPRECATED
from venice_batch.run.observer import Summary
from venice_batch.run.queues import Queues
from venice_batch.run.scheduler import RunContext, Scheduler
from venice_batch.run.stop_rules import Signal, interrupted, signal_name
from venice_batch.run.tasks import Buy, Outcome
from venice_batch.state import State

#: Items in flight beside those that the lanes have room for, so that reading and writing go on meanwhile.
_SPARE_ITEMS = 4


class Driver:
    """Runs one plan to its end. Everything here happens in one thread; engines only see tasks."""

    def __init__(self, pipeline: Pipeline, plan: Plan, state: State, context: RunContext) -> None:
        """Get the engine ready; raises Unavailable where it cannot be."""
        self._job = pipeline.job
        self._paid = pipeline.chain.paid
        self._plan = plan
        self._state = state
        self._context = context
        self._recorder = context.recorder
        self._inbox: queue.SimpleQueue[Outcome | Signal] = queue.SimpleQueue()
        #: What was taken out of the inbox and not acted upon yet.
        self._received: deque[Outcome | Signal] = deque()
        self._engine = context.engine
        self._engine.start(self._inbox.put)
        self._waiting = deque(plan.to_do)
        self._queues = Queues(context.lanes, self._engine.capacity)
        self._scheduler = Scheduler(pipeline, state, context, self._queues)
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
                self._dispatch()
                going = self._receive() if self._queues.dispatched else self._end_unaffordable()
            self._scheduler.abandon()
            self._recorder.ended["pending"] += len(self._waiting)
            self._recorder.commit()
        except BaseException as error:
            # Whatever it is, the calls in flight are paid for.
            self._await_calls()
            if isinstance(error, VeniceBatchError) and self._signalled is not None:
                self._recorder.observer.note(error.message)
                raise interrupted(self._signalled) from error
            raise
        finally:
            self._engine.close()
        return self._summary()

    def _admit(self) -> None:
        scheduler = self._scheduler
        while self._waiting and scheduler.cause is None and not scheduler.has_unaffordable and self._has_room():
            scheduler.start(self._waiting.popleft())

    def _has_room(self) -> bool:
        windows = sum(self._context.lanes.lane(self._context.prices.lane(step)).window() for step in self._paid)
        most = min(2 * self._engine.capacity, 2 * windows + _SPARE_ITEMS)
        return self._scheduler.in_flight < max(_SPARE_ITEMS, most)

    def _dispatch(self) -> None:
        """Make everything decided so far durable, then let the engine have it (rule 2)."""
        self._scheduler.schedule_calls()
        self._recorder.commit()
        tasks, released = self._queues.dispatch()
        for task in tasks:
            self._engine.submit(task)
        for ref in released:
            self._engine.release(ref)

    def _receive(self) -> bool:
        """Wait for outcomes and act upon them; return False when the run must be left as it is."""
        timeout = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            self._received.append(self._inbox.get(timeout=timeout))
        except queue.Empty:
            return False
        with suppress(queue.Empty):
            while True:
                self._received.append(self._inbox.get_nowait())
        signals: list[Signal] = []
        self._scheduler.complete(self._outcomes(signals))
        self._recorder.observer.money(self._recorder.budget.spent, self._recorder.budget.uncertain)
        return all(self._interrupt(number) for number in signals)

    def _outcomes(self, signals: list[Signal]) -> Iterator[Outcome]:
        """Yield the outcomes received, one by one: those behind one that raises are still known of."""
        while self._received:
            message = self._received.popleft()
            if isinstance(message, int):
                signals.append(message)
            else:
                yield message

    def _end_unaffordable(self) -> bool:
        """With no task dispatched, nobody can release money any more; return whether something is left to do."""
        if self._scheduler.cause is not None:
            return False
        self._scheduler.end_unaffordable()
        return bool(self._waiting or self._scheduler.has_unaffordable or self._queues.busy())

    def _interrupt(self, number: Signal) -> bool:
        """Begin to drain on the first signal; return False on the second."""
        if self._deadline is not None:
            return False
        self._deadline = time.monotonic() + self._job.run.drain
        name = signal_name(number)
        calls = self._queues.calls_in_flight
        self._recorder.observer.note(f"{name}: no new calls; {calls} in flight get {self._job.run.drain:g} s to land")
        self._scheduler.interrupt(interrupted(number))
        return True

    def _await_calls(self) -> None:
        """Wait for the calls in flight when nothing can be recorded any more.

        They are paid for: their bytes are kept by the workers, and the next start finds them. Ends with a signal, or
        when the time to drain is over.
        """
        self._context.cancel.set()
        seconds = self._job.api.timeout if self._signalled is None else self._job.run.drain
        end = min(time.monotonic() + seconds, self._deadline or math.inf)
        while any(isinstance(task, Buy) for task in self._queues.dispatched.values()):
            if not self._received:
                try:
                    self._received.append(self._inbox.get(timeout=max(0.0, end - time.monotonic())))
                except queue.Empty:
                    return
            message = self._received.popleft()
            if isinstance(message, int):
                return
            self._queues.complete(message.task)

    def _summary(self) -> Summary:
        found = Counter(item.left_as or item.status for item in self._plan.items if item.status not in TO_DO)
        skipped = self._plan.done + found.pop("done", 0)
        deprecated = (warning for warning in self._plan.warnings if warning.code == DEPRECATED)
        return Summary(
            ended=dict(self._recorder.ended),
            skipped=skipped,
            left_alone=found,
            spent_micros=self._recorder.budget.spent,
            uncertain_micros=self._recorder.budget.uncertain,
            left_micros=micros(self._recorder.left + sum(item.cost.high for item in self._waiting)),
            cause=self._scheduler.cause or self._scheduler.budget_stop,
            published_flagged=self._scheduler.published_flagged,
            warnings=(*deprecated, *self._recorder.warnings),
        )
