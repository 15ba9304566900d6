"""The money of a run: what may still be reserved, and the reservations that are open (rules 2 and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from venice_batch.errors import BudgetReached, MoneyError
from venice_batch.plan.money import MICRO, Cap, day_start, month_start
from venice_batch.run.balance_watch import BalanceWatch, Overcharge
from venice_batch.state import Event, ItemId, Reserved, Settled
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import Answer, CallFailed


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money reserved for one step of one item.

    Attributes:
        call: its row in the ledger.
        micros: millionths of a US dollar, at most.
        at: when it was made, Unix seconds.
    """

    call: int
    micros: int
    at: float


class RunBudget:
    """Keeps every limit of the budget while money is reserved, settled and released. Only the driver has one.

    Every change is an event for the manifest; the caller commits them before it acts upon them.
    """

    def __init__(
        self,
        caps: Sequence[Cap],
        run: int,
        next_call: int,
        now: float,
        *,
        tracks_balance: bool = False,
        watch: BalanceWatch | None = None,
    ) -> None:
        """Start with what counts already.

        Args:
            caps: the job's limits.
            run: the run's number.
            next_call: the number of the next reservation.
            now: Unix seconds.
            tracks_balance: whether the balance headers of the answers tell the whole balance. They name USD and DIEM
                only, so an account with other credits would look poorer than it is.
            watch: follows the balance; by default a new one.
        """
        self._watch = watch or BalanceWatch()
        self._caps = list(caps)
        self._tracks_balance = tracks_balance
        self._balance: tuple[float, int] | None = None
        self._settled: list[tuple[float, int]] = []
        self._period_at = now
        self._run = run
        self._next = next_call
        self.open = 0
        self.spent = 0
        self.uncertain = 0

    @property
    def overcharge(self) -> Overcharge | None:
        """How far the balance has fallen, where it falls faster than the prices say."""
        return self._watch.found

    def begin(self, reservation: Reservation) -> None:
        """Take note that the call may be charged from now on."""
        self._watch.begin(reservation.call, reservation.micros)

    def exceeded(self, micros: int) -> str:
        """Return the name of the limit that reserving so much more would exceed; empty where it fits.

        ``balance`` is what the latest answer said there was, less everything that may have been charged since that call
        began. What is charged already but not yet answered is counted twice by that: near its end a run waits for
        answers rather than overdraw.
        """
        if self._balance is not None:
            begun_at, balance = self._balance
            settled = sum(spent for ended_at, spent in self._settled if ended_at > begun_at)
            if micros + self.open > balance - settled:
                return "balance"
        return next((cap.name for cap in self._caps if micros > cap.left), "")

    def error(self, micros: int) -> MoneyError:
        """Return the error that says which limit forbids reserving so much more, and what to do about it."""
        limit = self.exceeded(micros)
        if limit in {"balance", ""}:
            return MoneyError(
                "the balance does not cover the whole job", remedy="add credits, then run it again: it goes on"
            )
        way = f"raise {limit} (or --budget)" if limit == "max_usd" else f"raise {limit} in the job"
        return BudgetReached(f"budget.{limit} is reached", remedy=f"{way}, then run it again: it goes on")

    def _update_balance(self, answer: Answer) -> None:
        """Take the balance from an answer: its headers tell what there was before that call."""
        amounts = [amount for amount in (answer.balance_usd, answer.balance_diem) if amount is not None]
        if (
            not self._tracks_balance
            or not amounts
            or (self._balance is not None and answer.begun_at < self._balance[0])
        ):
            return
        self._balance = (answer.begun_at, int(sum(amounts) * MICRO))
        self._settled = [(ended_at, spent) for ended_at, spent in self._settled if ended_at > answer.begun_at]

    def reserve(
        self, item: ItemId, wanted: Sequence[tuple[PaidStep, int]], now: float
    ) -> tuple[dict[str, Reservation], list[Event]] | None:
        """Reserve money for all of `wanted` at once, or for nothing.

        Args:
            item: for whom.
            wanted: steps with the most that each may cost.
            now: Unix seconds.

        Returns:
            The reservations by step id, with their events; None when a limit forbids it.
        """
        self._roll_over(now)
        total = sum(micros for _, micros in wanted)
        # What needs no more money is never refused, whatever the balance is by now.
        if total and self.exceeded(total):
            return None
        made: dict[str, Reservation] = {}
        events: list[Event] = []
        for step, micros in wanted:
            made[step.id] = Reservation(self._next, micros, now)
            events.append(Reserved(self._next, self._run, item, step.id, step.endpoint, step.model, micros, now))
            self._next += 1
        self._count(total)
        self.open += total
        return made, events

    def release(self, reservation: Reservation, why: str, now: float, failure: CallFailed | None = None) -> Event:
        """Release a reservation: nothing was sent, or the API charged nothing."""
        self.open -= reservation.micros
        self._watch.end(reservation.call, charged=False)
        self._count(-reservation.micros, reservation.at)
        return _failed(reservation, "released", why, now, failure)

    def settle(self, reservation: Reservation, answer: Answer, outcome: str) -> Event:
        """Record an answered call as spent; as released where the API takes nothing for it."""
        self.open -= reservation.micros
        self._watch.read(reservation.call, answer)
        self._watch.end(reservation.call, charged=answer.charged)
        if answer.charged:
            self.spent += reservation.micros
            self._settled.append((answer.ended_at, reservation.micros))
        else:
            self._count(-reservation.micros, reservation.at)
        self._update_balance(answer)
        return Settled(
            reservation.call,
            "spent" if answer.charged else "released",
            outcome,
            answer.ended_at,
            answer.status,
            answer.attempts,
            answer.request_id,
            answer.model_served,
            None if answer.balance_usd is None else str(answer.balance_usd),
            None if answer.balance_diem is None else str(answer.balance_diem),
            answer.begun_at,
        )

    def mark_uncertain(
        self, reservation: Reservation, why: str, now: float, failure: CallFailed | None = None
    ) -> Event:
        """Record a call whose answer was lost: uncertain, which counts as spent."""
        self.open -= reservation.micros
        self._watch.end(reservation.call, charged=True)
        self.uncertain += reservation.micros
        self._settled.append((now, reservation.micros))
        return _failed(reservation, "uncertain", why, now, failure)

    def _count(self, micros: int, reserved_at: float | None = None) -> None:
        """Count against every limit whose period the reservation belongs to; a released one may be of an earlier."""
        self._caps = [
            cap
            if reserved_at is not None and reserved_at < _period_start(cap, self._period_at)
            else replace(cap, counted=cap.counted + micros)
            for cap in self._caps
        ]

    def _roll_over(self, now: float) -> None:
        """Start the counts of a new UTC day or month at nothing; what was reserved before belongs to the old one."""
        self._caps = [
            replace(cap, counted=0) if _period_start(cap, now) > _period_start(cap, self._period_at) else cap
            for cap in self._caps
        ]
        self._period_at = max(self._period_at, now)


def _period_start(cap: Cap, now: float) -> float:
    """Return when the period that `cap` counts began, in Unix seconds; 0 where it counts from the run's start."""
    start = {"max_usd_per_day": day_start, "max_usd_per_month": month_start}.get(cap.name)
    return 0.0 if start is None else start(now)


def _failed(reservation: Reservation, outcome: str, why: str, now: float, failure: CallFailed | None) -> Event:
    if failure is None:
        return Settled(reservation.call, outcome, why, now)
    told = (failure.status, failure.attempts, failure.request_id)
    return Settled(reservation.call, outcome, why, now, *told, sent_at=failure.begun_at)
