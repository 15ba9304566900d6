"""The scheduler: decides what happens to each item next, from its start to its end.

It knows no threads, clocks or signals: it takes outcomes one at a time and puts tasks into the queues. What it decides
is recorded, and the driver makes that durable before it dispatches the tasks.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from venice_batch.errors import CatalogueError, ItemError, MoneyError, ResultLost, VeniceBatchError
from venice_batch.plan.model import PlannedItem
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import PriceList, known_of, known_of_result
from venice_batch.plan.reading.finished_files import FindOwners
from venice_batch.plan.selection import FlaggedAction, flagged_action
from venice_batch.plan.warnings import DEPRECATED
from venice_batch.run import tasks
from venice_batch.run.engines import Engine
from venice_batch.run.publish import output_events
from venice_batch.run.queues import AcceptedResult, InFlightItem, Queues
from venice_batch.run.recorder import ItemState, Recorder
from venice_batch.run.stop_rules import AttemptLimits, StopRules, served_another, stopped_by
from venice_batch.state import OutputPlanned, Result, SourceRead, State
from venice_batch.steps.canonical_json import canonical
from venice_batch.steps.chain import Finished, Purchase, Stage, Undecided
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import CallFailed, Cancel, FailureClass, Gate, Lanes

#: Origins of inputs that the API reads by itself.
_BY_ADDRESS = frozenset({"url", "object"})
_NOT_SENT = frozenset({"gate-closed", "cancelled"})


@dataclass(frozen=True)
class RunContext:
    """The parts that are made once for a run; `owners` tells which finished files are ours."""

    prices: PriceList
    lanes: Lanes
    gate: Gate
    cancel: Cancel
    engine: Engine
    recorder: Recorder
    owners: FindOwners


class Scheduler:
    """Takes the items of one run through their chains. Only the driver calls it.

    Attributes:
        cause: why no further call is begun; None while the run goes on.
        budget_stop: the limit that some item did not fit under; free items go on.
        published_flagged: items published with a flagged result that nobody released.
    """

    def __init__(self, pipeline: Pipeline, state: State, context: RunContext, queues: Queues) -> None:
        self.cause: VeniceBatchError | None = None
        self.budget_stop: MoneyError | None = None
        self.published_flagged = 0
        self._pipeline = pipeline
        self._state = state
        self._context = context
        self._recorder = context.recorder
        self._queues = queues
        self._numbers = itertools.count(1)
        self._in_flight: dict[int, InFlightItem] = {}
        self._unaffordable: deque[InFlightItem] = deque()
        self._unaffordable_told = False
        self._rules = StopRules(pipeline.job.run.max_failure_rate, pipeline.chain.paid)
        self._lost: dict[str, ResultLost] = {}
        self._attempts = AttemptLimits(state.uncertain_results(), pipeline.job.run.uncertain)

    @property
    def in_flight(self) -> int:
        """How many items were started and have not ended."""
        return len(self._in_flight)

    @property
    def has_unaffordable(self) -> bool:
        """Whether items wait for money that others may release."""
        return bool(self._unaffordable)

    # What the driver calls

    def start(self, item: PlannedItem) -> None:
        """Admit an item; one that costs money ends at once when there is none left."""
        in_flight = InFlightItem.admitted(next(self._numbers), item)
        if self.budget_stop is not None and item.cost.high > 0:
            self._recorder.end(in_flight, ItemState("waiting", "money", self.budget_stop.message))
            return
        self._in_flight[in_flight.number] = in_flight
        if item.input_key.origin == "unread" and not item.candidate.columns:
            self._read_input(in_flight)
        else:
            self._advance(in_flight)

    def schedule_calls(self) -> None:
        """Enqueue the calls that may be sent now, as far as the lanes allow."""
        if self.cause is not None:
            return
        for in_flight, purchase, lane in self._queues.next_purchases():
            self._recorder.begin(in_flight, purchase)
            price = self._context.prices.of(purchase.step, in_flight.position.current.known).high
            self._queues.enqueue(tasks.Buy(in_flight.number, purchase, in_flight.input, price, lane))

    def complete(self, outcomes: Iterable[tasks.Outcome]) -> None:
        """Act upon outcomes, then let items that could not be afforded try again: others may have released money."""
        for outcome in outcomes:
            self._complete(outcome)
        waiting, self._unaffordable = self._unaffordable, deque()
        for in_flight in waiting:
            self._advance(in_flight)

    def end_unaffordable(self) -> None:
        """End the items that cannot be afforded: with no task dispatched, nobody can release any money."""
        waiting, self._unaffordable = self._unaffordable, deque()
        for in_flight in waiting:
            if self.budget_stop is None:
                self.budget_stop = self._recorder.budget_error(in_flight)
            self._end(in_flight, ItemState("waiting", "money", self.budget_stop.message))

    def stop(self, cause: VeniceBatchError) -> None:
        """Begin no further call. The first cause is the one that the user sees (rule 6)."""
        if self.cause is not None:
            return
        self.cause = cause
        self._context.cancel.set()
        self._leave_pending(self._in_flight.keys() - self._queues.busy())

    def interrupt(self, cause: VeniceBatchError) -> None:
        """Stop for a signal: a run that was stopping for another reason now ends as interrupted."""
        self.stop(cause)
        self.cause = cause

    def abandon(self) -> None:
        """Leave what is in flight as it is: dispatched calls are uncertain, everything else is for the next run."""
        for number, task in self._queues.dispatched.items():
            if isinstance(task, tasks.Buy):
                step = task.purchase.step
                self._recorder.mark_uncertain(self._in_flight[number], step, "left when the run was interrupted")
        self._leave_pending(self._in_flight)

    # Outcomes

    def _complete(self, outcome: tasks.Outcome) -> None:
        task = outcome.task
        in_flight = self._in_flight[task.item]
        self._queues.complete(task)
        match outcome:
            case tasks.InputRead():
                self._input_read(in_flight, outcome)
            case tasks.StageProbed():
                current = replace(in_flight.position.current, known=known_of(outcome.facts))
                in_flight.position = replace(in_flight.position, current=current)
                self._advance(in_flight)
            case tasks.Bought():
                self._bought(in_flight, outcome)
            case tasks.CallEnded():
                self._call_ended(in_flight, outcome)
            case tasks.ResultsUpdated():
                self._recorder.record(*outcome.events)
                self._advance(in_flight)
            case tasks.Published():
                self._published(in_flight, outcome)
            case tasks.ItemFailed() | tasks.RunFailed():
                if isinstance(outcome, tasks.RunFailed) and outcome.billed and isinstance(task, tasks.Buy):
                    self._recorder.mark_uncertain(in_flight, task.purchase.step, "answered, but not kept")
                self._failed(in_flight, outcome.error, reading=isinstance(task, tasks.ReadInput))

    def _input_read(self, in_flight: InFlightItem, outcome: tasks.InputRead) -> None:
        item, candidate = in_flight.item, in_flight.item.candidate
        in_flight.input = replace(in_flight.input, sha256=outcome.sha256)
        if not candidate.url:
            facts, size = canonical(outcome.facts.to_json()), outcome.facts.bytes
            job = self._pipeline.job.name
            self._recorder.record(SourceRead(job, candidate.key, candidate.version, size, outcome.sha256, facts))
        input_key = InputKey("source", outcome.sha256)
        # A picture sent by its address keeps that name when its bytes are sent instead: it is the same purchase.
        if item.input_key.origin not in _BY_ADDRESS and item.input_key != input_key:
            in_flight.item = replace(item, input_key=input_key)
            in_flight.position = item.chain.start(input_key, known_of(outcome.facts))
            in_flight.used.clear()
        self._advance_leader(in_flight)

    def _bought(self, in_flight: InFlightItem, outcome: tasks.Bought) -> None:
        purchase, bad = outcome.task.purchase, bool(outcome.reason)
        step = purchase.step
        self._recorder.record(*outcome.events)
        self._recorder.settle(in_flight, step, outcome.answer, "bad answer" if bad else "answered")
        if outcome.answer.deprecation:
            self._recorder.warn(DEPRECATED, f"step {step.id!r}: {outcome.answer.deprecation}")
        cause = self._rules.answered(purchase, outcome.not_picture) or self._served_another(outcome)
        cause = cause or self._recorder.overcharged()
        self._attempts.answered(purchase, bad=bad)
        if bad and self._attempts.too_often_bad(purchase):
            reason = f"step {step.id!r}: the answer is no picture: {outcome.reason}"
            self._end(in_flight, ItemState("failed", "bad-answer", reason))
            self._count_ended(failed=True)
        else:
            self._advance_leader(in_flight)
        self._stop_if(cause and stopped_by(cause, step, in_flight.item.key))

    def _served_another(self, outcome: tasks.Bought) -> VeniceBatchError | None:
        task, served = outcome.task, outcome.answer.model_served
        step = task.purchase.step
        if not step.kind or served is None or served.casefold() == task.lane.casefold():
            return None
        return served_another(task.price, task.lane, served, self._context.prices.with_model(step, served))

    def _call_ended(self, in_flight: InFlightItem, outcome: tasks.CallEnded) -> None:
        failure, purchase = outcome.failure, outcome.task.purchase
        if failure.failure_class is FailureClass.UNCERTAIN or failure.billed:
            self._recorder.mark_uncertain(in_flight, purchase.step, failure.code, failure)
            self._attempts.lost(purchase, failure)
        else:
            self._recorder.release(in_flight, purchase.step, failure.code, failure)
        by_address = in_flight.item.input_key.origin in _BY_ADDRESS and not in_flight.input.sha256
        match failure.failure_class:
            case FailureClass.UNCERTAIN:
                self._advance_leader(in_flight)
            case FailureClass.RUN_STOPS:
                self._stopped_by_call(in_flight, purchase.step, failure)
            case FailureClass.ITEM_FAILS if failure.code == "url-unreachable" and by_address:
                self._read_input(in_flight)
            case FailureClass.ITEM_FAILS:
                self._refused(in_flight, purchase, failure)
            case _:
                self._end(in_flight, _failed_call(purchase.step, failure))
                self._count_ended(failed=True)
                self._stop_if(self._rules.gave_up(failure.as_run_error()))

    def _stopped_by_call(self, in_flight: InFlightItem, step: PaidStep, failure: CallFailed) -> None:
        """Stop for what no item is to blame for; only what the job file asks for fails the item that met it."""
        if failure.code in _NOT_SENT:
            self._leave_pending([in_flight.number])
            return
        if failure.ends_in is CatalogueError:
            self._end(in_flight, _failed_call(step, failure))
        cause = self._context.gate.cause
        error = failure.as_run_error()
        # Whose call closed the gate first is not known here, and its item is not to blame.
        self.stop(stopped_by(error, step, in_flight.item.key) if cause is None else cause.as_run_error())
        self._leave_pending([in_flight.number])

    def _refused(self, in_flight: InFlightItem, purchase: Purchase, failure: CallFailed) -> None:
        """Fail the item, and stop the run where all items must meet the same."""
        # Without a status it was not the API but this machine: nothing lasting, and no word about the job.
        by_api = failure.status is not None
        cause = self._rules.refused(purchase, failure, in_flight.item.candidate.columns) if by_api else None
        # What stops the run is for the next run to try again, once the job or the API is another.
        self._end(in_flight, _failed_call(purchase.step, failure, lasting=by_api and cause is None))
        self._stop_if(cause and stopped_by(cause, purchase.step, in_flight.item.key))
        if by_api:
            self._count_ended(failed=True)

    def _published(self, in_flight: InFlightItem, outcome: tasks.Published) -> None:
        self._recorder.record(*output_events(self._recorder.id(in_flight.item), outcome.files))
        if outcome.error is not None:
            self._failed(in_flight, outcome.error)
            return
        self.published_flagged += any(not accepted.released for accepted in in_flight.accepted.values())
        self._end(in_flight, ItemState("done", *in_flight.remarks()))
        if in_flight.paid:
            self._count_ended(failed=False)

    def _failed(self, in_flight: InFlightItem, error: VeniceBatchError, *, reading: bool = False) -> None:
        """End the item for an error of its own; leave it for the next run where the run, or its input, is to blame."""
        if isinstance(error, ResultLost):
            self._lost[error.key] = error
        if not isinstance(error, ItemError):
            self.stop(error)
            self._leave_pending([in_flight.number])
        elif self.cause is not None and reading and not error.lasting:
            self._leave_pending([in_flight.number])
        else:
            state = "invalid" if reading and error.lasting else "failed"
            self._end(in_flight, ItemState(state, error.code, error.told, lasting=error.lasting))

    # An item's way through its chain

    def _advance(self, in_flight: InFlightItem) -> None:
        """Take the item as far as it gets without waiting: over stored results to its next purchase, or to its end."""
        while in_flight.number in self._in_flight:
            in_flight.position, stop = in_flight.item.chain.advance(in_flight.position, in_flight.item.variant)
            match stop:
                case Finished(stage=stage):
                    return self._publish(in_flight, stage)
                case Undecided():
                    return self._probe(in_flight, in_flight.position.current)
                case Purchase() if not self._skip_stored(in_flight, stop):
                    return None
        return None

    def _advance_leader(self, in_flight: InFlightItem) -> None:
        """Let the item go on first, then those parked behind its call."""
        parked = self._queues.end_lead(in_flight)
        self._advance(in_flight)
        self._resume(parked)

    def _resume(self, parked: list[InFlightItem]) -> None:
        """Let parked items look again: at the leader's answer, or, if it failed, at leading themselves."""
        for in_flight in parked:
            self._advance(in_flight)

    def _skip_stored(self, in_flight: InFlightItem, purchase: Purchase) -> bool:
        """Go on over a purchase whose result is stored; return False where the item has to wait, or ends."""
        found = self._state.results.find(purchase.result)
        if found is None:
            self._purchase(in_flight, purchase)
            return False
        known = known_of_result(found)
        if known is None:
            self._queues.enqueue(tasks.CheckAnswer(in_flight.number, purchase.result))
            return False
        self._recorder.release(in_flight, purchase.step, "bought already")
        if found.flags and not self._accept_flagged(in_flight, purchase, found):
            return False
        in_flight.used.append(purchase.result)
        in_flight.position = in_flight.item.chain.bought(in_flight.position, purchase, known)
        return True

    def _accept_flagged(self, in_flight: InFlightItem, purchase: Purchase, found: Result) -> bool:
        """Return whether the item goes on with a flagged result; else it ends here, or has it bought again."""
        way = self._flagged_action(found)
        if way in {"released", "publish"}:
            in_flight.accepted[purchase.step.id] = AcceptedResult(found.flags, released=way == "released")
            return True
        if way == "retry" and self._buy_again(in_flight, purchase):
            return False
        state, word = ("failed", "not fit to publish") if way == "fail" else ("flagged", "held back")
        reason = f"step {purchase.step.id!r}: {word}: {', '.join(found.flags)}"
        self._end(in_flight, ItemState(state, "+".join(found.flags), reason, lasting=True, result=found.key))
        return False

    def _flagged_action(self, found: Result) -> FlaggedAction:
        released, set_aside = self._state.released(found), self._state.results.was_set_aside(found.key)
        return flagged_action(found.flags, self._pipeline.job.run.on_flagged, released=released, set_aside=set_aside)

    def _buy_again(self, in_flight: InFlightItem, purchase: Purchase) -> bool:
        """Have the call made again, its flagged results set aside first; return False if it cannot be afforded."""
        if not self._leads(in_flight, purchase):
            return True
        if not self._recorder.reserve(in_flight):
            return False
        self._attempts.set_aside(purchase)
        # One call gives all variants: those that are held for good, or released, stay.
        found = [each for each in map(self._state.results.find, purchase.results) if each is not None and each.flags]
        again = tuple(each.key for each in found if self._flagged_action(each) == "retry")
        self._queues.enqueue(tasks.SetAside(in_flight.number, again))
        return True

    def _purchase(self, in_flight: InFlightItem, purchase: Purchase) -> None:
        step = purchase.step
        lost = self._lost.get(purchase.result)
        if lost is not None:
            # Planned as bought already: another item with the same bytes found out; the next plan prices it.
            self._failed(in_flight, lost)
        elif self.cause is None and self._attempts.too_often_lost(purchase):
            self._end_lost(in_flight, purchase)
        elif self.cause is None and self._attempts.too_often_bad(purchase):
            # Another item with the same bytes bought it that often: this one's money would go the same way.
            self._end(in_flight, ItemState("failed", "bad-answer", f"step {step.id!r}: every answer was no picture"))
        elif self._leads(in_flight, purchase):
            if in_flight.lacks_input_of(purchase):
                self._read_input(in_flight)
            elif self._recorder.reserve(in_flight):
                self._attempts.recall(purchase, was_bad=self._state.results.was_set_aside(purchase.results[0]))
                self._queues.make_ready(in_flight, purchase, self._context.prices.lane(step))
            else:
                self._wait_for_money(in_flight)

    def _end_lost(self, in_flight: InFlightItem, purchase: Purchase) -> None:
        """End an item whose call was made, and perhaps charged, as often as the job allows."""
        refusal = self._attempts.charged_refusal(purchase)
        if refusal is not None:
            self._end(in_flight, _failed_call(purchase.step, refusal, lasting=True))
        else:
            reason = "the answer was lost after the request was sent; it may have been charged"
            self._end(in_flight, ItemState("uncertain", "uncertain", f"step {purchase.step.id!r}: {reason}"))

    def _leads(self, in_flight: InFlightItem, purchase: Purchase) -> bool:
        """Return whether the item may buy; else it is parked behind the one that does, or left as the run stopped."""
        if self.cause is not None:
            self._leave_pending([in_flight.number])
        elif self._queues.lead_or_park(in_flight, purchase.claim):
            return True
        else:
            self._recorder.release_all(in_flight, "another item buys the same")
        return False

    def _wait_for_money(self, in_flight: InFlightItem) -> None:
        self._recorder.release_all(in_flight, "not enough money for the rest of the chain")
        if not self._unaffordable_told:
            self._recorder.observer.note("not enough money for all items; processing as many as it covers")
        self._unaffordable_told = True
        self._unaffordable.append(in_flight)
        self._resume(self._queues.end_lead(in_flight))

    def _read_input(self, in_flight: InFlightItem) -> None:
        self._queues.enqueue(tasks.ReadInput(in_flight.number, in_flight.input))

    def _probe(self, in_flight: InFlightItem, stage: Stage) -> None:
        if in_flight.lacks_bytes(stage):
            self._read_input(in_flight)
        else:
            self._queues.enqueue(tasks.ProbeStage(in_flight.number, stage, in_flight.input))

    def _publish(self, in_flight: InFlightItem, stage: Stage) -> None:
        if in_flight.lacks_bytes(stage):
            self._read_input(in_flight)
            return
        kinds, who = self._pipeline.outputs, self._recorder.id(in_flight.item)
        names = in_flight.item.outputs
        ours = self._context.owners(names)
        files = tuple(
            tasks.FinishedFile(name, kind.rendition, ours.get(name)) for name, kind in zip(names, kinds, strict=True)
        )
        self._recorder.record(*(OutputPlanned(who, file.name) for file in files))
        self._queues.enqueue(tasks.Publish(in_flight.number, stage, in_flight.input, files))

    # An item's end

    def _end(self, in_flight: InFlightItem, ended: ItemState, why: str = "not needed") -> None:
        """Record how the item ended, release what it did not spend, and let those parked behind it go on."""
        self._recorder.end(in_flight, ended)
        self._recorder.release_all(in_flight, why)
        del self._in_flight[in_flight.number]
        self._queues.release(in_flight.input)
        self._resume(self._queues.end_lead(in_flight))

    def _leave_pending(self, numbers: Iterable[int]) -> None:
        """Leave items for the next run, as they are."""
        stopped = ItemState("pending", "stopped", "the run stopped before it was done")
        for number in sorted(numbers):
            # The end of one may be the end of those parked behind it.
            if number in self._in_flight:
                self._end(self._in_flight[number], stopped, "the run stopped")

    def _count_ended(self, *, failed: bool) -> None:
        """Count an item whose paid calls came to an end: what this machine refused says nothing about the API."""
        self._stop_if(self._rules.item_ended(failed=failed))

    def _stop_if(self, cause: VeniceBatchError | None) -> None:
        if cause is not None:
            self.stop(cause)


def _failed_call(step: PaidStep, failure: CallFailed, *, lasting: bool = False) -> ItemState:
    return ItemState("failed", failure.code, f"step {step.id!r}: {failure.message}", lasting=lasting)
