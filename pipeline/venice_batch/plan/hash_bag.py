"""A set of hashes of 8 bytes each, for items of which nothing else is kept: memory stays flat over millions."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable
from itertools import groupby

#: Sorting makes objects of what it sorts: a part at a time, so that the whole never exists twice. A power of two.
_PARTS = 64


class HashBag:
    """Hashes of values, with repeats: filled first, searched afterwards.

    Two values share a hash once in about 10**8 bags of a million values, and hashes differ from process to process, so
    that no key can be made to collide with another's. A caller must tolerate a false positive.
    """

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]
        self._sorted = True

    def add(self, value: Hashable) -> None:
        """Add one value."""
        hashed = hash(value)
        self._parts[hashed & (_PARTS - 1)].append(hashed)
        self._sorted = False

    def __contains__(self, value: Hashable) -> bool:
        """Whether `value` was added: False is certain."""
        if not self._sorted:
            self._sort()
        hashed = hash(value)
        part = self._parts[hashed & (_PARTS - 1)]
        place = bisect_left(part, hashed)
        return place < len(part) and part[place] == hashed

    def repeated(self) -> dict[int, int]:
        """Return the hashes that were added more than once, with their number."""
        if not self._sorted:
            self._sort()
        runs = ((hashed, sum(1 for _ in run)) for part in self._parts for hashed, run in groupby(part))
        return {hashed: number for hashed, number in runs if number > 1}

    def _sort(self) -> None:
        for number, part in enumerate(self._parts):
            self._parts[number] = array("q", sorted(part))
        self._sorted = True
