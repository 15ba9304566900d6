"""Checks of a job's places: what it reads can be read, what it writes can be written, and no more than that is tried.

In a bucket every right is tried on its own, with an object that is removed again.
"""

from __future__ import annotations

import itertools
import secrets
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from venice_batch.errors import Exit, SourceError, VeniceBatchError
from venice_batch.job import FolderSource, Job
from venice_batch.plan.reading.sources import candidates
from venice_batch.run.doctor.checks import Check, Finding, finding_of
from venice_batch.run.doctor.machine import disk, local_state
from venice_batch.state import LeasePolicy, bucket_lease, lease
from venice_batch.state.conditional_writes import check_conditional_writes
from venice_batch.storage import Exists, StateStore

#: A bucket's client is patient, and an endpoint that does not exist takes it long to give up.
_SECONDS = 20.0
#: Inputs that are looked through for one that can be read.
_MOST = 100


def checks(job: Job) -> list[Check]:
    """Return the checks of source, output and state."""
    return [
        Check("source", partial(_source, job), Exit.USAGE, _SECONDS),
        Check("output", partial(_output, job), seconds=_SECONDS),
        Check("state", partial(_state, job), seconds=_SECONDS),
    ]


def _source(job: Job) -> Iterator[Finding]:
    found = list(itertools.islice(candidates(job), _MOST))
    usable = next((candidate for candidate in found if not candidate.problem), None)
    if usable is None:
        why = f"nothing usable among the first {len(found)} inputs: {found[0].problem}" if found else "no inputs"
        yield Finding("source", "warn", why, "see to `source.path`, `source.include` and `source.exclude`")
        return
    yield Finding("source", "ok", "can be listed")
    if isinstance(job.source, FolderSource):
        with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
            first = job.source.path.store().peek(usable.key, Path(scratch, "first"), 16)
            try:
                with first.open("rb") as file:
                    file.read(1)
            except PermissionError:
                raise SourceError(f"may not read {usable.key}", remedy="give this user the right to read it") from None
        yield Finding("source", "ok", f"can be read ({usable.key})")


def _output(job: Job) -> Iterator[Finding]:
    place = job.output.path
    if place.folder is not None:
        yield from disk("output", place.folder, "free some space, or choose another `output.path`")
        return
    store, name = place.store(), f".venice-batch/probe-{secrets.token_hex(8)}"
    yield _tried("output", "list", lambda: next(store.list(), None))
    with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
        file = Path(scratch, "probe")
        file.write_bytes(secrets.token_bytes(16))
        wrote = _tried("output", "put", lambda: store.put(file, name, replace=True))
        yield wrote
        if wrote.level == "bad":
            return
        yield _tried("output", "read", lambda: store.read(name, Path(scratch, "back")))
        try:
            store.put(file, name, replace=False)
        except Exists:
            yield Finding("output", "ok", "conditional put")
        except VeniceBatchError as error:
            yield finding_of("output", error)
        else:
            remedy = "a file that somebody else puts there during a run may be replaced; see `output.existing`"
            yield Finding("output", "warn", "the store ignores conditions of a put", remedy)
    # Finished files are replaced, not deleted, unless the job asks for it.
    yield _deleted("output", name, lambda: store.delete(name), needed=job.output.on_vanished == "delete")


def _state(job: Job) -> Iterator[Finding]:
    place, store = job.state, job.state.state_store()
    if store is None:
        owner = None
        if place.folder is not None:
            yield from local_state(place.folder)
            owner = lease.holder(place.folder)
    else:
        yield from _state_store(job, store)
        held = bucket_lease.find(store, LeasePolicy(job.lease or LeasePolicy().ttl))
        owner = None if held is None or held.left <= 0 else held.owner
    if owner is not None:
        yield Finding("state", "warn", f"a run holds it ({owner})", "wait until it ends; see `venice-batch unlock`")


def _state_store(job: Job, store: StateStore) -> Iterator[Finding]:
    name = f"probe-{secrets.token_hex(8)}"
    yield _tried("state", "list", lambda: next(store.list(), None))
    wrote = _tried("state", "put", lambda: store.write(name, b"0"))
    yield wrote
    if wrote.level == "bad":
        return
    yield _tried("state", "read", lambda: store.get(name))
    yield _deleted("state", name, lambda: store.delete(name), needed=True)
    if job.lease is None:
        remedy = "see to it that never two runs start at once, or use a store with conditional writes"
        yield Finding("state", "warn", "lease: unsafe", remedy)
    else:
        yield _tried("state", "conditional put", lambda: check_conditional_writes(store))


def _tried(check: str, what: str, work: Callable[[], object]) -> Finding:
    try:
        work()
    except VeniceBatchError as error:
        # That a bucket cannot be used is the store's failure, whatever a run would call it.
        return Finding(check, "bad", f"{what}: {error.message}", error.remedy, Exit.UNAVAILABLE)
    return Finding(check, "ok", what)


def _deleted(check: str, name: str, work: Callable[[], object], *, needed: bool) -> Finding:
    found = _tried(check, "delete", work)
    if found.level == "ok":
        return found
    left = f"{found.found}; {name} stays there"
    return Finding(check, "bad" if needed else "warn", left, found.remedy, found.code if needed else Exit.DONE)
