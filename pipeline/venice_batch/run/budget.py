"""The money of a run: what may still be reserved, and the reservations that are open (rules 2 and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from venice_batch.errors import BudgetReached, MoneyError
from venice_batch.plan.money import MICRO, Cap, day_start, month_start
from venice_batch.state import Event, ItemId, Reserved, Settled
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import Answer, CallFailed


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for one step of one item.

    Attributes:
        call: its row in the ledger.
        micros: millionths of a US dollar, at most.
        at: when it was made, Unix seconds.
    """

    call: int
    micros: int
    at: float


class RunBudget:
    """Keeps every limit of the budget while money is reserved, spent and given back. Only the driver has one.

    Every change is an event for the manifest; the caller commits them before it acts upon them.
    """

    def __init__(self, caps: Sequence[Cap], run: int, next_call: int, now: float, *, listens: bool = False) -> None:
        """Start with what counts already.

        Args:
            caps: the job's limits.
            run: the run's number.
            next_call: the number of the next reservation.
            now: Unix seconds.
            listens: whether the balance headers of the answers tell the whole balance. They name USD and DIEM only, so
                an account with other credits would look poorer than it is.
        """
        self._caps = list(caps)
        self._listens = listens
        self._heard: tuple[float, int] | None = None
        self._settled: list[tuple[float, int]] = []
        self._since = now
        self._run = run
        self._next = next_call
        self.open = 0
        self.spent = 0
        self.uncertain = 0

    def obstacle(self, micros: int) -> str:
        """Return the name of the limit that forbids reserving so much more, or nothing.

        ``balance`` is what the latest answer said there was, less everything that may have been charged since that call
        began. What is charged already but not yet answered is counted twice by that: near its end a run waits for
        answers rather than overdraw.
        """
        if self._heard is not None:
            begun_at, balance = self._heard
            since = sum(spent for ended_at, spent in self._settled if ended_at > begun_at)
            if micros + self.open > balance - since:
                return "balance"
        return next((cap.name for cap in self._caps if micros > cap.left), "")

    def refusal(self, micros: int) -> MoneyError:
        """Return the error that says which limit forbids reserving so much more, and what to do about it."""
        obstacle = self.obstacle(micros)
        if obstacle in {"balance", ""}:
            return MoneyError(
                "the balance does not reach for the whole job", remedy="add credits, then run it again: it goes on"
            )
        way = f"raise {obstacle} (or --budget)" if obstacle == "max_usd" else f"raise {obstacle} in the job"
        return BudgetReached(f"budget.{obstacle} is reached", remedy=f"{way}, then run it again: it goes on")

    def _hear(self, answer: Answer) -> None:
        """Learn the balance from an answer: its headers tell what there was before that call."""
        amounts = [amount for amount in (answer.balance_usd, answer.balance_diem) if amount is not None]
        if not self._listens or not amounts or (self._heard is not None and answer.begun_at < self._heard[0]):
            return
        self._heard = (answer.begun_at, int(sum(amounts) * MICRO))
        self._settled = [(ended_at, spent) for ended_at, spent in self._settled if ended_at > answer.begun_at]

    def reserve(
        self, item: ItemId, wanted: Sequence[tuple[PaidStep, int]], now: float
    ) -> tuple[dict[str, Reservation], list[Event]] | None:
        """Set money aside for all of `wanted` at once, or for nothing.

        Args:
            item: for whom.
            wanted: steps with the most that each may cost.
            now: Unix seconds.

        Returns:
            The reservations by step id, with their events; None when a limit forbids it.
        """
        self._turn_the_day(now)
        total = sum(micros for _, micros in wanted)
        # What needs no more money is never refused, however poor the account looks by now.
        if total and self.obstacle(total):
            return None
        made: dict[str, Reservation] = {}
        events: list[Event] = []
        for step, micros in wanted:
            made[step.id] = Reservation(self._next, micros, now)
            events.append(Reserved(self._next, self._run, item, step.id, step.endpoint, step.model, micros, now))
            self._next += 1
        self._move(total)
        self.open += total
        return made, events

    def release(self, reservation: Reservation, why: str, now: float, failure: CallFailed | None = None) -> Event:
        """Give the money back: nothing was sent, or the API charged nothing."""
        self.open -= reservation.micros
        self._move(-reservation.micros, reservation.at)
        return _failed(reservation, "released", why, now, failure)

    def settle(self, reservation: Reservation, answer: Answer, outcome: str) -> Event:
        """Record an answered call as spent."""
        self.open -= reservation.micros
        self.spent += reservation.micros
        self._settled.append((answer.ended_at, reservation.micros))
        self._hear(answer)
        return Settled(
            reservation.call,
            "spent",
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

    def lose(self, reservation: Reservation, why: str, now: float, failure: CallFailed | None = None) -> Event:
        """Record a call whose answer was lost: it counts as spent."""
        self.open -= reservation.micros
        self.uncertain += reservation.micros
        self._settled.append((now, reservation.micros))
        return _failed(reservation, "uncertain", why, now, failure)

    def _move(self, micros: int, reserved_at: float | None = None) -> None:
        self._caps = [
            cap if _is_older(cap, reserved_at, self._since) else replace(cap, counted=cap.counted + micros)
            for cap in self._caps
        ]

    def _turn_the_day(self, now: float) -> None:
        """Start the counts of a new UTC day or month at nothing; what was reserved before belongs to the old one."""
        starts = {"max_usd_per_day": day_start, "max_usd_per_month": month_start}
        self._caps = [
            replace(cap, counted=0)
            if cap.name in starts and starts[cap.name](now) > starts[cap.name](self._since)
            else cap
            for cap in self._caps
        ]
        self._since = max(self._since, now)


def _failed(reservation: Reservation, fate: str, why: str, now: float, failure: CallFailed | None) -> Event:
    if failure is None:
        return Settled(reservation.call, fate, why, now)
    told = (failure.status, failure.attempts, failure.request_id)
    return Settled(reservation.call, fate, why, now, *told, sent_at=failure.begun_at)


def _is_older(cap: Cap, reserved_at: float | None, now: float) -> bool:
    """Whether a reservation was made in an earlier period than the one `cap` counts now."""
    if reserved_at is None:
        return False
    start = {"max_usd_per_day": day_start, "max_usd_per_month": month_start}.get(cap.name)
    return start is not None and reserved_at < start(now)
