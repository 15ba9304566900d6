"""Whether the money covers a plan: currency by currency, and within the job's own budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from venice_batch.job import Budget
from venice_batch.plan.model import Coverage, Range, cents, dollars

MICRO = Decimal(1_000_000)


def micros(amount: Decimal) -> int:
    """Return US dollars as whole millionths, rounded up so that a reservation is never too small."""
    return int((amount * MICRO).to_integral_value(ROUND_CEILING))


def usd(micros: int) -> str:
    """Return millionths of a US dollar as dollars, exactly."""
    return dollars(Decimal(micros) / MICRO)


def usd_cents(micros: int) -> str:
    """Return millionths of a US dollar as people read them."""
    return cents(Decimal(micros) / MICRO)


@dataclass(frozen=True, slots=True)
class Cap:
    """One limit of the job's budget and what counts against it already, in millionths of a US dollar."""

    name: str
    limit: int
    counted: int

    @property
    def left(self) -> int:
        """What may still be reserved."""
        return self.limit - self.counted


class SpentSoFar(Protocol):
    """What counts against a budget, in millionths of a US dollar; a state knows it."""

    def run_to_continue(self, job: str, /) -> tuple[int, bool]:
        """Return the number of the job's next or unfinished run, and whether it is an unfinished one."""

    def counted_in_run(self, run: int, /, *, reserved: bool = True) -> int:
        """Return what counts against the budget of a run."""

    def counted_since(self, since: float, /, *, reserved: bool = True) -> int:
        """Return what counts of all calls reserved since a time in Unix seconds."""


def caps(budget: Budget, spent: SpentSoFar, job: str, now: float, *, reserved: bool = True) -> tuple[Cap, ...]:
    """Return the limits that the job sets, each with what was counted against it (rule 7).

    `now` is in Unix seconds. `reserved` is False for a plan: what a run that died had reserved and not begun, the next
    run releases first.
    """
    found: list[Cap] = []
    if budget.max_usd is not None:
        run, continues = spent.run_to_continue(job)
        counted = spent.counted_in_run(run, reserved=reserved) if continues else 0
        found.append(Cap("max_usd", micros(budget.max_usd), counted))
    for name, limit, start in (
        ("max_usd_per_day", budget.max_usd_per_day, day_start(now)),
        ("max_usd_per_month", budget.max_usd_per_month, month_start(now)),
    ):
        if limit is not None:
            found.append(Cap(name, micros(limit), spent.counted_since(start, reserved=reserved)))
    return tuple(found)


def day_start(now: float) -> float:
    """Return when the UTC day of `now` began, in Unix seconds."""
    return datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def month_start(now: float) -> float:
    """Return when the UTC month of `now` began, in Unix seconds."""
    return datetime.fromtimestamp(day_start(now), UTC).replace(day=1).timestamp()


def coverage(
    cost: Range, most_expensive: Decimal, balances: Mapping[str, Decimal], limits: tuple[Cap, ...], *, permitted: bool
) -> Coverage:
    """Return whether balance and budget cover the high end of `cost`.

    One call is paid in one currency: with k currencies that hold anything, up to (k - 1) calls' worth can be left over
    in parts that cover no whole call.

    Args:
        cost: the plan's price.
        most_expensive: the price of its most expensive call.
        balances: by currency, as the API states them.
        limits: the job's budget.
        permitted: the API's own word on whether the key may spend at all (``accessPermitted``).
    """
    if cost.high == 0:
        return Coverage(covered=True)
    if not permitted:
        return _not_covered(cost.high, "the API says that this key may not spend (accessPermitted: false)")
    for cap in limits:
        if Decimal(cap.left) / MICRO < cost.high:
            short = cost.high - Decimal(max(cap.left, 0)) / MICRO
            already = f", {cents(Decimal(cap.counted) / MICRO)} of it already counted" if cap.counted else ""
            limit = cents(Decimal(cap.limit) / MICRO)
            return replace(_not_covered(short, f"budget.{cap.name} is {limit} USD{already}"), by_budget=True)
    held = [amount for amount in balances.values() if amount > 0]
    total = sum(held, Decimal(0))
    if total < cost.high:
        parts = " + ".join(f"{cents(amount)} {name.upper()}" for name, amount in balances.items()) or "nothing"
        return _not_covered(cost.high - total, f"the balance is {parts}")
    return Coverage(covered=True, certain=total >= cost.high + max(len(held) - 1, 0) * most_expensive)


def _not_covered(missing: Decimal, reason: str) -> Coverage:
    return Coverage(covered=False, certain=False, shortfall=missing, reason=reason)
