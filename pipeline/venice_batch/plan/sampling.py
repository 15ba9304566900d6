"""What a sample takes: the ends of the list, the extremes of size, then others by lots that always fall the same."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence

from venice_batch.plan.model import TO_DO, PlannedItem
from venice_batch.plan.pricing import Pricer


def draw(
    pricer: Pricer, items: Sequence[PlannedItem], count: int, seed: str
) -> tuple[tuple[PlannedItem, ...], deque[PlannedItem]]:
    """Price a sample, so that it comes to `count` items to do, however many turn out to be unusable on the way.

    Args:
        pricer: with nothing priced yet.
        items: as they stand, in the order of the source.
        count: of items to do, at most.
        seed: the same one draws the same sample of the same items.

    Returns:
        What the plan is of, priced and in the order of the source: the sample, and the items that nothing is to be done
        for anyway; and the items to do that it leaves for later, not priced.
    """
    place = {_identity(item): number for number, item in enumerate(items)}
    to_do = [item for item in items if item.standing in TO_DO]
    others = [item for item in items if item.standing not in TO_DO]
    taken = list(pricer.priced(deque(in_turn(to_do, seed)), count))
    met = {_identity(item) for item in taken}
    rest = deque(item for item in to_do if _identity(item) not in met)
    return tuple(sorted([*taken, *others], key=lambda item: place[_identity(item)])), rest


def in_turn(items: Sequence[PlannedItem], seed: str) -> list[PlannedItem]:
    """Return all items, the ones to look at first in front: first, last, largest, smallest, the others by lot."""
    if not items:
        return []
    largest = max(items, key=lambda item: item.candidate.size)
    smallest = min(items, key=lambda item: item.candidate.size)
    by_lot = sorted(items, key=lambda item: _lot(seed, item))
    # Of an item that comes twice, the first place counts.
    return list({_identity(item): item for item in (items[0], items[-1], largest, smallest, *by_lot)}.values())


def _lot(seed: str, item: PlannedItem) -> bytes:
    # An item's lot depends on nothing but itself: what is added to the source does not shuffle the rest.
    text = f"{seed}\0{item.key}\0{item.variant}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _identity(item: PlannedItem) -> tuple[str, int]:
    return item.key, item.variant
