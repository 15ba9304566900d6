"""Which charge of the account belongs to which call of the job: by the request's name, else by amount and time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from venice_batch.plan.money import micros
from venice_batch.state import CallRow
from venice_batch.venice.usage import UsageRow

By = Literal["request id", "amount and time"]

#: An amount of the account's ledger may have gone through floating point: less than this above a price is noise.
_NOISE = Decimal("1e-9")
#: Seconds after its begin in which a call of a killed run may have been charged. Without an end it would be
#: matched with the charges of a whole run, made by others.
_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class Match:
    """A call with what was charged for it.

    Attributes:
        call: of the job's ledger.
        rows: of the account's; several only where one request was booked in parts that make up its price.
        by: how they were found to belong together; None without a row.
        instead: ledger numbers of calls without a charge that the row fits as well.
    """

    call: CallRow
    rows: tuple[UsageRow, ...]
    by: By | None
    instead: tuple[int, ...] = ()

    @property
    def charged(self) -> Decimal:
        """What was taken, in US dollars."""
        return charged(self.rows)

    @property
    def differs(self) -> bool:
        """Whether another amount was charged than the catalogue had said."""
        return _in_micros(self.charged) != self.call.micros


@dataclass(frozen=True, slots=True)
class ExtraCharge:
    """One more charge for a call that was charged already; `instead` names other calls it could be for."""

    call: CallRow
    row: UsageRow
    by: By
    instead: tuple[int, ...] = ()


class ChargeMatcher:
    """Which charge belongs to which call; charges go by their place in time order, calls by their ledger number.

    Attributes:
        own: the charges of each call.
        owner: the call of each charge.
        shares_names: whether the name of some request stands in both ledgers.
    """

    def __init__(self, charges: Sequence[UsageRow], window: float) -> None:
        """Begin with nothing matched; `charges` are in order of time, `window` is in seconds."""
        self._charges = charges
        self._times = [row.timestamp.timestamp() for row in charges]
        self._window = window
        self.own: dict[int, list[int]] = {}
        self.owner: dict[int, CallRow] = {}
        self._by: dict[int, By] = {}
        self._skus: dict[tuple[object, ...], set[str]] = defaultdict(set)
        self.shares_names = False
        self._by_price = _by_price(charges, range(len(charges)))

    def match(self, call: CallRow) -> Match:
        """Return a call with its charges, if it has any."""
        rows = tuple(self._charges[row] for row in self.own.get(call.id, ()))
        return Match(call, rows, self._by.get(call.id))

    def by_request_id(self, calls: Sequence[CallRow]) -> None:
        """Give every call the charges that name its request, up to its price."""
        named: dict[str, list[int]] = defaultdict(list)
        for row, charge in enumerate(self._charges):
            if charge.request_id:
                named[charge.request_id].append(row)
        taken: set[int] = set()
        for call in calls:
            rows = named.pop(call.request_id or "", [])
            taken.update(rows)
            for row in self._up_to_its_price(call, rows):
                self._give(row, call, "request id")
                self._skus[_kind(call)].add(self._charges[row].sku)
        self.shares_names = bool(taken)
        # What names a request of ours is no other call's, also where it is one charge too many.
        self._by_price = _by_price(self._charges, (row for row in range(len(self._charges)) if row not in taken))

    def _up_to_its_price(self, call: CallRow, rows: Sequence[int]) -> list[int]:
        """Return the rows that make up one charge: a request may be booked in parts."""
        own: list[int] = []
        total = Decimal(0)
        for row in rows:
            charged = self._charges[row].charged
            if not own or _in_micros(total + charged) <= call.micros:
                own.append(row)
                total += charged
        return own

    def by_parts(self, calls: Sequence[CallRow]) -> None:
        """Give `calls` the rows of one request that make up their price together, where the ledgers share no names.

        Rows of one amount are no parts: a request that is booked twice is booked twice in full.
        """
        requests: dict[str, list[int]] = defaultdict(list)
        for row, charge in enumerate(self._charges):
            if charge.request_id and row not in self.owner:
                requests[charge.request_id].append(row)
        by_sum: dict[int, list[list[int]]] = defaultdict(list)
        for rows in requests.values():
            if len({self._charges[row].charged for row in rows}) == len(rows) > 1:
                by_sum[_in_micros(charged(self._charges[row] for row in rows))].append(rows)
        for call in sorted(calls, key=_expected_at):
            for rows in by_sum.get(call.micros, []):
                if len(self._in_time(call, rows)) == len(rows):
                    by_sum[call.micros].remove(rows)
                    for row in rows:
                        self._give(row, call, "amount and time")
                    break
        # A part alone is no charge of another call.
        self._by_price = _by_price(self._charges, (row for row in range(len(self._charges)) if row not in self.owner))

    def by_amount(self, calls: Sequence[CallRow]) -> None:
        """Give as many of `calls` as possible a charge of their price and time, the nearest where there is a choice."""
        left = []
        for call in sorted((call for call in calls if call.id not in self.own), key=_expected_at):
            free = [row for row in self.fitting(call) if row not in self.owner]
            if free:
                self._give(self._nearest(free, call), call, "amount and time")
            else:
                left.append(call)
        exhausted: set[int] = set()
        for call in left:
            self._reassign(call, exhausted)

    def _nearest(self, rows: Sequence[int], call: CallRow) -> int:
        at = _expected_at(call)
        return min(rows, key=lambda row: abs(self._times[row] - at))

    def _reassign(self, call: CallRow, exhausted: set[int]) -> None:
        """Find `call` a charge by moving others to another one that fits them (an augmenting path).

        Args:
            call: has none.
            exhausted: charges from which no path leads to a free one; kept from call to call, so that all searches
                together visit every charge once.
        """
        reached: dict[int, CallRow] = {}
        queue = deque([call])
        while queue:
            current = queue.popleft()
            for row in self.fitting(current):
                if row in reached or row in exhausted:
                    continue
                reached[row] = current
                if row not in self.owner:
                    self._apply_path(row, reached)
                    return
                queue.append(self.owner[row])
        exhausted.update(reached)

    def _apply_path(self, row: int, reached: Mapping[int, CallRow]) -> None:
        before: list[int] | None = [row]
        while before:
            call = reached[before[0]]
            given, before = before[0], self.own.get(call.id)
            self._give(given, call, "amount and time", only=True)

    def fitting(self, call: CallRow) -> Iterator[int]:
        """Yield the charges of the call's price that were booked in its time, in order of time."""
        known = self._skus.get(_kind(call))
        # Names of requests that are the vendor's in one ledger and the network's in the other say nothing; but once one
        # name was found in both, a charge under another name than that of a call's only request is another call's.
        without_id_only = self.shares_names and bool(call.request_id) and call.attempts == 1
        for row in self._in_time(call, self._by_price.get(call.micros, ())):
            charge = self._charges[row]
            if (not known or charge.sku in known) and not (without_id_only and charge.request_id):
                yield row

    def _in_time(self, call: CallRow, rows: Sequence[int]) -> Sequence[int]:
        first = bisect_left(rows, _began(call) - self._window, key=self._times.__getitem__)
        last = bisect_right(rows, _ended(call) + self._window, key=self._times.__getitem__)
        return rows[first:last]

    def split_rest(self, charged: Sequence[CallRow]) -> tuple[list[ExtraCharge], list[UsageRow]]:
        """Split the charges without a call into extra charges of `charged` calls and those of no call of this job."""
        unowned = [row for row in range(len(self._charges)) if row not in self.owner]
        names = {self._charges[row].request_id: call for row, call in self.owner.items()}
        candidates = self._candidates(charged, unowned)
        extra: list[ExtraCharge] = []
        unmatched: list[UsageRow] = []
        for row in unowned:
            charge = self._charges[row]
            if charge.request_id and charge.request_id in names:
                extra.append(ExtraCharge(names[charge.request_id], charge, "request id"))
            elif candidates[row]:
                nearest, *others = _nearest_first(candidates[row], self._times[row])
                extra.append(ExtraCharge(nearest, charge, "amount and time", tuple(call.id for call in others)))
            else:
                unmatched.append(charge)
        return extra, unmatched

    def _candidates(self, charged: Sequence[CallRow], unowned: Sequence[int]) -> dict[int, list[CallRow]]:
        """Find for each charge without a call the calls for which it may be a second one: same SKU, amount and time."""
        by_price = _by_price(self._charges, unowned)
        found: dict[int, list[CallRow]] = defaultdict(list)
        for call in charged:
            first = self._charges[self.own[call.id][0]]
            for row in self._in_time(call, by_price.get(_in_micros(first.charged), ())):
                charge = self._charges[row]
                # Two names are two requests, and only a call that was repeated made several.
                other_id = first.request_id and charge.request_id and call.attempts <= 1
                if charge.sku == first.sku and not other_id:
                    found[row].append(call)
        return found

    def _give(self, row: int, call: CallRow, by: By, *, only: bool = False) -> None:
        self.owner[row] = call
        self._by[call.id] = by
        self.own[call.id] = [row] if only else [*self.own.get(call.id, ()), row]


