"""Which finished files exist, and whose they are: ours by the hash of what was written, whatever their time says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from venice_batch.errors import ItemError, OutputError
from venice_batch.plan.hash_bag import HashBag
from venice_batch.plan.reading.prefetch import AT_ONCE, in_order
from venice_batch.plan.reading.probe import file_hash
from venice_batch.state import OutputRow
from venice_batch.storage import Changed, Entry, Store

#: missing: there is none · ours: as it was written · edited: ours, with other bytes · unrecorded: a name that this job
#: meant to write, and never recorded as written · foreign: not ours.
FileStatus = Literal["missing", "ours", "edited", "unrecorded", "foreign"]
#: Returns what is known of files that the job writes or wrote, by their paths.
FindOwners = Callable[[Sequence[str]], Mapping[str, OutputRow]]

#: So many files of a bucket are asked for one by one before it is listed: a page of a listing takes as long as some
#: ten of these, sixteen at a time, and a shared output may hold far more than this job's files.
_FEW = 100
#: The version of a file that was seen in a listing.
_LISTED = "listed"


class FinishedFiles:
    """The finished files that exist: asked of a folder one by one, of a bucket by one listing of it.

    Attributes:
        adopted: files with our bytes in another version (a backup that was brought back), as they are now.
    """

    def __init__(self, store: Store, find_owners: FindOwners) -> None:
        self.adopted: list[OutputRow] = []
        self._store = store
        self._find_owners = find_owners
        self._requested = 0
        self._listed: HashBag | None = None
        self._versions = HashBag()

    def look(self, names: Sequence[str]) -> list[FileStatus]:
        """Return for each path, relative to the output, whether there is a file, and whose.

        Raises:
            Unavailable: the output cannot be reached.
            SourceError: the bucket cannot be listed.
        """
        versions = dict(zip(names, self._versions_of(names), strict=True))
        found: dict[str, FileStatus] = dict.fromkeys(names, "missing")
        doubtful: list[OutputRow] = []
        rows = self._find_owners([name for name, version in versions.items() if version is not None])
        for name, version in versions.items():
            if version is None:
                continue
            row = rows.get(name)
            if row is None or row.version is None:
                found[name] = "foreign" if row is None else "unrecorded"
            elif version == row.version or (version is _LISTED and (name, row.version) in self._versions):
                found[name] = "ours"
            else:
                doubtful.append(row)
        for row, there in in_order(self._with_our_bytes, doubtful, AT_ONCE if self._store.is_remote else 1):
            found[row.path] = "edited" if there is None else "ours"
            if there is not None:
                self.adopted.append(replace(row, version=there.version))
        return [found[name] for name in names]

    def obstacle(self, names: Sequence[str]) -> ItemError | None:
        """Return why one of these files cannot be put where it belongs, such as a link that leads elsewhere."""
        try:
            for name in names:
                self._store.check_target(name)
        except OutputError as error:
            return ItemError("output", error.message, remedy=error.remedy, lasting=False)
        return None

    def _versions_of(self, names: Sequence[str]) -> list[str | None]:
        if not self._store.is_remote:
            return [None if (entry := self._store.stat(name)) is None else entry.version for name in names]
        self._requested += len(names)
        if self._listed is None and self._requested <= _FEW:
            return [None if entry is None else entry.version for _, entry in in_order(self._store.stat, names)]
        if self._listed is None:
            self._listed = HashBag()
            for entry in self._store.list():
                self._listed.add(entry.key)
                self._versions.add((entry.key, entry.version))
        # By a false positive, once in 10**8 plans, a deleted file would not be written again this time.
        return [_LISTED if name in self._listed else None for name in names]

    def _with_our_bytes(self, row: OutputRow) -> Entry | None:
        there = self._store.stat(row.path)
        return there if there is not None and has_our_bytes(self._store, row, there) else None


def has_our_bytes(output: Store, row: OutputRow, there: Entry) -> bool:
    """Whether a finished file is what was written; it is read only where its version is another one.

    Args:
        output: where it lies.
        row: what the manifest knows of it.
        there: the file as it is now.
    """
    if row.version is None or row.version == there.version:
        return row.version is not None
    with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
        try:
            if output.is_remote:
                return output.read(row.path, Path(scratch, "copy"), there.version) == row.sha256
            return file_hash(output.peek(row.path, Path(scratch, "copy"), there.size)) == row.sha256
        except (Changed, ItemError, OSError):
            # Gone, or not to be read: whatever it is, it is not known to be ours.
            return False
