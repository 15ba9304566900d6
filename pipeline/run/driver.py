"""The driver: one thread that owns plan and manifest, keeps the window full, and applies the stop rules.

Order of writing (rule 5): what a group of outcomes changed is committed before the tasks that follow from it are handed
out. So a reservation is durable before its request can be sent, and a finished file before its row says done.
"""

from __future__ import annotations

import functools
import itertools
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.errors import ItemError, MoneyError, VeniceBatchError
from pipeline.plan.flagged import course
from pipeline.plan.model import TO_DO, Plan, PlannedItem
from pipeline.plan.money import micros
from pipeline.plan.pricing import PriceList, known_of, known_of_result
from pipeline.plan.recipe import Recipe
from pipeline.run.books import Books
from pipeline.run.engine import Threads
from pipeline.run.journey import Journey, Passed, Queues
from pipeline.run.observe import Observer, Summary
from pipeline.run.publishing import filed
from pipeline.run.stopping import Signal, StopRules, interrupted, served_another, signal_name
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
from pipeline.run.wallet import Wallet
from pipeline.run.worker import Worker
from pipeline.state import OutputPlanned, OutputRow, Result, SourceRead, State
from pipeline.steps.canonical import canonical
from pipeline.steps.chain import Finished, Purchase, Stage, Undecided
from pipeline.steps.lineage import Lineage
from pipeline.steps.paid import PaidStep
from pipeline.venice import Cancel, Catalogue, Fate, Gate, Lanes

#: Origins of inputs that the API reads by itself.
_BY_ADDRESS = frozenset({"url", "object"})
_NOT_SENT = frozenset({"gate-closed", "cancelled"})
#: Losses of one key in a run before the item is left for the next one: the first, and one more purchase.
_LOSSES = 2
#: Answers that are no picture before the item fails: the first, and one more purchase.
_BAD_ANSWERS = 2
_MOST_CALLS = 64
#: Threads beside those that may hold a call, so that local work goes on while every call waits for its answer.
_SPARE_THREADS = 4


@dataclass(frozen=True)
class Tools:
    """What the driver works with, besides plan and state; `owner` tells whose a finished file is."""

    catalogue: Catalogue
    lanes: Lanes
    gate: Gate
    cancel: Cancel
    worker: Worker
    wallet: Wallet
    observer: Observer
    owner: Callable[[str], OutputRow | None]
    now: Callable[[], float] = time.time


