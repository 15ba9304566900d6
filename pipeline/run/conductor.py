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

from pipeline.errors import ItemError, MoneyError, VeniceBatchError
from pipeline.plan.flagged import course
from pipeline.plan.model import PlannedItem
from pipeline.plan.money import micros
from pipeline.plan.pricing import PriceList, known_of, known_of_result
from pipeline.plan.recipe import Recipe
from pipeline.run.attempts import Attempts
from pipeline.run.books import Books
from pipeline.run.journey import Journey, Passed, Queues
from pipeline.run.publishing import filed
from pipeline.run.stopping import StopRules, served_another
from pipeline.run.tasks import (
    AsidePut,
    Bought,
    Broken,
    Buy,
    CallLost,
    FinishedFile,
    Judge,
    Judged,
    Measure,
    Measured,
    Outcome,
    Publish,
    Published,
    PutAside,
    Refused,
    TakeIn,
    TakenIn,
    Ticket,
)
from pipeline.run.tools import Tools
from pipeline.state import OutputPlanned, Result, SourceRead, State
from pipeline.steps.canonical import canonical
from pipeline.steps.chain import Finished, Purchase, Stage, Undecided
from pipeline.steps.lineage import Lineage
from pipeline.steps.paid import PaidStep
from pipeline.venice import Fate

#: Origins of inputs that the API reads by itself.
_BY_ADDRESS = frozenset({"url", "object"})
_NOT_SENT = frozenset({"gate-closed", "cancelled"})


