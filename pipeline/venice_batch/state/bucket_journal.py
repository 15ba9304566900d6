"""The manifest of a state in a bucket: numbered journal objects, and snapshots of what they amount to.

Each commit is one object under the next number, put under the condition that there is none yet; so a holder whose lease
was taken over cannot add to the journal of the next one. A snapshot is named for the last object that is in it. What it
makes superfluous is removed only once it is durable, and then the snapshot before it still stays, with the journal
that leads from it to this one: a snapshot that turns out to be damaged costs nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from venice_batch.errors import ItemError, LeaseLost, Unavailable
from venice_batch.state import journal, schema, snapshot
from venice_batch.state.events import Event, apply
from venice_batch.state.store_retry import StoreRetry
from venice_batch.storage import Changed, Exists, StateStore

#: Requests at once where there are many, and so many of their answers in memory.
_AT_ONCE, _BATCH = 16, 256
_TRIES = 5


@dataclass(frozen=True, slots=True)
class SnapshotThreshold:
    """How much journal there may be behind the last snapshot; when either is reached, a new one is due.

    Attributes:
        objects: each takes a request when the state is opened.
        size: bytes; also bounded below by twice the last snapshot's size, so that large states are not written
            over and over.
    """

    objects: int
    size: int


#: At the start and end of a run, and while it is under way: then the driver has to wait for it.
AT_REST = SnapshotThreshold(64, 1 << 20)
ALWAYS = SnapshotThreshold(0, 0)
UNDER_WAY = SnapshotThreshold(5000, 8 << 20)


class BucketJournal:
    """Journal and snapshots below one prefix, for one opening of the state.

    Attributes:
        number: of the last journal object.
        whole: whether every object was there and in order when it was loaded.
    """

    def __init__(
        self,
        records: StateStore,
        snapshots: StateStore,
        work: Path,
        *,
        retry: StoreRetry,
        writer: str,
        guard: Callable[[], None] | None = None,
    ) -> None:
        """Open the journal.

        Args:
            records: the prefix of the journal objects.
            snapshots: the prefix of the snapshots.
            work: a folder for copies of them.
            retry: how long a commit waits for a store that cannot be reached.
            writer: a random name for this opening.
            guard: for a store without conditional writes: raises where this run may not write any more.
        """
        self.number = 0
        self.whole = False
        self._records = records
        self._snapshots = snapshots
        self._work = work
        self._retry = retry
        self._writer = writer
        self._guard = guard
        self._base = 0
        self._base_size = 0
        self._numbers: list[int] = []
        self._stored: list[int] = []
        self._size = 0

    # Loading

    def load(self, manifest: Path) -> sqlite3.Connection:
        """Make the new file `manifest` from the newest whole snapshot and the journal behind it.

        Raises:
            StateTooNew: a newer version wrote it.
            Unavailable: the store cannot be reached, or this machine's disk is full.
        """
        for _ in range(_TRIES):
            self._numbers = sorted(_numbers(self._records))
            self._stored = sorted(_numbers(self._snapshots))
            self.number = max((*self._numbers, *self._stored), default=0)
            try:
                return self._loaded(manifest)
            except Changed:
                pass
            except ItemError as error:
                raise Unavailable(
                    f"a snapshot in {self._records.place} {error.message}", remedy=error.remedy
                ) from error
            except (OSError, sqlite3.Error) as error:
                raise Unavailable(
                    f"cannot unpack the state {self._records.place} in {self._work}: {error}",
                    remedy="free some space, or set TMPDIR to another folder",
                ) from error
            # A run beside this reader has just removed what was listed: it has put something newer there.
            for left in manifest.parent.glob(f"{manifest.name}*"):
                left.unlink()
        raise Unavailable(
            f"{self._records.place} keeps changing while it is read", remedy="try again, or when no run is under way"
        )

    def _loaded(self, manifest: Path) -> sqlite3.Connection:
        self._load_base(manifest)
        connection = schema.open_to_write(manifest, durable=False)
        try:
            self.whole = self._replay(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _load_base(self, manifest: Path) -> None:
        self._base = self._base_size = 0
        for number in reversed(self._stored):
            file = self._work / f"spare-snapshot-{number}"
            try:
                self._snapshots.read(journal.name(number), file)
                size = file.stat().st_size
                with suppress(ValueError):
                    snapshot.unpack(file, manifest)
                    self._base, self._base_size = number, size
                    return
            finally:
                file.unlink(missing_ok=True)

    def _replay(self, connection: sqlite3.Connection) -> bool:
        """Apply the journal behind the snapshot, all that is there of it; return whether nothing is missing."""
        wanted = [number for number in self._numbers if number > self._base]
        whole = wanted == list(range(self._base + 1, self.number + 1))
        self._size = 0
        connection.execute("BEGIN")
        for number, content in self._contents(wanted):
            if content is None:
                raise Changed(journal.name(number))
            self._size += len(content)
            try:
                record = journal.decode(content, number)
            except ValueError:
                whole = False
            else:
                apply_all(connection, record.events)
        connection.execute("COMMIT")
        return whole

    def _contents(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes | None]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, len(numbers), _BATCH):
                batch = numbers[start : start + _BATCH]
                yield from zip(batch, pool.map(self._content, batch), strict=True)

    def _content(self, number: int) -> bytes | None:
        found = self._records.get(journal.name(number))
        return None if found is None else found.content

    def claim_next_number(self, connection: sqlite3.Connection) -> None:
        """Take the next number, so that a former holder of the lease can record nothing more.

        What it still recorded since the journal was listed is applied.
        """
        while True:
            try:
                self._write([])
            except LeaseLost:
                late = self._content(self.number + 1)
                if late is None:
                    continue
                self.number += 1
                self._count(self.number, len(late))
                self._apply_late(connection, late)
            else:
                return

    def _apply_late(self, connection: sqlite3.Connection, content: bytes) -> None:
        try:
            record = journal.decode(content, self.number)
        except ValueError:
            self.whole = False
            return
        connection.execute("BEGIN")
        apply_all(connection, record.events)
        connection.execute("COMMIT")

    # Growing

    def append(self, events: Sequence[Event]) -> None:
        """Make the events durable as the next object.

        Raises:
            LeaseLost: another run has taken that number: it holds the state now.
            Unavailable: the store could not be reached for long; whether they are durable is not known.
        """
        self._retry.run(lambda: self._write(events))

    def _write(self, events: Sequence[Event]) -> None:
        number = self.number + 1
        content = journal.encode(number, self._writer, events)
        self._put(number, content)
        self.number = number
        self._count(number, len(content))

    def _put(self, number: int, content: bytes) -> None:
        if self._guard is not None:
            self._guard()
            there = self._content(number)
            if there is None:
                self._records.write(journal.name(number), content)
                return
        else:
            with suppress(Exists):
                self._records.write(journal.name(number), content, if_absent=True)
                return
            there = self._content(number)
        # Ours, if an earlier try arrived and only its answer was lost.
        if there != content:
            raise LeaseLost(
                f"another run records in {self._records.place} now: this one's lease ran out",
                remedy="run the job again once that one has ended",
            )

    def _count(self, number: int, size: int) -> None:
        self._numbers.append(number)
        self._size += size

    # Snapshots

    def snapshot_if_due(self, connection: sqlite3.Connection, due: SnapshotThreshold) -> None:
        """Put a snapshot if one is due, and then remove what is superfluous.

        Raises:
            Unavailable: the store could not be reached for long, or this machine's disk is full. Nothing is lost.
        """
        behind = self.number - self._base
        if behind < due.objects and self._size < max(due.size, 2 * self._base_size):
            return
        file = self._work / "spare-snapshot"
        try:
            size = snapshot.write(connection, file)
            number = self.number
            self._retry.run(lambda: self._snapshots.keep(file, journal.name(number), {}, if_absent=False))
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(
                f"cannot write a snapshot of the state in {self._work}: {error}",
                remedy="free some space, or set TMPDIR to another folder, then run the job again",
            ) from error
        finally:
            file.unlink(missing_ok=True)
        self._prune(number)
        self._stored.append(number)
        self._base, self._base_size, self._size = number, size, 0

    def _prune(self, new: int) -> None:
        """Remove what only older snapshots than the last one need, and those themselves, but not the `new` one.

        A damaged snapshot may bear its number: it was written over.
        """
        # Only what was seen here: another holder may have put newer ones by now, if this one stood still.
        records = [number for number in self._numbers if number <= self._base]
        stored = [number for number in self._stored if number not in {self._base, new}]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = [pool.submit(self._records.delete, journal.name(number)) for number in records]
            jobs += [pool.submit(self._snapshots.delete, journal.name(number)) for number in stored]
        for job in jobs:
            with suppress(Unavailable):
                # What stays is in nobody's way; it is tried again after the next snapshot that lists it.
                job.result()
        self._numbers = [number for number in self._numbers if number > self._base]
        self._stored = [number for number in self._stored if number == self._base]


def apply_all(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Apply events inside the caller's transaction."""
    for event in events:
        apply(connection, event)


def _numbers(store: StateStore) -> Iterator[int]:
    for entry in store.list():
        number = journal.number_of(entry.key)
        if number is not None:
            yield number