class Driver:
    """Runs one plan to its end. Everything here happens in one thread; workers only see tasks."""

    def __init__(self, recipe: Recipe, plan: Plan, state: State, tools: Tools) -> None:
        self._job = recipe.job
        self._recipe = recipe
        self._plan = plan
        self._state = state
        self._tools = tools
        self._books = Books(recipe.job.name, state, tools.wallet, tools.observer, tools.now)
        self._inbox: queue.SimpleQueue[Outcome | Signal] = queue.SimpleQueue()
        self._most_calls = recipe.job.run.concurrency or _MOST_CALLS
        self._engine: Threads[Outcome] = Threads(self._most_calls + _SPARE_THREADS, self._inbox.put)
        self._numbers = itertools.count(1)
        self._waiting = deque(plan.to_do)
        self._journeys: dict[int, Journey] = {}
        self._queues = Queues(tools.lanes, self._most_calls)
        self._poor: deque[Journey] = deque()
        self._rules = StopRules(recipe.job.run.max_failure_rate)
        self._losses: Counter[str] = Counter(dict.fromkeys(state.uncertain_results(), 1))
        self._bad: dict[str, int] = {}
        self._short = False
        self._published_flagged = 0
        self._broke: MoneyError | None = None
        self._cause: VeniceBatchError | None = None
        self._deadline: float | None = None
        self._signalled: Signal | None = None
        self._prices = PriceList(tools.catalogue)

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
                going = self._land() if self._queues.out else self._decide_on_the_poor()
            self._leave_the_rest()
            self._books.commit()
        except VeniceBatchError as error:
            self._let_land()
            if self._signalled is not None:
                self._tools.observer.note(error.message)
                raise interrupted(self._signalled) from error
            raise
        finally:
            self._engine.close()
        return self._summary()

    # Admitting items and handing out tasks

    def _admit(self) -> None:
        while self._waiting and self._cause is None and not self._poor and self._has_room():
            item = self._waiting.popleft()
            if self._broke is not None and item.cost.high > 0:
                self._books.end(item, "waiting", "money", self._broke.message)
            else:
                self._start(item)

    def _has_room(self) -> bool:
        windows = sum(self._tools.lanes.lane(self._prices.of(step)[1]).window() for step in self._recipe.chain.paid)
        return len(self._journeys) < max(_SPARE_THREADS, min(2 * self._most_calls, 2 * windows + _SPARE_THREADS))

    def _start(self, item: PlannedItem) -> None:
        journey = Journey(next(self._numbers), item, item.chain.start(item.lineage, item.known))
        self._journeys[journey.number] = journey
        if item.lineage.origin == "unread" and not item.candidate.columns:
            self._queues.give(TakeIn(Ticket(journey.number), item.candidate))
        else:
            self._proceed(journey)

    def _hand_out(self) -> None:
        """Choose what may be sent, make everything decided so far durable, then let the workers have it."""
        if self._cause is None:
            for journey, purchase, lane in self._queues.next_purchases():
                self._books.begin(journey, purchase)
                price, _ = self._prices.of(purchase.step)
                self._queues.give(Buy(Ticket(journey.number), purchase, journey.copy, price, lane, journey.item.key))
        self._books.commit()
        for task in self._queues.handed_out():
            self._engine.submit(functools.partial(self._tools.worker.do, task))

    # Landing what came back

    def _land(self) -> bool:
        """Take in what came back; return False when the run must be left as it is."""
        patience = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            messages = [self._inbox.get(timeout=patience)]
        except queue.Empty:
            return False
        with suppress(queue.Empty):
            while True:
                messages.append(self._inbox.get_nowait())
        signals = [message for message in messages if isinstance(message, int)]
        for message in messages:
            if not isinstance(message, int):
                self._take(message)
        self._tools.observer.money(self._books.wallet.spent, self._books.wallet.uncertain)
        self._retry_the_poor()
        stays = True
        for number in signals:
            stays = self._interrupt(number) and stays
        return stays

    def _let_land(self) -> None:
        """Wait for the calls in flight when nothing can be recorded any more.

        They are paid for: their bytes are kept by the workers, and the next start finds them. Ends with a signal.
        """
        self._tools.cancel.set()
        end = time.monotonic() + self._job.api.timeout
        while any(isinstance(task, Buy) for task in self._queues.out.values()):
            try:
                message = self._inbox.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return
            if isinstance(message, int):
                return
            self._queues.landed(message.task)

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
        if self._cause is not None:
            self._abandon(journey)
        elif not self._queues.lead_or_park(journey, purchase.claim):
            self._books.release_all(journey, "another item buys the same")
        elif self._reserve(journey):
            # The answer to come is the second of two, whatever is wrong with it.
            self._bad[purchase.claim] = max(1, self._bad.get(purchase.claim, 0))
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
        if self._cause is not None:
            self._abandon(journey)
        elif not self._may_buy(purchase):
            reason = (
                f"step {purchase.step.id!r}: the answer was lost after the request was sent; it may have been charged"
            )
            self._end(journey, "uncertain", "uncertain", reason)
        elif self._bad.get(purchase.claim, 0) >= _BAD_ANSWERS:
            # Another item with the same bytes bought it that often: this one's money would go the same way.
            reason = f"step {purchase.step.id!r}: every answer was no picture"
            self._end(journey, "failed", "bad-answer", reason)
        elif not self._queues.lead_or_park(journey, purchase.claim):
            self._books.release_all(journey, "another item buys the same")
        elif not self._has_its_bytes(journey, purchase):
            self._queues.give(TakeIn(Ticket(journey.number), journey.item.candidate))
        elif self._reserve(journey):
            # A bad answer of an earlier run is the first of the two: what is bought now is bought again.
            self._bad.setdefault(purchase.claim, int(self._state.results.was_bad(purchase.results[0])))
            self._queues.make_ready(journey, purchase, self._prices.of(purchase.step)[1])
        else:
            self._books.release_all(journey, "the money does not reach for the rest of the chain")
            if not self._short:
                self._tools.observer.note(
                    "the money does not reach for every item that is left; finishing what it does"
                )
            self._short = True
            self._poor.append(journey)
            self._wake(self._queues.end_lead(journey))

    def _may_buy(self, purchase: Purchase) -> bool:
        lost = self._losses[purchase.results[0]]
        return lost == 0 or (self._job.run.uncertain == "retry" and lost < _LOSSES)

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
            for name, kind in zip(item.outputs, self._recipe.files, strict=True)
        )
        self._books.note_all(OutputPlanned(self._books.id(item), file.name) for file in files)
        self._queues.give(Publish(Ticket(journey.number), stage, journey.copy, files))

    # What came back

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
        self._bad[purchase.claim] = self._bad.get(purchase.claim, 0) + bool(outcome.reason)
        if outcome.reason and self._bad[purchase.claim] >= _BAD_ANSWERS:
            reason = f"step {purchase.step.id!r}: the answer is no picture: {outcome.reason}"
            self._end(journey, "failed", "bad-answer", reason)
        else:
            self._go_on(journey)
        stop = served_another(purchase.step, outcome.task.lane, outcome.answer.model_served)
        if stop is not None:
            self._stop(stop)

    def _call_lost(self, journey: Journey, outcome: CallLost) -> None:
        failure, purchase = outcome.failure, outcome.task.purchase
        if failure.fate is Fate.UNCERTAIN or failure.billed:
            self._books.lose(journey, purchase.step, failure.code, failure)
            self._losses[purchase.results[0]] += 1
        else:
            self._books.release(journey, purchase.step, failure.code, failure)
        match failure.fate:
            case Fate.UNCERTAIN:
                self._go_on(journey)
            case Fate.RUN_STOPS:
                self._abandon(journey)
                if failure.code not in _NOT_SENT:
                    self._stop((self._tools.gate.cause or failure).as_run_error())
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
        stop = self._rules.refused(step.id, failure.text) if lasting else self._rules.gave_up(failure.as_run_error())
        if stop is not None:
            self._stop(stop)

    def _published(self, journey: Journey, outcome: Published) -> None:
        self._books.note_all(filed(self._books.id(journey.item), outcome.files))
        if isinstance(outcome.failed, ItemError):
            self._refused(journey, Refused(outcome.task, outcome.failed))
            return
        if outcome.failed is not None:
            self._broken(journey, Broken(outcome.task, outcome.failed))
            return
        self._published_flagged += any(not passed.released for passed in journey.passed.values())
        self._end(journey, "done", *journey.remarks())

    def _refused(self, journey: Journey, outcome: Refused) -> None:
        error = outcome.error
        if self._cause is not None and isinstance(outcome.task, TakeIn) and not error.lasting:
            self._abandon(journey)
            return
        state = "invalid" if isinstance(outcome.task, TakeIn) and error.lasting else "failed"
        self._end(journey, state, error.code, error.message, lasting=error.lasting)

    def _broken(self, journey: Journey, outcome: Broken) -> None:
        if isinstance(outcome.task, Buy) and outcome.billed:
            self._books.lose(journey, outcome.task.purchase.step, "answered, but not kept")
        self._abandon(journey)
        self._stop(outcome.error)

    # The money does not reach

    def _retry_the_poor(self) -> None:
        """Let items try again that the money did not reach for: others may have given some back."""
        poor, self._poor = self._poor, deque()
        for journey in poor:
            self._proceed(journey)

    def _decide_on_the_poor(self) -> bool:
        """With no task out, nobody can give money back any more; return whether there is still something to do."""
        if self._cause is not None:
            return False
        poor, self._poor = self._poor, deque()
        for journey in poor:
            self._broke = self._broke or self._no_money_for(journey)
            self._end(journey, "waiting", "money", self._broke.message)
        return bool(self._waiting or self._poor or self._queues.busy())

    def _no_money_for(self, journey: Journey) -> MoneyError:
        """Say which limit the rest of the item's chain does not fit under."""
        wanted = sum(micros(self._prices.of(step)[0]) for step in self._ahead(journey))
        return self._books.wallet.refusal(wanted)

    # An item's end

    def _end(self, journey: Journey, state: str, code: str = "", reason: str = "", *, lasting: bool = False) -> None:
        """Record what became of the item, give back what it did not spend, and let those behind it go on."""
        self._books.end(journey.item, state, code, reason, lasting=lasting)
        self._forget(journey, "not needed")
        if journey.paid and state in {"done", "failed"}:
            stop = self._rules.item_ended(failed=state == "failed")
            if stop is not None:
                self._stop(stop)

    def _abandon(self, journey: Journey) -> None:
        """Leave the item for the next run, as it is."""
        self._books.end(journey.item, "pending", "stopped", "the run stopped before it was done")
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

    # Stopping

    def _stop(self, cause: VeniceBatchError) -> None:
        """Begin no further call. The first cause is the one that the user sees (rule 6)."""
        if self._cause is not None:
            return
        self._cause = cause
        self._tools.cancel.set()
        self._queues.forget_ready()
        self._poor.clear()
        busy = self._queues.busy()
        for journey in [journey for number, journey in self._journeys.items() if number not in busy]:
            if journey.number in self._journeys:
                self._abandon(journey)

    def _interrupt(self, number: Signal) -> bool:
        """Begin to drain on the first signal; return False on the second."""
        if self._deadline is not None:
            return False
        self._deadline = time.monotonic() + self._job.run.drain
        name = signal_name(number)
        flying = self._queues.in_flight
        self._tools.observer.note(f"{name}: no new calls; {flying} in flight get {self._job.run.drain:g} s to land")
        cause = interrupted(number)
        self._stop(cause)
        # A run that was stopping for another reason is now interrupted, too, and its exit code says so.
        self._cause = cause
        return True

    def _leave_the_rest(self) -> None:
        """Record what is open when the run is left: calls in flight are uncertain, everything else is pending."""
        for number, task in self._queues.out.items():
            if isinstance(task, Buy):
                self._books.lose(self._journeys[number], task.purchase.step, "left when the run was interrupted")
        for journey in list(self._journeys.values()):
            if journey.number in self._journeys:
                self._abandon(journey)
        self._books.ended["pending"] += len(self._waiting)

    def _summary(self) -> Summary:
        left = Counter(item.left_as or item.standing for item in self._plan.items if item.standing not in TO_DO)
        return Summary(
            ended=dict(self._books.ended),
            skipped=self._plan.done,
            left_alone=left,
            spent_micros=self._books.wallet.spent,
            uncertain_micros=self._books.wallet.uncertain,
            left_micros=micros(self._books.left + sum(item.cost.high for item in self._waiting)),
            cause=self._cause or self._broke,
            published_flagged=self._published_flagged,
        )