class Conductor:
    """Conducts the items of one run. Only the driver calls it.

    Attributes:
        cause: why no further call is begun; None while the run goes on.
        broke: the limit that some item did not fit under; free items go on.
        published_flagged: items published with a flagged answer that nobody released.
    """

    def __init__(self, recipe: Recipe, state: State, tools: Tools, books: Books, queues: Queues) -> None:
        self._queues = queues
        self.cause: VeniceBatchError | None = None
        self.broke: MoneyError | None = None
        self.published_flagged = 0
        self._job = recipe.job
        self._files = recipe.files
        self._state = state
        self._tools = tools
        self._books = books
        self._numbers = itertools.count(1)
        self._journeys: dict[int, Journey] = {}
        self._poor: deque[Journey] = deque()
        self._told_short = False
        self._rules = StopRules(recipe.job.run.max_failure_rate)
        self._attempts = Attempts(state.uncertain_results(), recipe.job.run.uncertain)
        self._prices = PriceList(tools.catalogue)

    @property
    def on_the_way(self) -> int:
        """How many items were started and have not ended."""
        return len(self._journeys)

    @property
    def short(self) -> bool:
        """Whether items wait for money that others may give back."""
        return bool(self._poor)

    # What the driver has it do

    def start(self, item: PlannedItem) -> None:
        """Send an item on its way; one that costs money ends at once when there is none left."""
        if self.broke is not None and item.cost.high > 0:
            self._books.end(item, "waiting", "money", self.broke.message)
            return
        journey = Journey(next(self._numbers), item, item.chain.start(item.lineage, item.known))
        self._journeys[journey.number] = journey
        if item.lineage.origin == "unread" and not item.candidate.columns:
            self._queues.give(TakeIn(Ticket(journey.number), item.candidate))
        else:
            self._proceed(journey)

    def buy(self) -> None:
        """Choose what may be sent now, as far as the lanes allow."""
        if self.cause is not None:
            return
        for journey, purchase, lane in self._queues.next_purchases():
            self._books.begin(journey, purchase)
            price, _ = self._prices.of(purchase.step)
            self._queues.give(Buy(Ticket(journey.number), purchase, journey.copy, price, lane, journey.item.key))

    def land(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what came back, then let items try again that the money did not reach for: some may be back."""
        for outcome in outcomes:
            self._take(outcome)
        poor, self._poor = self._poor, deque()
        for journey in poor:
            self._proceed(journey)

    def end_the_poor(self) -> None:
        """End the items that the money does not reach for: with no task out, nobody can give any back."""
        poor, self._poor = self._poor, deque()
        for journey in poor:
            self.broke = self.broke or self._no_money_for(journey)
            self._end(journey, "waiting", "money", self.broke.message)

    def stop(self, cause: VeniceBatchError) -> None:
        """Begin no further call. The first cause is the one that the user sees (rule 6)."""
        if self.cause is not None:
            return
        self.cause = cause
        self._tools.cancel.set()
        self._queues.forget_ready()
        self._poor.clear()
        busy = self._queues.busy()
        for journey in [journey for number, journey in self._journeys.items() if number not in busy]:
            if journey.number in self._journeys:
                self._abandon(journey)

    def interrupt(self, cause: VeniceBatchError) -> None:
        """Stop for a signal: a run that was stopping for another reason now ends as interrupted."""
        self.stop(cause)
        self.cause = cause

    def leave(self) -> None:
        """Leave what is open as it is: calls in flight are uncertain, everything else is for the next run."""
        for number, task in self._queues.out.items():
            if isinstance(task, Buy):
                self._books.lose(self._journeys[number], task.purchase.step, "left when the run was interrupted")
        for journey in list(self._journeys.values()):
            if journey.number in self._journeys:
                self._abandon(journey)

    # What came back

    def _take(self, outcome: Outcome) -> None:
        journey = self._journeys[outcome.task.ticket.journey]
        self._queues.landed(outcome.task)
        match outcome:
            case TakenIn():
                self._taken_in(journey, outcome)
            case Measured():
                current = replace(journey.position.current, known=known_of(outcome.facts))
                journey.position = replace(journey.position, current=current)
                self._proceed(journey)
            case Bought():
                self._bought(journey, outcome)
            case CallLost():
                self._call_lost(journey, outcome)
            case Judged() | AsidePut():
                self._books.note_all(outcome.noted)
                self._proceed(journey)
            case Published():
                self._published(journey, outcome)
            case Refused():
                self._refused(journey, outcome)
            case Broken():
                self._broken(journey, outcome)

    def _taken_in(self, journey: Journey, outcome: TakenIn) -> None:
        item, candidate = journey.item, journey.item.candidate
        journey.copy = outcome.copy
        if not candidate.url:
            facts, size = canonical(outcome.facts.to_json()), outcome.facts.bytes
            self._books.note(SourceRead(self._job.name, candidate.key, candidate.version, size, outcome.sha256, facts))
        lineage = Lineage("source", outcome.sha256)
        # A picture sent by its address keeps that name when its bytes are sent instead: it is the same purchase.
        if item.lineage.origin not in _BY_ADDRESS and item.lineage != lineage:
            journey.item = replace(item, lineage=lineage)
            journey.position = item.chain.start(lineage, known_of(outcome.facts))
        self._go_on(journey)

    def _go_on(self, journey: Journey) -> None:
        """Let the item proceed first, then those that waited for its call."""
        waiting = self._queues.end_lead(journey)
        self._proceed(journey)
        self._wake(waiting)

    def _bought(self, journey: Journey, outcome: Bought) -> None:
        purchase = outcome.task.purchase
        self._books.note_all(outcome.noted)
        self._books.settle(journey, purchase.step, outcome.answer, "bad answer" if outcome.reason else "answered")
        self._rules.answered(purchase.step.id)
        self._attempts.answered(purchase, bad=bool(outcome.reason))
        if outcome.reason and self._attempts.too_often_bad(purchase):
            reason = f"step {purchase.step.id!r}: the answer is no picture: {outcome.reason}"
            self._end(journey, "failed", "bad-answer", reason)
            self._count(failed=True)
        else:
            self._go_on(journey)
        stop = served_another(purchase.step, outcome.task.lane, outcome.answer.model_served)
        if stop is not None:
            self.stop(stop)

    def _call_lost(self, journey: Journey, outcome: CallLost) -> None:
        failure, purchase = outcome.failure, outcome.task.purchase
        if failure.fate is Fate.UNCERTAIN or failure.billed:
            self._books.lose(journey, purchase.step, failure.code, failure)
            self._attempts.lost(purchase)
        else:
            self._books.release(journey, purchase.step, failure.code, failure)
        match failure.fate:
            case Fate.UNCERTAIN:
                self._go_on(journey)
            case Fate.RUN_STOPS:
                self._abandon(journey)
                if failure.code not in _NOT_SENT:
                    self.stop((self._tools.gate.cause or failure).as_run_error())
            case Fate.ITEM_FAILS if (
                failure.code == "url-unreachable"
                and journey.item.lineage.origin in _BY_ADDRESS
                and journey.copy is None
            ):
                self._queues.give(TakeIn(Ticket(journey.number), journey.item.candidate))
            case fate:
                self._call_failed(journey, outcome, lasting=fate is Fate.ITEM_FAILS)

    def _call_failed(self, journey: Journey, outcome: CallLost, *, lasting: bool) -> None:
        failure, step = outcome.failure, outcome.task.purchase.step
        self._end(journey, "failed", failure.code, f"step {step.id!r}: {failure.message}", lasting=lasting)
        self._count(failed=True)
        stop = self._rules.refused(step.id, failure.text) if lasting else self._rules.gave_up(failure.as_run_error())
        if stop is not None:
            self.stop(stop)

    def _published(self, journey: Journey, outcome: Published) -> None:
        self._books.note_all(filed(self._books.id(journey.item), outcome.files))
        if isinstance(outcome.failed, ItemError):
            self._refused(journey, Refused(outcome.task, outcome.failed))
            return
        if outcome.failed is not None:
            self._broken(journey, Broken(outcome.task, outcome.failed))
            return
        self.published_flagged += any(not passed.released for passed in journey.passed.values())
        self._end(journey, "done", *journey.remarks())
        if journey.paid:
            self._count(failed=False)

    def _refused(self, journey: Journey, outcome: Refused) -> None:
        error = outcome.error
        if self.cause is not None and isinstance(outcome.task, TakeIn) and not error.lasting:
            self._abandon(journey)
            return
        state = "invalid" if isinstance(outcome.task, TakeIn) and error.lasting else "failed"
        self._end(journey, state, error.code, error.told, lasting=error.lasting)

    def _broken(self, journey: Journey, outcome: Broken) -> None:
        if isinstance(outcome.task, Buy) and outcome.billed:
            self._books.lose(journey, outcome.task.purchase.step, "answered, but not kept")
        self._abandon(journey)
        self.stop(outcome.error)

    # An item's way

    def _proceed(self, journey: Journey) -> None:
        """Take the item as far as it gets without waiting: over stored results to its next purchase, or to its end."""
        while journey.number in self._journeys:
            journey.position, stop = journey.item.chain.advance(journey.position, journey.item.variant)
            match stop:
                case Finished(stage=stage):
                    return self._publish(journey, stage)
                case Undecided():
                    return self._measure(journey)
                case Purchase() if not self._pass_over(journey, stop):
                    return None
        return None

    def _pass_over(self, journey: Journey, purchase: Purchase) -> bool:
        """Go on over a purchase whose answer is stored; return False where the item has to wait, or ends."""
        found = self._state.results.find(purchase.result)
        if found is None:
            self._purchase(journey, purchase)
            return False
        known = known_of_result(found)
        if known is None:
            self._queues.give(Judge(Ticket(journey.number), purchase.result))
            return False
        self._books.release(journey, purchase.step, "bought already")
        if found.flags and not self._passes(journey, purchase, found):
            return False
        journey.position = journey.item.chain.bought(journey.position, purchase, known)
        return True

    def _passes(self, journey: Journey, purchase: Purchase, found: Result) -> bool:
        """See to a flagged answer: return True where the item goes on with it, else it ends, or has it bought anew."""
        way = course(found, self._job.run.on_flagged, self._state)
        if way in {"released", "publish"}:
            journey.passed[purchase.step.id] = Passed(found.flags, released=way == "released")
            return True
        if way == "retry" and self._buys_anew(journey, purchase):
            return False
        state, word = ("failed", "not fit to publish") if way == "fail" else ("flagged", "held back")
        reason = f"step {purchase.step.id!r}: {word}: {', '.join(found.flags)}"
        self._books.end(journey.item, state, "+".join(found.flags), reason, lasting=True, result=found.key)
        self._forget(journey, "not needed")
        return False

    def _buys_anew(self, journey: Journey, purchase: Purchase) -> bool:
        """Have the call made again, its flagged pictures put aside first; return False if the money does not reach."""
        if self.cause is not None:
            self._abandon(journey)
        elif not self._queues.lead_or_park(journey, purchase.claim):
            self._books.release_all(journey, "another item buys the same")
        elif self._reserve(journey):
            self._attempts.put_aside(purchase)
            self._queues.give(PutAside(Ticket(journey.number), self._flagged_of(purchase)))
        else:
            return False
        return True

    def _flagged_of(self, purchase: Purchase) -> tuple[str, ...]:
        """Return those pictures of the call's answer that are to be bought anew: one call gives all of them."""
        found = filter(None, map(self._state.results.find, purchase.results))
        rule = self._job.run.on_flagged
        return tuple(each.key for each in found if each.flags and course(each, rule, self._state) == "retry")

    def _purchase(self, journey: Journey, purchase: Purchase) -> None:
        if self.cause is not None:
            self._abandon(journey)
        elif self._attempts.too_often_lost(purchase):
            reason = (
                f"step {purchase.step.id!r}: the answer was lost after the request was sent; it may have been charged"
            )
            self._end(journey, "uncertain", "uncertain", reason)
        elif self._attempts.too_often_bad(purchase):
            # Another item with the same bytes bought it that often: this one's money would go the same way.
            reason = f"step {purchase.step.id!r}: every answer was no picture"
            self._end(journey, "failed", "bad-answer", reason)
        elif not self._queues.lead_or_park(journey, purchase.claim):
            self._books.release_all(journey, "another item buys the same")
        elif not self._has_its_bytes(journey, purchase):
            self._queues.give(TakeIn(Ticket(journey.number), journey.item.candidate))
        elif self._reserve(journey):
            self._attempts.recall(purchase, was_bad=self._state.results.was_bad(purchase.results[0]))
            self._queues.make_ready(journey, purchase, self._prices.of(purchase.step)[1])
        else:
            self._books.release_all(journey, "the money does not reach for the rest of the chain")
            if not self._told_short:
                self._tools.observer.note(
                    "the money does not reach for every item that is left; finishing what it does"
                )
            self._told_short = True
            self._poor.append(journey)
            self._wake(self._queues.end_lead(journey))

    def _has_its_bytes(self, journey: Journey, purchase: Purchase) -> bool:
        """Whether the worker has what it must send; an item that resumes may lack its source's bytes."""
        return journey.copy is not None or not any(
            isinstance(picture, Stage) and picture.result is None and picture.lineage.origin == "source"
            for picture in purchase.inputs
        )

    def _reserve(self, journey: Journey) -> bool:
        """Set money aside for the step at hand and all that may follow, each at its highest price."""
        return self._books.reserve(journey, [(step, micros(self._prices.of(step)[0])) for step in self._ahead(journey)])

    def _ahead(self, journey: Journey) -> list[PaidStep]:
        """Return the paid steps from here on that nothing is reserved for yet."""
        ahead = journey.item.chain.steps[journey.position.index :]
        return [step for step in ahead if isinstance(step, PaidStep) and step.id not in journey.reserved]

    def _no_money_for(self, journey: Journey) -> MoneyError:
        """Say which limit the rest of the item's chain does not fit under."""
        wanted = sum(micros(self._prices.of(step)[0]) for step in self._ahead(journey))
        return self._books.wallet.refusal(wanted)

    def _measure(self, journey: Journey) -> None:
        stage = journey.position.current
        if stage.result is None and journey.copy is None:
            self._queues.give(TakeIn(Ticket(journey.number), journey.item.candidate))
        else:
            self._queues.give(Measure(Ticket(journey.number), stage, journey.copy))

    def _publish(self, journey: Journey, stage: Stage) -> None:
        item = journey.item
        if stage.result is None and journey.copy is None:
            self._queues.give(TakeIn(Ticket(journey.number), item.candidate))
            return
        files = tuple(
            FinishedFile(name, kind.rendition, self._tools.owner(name))
            for name, kind in zip(item.outputs, self._files, strict=True)
        )
        self._books.note_all(OutputPlanned(self._books.id(item), file.name) for file in files)
        self._queues.give(Publish(Ticket(journey.number), stage, journey.copy, files))

    # An item's end

    def _end(self, journey: Journey, state: str, code: str = "", reason: str = "", *, lasting: bool = False) -> None:
        """Record what became of the item, give back what it did not spend, and let those behind it go on."""
        self._books.end(journey.item, state, code, reason, lasting=lasting, left=self._left(journey))
        self._forget(journey, "not needed")

    def _count(self, *, failed: bool) -> None:
        """Count an item whose paid calls came to an end: what this machine refused says nothing about the API."""
        stop = self._rules.item_ended(failed=failed)
        if stop is not None:
            self.stop(stop)

    def _left(self, journey: Journey) -> Decimal:
        """Return the most that the item's remaining steps cost."""
        ahead = journey.item.chain.steps[journey.position.index :]
        prices = (self._prices.of(step)[0] for step in ahead if isinstance(step, PaidStep))
        # What another item buys for it was not counted in the plan either.
        return min(journey.item.cost.high, sum(prices, Decimal(0)))

    def _abandon(self, journey: Journey) -> None:
        """Leave the item for the next run, as it is."""
        self._books.end(
            journey.item, "pending", "stopped", "the run stopped before it was done", left=self._left(journey)
        )
        self._forget(journey, "the run stopped")

    def _forget(self, journey: Journey, why: str) -> None:
        self._books.release_all(journey, why)
        del self._journeys[journey.number]
        if journey.copy is not None:
            journey.copy.unlink(missing_ok=True)
        self._wake(self._queues.end_lead(journey))

    def _wake(self, waiting: list[Journey]) -> None:
        """Let parked items look again: at the leader's answer, or, if it failed, at leading themselves."""
        for journey in waiting:
            self._proceed(journey)
