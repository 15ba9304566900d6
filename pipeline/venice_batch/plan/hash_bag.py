"""Which texts were met, in 8 bytes each: what is kept of items that need nothing, so that memory stays flat."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable
from itertools import groupby

#: Sorting makes objects of what it sorts: a part at a time, so that the whole never exists twice. A power of two.
_PARTS = 64


class HashBag:
    """A bag of hashes: filled first, asked afterwards.

    Two values share a hash once in about 10**8 bags of a million values, and hashes differ from process to process, so
    that no key can be made to hit another's. Whoever asks must be able to live with a wrong yes.
    """

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]
        self._sorted = True

    def add(self, value: Hashable) -> None:
        """Put one value in."""
        trace = hash(value)
        self._parts[trace & (_PARTS - 1)].append(trace)
        self._sorted = False

    def __contains__(self, value: Hashable) -> bool:
        """Whether `value` was put in: a no is certain."""
        if not self._sorted:
            self._sort()
        trace = hash(value)
        part = self._parts[trace & (_PARTS - 1)]
        place = bisect_left(part, trace)
        return place < len(part) and part[place] == trace

    def repeated(self) -> dict[int, int]:
        """Return the hashes that were put in more than once, with their number."""
        if not self._sorted:
            self._sort()
        runs = ((trace, sum(1 for _ in run)) for part in self._parts for trace, run in groupby(part))
        return {trace: number for trace, number in runs if number > 1}

    def _sort(self) -> None:
        for number, part in enumerate(self._parts):
            self._parts[number] = array("q", sorted(part))
        self._sorted = True
