"""What the driver records: moves of items and of money, in groups that are committed before they are acted upon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from venice_batch.errors import MoneyError, Overcharged
from venice_batch.plan.model import PlannedItem, PlanWarning
from venice_batch.plan.money import micros
from venice_batch.plan.pricing import PriceList
from venice_batch.run.budget import RunBudget
from venice_batch.run.observer import Observer
from venice_batch.run.queues import InFlightItem
from venice_batch.state import Begun, Event, ItemId, ItemMoved, ResultsUsed, State
from venice_batch.steps.chain import Purchase
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import Answer, CallFailed


@dataclass(frozen=True, slots=True)
class ItemState:
    """A state of the manifest that an item moves to.

    Attributes:
        name: of the state.
        code: a short word for `reason`.
        reason: why, for people.
        lasting: trying again without a change is pointless.
        result: the key of the answer that is held back, if one is.
    """

    name: str
    code: str = ""
    reason: str = ""
    lasting: bool = False
    result: str = ""


class Recorder:
    """Collects the events of a run; nothing else writes the manifest while it is under way (rule 8).

    Attributes:
        ended: how many items ended in each state.
        left: US dollars that the items which this run did not finish may still cost.
        warnings: what was told at once and should be known at the end, too.
        budget: the money of the run.
        observer: told of every item that ended.
    """

    def __init__(
        self,
        job: str,
        state: State,
        budget: RunBudget,
        prices: PriceList,
        *,
        observer: Observer,
        now: Callable[[], float],
    ) -> None:
        self.ended: Counter[str] = Counter()
        self.left = Decimal(0)
        self.budget = budget
        self.observer = observer
        self._prices = prices
        self._now = now
        self._job = job
        self._state = state
        self.warnings: list[PlanWarning] = []
        self._events: list[Event] = []

    def warn(self, code: str, text: str) -> None:
        """Tell at once, and at the end, what a careful person would want to know of this run; the same thing once."""
        warning = PlanWarning(code, text)
        if warning not in self.warnings:
            self.warnings.append(warning)
            self.observer.warning(code, text)

    def commit(self) -> None:
        """Make everything recorded so far durable, in one transaction.

        Raises:
            Unavailable: the manifest cannot be written.
        """
        events, self._events = self._events, []
        self._state.commit(events)

    def record(self, *events: Event) -> None:
        """Add events to the next group, in their order."""
        self._events += events

    def id(self, item: PlannedItem) -> ItemId:
        """Return who the item is in the manifest."""
        return ItemId(self._job, item.key, item.variant)

    def end(self, in_flight: InFlightItem, ended: ItemState) -> None:
        """Record the state in which the item leaves this run."""
        item = in_flight.item
        self._move(item, ended)
        if ended.name not in {"pending", "waiting", "invalid"} or in_flight.used:
            held = [ended.result] if ended.result else []
            self._used(in_flight, [*in_flight.used, *held], finished=ended.name == "done")
        self.ended[ended.name] += 1
        if ended.name in {"pending", "waiting"}:
            rest = sum((self._prices.of(step, known).high for step, known in in_flight.ahead()), Decimal(0))
            # What another item buys for it was not counted in the plan either.
            self.left += min(item.cost.high, rest)
        self.observer.item(item, ended.name, ended.reason)

    def _move(self, item: PlannedItem, to: ItemState) -> None:
        told = (to.code, to.reason, to.lasting, to.result)
        self.record(ItemMoved(self.id(item), item.candidate.version, item.fingerprint, to.name, self._now(), *told))

    def _used(self, in_flight: InFlightItem, results: Sequence[str], *, finished: bool) -> None:
        keys = " ".join(dict.fromkeys(results))
        self.record(ResultsUsed(self.id(in_flight.item), in_flight.source, keys, self._now(), finished))

    # Money: every reservation ends in exactly one of settle, mark_uncertain, release.

    def reserve(self, in_flight: InFlightItem) -> bool:
        """Reserve money for the step at hand and all that may follow, or for nothing; return whether it fits."""
        self._release_mispriced(in_flight)
        made = self.budget.reserve(self.id(in_flight.item), self._unreserved(in_flight), self._now())
        if made is None:
            return False
        reservations, events = made
        if not in_flight.reserved:
            self._move(in_flight.item, ItemState("running"))
        in_flight.reserved.update(reservations)
        self.record(*events)
        return True

    def budget_error(self, in_flight: InFlightItem) -> MoneyError:
        """Return the error that says which limit the rest of the item's chain does not fit under."""
        return self.budget.error(sum(price for _, price in self._unreserved(in_flight)))

    def _release_mispriced(self, in_flight: InFlightItem) -> None:
        """Release what was reserved at another price for the step at hand, now that its picture is known."""
        step, known = next(in_flight.ahead())
        reserved = in_flight.reserved.get(step.id)
        if reserved is not None and reserved.micros != micros(self._prices.of(step, known).high):
            self.release(in_flight, step, "its price is known by now")

    def _unreserved(self, in_flight: InFlightItem) -> list[tuple[PaidStep, int]]:
        """Return the steps ahead that nothing is reserved for, with their highest prices in millionths of a USD."""
        return [
            (step, micros(self._prices.of(step, known).high))
            for step, known in in_flight.ahead()
            if step.id not in in_flight.reserved
        ]

    def begin(self, in_flight: InFlightItem, purchase: Purchase) -> None:
        """Record that the request may be sent; what is not answered from here on is uncertain."""
        reservation = in_flight.reserved[purchase.step.id]
        self.budget.begin(reservation)
        self.record(Begun(reservation.call, purchase.results[0], self._now()))
        # Now and not only at the item's end: a run that is killed in between must not leave a result without a use.
        self._used(in_flight, [purchase.result], finished=False)
        in_flight.paid = True

    def settle(self, in_flight: InFlightItem, step: PaidStep, answer: Answer, outcome: str) -> None:
        """Record an answered call as spent."""
        self.record(self.budget.settle(in_flight.reserved.pop(step.id), answer, outcome))

    def overcharged(self) -> Overcharged | None:
        """Warn once where the balance falls faster than the prices say; return why to stop, if it fell too far."""
        found = self.budget.overcharge
        if found is None:
            return None
        if all(warning.code != "overcharged" for warning in self.warnings):
            self.warn("overcharged", f"{found}: the API charges more than its catalogue says, or others spend, too")
        return found.error()

    def mark_uncertain(
        self, in_flight: InFlightItem, step: PaidStep, why: str, failure: CallFailed | None = None
    ) -> None:
        """Record a call that may have been charged without an answer."""
        self.record(self.budget.mark_uncertain(in_flight.reserved.pop(step.id), why, self._now(), failure))

    def release(self, in_flight: InFlightItem, step: PaidStep, why: str, failure: CallFailed | None = None) -> None:
        """Release what was reserved for one step, if anything was."""
        reservation = in_flight.reserved.pop(step.id, None)
        if reservation is not None:
            self.record(self.budget.release(reservation, why, self._now(), failure))

    def release_all(self, in_flight: InFlightItem, why: str) -> None:
        """Release everything that is still reserved for the item."""
        for step in in_flight.item.chain.paid:
            self.release(in_flight, step, why)
