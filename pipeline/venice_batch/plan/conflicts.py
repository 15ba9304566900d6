"""Finished files that are not this job's, or not as it left them: their items are held before anything is paid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from venice_batch.errors import ItemError
from venice_batch.job.model import Existing
from venice_batch.plan.model import PlannedItem, PlanWarning, first_few
from venice_batch.plan.selection import ItemStatus

_REMEDY = "move it away, or set `output.existing` to replace or skip"
_TOLD = 20
#: Codes of items whose finished files cannot be written, and what stands in the way.
_IN_THE_WAY = {
    "exists": "in the output already and not this job's",
    "edited": "changed by somebody since this job wrote them",
    "output": "not writable where they belong",
}
_EDITED = {"replace": "they are written again", "skip": "they stay, and are this job's no more", "fail": ""}


def taken(name: str) -> ItemError:
    """Return the error of an item whose finished file has the name of somebody else's."""
    told = f"{name} is in the output already and is not this job's file"
    return ItemError("exists", told, remedy=_REMEDY, lasting=False)


def edited(name: str) -> ItemError:
    """Return the error of an item whose finished file somebody changed."""
    return ItemError("edited", f"{name} was changed by somebody since it was written", remedy=_REMEDY, lasting=False)


def held(error: ItemError) -> ItemStatus:
    """Return the status of an item that waits until its file is out of the way: it failed, and is looked at again."""
    return ItemStatus("invalid", error.code, error.told, "failed")


def settled(item: PlannedItem, existing: Existing) -> PlannedItem:
    """Return a priced item as it is when its name is taken: what would be bought for it could not be published."""
    if not item.taken or not item.cost.high:
        return item
    if existing == "skip":
        return replace(item, status="done", code="exists", reason=f"{item.taken} was there and stays")
    status = held(taken(item.taken))
    return replace(item, status=status.status, code=status.code, reason=status.reason, left_as=status.left_as)


def told(items: Iterable[PlannedItem]) -> Iterator[str]:
    """Yield a line for each item that is held because of its finished file, up to a number."""
    found = [item for item in items if _is_held(item)]
    yield from (f"failed: {item.name}: {item.reason}" for item in found[:_TOLD])
    if len(found) > _TOLD:
        yield f"failed: and {len(found) - _TOLD:,} more; `venice-batch items JOB --state failed` lists them"


def _is_held(item: PlannedItem) -> bool:
    return item.status == "invalid" and item.left_as == "failed"


def of_outputs(items: Iterable[PlannedItem], changed: Sequence[str], existing: Existing) -> Iterator[PlanWarning]:
    """Yield how many finished files are in the way of the plan, and what becomes of those that somebody changed."""
    found: dict[str, list[str]] = {code: [] for code in _IN_THE_WAY}
    for item in items:
        if _is_held(item):
            found[item.code].append(item.name)
    for code, names in found.items():
        if names:
            told = f"finished files of {len(names):,} items are {_IN_THE_WAY[code]} ({first_few(names)})"
            yield PlanWarning(f"output-{code}", f"{told}: nothing is bought for them; {_REMEDY.replace('it', 'them')}")
    if changed and existing != "fail":
        told = (
            f"{len(changed):,} finished files were changed by somebody since they were written ({first_few(changed)})"
        )
        yield PlanWarning("output-edited", f"{told}: {_EDITED[existing]} (output.existing: {existing})")
