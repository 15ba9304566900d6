"""Opening a state, in a folder or in a bucket, for one run to write or for questions only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from venice_batch.state import lease as folder_lease
from venice_batch.state import schema, scratch
from venice_batch.state.bucket_journal import AT_REST, BucketJournal
from venice_batch.state.bucket_lease import BucketLease, LeasePolicy
from venice_batch.state.bucket_lease import hold as hold_bucket
from venice_batch.state.bucket_results import BucketResults
from venice_batch.state.folder_results import FolderResults
from venice_batch.state.index import Index
from venice_batch.state.manifest import FILE, State
from venice_batch.state.store_retry import Patience
from venice_batch.storage import Place, S3Place, open_store, sweep_stale

_RESULTS = "results"
_USUAL = LeasePolicy()


@contextmanager
def to_write(
    place: Place,
    *,
    lease_place: Place | None = None,
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
    held = lease_place or place
    with ExitStack() as stack:
        if isinstance(place, S3Place) and isinstance(held, S3Place):
            lease = stack.enter_context(hold_bucket(open_store(_bare(held)), policy))
            private = stack.enter_context(scratch.private(held, place, temporary))
            part = place.prefix.removeprefix(held.prefix)
            state = stack.enter_context(_bucket_to_write(_bare(place), part, lease, policy, private))
        elif isinstance(place, Path) and isinstance(held, Path):
            stack.enter_context(folder_lease.hold(held))
            private = stack.enter_context(scratch.private(held, place, temporary))
            state = stack.enter_context(_folder_to_write(place, private))
        else:
            raise TypeError("the lease of a state lies where the state lies")
        yield state


@contextmanager
def to_read(place: Place, *, temporary: Path | None = None) -> Iterator[State]:
    """Open the state for questions only; works beside a run, and on a state that does not exist yet.

    Raises:
        StateTooNew: a newer version wrote it.
        Unavailable: it cannot be read.
    """
    with ExitStack() as stack:
        if isinstance(place, S3Place):
            private = stack.enter_context(scratch.private(place, place, temporary))
            yield stack.enter_context(_bucket_to_read(_bare(place), private.folder))
        else:
            connection = stack.enter_context(closing(schema.open_to_read(place / FILE)))
            yield State(place, connection, FolderResults(place / _RESULTS))


# In a folder


@contextmanager
def _folder_to_write(root: Path, private: scratch.Scratch) -> Iterator[State]:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise schema.unusable(root, sqlite3.OperationalError(str(error))) from error
    for _ in private.dead():
        # Nothing to rescue: answers arrive in the state itself.
        continue
    with closing(schema.open_to_write(root / FILE)) as connection:
        sweep_stale(root / _RESULTS)
        state = State(root, connection, FolderResults(root / _RESULTS), scratch=private.folder)
        yield state


# In a bucket


@contextmanager
def _bucket_to_write(
    place: S3Place, part: str, lease: BucketLease, policy: LeasePolicy, private: scratch.Scratch
) -> Iterator[State]:
    patience = Patience()
    # Without conditions the lease is all that keeps a second writer away.
    guard = None if policy.safe else lease.check
    journal = _journal(place, private.folder, patience, lease.writer, guard)
    with closing(journal.load(private.folder / FILE)) as connection, closing(Index(private.folder / FILE)) as index:
        in_order = lease.tails.pop(part, None) == journal.number
        if not in_order:
            journal.fence(connection)
        results = BucketResults(open_store(place / _RESULTS), index, private.folder, patience, conditional=policy.safe)
        complete = in_order and journal.whole
        state = State(
            place,
            connection,
            results,
            scratch=private.folder,
            lease=lease,
            journal=journal,
            patience=patience,
            complete=complete,
        )
        for dead in private.dead():
            results.rescue(dead)
        journal.fold(connection, AT_REST)
        try:
            yield state
            state.finish()
        finally:
            # Without its tail a part counts as left in disorder, and the next start looks for lost answers.
            if state.settled:
                lease.tails[part] = journal.number


@contextmanager
def _bucket_to_read(place: S3Place, work: Path) -> Iterator[State]:
    patience = Patience(seconds=0)
    journal = _journal(place, work, patience)
    with closing(journal.load(work / FILE)) as connection, closing(Index(work / FILE)) as index:
        connection.execute("PRAGMA query_only = ON")
        results = BucketResults(open_store(place / _RESULTS), index, work, patience, conditional=True)
        # Beside a run the end of the journal is always open; only what is plainly missing has it looked for.
        complete = journal.whole and journal.number > 0
        state = State(place, connection, results, scratch=work, complete=complete)
        state.look_for_answers()
        yield state


def _journal(
    place: S3Place, work: Path, patience: Patience, writer: str = "", guard: Callable[[], None] | None = None
) -> BucketJournal:
    records, snapshots = open_store(place / "journal"), open_store(place / "snapshot")
    return BucketJournal(records, snapshots, work, patience=patience, writer=writer, guard=guard)


def _bare(place: S3Place) -> S3Place:
    """Return the place without what the job says of finished files: it is not meant for the state."""
    return replace(place, access=place.access.bare())
