"""What the driver records: moves of items and money, in groups that are committed before they are acted upon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from venice_batch.plan.model import PlannedItem
from venice_batch.run.budget import RunBudget
from venice_batch.run.observer import Observer
from venice_batch.run.queues import InFlightItem
from venice_batch.state import Begun, Event, ItemId, ItemMoved, State
from venice_batch.steps.chain import Purchase
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import Answer, CallFailed


class Recorder:
    """The driver's pen: the only way to the manifest while a run is under way (rule 8)."""

    def __init__(self, job: str, state: State, budget: RunBudget, observer: Observer, now: Callable[[], float]) -> None:
        self.ended: Counter[str] = Counter()
        self.left = Decimal(0)
        self.budget = budget
        self.now = now
        self._job = job
        self._state = state
        self._observer = observer
        self._events: list[Event] = []

    def commit(self) -> None:
        """Make everything noted so far durable, in one transaction.

        Raises:
            Unavailable: the manifest cannot be written.
        """
        events, self._events = self._events, []
        self._state.commit(events)

    def note(self, event: Event) -> None:
        """Add an event to the next group."""
        self._events.append(event)

    def note_all(self, events: Iterable[Event]) -> None:
        """Add events to the next group, in their order."""
        self._events.extend(events)

    def id(self, item: PlannedItem) -> ItemId:
        """Return who the item is in the manifest."""
        return ItemId(self._job, item.key, item.variant)

    def end(
        self,
        item: PlannedItem,
        state: str,
        code: str = "",
        reason: str = "",
        *,
        lasting: bool = False,
        result: str = "",
        left: Decimal | None = None,
    ) -> None:
        """Note the state in which the item leaves this run.

        Args:
            item: which.
            state: which.
            code: a short word for `reason`.
            reason: why, for people.
            lasting: the same would come of it again.
            result: the answer that is held back, if one is.
            left: the most that is left to buy for it; None: all that the plan has priced.
        """
        note = ItemMoved(
            self.id(item),
            item.candidate.version,
            item.fingerprint,
            state,
            self.now(),
            code,
            reason,
            lasting=lasting,
            result=result,
        )
        self.note(note)
        self.ended[state] += 1
        if state in {"pending", "waiting"}:
            self.left += item.cost.high if left is None else left
        self._observer.item(item, state, reason)

    # Money: every reservation ends in exactly one of settle, lose, release.

    def reserve(self, in_flight: InFlightItem, wanted: Sequence[tuple[PaidStep, int]]) -> bool:
        """Set money aside for all of `wanted` or for nothing; return whether it could be done."""
        made = self.budget.reserve(self.id(in_flight.item), wanted, self.now())
        if made is None:
            return False
        reservations, events = made
        if not in_flight.reserved:
            item = in_flight.item
            self.note(ItemMoved(self.id(item), item.candidate.version, item.fingerprint, "running", self.now()))
        in_flight.reserved.update(reservations)
        self._events += events
        return True

    def begin(self, in_flight: InFlightItem, purchase: Purchase) -> None:
        """Note that the request may be sent; what is not answered from here on is uncertain."""
        self.note(Begun(in_flight.reserved[purchase.step.id].call, purchase.results[0], self.now()))
        in_flight.paid = True

    def settle(self, in_flight: InFlightItem, step: PaidStep, answer: Answer, outcome: str) -> None:
        """Note an answered call as spent."""
        self.note(self.budget.settle(in_flight.reserved.pop(step.id), answer, outcome))

    def lose(self, in_flight: InFlightItem, step: PaidStep, why: str, failure: CallFailed | None = None) -> None:
        """Note a call that may have been charged without an answer."""
        self.note(self.budget.lose(in_flight.reserved.pop(step.id), why, self.now(), failure))

    def release(self, in_flight: InFlightItem, step: PaidStep, why: str, failure: CallFailed | None = None) -> None:
        """Give back what was set aside for one step, if anything was."""
        reservation = in_flight.reserved.pop(step.id, None)
        if reservation is not None:
            self.note(self.budget.release(reservation, why, self.now(), failure))

    def release_all(self, in_flight: InFlightItem, why: str) -> None:
        """Give back everything that is still set aside for the item."""
        for step in in_flight.item.chain.paid:
            self.release(in_flight, step, why)
