"""Marks the stored results that items need, now or to write a finished file again. Writes nothing.

What an item needs is found by walking its chain, as a run would. Where that cannot be done for certain, the item is
*unclear*: every result that was ever bought for its bytes must stay; and where not even these are known, everything.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts
from venice_batch.job import FolderSource
from venice_batch.plan.model import Candidate
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import known_of, known_of_result
from venice_batch.plan.reading.probe import file_hash, known_source
from venice_batch.state import ItemRow, State
from venice_batch.state.manifest import MOST_KEYS
from venice_batch.steps.chain import Chain, Finished, Position, Purchase, Undecided
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import Generate

Start = tuple[InputKey, Known]
#: A job, and its source, listed now.
JobInputs = tuple[Pipeline, Iterable[Candidate]]


@dataclass
class Marked:
    """What must stay.

    Attributes:
        keys: of the results that chains of items pass.
        hashes: SHA-256 of the inputs of unclear items.
        unclear: how many items are unclear.
        unknown: how many of those are of unknown bytes.
    """

    keys: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    unclear: int = 0
    unknown: int = 0

    def add_unclear(self, sha256: str) -> None:
        """Count an unclear item; `sha256` is empty where its bytes are not known."""
        self.unclear += 1
        self.unknown += not sha256
        if sha256:
            self.hashes.add(sha256)


def mark(state: State, jobs: Iterable[JobInputs]) -> Marked:
    """Go through every source once, and through what the manifest knows beyond them.

    Args:
        state: the manifest and results.
        jobs: those that are given.

    Raises:
        SourceError: a source cannot be read.
        Unavailable: a source or the state cannot be reached.
    """
    marked, listed = Marked(), dict[str, set[str]]()
    for pipeline, candidates in jobs:
        listed[pipeline.job.name] = _mark_source(marked, pipeline, state, candidates)
    # Not in the source, and yet no run has found it gone: a disk that is not mounted looks just like that.
    for job in [*listed, *(other for other in state.jobs() if other not in listed)]:
        for row in state.items(job):
            if row.state != "vanished" and row.key not in listed.get(job, ()):
                source = state.source(job, row.key)
                marked.add_unclear(source.sha256 if source is not None and source.version == row.version else "")
    return marked


def _mark_source(marked: Marked, pipeline: Pipeline, state: State, candidates: Iterable[Candidate]) -> set[str]:
    """Mark what the items in the source need; return their keys."""
    keys: set[str] = set()
    source = iter(candidates)
    while batch := list(islice(source, MOST_KEYS)):
        rows: defaultdict[str, list[ItemRow]] = defaultdict(list)
        for row in state.rows_of(pipeline.job.name, [candidate.key for candidate in batch]):
            if row.state != "vanished":
                rows[row.key].append(row)
        for candidate in batch:
            keys.add(candidate.key)
            _mark_input(marked, pipeline, state, candidate, rows[candidate.key])
    return keys


def _mark_input(
    marked: Marked, pipeline: Pipeline, state: State, candidate: Candidate, rows: Sequence[ItemRow]
) -> None:
    """Mark what the items of one input need."""
    marked.keys.update(row.result for row in rows if row.result)  # held back, for a person to decide on
    start, certain = None, False
    try:
        start = None if candidate.problem else _start(pipeline, state, candidate)
        chain, fingerprint = pipeline.for_candidate(candidate)
    except (ItemError, ValueError, OSError):
        pass  # whatever it is, the next run will tell it
    else:
        # Another pipeline than when it was last worked on, or another API address: it passed other results.
        certain = all(row.fingerprint == fingerprint for row in rows)
        if start is not None:
            done = {row.variant for row in rows if row.state == "done"}
            certain = _mark_variants(marked.keys, state, chain, start, done) and certain
    if not rows or (certain and start is not None):
        return
    if start is None and not candidate.url and state.source(pipeline.job.name, candidate.key) is None:
        return  # no run has ever read it, so nothing was bought for it: a damaged file, mostly
    marked.add_unclear(start[0].value if start is not None and start[0].origin == "source" else "")


def _mark_variants(keys: set[str], state: State, chain: Chain, start: Start, done: set[int]) -> bool:
    """Mark what all variants need; return whether those that are done still have every result that they passed."""
    first, complete = chain.steps[0], True
    several = first.variants if isinstance(first, Generate) else 1
    for variant in range(1, several + 1) if several > 1 else (0,):
        passed = list(_results_passed(chain, chain.start(*start), variant, state))
        keys.update(passed)
        # If not, then the chain is not what it was, or somebody removed a result.
        complete = complete and (variant not in done or all(state.results.find(key) is not None for key in passed))
    return complete


def _start(pipeline: Pipeline, state: State, candidate: Candidate) -> Start | None:
    """Return the input key that a run begins with, and what is known of the picture; None: of unknown bytes."""
    key = pipeline.input_key(candidate)
    if key.origin == "object":
        return key, Known(bytes=candidate.size)
    if key.origin == "url" or pipeline.generates:
        return key, Known()
    known = known_source(pipeline, state, candidate)
    if known is not None:
        return InputKey("source", known.sha256), known_of(Facts.from_json(json.loads(known.facts)))
    source = pipeline.job.source
    folder = source.path.folder if isinstance(source, FolderSource) else None
    if folder is not None and state.knows_size(candidate.size):
        return InputKey("source", file_hash(folder / candidate.key)), Known()
    return None


def _results_passed(chain: Chain, start: Position, variant: int, state: State) -> Iterator[str]:
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
