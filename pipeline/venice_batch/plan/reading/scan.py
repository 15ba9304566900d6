"""One pass over the source: items to do, invalid ones and those that wait are kept, the others only counted.

A source may hold millions of inputs that need nothing. So inputs are taken in batches, the manifest is asked for a
batch at a time, and of an item that is done nothing stays but hashes of its key and of its files' names.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from venice_batch.job.model import Existing
from venice_batch.plan import conflicts
from venice_batch.plan.expand import ExpandedItem, Expander
from venice_batch.plan.hash_bag import HashBag
from venice_batch.plan.model import TO_DO, Candidate, PlannedItem
from venice_batch.plan.naming import collision_key
from venice_batch.plan.reading.finished_files import FileStatus, FinishedFiles
from venice_batch.plan.selection import DONE, NEW, ItemStatus, Selection
from venice_batch.state import State
from venice_batch.state.manifest import MOST_KEYS


class SourceScan:
    """One pass over the source, and what it found.

    Attributes:
        items: all but those that are done or left out, in the order of the source.
        done: how many need nothing.
        present: how many of the manifest's items, those marked as vanished aside, are in the source.
        keys: key and variant of every item met.
        names: every finished file that an item produces.
        skipped: keys of the items that their rows say to leave out.
        edited: finished files that somebody changed since they were written.
    """

    def __init__(
        self,
        candidates: Callable[[], Iterator[Candidate]],
        expander: Expander,
        selection: Selection,
        job: str,
        existing: Existing,
    ) -> None:
        """Read nothing yet; `candidates` begins the listing anew at each call, `job` is the name in the manifest.

        `existing` is the job's rule on finished files that are not as it left them.
        """
        self.items: deque[PlannedItem] = deque()
        self.done = self.present = 0
        self.keys, self.names = HashBag(), HashBag()
        self.skipped: list[str] = []
        self.edited: list[str] = []
        self._existing = existing
        self._candidates, self._expander, self._selection, self._job = candidates, expander, selection, job

    def run(self, state: State, files: FinishedFiles) -> None:
        """Go through the source once; a second time only if an item that is done shares its name with another.

        Raises:
            SourceError: the source cannot be read.
            Unavailable: source, manifest or output cannot be reached.
        """
        source, written = self._candidates(), HashBag()
        while batch := list(islice(source, MOST_KEYS)):
            for item, status, taken in self._with_status(batch, state, files):
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
                    self.items.append(replace(self._expander.planned(item, status), taken=taken))
        if repeated := written.repeated():
            self._mark_collisions(repeated)

    def _with_status(
        self, batch: Sequence[Candidate], state: State, files: FinishedFiles
    ) -> list[tuple[ExpandedItem, ItemStatus | None, str]]:
        """Return the items of a batch with the status of each, None where the command line leaves it out of the plan.

        With them the first of their finished files whose name is taken by somebody else's.
        """
        rows = {(row.key, row.variant): row for row in state.rows_of(self._job, [each.key for each in batch])}
        found: list[tuple[ExpandedItem, ItemStatus | None]] = []
        killed = {identity for identity, row in rows.items() if row.state in {"pending", "running"}}
        for candidate in batch:
            for item in self._expander.items(candidate):
                row = rows.get((candidate.key, item.variant))
                self.present += row is not None and row.state != "vanished"
                status = None
                if not (item.skipped or self._selection.excludes(candidate, row)):
                    status = item.problem or self._selection.status(row, item.candidate.version, item.fingerprint)
                found.append((item, status))
        wanted = [name for item, status in found if _writes(status) for name in item.outputs]
        seen = iter(files.look(wanted)) if wanted else iter(())
        return [
            (item, *self._checked(item, status, _resumable(killed, item, islice(seen, len(item.outputs))), files))
            if status is not None and _writes(status)
            else (item, status, "")
            for item, status in found
        ]

    def _checked(
        self, item: ExpandedItem, status: ItemStatus, seen: Sequence[FileStatus], files: FinishedFiles
    ) -> tuple[ItemStatus, str]:
        """Return the status of an item once its finished files were looked at, and the first that is not ours."""
        if status is DONE and all(each in {"ours", "unrecorded", "foreign"} for each in seen):
            return DONE, ""
        edited = [name for name, each in zip(item.outputs, seen, strict=True) if each == "edited"]
        self.edited += edited
        if edited and self._existing == "fail":
            return conflicts.held(conflicts.edited(edited[0])), ""
        if status is DONE:
            if self._existing == "skip" and "missing" not in seen:
                return DONE, ""
            status = NEW
        if obstacle := files.obstacle(item.outputs):
            return conflicts.held(obstacle), ""
        taken = [
            name for name, each in zip(item.outputs, seen, strict=True) if each in {"edited", "unrecorded", "foreign"}
        ]
        # What is skipped is skipped file by file: the item is bought for those that can be written.
        several = self._existing == "skip" and len(taken) < len(seen)
        return status, "" if self._existing == "replace" or not taken or several else taken[0]

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


def _writes(status: ItemStatus | None) -> bool:
    return status is DONE or (status is not None and status.status in TO_DO)


def _resumable(killed: Container[tuple[str, int]], item: ExpandedItem, seen: Iterator[FileStatus]) -> list[FileStatus]:
    """Return what was seen; a file whose run died between its put and its record is written again, or found equal."""
    unfinished = (item.candidate.key, item.variant) in killed
    return ["missing" if unfinished and each == "unrecorded" else each for each in seen]


def _colliding_name(item: ExpandedItem | PlannedItem, users: Counter[str]) -> str:
    """Return the first of the item's names that another item has, too; empty: none."""
    return next((name for name in item.outputs if users[collision_key(name)] > 1), "")


def _collision(item: PlannedItem, name: str) -> PlannedItem:
    reason = f"another input would be written to {name!r} too; rename one of them or change `output.name`"
    return replace(item, status="invalid", code="collision", reason=reason, left_as="")
