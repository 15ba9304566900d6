"""Whether the balance falls faster than the catalogue's prices say: then the prices are wrong, or others spend, too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from venice_batch.errors import Overcharged
from venice_batch.plan.money import MICRO, usd
from venice_batch.venice import Answer

#: Millionths of a US dollar, and the share, by which a balance may fall too far through rounding alone.
_ROUNDING, _SHARE = 20_000, 0.01


@dataclass(frozen=True, slots=True)
class Overcharge:
    """A balance that fell too far, in millionths of a US dollar.

    Attributes:
        fall: how far it fell since the run began.
        priced: what the calls of the run that may have been charged by then cost at the catalogue's prices, at most.
        most: what the run may take; None: that is nobody's business here.
    """

    fall: int
    priced: int
    most: int | None = None

    def __str__(self) -> str:
        """Say both sums."""
        return f"the balance fell by {usd(self.fall)} USD while calls worth {usd(self.priced)} USD were made"

    def error(self) -> Overcharged | None:
        """Return why to stop, if the run took more than it may."""
        if self.most is None or self.fall <= self.most:
            return None
        return Overcharged(
            f"{self}; the run may take {usd(self.most)} USD",
            remedy="compare `venice-batch models` with what the account was charged (`venice-batch reconcile JOB`);"
            " where others spend from the same account, write `budget: {shared_account: true}`",
        )


class BalanceWatch:
    """Follows the balances that the answers tell; each is the one before its call.

    Answers come in another order than the calls were charged. So all calls in flight are taken for charged, and a
    balance that rises is somebody's payment, or a new day's DIEM, only where it rises by more than these can explain.
    """

    def __init__(self, most: int | None = None, *, fell: int = 0, priced: int = 0) -> None:
        """Begin.

        Args:
            most: what the run may take, in millionths of a US dollar; None where others spend from the account, too.
            fell: how far the balance fell in earlier starts of the run.
            priced: what counted as spent by then.
        """
        self.found: Overcharge | None = None
        self._most = most
        self._fell, self._priced = fell, priced
        self._open: dict[int, int] = {}
        self._at = -math.inf
        self._high: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def begin(self, call: int, micros: int) -> None:
        """Count a call as one that may be charged from now on."""
        self._open[call] = micros

    def end(self, call: int, *, charged: bool) -> None:
        """Count a call as over."""
        micros = self._open.pop(call, 0)
        self._priced += micros if charged else 0

    def read(self, call: int, answer: Answer) -> None:
        """Take the balances that an answer tells; `call` is its own, which they do not have in them yet."""
        if answer.begun_at <= self._at:
            return
        self._at = answer.begun_at
        in_flight = sum(micros for number, micros in self._open.items() if number != call)
        for currency, amount in balances(answer.balance_usd, answer.balance_diem).items():
            last = self._last.get(currency, amount)
            paid_in = amount - last if amount - last > in_flight + _ROUNDING else 0
            self._high[currency] = self._high.get(currency, amount) + paid_in
            self._last[currency] = amount
        fall = self._fell + falls(self._high, self._last)
        priced = self._priced + in_flight
        if fall > priced + max(_ROUNDING, int(priced * _SHARE)):
            self.found = Overcharge(fall, priced, self._most)


def balances(usd: Decimal | None, diem: Decimal | None) -> dict[str, int]:
    """Return the balances that are known, in millionths of a US dollar."""
    return {name: int(amount * MICRO) for name, amount in (("usd", usd), ("diem", diem)) if amount is not None}


def falls(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Return how far the balances fell together; one that rose does not make up for another."""
    return sum(max(0, before[name] - after[name]) for name in before.keys() & after.keys())
