"""The conductor: decides what happens to each item next, from its start to its end.

It knows no threads, clocks or signals: it takes outcomes one at a time and gives tasks to the queues. What it decides
is noted in the books, and the driver makes that durable before it hands the tasks out.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from venice_batch.errors import ItemError, MoneyError, VeniceBatchError
from venice_batch.plan.flagged import course
from venice_batch.plan.model import PlannedItem
from venice_batch.plan.money import micros
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import PriceList, known_of, known_of_result
from venice_batch.run.attempts import Attempts
from venice_batch.run.publish import filed
from venice_batch.run.queues import InFlightItem, Passed, Queues
from venice_batch.run.recorder import Recorder
from venice_batch.run.run_context import RunContext
from venice_batch.run.stop_rules import StopRules, served_another
from venice_batch.run.tasks import (
    AnswerChecked,
    Bought,
    Broken,
    Buy,
    CallLost,
    CheckAnswer,
    FinishedFile,
    InputRead,
    Outcome,
    ProbeStage,
    Publish,
    Published,
    ReadInput,
    Refused,
    ResultsSetAside,
    SetAside,
    StageProbed,
    Ticket,
)
from venice_batch.state import OutputPlanned, Result, SourceRead, State
from venice_batch.steps.canonical_json import canonical
from venice_batch.steps.chain import Finished, Purchase, Stage, Undecided
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import FailureClass

#: Origins of inputs that the API reads by itself.
_BY_ADDRESS = frozenset({"url", "object"})
_NOT_SENT = frozenset({"gate-closed", "cancelled"})


class Scheduler:
    """Conducts the items of one run. Only the driver calls it.

    Attributes:
        cause: why no further call is begun; None while the run goes on.
        budget_stop: the limit that some item did not fit under; free items go on.
        published_flagged: items published with a flagged answer that nobody released.
    """

    def __init__(
        self, pipeline: Pipeline, state: State, context: RunContext, recorder: Recorder, queues: Queues
    ) -> None:
        self._queues = queues
        self.cause: VeniceBatchError | None = None
        self.budget_stop: MoneyError | None = None
        self.published_flagged = 0
        self._job = pipeline.job
        self._files = pipeline.files
        self._state = state
        self._context = context
        self._recorder = recorder
        self._numbers = itertools.count(1)
        self._in_flight: dict[int, InFlightItem] = {}
        self._unaffordable: deque[InFlightItem] = deque()
        self._told_short = False
        self._rules = StopRules(pipeline.job.run.max_failure_rate)
        self._attempts = Attempts(state.uncertain_results(), pipeline.job.run.uncertain)
        self._prices = PriceList(context.catalogue)

    @property
    def on_the_way(self) -> int:
        """How many items were started and have not ended."""
        return len(self._in_flight)

    @property
    def short(self) -> bool:
        """Whether items wait for money that others may give back."""
        return bool(self._unaffordable)

    # What the driver has it do

    def start(self, item: PlannedItem) -> None:
        """Send an item on its way; one that costs money ends at once when there is none left."""
        if self.budget_stop is not None and item.cost.high > 0:
            self._recorder.end(item, "waiting", "money", self.budget_stop.message)
            return
        in_flight = InFlightItem(next(self._numbers), item, item.chain.start(item.input_key, item.known))
        self._in_flight[in_flight.number] = in_flight
        if item.input_key.origin == "unread" and not item.candidate.columns:
            self._queues.give(ReadInput(Ticket(in_flight.number), item.candidate))
        else:
            self._proceed(in_flight)

    def buy(self) -> None:
        """Choose what may be sent now, as far as the lanes allow."""
        if self.cause is not None:
            return
        for in_flight, purchase, lane in self._queues.next_purchases():
            self._recorder.begin(in_flight, purchase)
            price, _ = self._prices.of(purchase.step)
            self._queues.give(Buy(Ticket(in_flight.number), purchase, in_flight.copy, price, lane, in_flight.item.key))

    def land(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what came back, then let items try again that the money did not reach for: some may be back."""
        for outcome in outcomes:
            self._take(outcome)
        poor, self._unaffordable = self._unaffordable, deque()
        for in_flight in poor:
            self._proceed(in_flight)

    def end_unaffordable(self) -> None:
        """End the items that the money does not reach for: with no task out, nobody can give any back."""
        poor, self._unaffordable = self._unaffordable, deque()
        for in_flight in poor:
            self.budget_stop = self.budget_stop or self._no_money_for(in_flight)
            self._end(in_flight, "waiting", "money", self.budget_stop.message)

    def stop(self, cause: VeniceBatchError) -> None:
        """Begin no further call. The first cause is the one that the user sees (rule 6)."""
        if self.cause is not None:
            return
        self.cause = cause
        self._context.cancel.set()
        self._queues.forget_ready()
        self._unaffordable.clear()
        busy = self._queues.busy()
        for in_flight in [in_flight for number, in_flight in self._in_flight.items() if number not in busy]:
            if in_flight.number in self._in_flight:
                self._abandon(in_flight)

    def interrupt(self, cause: VeniceBatchError) -> None:
        """Stop for a signal: a run that was stopping for another reason now ends as interrupted."""
        self.stop(cause)
        self.cause = cause

    def leave(self) -> None:
        """Leave what is open as it is: calls in flight are uncertain, everything else is for the next run."""
        for number, task in self._queues.out.items():
            if isinstance(task, Buy):
                self._recorder.lose(self._in_flight[number], task.purchase.step, "left when the run was interrupted")
        for in_flight in list(self._in_flight.values()):
            if in_flight.number in self._in_flight:
                self._abandon(in_flight)

    # What came back

    def _take(self, outcome: Outcome) -> None:
        in_flight = self._in_flight[outcome.task.ticket.in_flight]
        self._queues.landed(outcome.task)
        match outcome:
            case InputRead():
                self._input_read(in_flight, outcome)
            case StageProbed():
                current = replace(in_flight.position.current, known=known_of(outcome.facts))
                in_flight.position = replace(in_flight.position, current=current)
                self._proceed(in_flight)
            case Bought():
                self._bought(in_flight, outcome)
            case CallLost():
                self._call_lost(in_flight, outcome)
            case AnswerChecked() | ResultsSetAside():
                self._recorder.note_all(outcome.noted)
                self._proceed(in_flight)
            case Published():
                self._published(in_flight, outcome)
            case Refused():
                self._refused(in_flight, outcome)
            case Broken():
                self._broken(in_flight, outcome)

    def _input_read(self, in_flight: InFlightItem, outcome: InputRead) -> None:
        item, candidate = in_flight.item, in_flight.item.candidate
        in_flight.copy = outcome.copy
        if not candidate.url:
            facts, size = canonical(outcome.facts.to_json()), outcome.facts.bytes
            self._recorder.note(
                SourceRead(self._job.name, candidate.key, candidate.version, size, outcome.sha256, facts)
            )
        input_key = InputKey("source", outcome.sha256)
        # A picture sent by its address keeps that name when its bytes are sent instead: it is the same purchase.
        if item.input_key.origin not in _BY_ADDRESS and item.input_key != input_key:
            in_flight.item = replace(item, input_key=input_key)
            in_flight.position = item.chain.start(input_key, known_of(outcome.facts))
        self._go_on(in_flight)

    def _go_on(self, in_flight: InFlightItem) -> None:
        """Let the item proceed first, then those that waited for its call."""
        waiting = self._queues.end_lead(in_flight)
        self._proceed(in_flight)
        self._wake(waiting)

    def _bought(self, in_flight: InFlightItem, outcome: Bought) -> None:
        purchase = outcome.task.purchase
        self._recorder.note_all(outcome.noted)
        self._recorder.settle(in_flight, purchase.step, outcome.answer, "bad answer" if outcome.reason else "answered")
        self._rules.answered(purchase.step.id)
        self._attempts.answered(purchase, bad=bool(outcome.reason))
        if outcome.reason and self._attempts.too_often_bad(purchase):
            reason = f"step {purchase.step.id!r}: the answer is no picture: {outcome.reason}"
            self._end(in_flight, "failed", "bad-answer", reason)
            self._count(failed=True)
        else:
            self._go_on(in_flight)
        stop = served_another(purchase.step, outcome.task.lane, outcome.answer.model_served)
        if stop is not None:
            self.stop(stop)

    def _call_lost(self, in_flight: InFlightItem, outcome: CallLost) -> None:
        failure, purchase = outcome.failure, outcome.task.purchase
        if failure.failure_class is FailureClass.UNCERTAIN or failure.billed:
            self._recorder.lose(in_flight, purchase.step, failure.code, failure)
            self._attempts.lost(purchase)
        else:
            self._recorder.release(in_flight, purchase.step, failure.code, failure)
        match failure.failure_class:
            case FailureClass.UNCERTAIN:
                self._go_on(in_flight)
            case FailureClass.RUN_STOPS:
                self._abandon(in_flight)
                if failure.code not in _NOT_SENT:
                    self.stop((self._context.gate.cause or failure).as_run_error())
            case FailureClass.ITEM_FAILS if (
                failure.code == "url-unreachable"
                and in_flight.item.input_key.origin in _BY_ADDRESS
                and in_flight.copy is None
            ):
                self._queues.give(ReadInput(Ticket(in_flight.number), in_flight.item.candidate))
            case failure_class:
                self._call_failed(in_flight, outcome, lasting=failure_class is FailureClass.ITEM_FAILS)

    def _call_failed(self, in_flight: InFlightItem, outcome: CallLost, *, lasting: bool) -> None:
        failure, step = outcome.failure, outcome.task.purchase.step
        self._end(in_flight, "failed", failure.code, f"step {step.id!r}: {failure.message}", lasting=lasting)
        self._count(failed=True)
        stop = self._rules.refused(step.id, failure.text) if lasting else self._rules.gave_up(failure.as_run_error())
        if stop is not None:
            self.stop(stop)

    def _published(self, in_flight: InFlightItem, outcome: Published) -> None:
        self._recorder.note_all(filed(self._recorder.id(in_flight.item), outcome.files))
        if isinstance(outcome.failed, ItemError):
            self._refused(in_flight, Refused(outcome.task, outcome.failed))
            return
        if outcome.failed is not None:
            self._broken(in_flight, Broken(outcome.task, outcome.failed))
            return
        self.published_flagged += any(not passed.released for passed in in_flight.passed.values())
        self._end(in_flight, "done", *in_flight.remarks())
        if in_flight.paid:
            self._count(failed=False)

    def _refused(self, in_flight: InFlightItem, outcome: Refused) -> None:
        error = outcome.error
        if self.cause is not None and isinstance(outcome.task, ReadInput) and not error.lasting:
            self._abandon(in_flight)
            return
        state = "invalid" if isinstance(outcome.task, ReadInput) and error.lasting else "failed"
        self._end(in_flight, state, error.code, error.told, lasting=error.lasting)

    def _broken(self, in_flight: InFlightItem, outcome: Broken) -> None:
        if isinstance(outcome.task, Buy) and outcome.billed:
            self._recorder.lose(in_flight, outcome.task.purchase.step, "answered, but not kept")
        self._abandon(in_flight)
        self.stop(outcome.error)

    # An item's way

    def _proceed(self, in_flight: InFlightItem) -> None:
        """Take the item as far as it gets without waiting: over stored results to its next purchase, or to its end."""
        while in_flight.number in self._in_flight:
            in_flight.position, stop = in_flight.item.chain.advance(in_flight.position, in_flight.item.variant)
            match stop:
                case Finished(stage=stage):
                    return self._publish(in_flight, stage)
                case Undecided():
                    return self._measure(in_flight)
                case Purchase() if not self._pass_over(in_flight, stop):
                    return None
        return None

    def _pass_over(self, in_flight: InFlightItem, purchase: Purchase) -> bool:
        """Go on over a purchase whose answer is stored; return False where the item has to wait, or ends."""
        found = self._state.results.find(purchase.result)
        if found is None:
            self._purchase(in_flight, purchase)
            return False
        known = known_of_result(found)
        if known is None:
            self._queues.give(CheckAnswer(Ticket(in_flight.number), purchase.result))
            return False
        self._recorder.release(in_flight, purchase.step, "bought already")
        if found.flags and not self._passes(in_flight, purchase, found):
            return False
        in_flight.position = in_flight.item.chain.bought(in_flight.position, purchase, known)
        return True

    def _passes(self, in_flight: InFlightItem, purchase: Purchase, found: Result) -> bool:
        """See to a flagged answer: return True where the item goes on with it, else it ends, or has it bought anew."""
        way = course(found, self._job.run.on_flagged, self._state)
        if way in {"released", "publish"}:
            in_flight.passed[purchase.step.id] = Passed(found.flags, released=way == "released")
            return True
        if way == "retry" and self._buys_anew(in_flight, purchase):
            return False
        state, word = ("failed", "not fit to publish") if way == "fail" else ("flagged", "held back")
        reason = f"step {purchase.step.id!r}: {word}: {', '.join(found.flags)}"
        self._recorder.end(in_flight.item, state, "+".join(found.flags), reason, lasting=True, result=found.key)
        self._forget(in_flight, "not needed")
        return False

    def _buys_anew(self, in_flight: InFlightItem, purchase: Purchase) -> bool:
        """Have the call made again, its flagged pictures put aside first; return False if the money does not reach."""
        if self.cause is not None:
            self._abandon(in_flight)
        elif not self._queues.lead_or_park(in_flight, purchase.claim):
            self._recorder.release_all(in_flight, "another item buys the same")
        elif self._reserve(in_flight):
            self._attempts.set_aside_results(purchase)
            self._queues.give(SetAside(Ticket(in_flight.number), self._flagged_of(purchase)))
        else:
            return False
        return True

    def _flagged_of(self, purchase: Purchase) -> tuple[str, ...]:
        """Return those pictures of the call's answer that are to be bought anew: one call gives all of them."""
        found = filter(None, map(self._state.results.find, purchase.results))
        rule = self._job.run.on_flagged
        return tuple(each.key for each in found if each.flags and course(each, rule, self._state) == "retry")

    def _purchase(self, in_flight: InFlightItem, purchase: Purchase) -> None:
        if self.cause is not None:
            self._abandon(in_flight)
        elif self._attempts.too_often_lost(purchase):
            reason = (
                f"step {purchase.step.id!r}: the answer was lost after the request was sent; it may have been charged"
            )
            self._end(in_flight, "uncertain", "uncertain", reason)
        elif self._attempts.too_often_bad(purchase):
            # Another item with the same bytes bought it that often: this one's money would go the same way.
            reason = f"step {purchase.step.id!r}: every answer was no picture"
            self._end(in_flight, "failed", "bad-answer", reason)
        elif not self._queues.lead_or_park(in_flight, purchase.claim):
            self._recorder.release_all(in_flight, "another item buys the same")
        elif not self._has_its_bytes(in_flight, purchase):
            self._queues.give(ReadInput(Ticket(in_flight.number), in_flight.item.candidate))
        elif self._reserve(in_flight):
            self._attempts.recall(purchase, was_bad=self._state.results.was_bad(purchase.results[0]))
            self._queues.make_ready(in_flight, purchase, self._prices.of(purchase.step)[1])
        else:
            self._recorder.release_all(in_flight, "the money does not reach for the rest of the chain")
            if not self._told_short:
                self._context.observer.note(
                    "the money does not reach for every item that is left; finishing what it does"
                )
            self._told_short = True
            self._unaffordable.append(in_flight)
            self._wake(self._queues.end_lead(in_flight))

    def _has_its_bytes(self, in_flight: InFlightItem, purchase: Purchase) -> bool:
        """Whether the worker has what it must send; an item that resumes may lack its source's bytes."""
        return in_flight.copy is not None or not any(
            isinstance(picture, Stage) and picture.result is None and picture.input_key.origin == "source"
            for picture in purchase.inputs
        )

    def _reserve(self, in_flight: InFlightItem) -> bool:
        """Set money aside for the step at hand and all that may follow, each at its highest price."""
        return self._recorder.reserve(
            in_flight, [(step, micros(self._prices.of(step)[0])) for step in self._ahead(in_flight)]
        )

    def _ahead(self, in_flight: InFlightItem) -> list[PaidStep]:
        """Return the paid steps from here on that nothing is reserved for yet."""
        ahead = in_flight.item.chain.steps[in_flight.position.index :]
        return [step for step in ahead if isinstance(step, PaidStep) and step.id not in in_flight.reserved]

    def _no_money_for(self, in_flight: InFlightItem) -> MoneyError:
        """Say which limit the rest of the item's chain does not fit under."""
        wanted = sum(micros(self._prices.of(step)[0]) for step in self._ahead(in_flight))
        return self._recorder.budget.refusal(wanted)

    def _measure(self, in_flight: InFlightItem) -> None:
        stage = in_flight.position.current
        if stage.result is None and in_flight.copy is None:
            self._queues.give(ReadInput(Ticket(in_flight.number), in_flight.item.candidate))
        else:
            self._queues.give(ProbeStage(Ticket(in_flight.number), stage, in_flight.copy))

    def _publish(self, in_flight: InFlightItem, stage: Stage) -> None:
        item = in_flight.item
        if stage.result is None and in_flight.copy is None:
            self._queues.give(ReadInput(Ticket(in_flight.number), item.candidate))
            return
        files = tuple(
            FinishedFile(name, kind.rendition, self._context.owner(name))
            for name, kind in zip(item.outputs, self._files, strict=True)
        )
        self._recorder.note_all(OutputPlanned(self._recorder.id(item), file.name) for file in files)
        self._queues.give(Publish(Ticket(in_flight.number), stage, in_flight.copy, files))

    # An item's end

    def _end(
        self, in_flight: InFlightItem, state: str, code: str = "", reason: str = "", *, lasting: bool = False
    ) -> None:
        """Record what became of the item, give back what it did not spend, and let those behind it go on."""
        self._recorder.end(in_flight.item, state, code, reason, lasting=lasting, left=self._left(in_flight))
        self._forget(in_flight, "not needed")

    def _count(self, *, failed: bool) -> None:
        """Count an item whose paid calls came to an end: what this machine refused says nothing about the API."""
        stop = self._rules.item_ended(failed=failed)
        if stop is not None:
            self.stop(stop)

    def _left(self, in_flight: InFlightItem) -> Decimal:
        """Return the most that the item's remaining steps cost."""
        ahead = in_flight.item.chain.steps[in_flight.position.index :]
        prices = (self._prices.of(step)[0] for step in ahead if isinstance(step, PaidStep))
        # What another item buys for it was not counted in the plan either.
        return min(in_flight.item.cost.high, sum(prices, Decimal(0)))

    def _abandon(self, in_flight: InFlightItem) -> None:
        """Leave the item for the next run, as it is."""
        self._recorder.end(
            in_flight.item, "pending", "stopped", "the run stopped before it was done", left=self._left(in_flight)
        )
        self._forget(in_flight, "the run stopped")

    def _forget(self, in_flight: InFlightItem, why: str) -> None:
        self._recorder.release_all(in_flight, why)
        del self._in_flight[in_flight.number]
        if in_flight.copy is not None:
            in_flight.copy.unlink(missing_ok=True)
        self._wake(self._queues.end_lead(in_flight))

    def _wake(self, waiting: list[InFlightItem]) -> None:
        """Let parked items look again: at the leader's answer, or, if it failed, at leading themselves."""
        for in_flight in waiting:
            self._proceed(in_flight)
