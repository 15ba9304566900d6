"""Finds and deletes stored results that nobody needs; what a done item needs to be written again is never one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from venice_batch.errors import Unavailable
from venice_batch.run.gc.mark import JobInputs, mark
from venice_batch.state import ResultGone, State
from venice_batch.state.results import Facts, Stored

#: Results of one commit, and requests to a store at a time.
_GROUP, _AT_ONCE = 500, 16


@dataclass(frozen=True, slots=True)
class UnusedResult:
    """A result that nobody needs.

    Attributes:
        stored: the file or object.
        last_used: Unix seconds.
        usd: what it had cost at catalogue prices; 0 where that is not known.
        item: one that it was bought for, empty where the ledger names none.
    """

    stored: Stored
    last_used: float
    usd: Decimal
    item: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """What was found among the results.

    Attributes:
        unused: what can go, largest first.
        needed: how many durable results items need or may need.
        spared: how many nobody needs, but which are too young or too small to go.
        unclear: how many items were spared with all that was ever bought for their bytes.
        unknown: how many of these are of unknown bytes, so that no result could go at all.
    """

    unused: tuple[UnusedResult, ...]
    needed: int
    spared: int
    unclear: int
    unknown: int

    @property
    def bytes(self) -> int:
        """How many bytes can go."""
        return sum(each.stored.bytes for each in self.unused)

    @property
    def usd(self) -> Decimal:
        """What buying the durable results among them again would cost, at the prices that were paid."""
        return sum((each.usd for each in self.unused if each.stored.bad is None), Decimal(0))


def find_garbage(
    state: State, jobs: Iterable[JobInputs], now: float, *, older_than: float, larger_than: int = 0
) -> Garbage:
    """Return what can go; changes nothing.

    Args:
        state: what is known.
        jobs: those that are given, each for the API host whose results these are, and with its source, listed now;
            what other jobs of the state may need is spared.
        now: Unix seconds.
        older_than: seconds for which no item of any job may have used it.
        larger_than: bytes; smaller ones stay.

    Raises:
        SourceError: a source cannot be read: nothing can be said of what its items need.
        Unavailable: a store cannot be reached.
    """
    marked = mark(state, jobs)
    uses = _Uses(state, marked.sources)
    kept = {_call(key) for key in marked.keys} | uses.spared
    unused: list[UnusedResult] = []
    needed = spared = 0
    for stored in state.results.stored():
        # An answer that was set aside is not used by any item, only to support.
        if stored.bad is None and (marked.unknown or _call(stored.key) in kept):
            needed += 1
            continue
        each = uses.unused_result(stored)
        if now - each.last_used < older_than or stored.bytes < larger_than:
            spared += 1
        else:
            unused.append(each)
    unused.sort(key=lambda each: (-each.stored.bytes, each.stored.key))
    return Garbage(tuple(unused), needed, spared, marked.unclear, marked.unknown)


def sweep(state: State, unused: Iterable[UnusedResult]) -> None:
    """Delete results for good; only for the holder of the lease.

    The manifest forgets them first: what a crash leaves behind is a file that the next time finds again, never a name
    without a result.

    Raises:
        LeaseLost: another run holds the state.
        Unavailable, OSError: something could not be removed.
    """
    source = iter(unused)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while group := [each.stored for each in itertools.islice(source, _GROUP)]:
            state.lease.check()
            state.commit([ResultGone(stored.key) for stored in group if stored.bad is None])
            list(pool.map(state.results.remove, group))


class _Uses:
    """What results were bought and used for, by call.

    Attributes:
        spared: calls whose results were used for the sources given.
    """

    def __init__(self, state: State, sources: set[str]) -> None:
        self.spared: set[str] = set()
        self._state = state
        self._used: defaultdict[str, float] = defaultdict(float)
        self._item = {_call(result): key for result, key in state.bought_for()}
        for each in state.result_uses():
            call = _call(each.result)
            if each.source in sources:
                self.spared.add(call)
            self._used[call] = max(self._used[call], each.at)

    def unused_result(self, stored: Stored) -> UnusedResult:
        """Return what is known of a result that nobody needs."""
        facts, call = self._facts(stored), _call(stored.key)
        at = facts.get("at")
        bought = float(at) if isinstance(at, int | float) else stored.modified
        try:
            usd = Decimal(str(facts.get("price_usd") or 0))
        except InvalidOperation:
            usd = Decimal(0)
        return UnusedResult(stored, max(bought, self._used.get(call, 0.0)), usd, self._item.get(call, ""))

    def _facts(self, stored: Stored) -> Facts:
        if stored.bad is not None:
            return {}
        try:
            result = self._state.results.find(stored.key)
        except Unavailable:
            return {}  # damaged, and needed by nobody: it may go like any other
        return {} if result is None else result.facts


def _call(result: str) -> str:
    """Return what all pictures of one answer have in common: the ledger names one of them for all."""
    return result.partition(".")[0]
