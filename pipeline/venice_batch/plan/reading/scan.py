"""One pass over the source: items to do, invalid ones and those that wait are kept, the others only counted.

A source may hold millions of inputs that need nothing. So inputs are taken in batches, the manifest is asked for a
batch at a time, and of an item that is done nothing stays but hashes of its key and of its files' names.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from venice_batch.plan.expand import ExpandedItem, Expander
from venice_batch.plan.hash_bag import HashBag
from venice_batch.plan.model import Candidate, PlannedItem
from venice_batch.plan.naming import collision_key
from venice_batch.plan.reading.prefetch import in_order
from venice_batch.plan.selection import DONE, NEW, ItemStatus, Selection
from venice_batch.state import State
from venice_batch.state.manifest import MOST_KEYS
from venice_batch.storage import Store

#: So many files of a bucket are asked for one by one before it is listed: a page of a listing takes as long as some
#: ten of these, sixteen at a time, and a shared output may hold far more than this job's files.
_FEW = 100


class ExistingOutputs:
    """The finished files that exist: asked of a folder one by one, of a bucket by one listing of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._requested = 0
        self._listed: HashBag | None = None

    def exist(self, names: Sequence[str]) -> list[bool]:
        """Return for each path, relative to the output, whether there is a file.

        Raises:
            Unavailable: the output cannot be reached.
            SourceError: the bucket cannot be listed.
        """
        if not self._store.is_remote:
            return [self._store.stat(name) is not None for name in names]
        self._requested += len(names)
        if self._listed is None and self._requested <= _FEW:
            return [entry is not None for _, entry in in_order(self._store.stat, names)]
        if self._listed is None:
            self._listed = HashBag()
            for entry in self._store.list():
                self._listed.add(entry.key)
        # By a false positive, once in 10**8 plans, a deleted file would not be written again this time.
        return [name in self._listed for name in names]


class SourceScan:
    """One pass over the source, and what it found.

    Attributes:
        items: all but those that are done or left out, in the order of the source.
        done: how many need nothing.
        present: how many of the manifest's items, those marked as vanished aside, are in the source.
        keys: key and variant of every item met.
        names: every finished file that an item produces.
        skipped: keys of the items that their rows say to leave out.
    """

    def __init__(
        self, candidates: Callable[[], Iterator[Candidate]], expander: Expander, selection: Selection, job: str
    ) -> None:
        """Read nothing yet; `candidates` begins the listing anew at each call, `job` is the name in the manifest."""
        self.items: deque[PlannedItem] = deque()
        self.done = self.present = 0
        self.keys, self.names = HashBag(), HashBag()
        self.skipped: list[str] = []
        self._candidates, self._expander, self._selection, self._job = candidates, expander, selection, job

    def run(self, state: State, outputs: ExistingOutputs) -> None:
        """Go through the source once; a second time only if an item that is done shares its name with another.

        Raises:
            SourceError: the source cannot be read.
            Unavailable: source, manifest or output cannot be reached.
        """
        source, written = self._candidates(), HashBag()
        while batch := list(islice(source, MOST_KEYS)):
            for item, status in self._with_status(batch, state, outputs):
                self.keys.add((item.candidate.key, item.variant))
                for name in item.outputs:
                    self.names.add(name)
                    if not item.skipped:
                        written.add(collision_key(name))
                if item.skipped:
                    self.skipped.append(item.candidate.key)
                elif status is DONE:
                    self.done += 1
                elif status is not None:
                    self.items.append(self._expander.planned(item, status))
        if repeated := written.repeated():
            self._mark_collisions(repeated)

    def _with_status(
        self, batch: Sequence[Candidate], state: State, outputs: ExistingOutputs
    ) -> list[tuple[ExpandedItem, ItemStatus | None]]:
        """Return the items of a batch with the status of each; None: left out of the plan by the command line."""
        rows = {(row.key, row.variant): row for row in state.rows_of(self._job, [each.key for each in batch])}
        found: list[tuple[ExpandedItem, ItemStatus | None]] = []
        for candidate in batch:
            for item in self._expander.items(candidate):
                row = rows.get((candidate.key, item.variant))
                self.present += row is not None and row.state != "vanished"
                status = None
                if not (item.skipped or self._selection.excludes(candidate, row)):
                    status = item.problem or self._selection.status(row, item.candidate.version, item.fingerprint)
                found.append((item, status))
        finished = [name for item, status in found if status is DONE for name in item.outputs]
        exist = iter(outputs.exist(finished)) if finished else iter(())
        # As many answers are taken for each item as it has files, also behind the first that is missing.
        return [
            (item, NEW if status is DONE and False in list(islice(exist, len(item.outputs))) else status)
            for item, status in found
        ]

    def _mark_collisions(self, repeated: Mapping[int, int]) -> None:
        """Make all items invalid whose names collide, also those that are done and were not kept."""
        kept = [collision_key(name) for item in self.items for name in item.outputs]
        counts = Counter(hash(name) for name in kept)
        done: list[ExpandedItem] = []
        if any(counts[hashed] < number for hashed, number in repeated.items()):
            known = {(item.key, item.variant) for item in self.items}
            again = ((item, (item.candidate.key, item.variant)) for item in self._with_names(repeated))
            # What came between the two listings is in neither: it is the next run's.
            done = [item for item, identity in again if identity not in known and identity in self.keys]
        users = Counter([*kept, *(collision_key(name) for item in done for name in item.outputs)])
        for item in list(self.items):
            self.items.popleft()
            name = _colliding_name(item, users)
            self.items.append(_collision(item, name) if name else item)
        for each in done:
            name = _colliding_name(each, users)
            if name and not self._selection.excludes(each.candidate, None):
                self.items.append(_collision(self._expander.planned(each, DONE), name))
                self.done -= 1

    def _with_names(self, repeated: Mapping[int, int]) -> Iterator[ExpandedItem]:
        """Go through the source again and yield the items whose name more than one has."""
        for candidate in self._candidates():
            for item in self._expander.items(candidate):
                if not item.skipped and any(hash(collision_key(name)) in repeated for name in item.outputs):
                    yield item


def _colliding_name(item: ExpandedItem | PlannedItem, users: Counter[str]) -> str:
    """Return the first of the item's names that another item has, too; empty: none."""
    return next((name for name in item.outputs if users[collision_key(name)] > 1), "")


def _collision(item: PlannedItem, name: str) -> PlannedItem:
    reason = f"another input would be written to {name!r} too; rename one of them or change `output.name`"
    return replace(item, status="invalid", code="collision", reason=reason, left_as="")