def _by_price(charges: Sequence[UsageRow], rows: Iterable[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        found[_in_micros(charges[row].charged)].append(row)
    return dict(found)


def _nearest_first(calls: Sequence[CallRow], at: float) -> list[CallRow]:
    return sorted(calls, key=lambda call: abs(_expected_at(call) - at))


def _kind(call: CallRow) -> tuple[object, ...]:
    """What is sold under one SKU: calls that ask for the same thing at the same price."""
    return call.step, call.endpoint, call.model, call.micros


def _began(call: CallRow) -> float:
    return call.reserved_at if call.begun_at is None else call.begun_at


def _ended(call: CallRow) -> float:
    """When a call was over; one of a killed run was settled by a later start, perhaps days after."""
    at_most = _began(call) + _LONGEST if _never_ended(call) else float("inf")
    return at_most if call.ended_at is None else min(call.ended_at, at_most)


def _never_ended(call: CallRow) -> bool:
    """Whether the run of this call was killed, or is under way: attempts are recorded when a call ends."""
    return call.attempts == 0


def _expected_at(call: CallRow) -> float:
    """When a call's charge is likely to be booked: with its answer. When the loss of one was noticed says little."""
    if call.ended_at is None or call.fate != "spent" or _never_ended(call):
        return _began(call)
    return call.ended_at


def _in_micros(amount: Decimal) -> int:
    """Return US dollars in millionths, rounded up as the price of a reservation is."""
    return micros(amount - _NOISE)


def charged(rows: Iterable[UsageRow]) -> Decimal:
    """Return what the rows took together, in US dollars."""
    return sum((row.charged for row in rows), Decimal(0))
