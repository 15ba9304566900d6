"""The account: balances by currency, limits of keys, holds, and the ledger of what was billed.

One call is paid in one currency, the first of DIEM, bundled credits and USD that covers its whole price.
A hold takes the money when the work begins, so that calls in flight at once cannot spend the same dollar.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from venice_batch.emulator.api_error import ApiError
from venice_batch.emulator.settings import Key, Settings

DIEM = "DIEM"
BUNDLED = "BUNDLED_CREDITS"
USD = "USD"
#: In which order the currencies are asked to pay.
CURRENCIES = (DIEM, BUNDLED, USD)

ACCOUNT_EMPTY = "Insufficient USD or Diem balance to complete request. Visit https://venice.ai/settings/api to top up."
KEY_USD_LIMIT = "API key USD spend limit exceeded. The account may still hold USD; raise the limit of this key."
KEY_DIEM_LIMIT = "API key DIEM spend limit exceeded. The account may still hold DIEM; raise the limit of this key."


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for a call in flight."""

    token: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ledger."""

    number: int
    time: float
    sku: str
    units: int
    request_id: str
    amount: Decimal
    currency: str


class Books:
    """All money of the emulated account. Safe to use from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._clock: Callable[[], float] = settings.clock
        self._lock = threading.RLock()
        self.balances: dict[str, Decimal] = {}
        self.rows: list[Row] = []
        self._spent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.set_balances({DIEM: settings.diem, BUNDLED: settings.bundled, USD: settings.usd})

    def set_balances(self, balances: Mapping[str, Decimal | None]) -> None:
        """Set the named currencies; None removes one, those not named stay as they are."""
        with self._lock:
            for currency, amount in balances.items():
                self.balances.pop(currency, None)
                if amount is not None:
                    self.balances[currency] = amount

    def spendable(self, key: Key) -> dict[str, Decimal]:
        """Return what this key may spend now, by currency: the balance clamped to the key's own limit."""
        with self._lock:
            found = {name: self.balances[name] for name in CURRENCIES if name in self.balances}
            # The USD limit covers bundled credits, too.
            for currencies, limit in (((BUNDLED, USD), key.usd_limit), ((DIEM,), key.diem_limit)):
                if limit is None:
                    continue
                left = limit - sum(self._spent[key.token, currency] for currency in currencies)
                found |= {name: max(Decimal(0), min(found[name], left)) for name in currencies if name in found}
            return found

    def hold(self, key: Key, price: Decimal) -> Hold:
        """Set the price of a call aside.

        Raises:
            ApiError: 402, when no single currency covers the whole price; the text tells an empty account from
                a limit of the key.
        """
        with self._lock:
            spendable = self.spendable(key)
            for currency, amount in spendable.items():
                if amount >= price:
                    self.balances[currency] -= price
                    self._spent[key.token, currency] += price
                    return Hold(key.token, currency, price)
            raise ApiError(402, self._why(key, price))

    def _why(self, key: Key, price: Decimal) -> str:
        held = max(self.balances.get(name, Decimal(0)) for name in (BUNDLED, USD))
        if key.usd_limit is not None and held >= price:
            return KEY_USD_LIMIT
        if key.diem_limit is not None and self.balances.get(DIEM, Decimal(0)) >= price:
            return KEY_DIEM_LIMIT
        return ACCOUNT_EMPTY

    def release(self, hold: Hold) -> None:
        """Give a hold back: the call was not billed."""
        with self._lock:
            if hold.currency in self.balances:
                self.balances[hold.currency] += hold.amount
            self._spent[hold.token, hold.currency] -= hold.amount

    def settle(self, hold: Hold, charges: Iterable[tuple[str, int, Decimal]], request_id: str) -> None:
        """Bill a hold: its amount is gone and stands in the ledger, a row for each SKU with its units and amount."""
        with self._lock:
            for sku, units, amount in charges:
                row = Row(len(self.rows), self._clock(), sku, units, request_id, amount, hold.currency)
                self.rows.append(row)

    def billed(self) -> Decimal:
        """Return all that was billed so far, in USD."""
        with self._lock:
            return sum((row.amount for row in self.rows), Decimal(0))

    def billed_by_sku(self) -> dict[str, Decimal]:
        """Return what was billed so far in USD, by SKU."""
        with self._lock:
            found: dict[str, Decimal] = defaultdict(Decimal)
            for row in self.rows:
                found[row.sku] += row.amount
            return dict(found)
