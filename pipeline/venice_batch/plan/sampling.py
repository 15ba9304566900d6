"""What a sample takes: the ends of the list, the extremes of size, then others in a repeatable random order."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence

from venice_batch.plan.model import TO_DO, PlannedItem
from venice_batch.plan.pricing import Pricer


def draw(
    pricer: Pricer, items: Sequence[PlannedItem], count: int, seed: str
) -> tuple[tuple[PlannedItem, ...], deque[PlannedItem]]:
    """Price a sample of at most `count` items to do, however many turn out to be invalid on the way.

    `pricer` has priced nothing yet; the same `seed` draws the same sample of the same `items`.

    Returns:
        The items of the plan, priced and in the order of the source: the sample, and the items with nothing to do; and
        the items to do that it leaves for later, not priced.
    """
    place = {_identity(item): number for number, item in enumerate(items)}
    to_do = [item for item in items if item.status in TO_DO]
    others = [item for item in items if item.status not in TO_DO]
    sample = list(pricer.priced(deque(sampling_order(to_do, seed)), count))
    drawn = {_identity(item) for item in sample}
    later = deque(item for item in to_do if _identity(item) not in drawn)
    return tuple(sorted([*sample, *others], key=lambda item: place[_identity(item)])), later


def sampling_order(items: Sequence[PlannedItem], seed: str) -> list[PlannedItem]:
    """Return all items in the order in which samples take them: first, last, largest, smallest, the others shuffled."""
    if not items:
        return []
    largest = max(items, key=lambda item: item.candidate.size)
    smallest = min(items, key=lambda item: item.candidate.size)
    shuffled = sorted(items, key=lambda item: _rank(seed, item))
    # Of an item that comes twice, the first place counts.
    return list({_identity(item): item for item in (items[0], items[-1], largest, smallest, *shuffled)}.values())


def _rank(seed: str, item: PlannedItem) -> bytes:
    # An item's rank depends on nothing but itself: what is added to the source does not shuffle the rest.
    text = f"{seed}\0{item.key}\0{item.variant}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _identity(item: PlannedItem) -> tuple[str, int]:
    return item.key, item.variant
