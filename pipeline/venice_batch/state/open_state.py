"""Opening a state, in a folder or in a bucket, for one run to write or for questions only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from venice_batch.state import bucket_lease, private_folder, schema, scratch
from venice_batch.state import lease as folder_lease
from venice_batch.state.bucket_journal import AT_REST, BucketJournal
from venice_batch.state.bucket_lease import BucketLease, LeasePolicy
from venice_batch.state.bucket_results import BucketResults
from venice_batch.state.folder_results import FolderResults
from venice_batch.state.index import Index
from venice_batch.state.manifest import FILE, State
from venice_batch.state.scratch import ARRIVED
from venice_batch.state.store_retry import StoreRetry
from venice_batch.storage import LocalPlace, Place, StateStore, as_place, sweep_stale

_RESULTS = "results"
_USUAL = LeasePolicy()


@contextmanager
def to_write(
    place: Place | Path,
    *,
    lease_place: Place | Path | None = None,
    policy: LeasePolicy = _USUAL,
    temporary: Path | None = None,
) -> Iterator[State]:
    """Hold the lease and open the state for writing, creating it where there is none.

    Args:
        place: the folder or prefix of manifest and results.
        lease_place: where the lease lies, if elsewhere (an emulated run shares the lease of the real state).
        policy: how a state in a bucket is held.
        temporary: where the run's private folder goes; None is the system's own place.

    Raises:
        Locked: another run holds the lease.
        StateTooNew: a newer version wrote the state.
        Unavailable: it cannot be written, or a store cannot be reached or does not do conditional writes.
    """
    place = as_place(place)
    held = as_place(lease_place or place)
    folder, store = place.folder, held.state_store()
    with ExitStack() as stack:
        if store is not None:
            lease = stack.enter_context(bucket_lease.acquired(store, policy))
            private = stack.enter_context(scratch.open_scratch(held, place, temporary))
            part = str(place).removeprefix(str(held))
            state = stack.enter_context(_store_to_write(place, part, lease, policy, private))
        elif folder is not None and held.folder is not None:
            private_folder.refuse_links(held.folder)
            private_folder.refuse_links(folder)
            private_folder.make_private(held.folder)
            locked = stack.enter_context(folder_lease.acquired(held.folder))
            private = stack.enter_context(scratch.open_scratch(held, place, temporary))
            state = stack.enter_context(_folder_to_write(folder, private, locked))
        else:
            raise TypeError("the lease of a state lies where the state lies")
        yield state


@contextmanager
def to_read(place: Place | Path, *, temporary: Path | None = None) -> Iterator[State]:
    """Open the state for questions only; works beside a run, and on a state that does not exist yet.

    Raises:
        StateTooNew: a newer version wrote it.
        Unavailable: it cannot be read.
    """
    place = as_place(place)
    with ExitStack() as stack:
        if place.folder is None:
            private = stack.enter_context(scratch.open_scratch(place, place, temporary))
            yield stack.enter_context(_store_to_read(place, private.folder))
        else:
            private_folder.refuse_links(place.folder)
            connection = stack.enter_context(closing(schema.open_to_read(place.folder / FILE)))
            yield State(place, connection, FolderResults(place.folder / _RESULTS))


# In a folder


@contextmanager
def _folder_to_write(root: Path, private: scratch.Scratch, lease: folder_lease.FolderLease) -> Iterator[State]:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise schema.unusable(root, sqlite3.OperationalError(str(error))) from error
    results = FolderResults(root / _RESULTS, elsewhere=private.folder / ARRIVED)
    with closing(schema.open_to_write(root / FILE)) as connection:
        sweep_stale(root)
        for dead in private.dead_runs():
            results.rescue(dead / ARRIVED)
        yield State(LocalPlace(root), connection, results, scratch=private.folder, lease=lease)


# In a store


@contextmanager
def _store_to_write(
    place: Place, part: str, lease: BucketLease, policy: LeasePolicy, private: scratch.Scratch
) -> Iterator[State]:
    retry = StoreRetry()
    # Without conditions the lease is all that keeps a second writer away.
    guard = None if policy.safe else lease.check
    journal = _journal(place, private.folder, retry, lease.writer, guard)
    with closing(journal.load(private.folder / FILE)) as connection, closing(Index(private.folder / FILE)) as index:
        in_order = lease.tails.pop(part, None) == journal.number
        if not in_order:
            journal.claim_next_number(connection)
        results = BucketResults(_part(place, _RESULTS), index, private.folder, retry, conditional=policy.safe)
        complete = in_order and journal.whole
        state = State(
            place,
            connection,
            results,
            scratch=private.folder,
            lease=lease,
            journal=journal,
            retry=retry,
            complete=complete,
        )
        for dead in private.dead_runs():
            results.rescue(dead)
        journal.snapshot_if_due(connection, AT_REST)
        try:
            yield state
            state.finish()
        finally:
            # Without its tail a part counts as left in disorder, and the next start looks for lost answers.
            if state.fully_recorded:
                lease.tails[part] = journal.number


@contextmanager
def _store_to_read(place: Place, work: Path) -> Iterator[State]:
    retry = StoreRetry(seconds=0)
    journal = _journal(place, work, retry)
    with closing(journal.load(work / FILE)) as connection, closing(Index(work / FILE)) as index:
        connection.execute("PRAGMA query_only = ON")
        results = BucketResults(_part(place, _RESULTS), index, work, retry, conditional=True)
        # Beside a run the end of the journal is always open; only a gap in it makes lost answers worth a search.
        complete = journal.whole and journal.number > 0
        state = State(place, connection, results, scratch=work, complete=complete)
        state.find_unrecorded_answers()
        yield state


def _journal(
    place: Place, work: Path, retry: StoreRetry, writer: str = "", guard: Callable[[], None] | None = None
) -> BucketJournal:
    records, snapshots = _part(place, "journal"), _part(place, "snapshot")
    return BucketJournal(records, snapshots, work, retry=retry, writer=writer, guard=guard)


def _part(place: Place, name: str) -> StateStore:
    store = (place / name).state_store()
    if store is None:
        raise TypeError("the lease of a state lies where the state lies")
    return store
