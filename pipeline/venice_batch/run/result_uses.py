"""Which stored results an item passes on its way through its chain; recorded where an older version did not."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, replace

from venice_batch import imaging
from venice_batch.errors import ItemError
from venice_batch.imaging import Facts
from venice_batch.job import FolderSource
from venice_batch.plan.model import Candidate
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import known_of, known_of_result
from venice_batch.plan.reading.prefetch import AT_ONCE, in_order
from venice_batch.plan.reading.probe import known_source, source_row
from venice_batch.plan.reading.sources import candidates
from venice_batch.state import Event, ItemId, ItemRow, ResultsUsed, SourceRead, SourceRow, State
from venice_batch.steps.chain import Chain, Finished, Position, Purchase, Undecided
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.storage import Changed, Store, open_store

#: What a run begins an item with: the key of its input, and what is known of the picture.
Start = tuple[InputKey, Known]


def start_of(pipeline: Pipeline, candidate: Candidate, source: SourceRow | None) -> Start | None:
    """Return what a run begins an input with; None: its bytes are needed, and not known."""
    key = pipeline.input_key(candidate)
    if key.origin == "object":
        return key, Known(bytes=candidate.size)
    if key.origin == "url" or pipeline.generates:
        return key, Known()
    if source is None:
        return None
    return InputKey("source", source.sha256), known_of(Facts.from_json(json.loads(source.facts)))


def results_passed(chain: Chain, start: Position, variant: int, state: State) -> Iterator[str]:
    """Yield the key of every result that an item passes; with the step and without where a condition is open."""
    branches = [(chain, start)]
    while branches:
        chain, position = branches.pop()
        position, stop = chain.advance(position, variant)
        match stop:
            case Finished():
                continue
            case Undecided():
                steps, at = chain.steps, position.index
                unconditional = replace(chain, steps=(*steps[:at], replace(steps[at], when=None), *steps[at + 1 :]))
                branches += [(chain, chain.skip(position)), (unconditional, position)]
            case Purchase():
                yield stop.result
                result = state.results.find(stop.result)
                known = None if result is None else known_of_result(result)
                after = stop.step.after(position.current.known) if known is None else known
                branches.append((chain, chain.bought(position, stop, after)))


# What older versions did not record


def unrecorded_uses(pipeline: Pipeline, state: State, now: float) -> Iterator[Event]:
    """Yield which bytes and results finished items are made from, where the manifest does not say so.

    Where it says so of all, nothing is read, not even the listing. An object is read only if none of its version was.

    Args:
        pipeline: of the job.
        state: the manifest and results.
        now: Unix seconds.
    """
    job = pipeline.job
    missing: defaultdict[str, list[ItemRow]] = defaultdict(list)
    for row in state.unrecorded(job.name, read=isinstance(job.source, FolderSource) and not pipeline.by_url):
        missing[row.key].append(row)
    if not missing:
        return
    store = open_store(job.source.path) if isinstance(job.source, FolderSource) else None

    def source(candidate_and_row: tuple[Candidate, SourceRow | None]) -> SourceRow | None:
        candidate, known = candidate_and_row
        wanted = known is None and store is not None and not pipeline.by_url
        return _read(store, candidate, state) if wanted and store is not None else known

    listed = (each for each in candidates(job) if any(row.version == each.version for row in missing.get(each.key, ())))
    known = ((candidate, known_source(pipeline, state, candidate)) for candidate in listed)
    for (candidate, _), found in in_order(source, known, AT_ONCE if pipeline.is_remote else 1):
        if found is not None and found != state.source(job.name, candidate.key):
            yield source_read(job.name, replace(found, key=candidate.key))
        start = start_of(pipeline, candidate, found)
        for row in missing[candidate.key]:
            used = None if start is None else _used(pipeline, state, candidate, start, row)
            if start is not None and used is not None:
                who = ItemId(job.name, row.key, row.variant)
                yield ResultsUsed(who, start[0].value, " ".join(used), now, finished=row.state == "done")


def source_read(job: str, source: SourceRow) -> SourceRead:
    """Return the event that records what is known of an input."""
    return SourceRead(job, **asdict(source))


def _read(store: Store, candidate: Candidate, state: State) -> SourceRow | None:
    """Read an input whole; None: that cannot be done now. Safe in any thread."""
    spare = state.scratch / secrets.token_hex(8)
    try:
        sha256 = store.read(candidate.key, spare, candidate.version)
        return source_row(candidate, sha256, imaging.probe(spare))
    except (ItemError, Changed, PermissionError):
        return None
    finally:
        spare.unlink(missing_ok=True)


def _used(pipeline: Pipeline, state: State, candidate: Candidate, start: Start, row: ItemRow) -> list[str] | None:
    """Return the stored results that an item passes; None: it changed since, and the run itself goes through it."""
    try:
        chain, fingerprint = pipeline.for_candidate(candidate)
    except (ItemError, ValueError, OSError):
        return None
    if (row.version, row.fingerprint) != (candidate.version, fingerprint):
        return None
    passed = results_passed(chain, chain.start(*start), row.variant, state)
    return [key for key in passed if state.results.find(key) is not None]
