"""One pass over the source: what is to be done, what cannot be, and what is left alone is kept; the rest is counted.

A source may hold millions of inputs that need nothing. So inputs are taken in batches, the manifest is asked for a
batch at a time, and of an item that is done nothing stays but hashes of its key and of its file's name.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from venice_batch.plan.expand import Expander, Named
from venice_batch.plan.hash_bag import HashBag
from venice_batch.plan.model import PlannedItem
from venice_batch.plan.naming import collision_key
from venice_batch.plan.outputs import Outputs
from venice_batch.plan.selection import DONE, NEW, ItemStatus, Selection
from venice_batch.plan.sources import Candidate
from venice_batch.state import ItemRow, State
from venice_batch.state.manifest import MOST_KEYS


@dataclass
class SourceScan:
    """What the pass found.

    Attributes:
        items: all but those that are done or left out, in the order of the source.
        done: how many need nothing.
        present: how many of the manifest's items, those marked as vanished aside, were met.
        keys: key and variant of every item met.
        names: every finished file that an item produces.
        skipped: keys of the items that their rows say to leave out.
    """

    items: deque[PlannedItem] = field(default_factory=deque)
    done: int = 0
    present: int = 0
    keys: HashBag = field(default_factory=HashBag)
    names: HashBag = field(default_factory=HashBag)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScanInputs:
    """What the pass is made with.

    Attributes:
        job: the job's name in the manifest.
        candidates: begins the listing anew at each call.
        expander: makes items of inputs.
        selection: decide where they stand.
        state: the manifest.
        outputs: tells whether finished files are there.
    """

    job: str
    candidates: Callable[[], Iterator[Candidate]]
    expander: Expander
    selection: Selection
    state: State
    outputs: Outputs


def scan_source(inputs: ScanInputs) -> SourceScan:
    """Go through the source once; a second time only if an item that is done shares its name with another.

    Raises:
        SourceError: the source cannot be read.
        Unavailable: source, manifest or output cannot be reached.
    """
    scan, shared = SourceScan(), HashBag()
    for batch in _batches(inputs.candidates()):
        for item, status in _judged(inputs, batch, scan):
            scan.keys.add((item.candidate.key, item.variant))
            for name in item.outputs:
                scan.names.add(name)
                if not item.skipped:
                    shared.add(collision_key(name))
            if item.skipped:
                scan.skipped.append(item.candidate.key)
            elif status is DONE:
                scan.done += 1
            elif status is not None:
                scan.items.append(inputs.expander.planned(item, status))
    _mark_collisions(inputs, scan, shared.repeated())
    return scan


def _batches(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    source = iter(candidates)
    while batch := list(islice(source, MOST_KEYS)):
        yield batch


def _judged(inputs: ScanInputs, batch: Sequence[Candidate], scan: SourceScan) -> list[tuple[Named, ItemStatus | None]]:
    """Return the items of a batch with where they stand; None: left out of the plan by a wish."""
    rows = {(row.key, row.variant): row for row in inputs.state.rows_of(inputs.job, [each.key for each in batch])}
    judged: list[tuple[Named, ItemStatus | None]] = []
    for candidate in batch:
        for item in inputs.expander.items(candidate):
            row = rows.get((candidate.key, item.variant))
            scan.present += row is not None and row.state != "vanished"
            judged.append((item, _judge(inputs.selection, item, row)))
    finished = [name for item, status in judged if status is DONE for name in item.outputs]
    there = iter(inputs.outputs.have(finished)) if finished else iter(())
    # As many answers are taken for each item as it has files, also behind the first that is missing.
    return [
        (item, NEW if status is DONE and False in list(islice(there, len(item.outputs))) else status)
        for item, status in judged
    ]


def _judge(selection: Selection, item: Named, row: ItemRow | None) -> ItemStatus | None:
    if item.skipped or selection.leave_out(item.candidate, row):
        return None
    return item.problem or selection.judge(row, item.candidate.version, item.fingerprint)


def _mark_collisions(inputs: ScanInputs, scan: SourceScan, repeated: dict[int, int]) -> None:
    """Make all items invalid whose names collide, also those that are done and were not kept."""
    if not repeated:
        return
    kept = [collision_key(name) for item in scan.items for name in item.outputs]
    met = Counter(hash(name) for name in kept)
    forgotten: list[Named] = []
    if any(met[trace] < number for trace, number in repeated.items()):
        known = {(item.key, item.variant) for item in scan.items}
        again = ((item, (item.candidate.key, item.variant)) for item in _sharing(inputs, repeated))
        # What came between the two listings was judged by neither: it is the next run's.
        forgotten = [item for item, identity in again if identity not in known and identity in scan.keys]
    shared = Counter([*kept, *(collision_key(name) for item in forgotten for name in item.outputs)])
    for item in list(scan.items):
        scan.items.popleft()
        name = _contested(item, shared)
        scan.items.append(_clash(item, name) if name else item)
    for lost in forgotten:
        name = _contested(lost, shared)
        if name and not inputs.selection.leave_out(lost.candidate, None):
            scan.items.append(_clash(inputs.expander.planned(lost, DONE), name))
            scan.done -= 1


def _contested(item: Named | PlannedItem, shared: Counter[str]) -> str:
    """Return the first of the item's names that another item has, too; empty: none."""
    return next((name for name in item.outputs if shared[collision_key(name)] > 1), "")


def _sharing(inputs: ScanInputs, repeated: dict[int, int]) -> Iterator[Named]:
    """Go through the source again and yield the items whose name more than one has."""
    for candidate in inputs.candidates():
        for item in inputs.expander.items(candidate):
            if not item.skipped and any(hash(collision_key(name)) in repeated for name in item.outputs):
                yield item


def _clash(item: PlannedItem, name: str) -> PlannedItem:
    reason = f"another input would be written to {name!r} too; rename one of them or change `output.name`"
    return replace(item, standing="invalid", code="collision", reason=reason, left_as="")
