"""Which stored results the items of a job need, now or to write a finished file again. Asks, never writes.

What an item needs is found by walking its chain, as a run would. Where that cannot be done for certain, the item is
*unclear*: whoever frees results keeps everything that was ever bought for its bytes; and where not even these are
known, everything there is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts
from venice_batch.job import FolderSource
from venice_batch.plan.hashing import file_hash
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import known_of, known_of_result
from venice_batch.plan.sources import Candidate
from venice_batch.state import ItemRow, State
from venice_batch.state.manifest import MOST_KEYS
from venice_batch.steps.chain import Chain, Finished, Position, Purchase, Undecided
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import Generate

Start = tuple[InputKey, Known]


@dataclass
class Needs:
    """What must stay.

    Attributes:
        keys: of results that items came by on their way.
        hashes: SHA-256 of the inputs of unclear items.
        unclear: how many items are unclear.
        blind: how many of those are of unknown bytes.
    """

    keys: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    unclear: int = 0
    blind: int = 0

    def doubt(self, sha256: str) -> None:
        """Take note of an unclear item; `sha256` is empty where its bytes are not known."""
        self.unclear += 1
        self.blind += not sha256
        if sha256:
            self.hashes.add(sha256)


def needs(state: State, jobs: Iterable[tuple[Pipeline, Iterable[Candidate]]]) -> Needs:
    """Go through every source once, and through what the manifest knows beyond them.

    Args:
        state: the manifest and results.
        jobs: those that are at hand, each with its source, listed now.

    Raises:
        SourceError: a source cannot be read.
        Unavailable: a source or the state cannot be reached.
    """
    found, at_hand = Needs(), set[str]()
    for pipeline, candidates in jobs:
        at_hand.add(pipeline.job.name)
        met = _gone_through(found, pipeline, state, candidates)
        # Not in the source, and yet no run has found it gone: a disk that is not mounted looks just like that.
        _doubt_items(found, state, pipeline.job.name, met)
    for other in state.jobs():
        if other not in at_hand:
            _doubt_items(found, state, other, set())
    return found


def _gone_through(found: Needs, pipeline: Pipeline, state: State, candidates: Iterable[Candidate]) -> set[str]:
    """Add what the items in the source need; return the keys that were met."""
    met: set[str] = set()
    source = iter(candidates)
    while batch := list(islice(source, MOST_KEYS)):
        rows: defaultdict[str, list[ItemRow]] = defaultdict(list)
        for row in state.rows_of(pipeline.job.name, [candidate.key for candidate in batch]):
            if row.state != "vanished":
                rows[row.key].append(row)
        for candidate in batch:
            met.add(candidate.key)
            _add(found, pipeline, state, candidate, rows[candidate.key])
    return met


def _add(found: Needs, pipeline: Pipeline, state: State, candidate: Candidate, rows: Sequence[ItemRow]) -> None:
    """Add what the items of one input need."""
    found.keys.update(row.result for row in rows if row.result)  # held back, for a person to decide on
    begin, certain = None, False
    try:
        begin = None if candidate.problem else _start(pipeline, state, candidate)
        chain, fingerprint = pipeline.for_candidate(candidate)[:2]
    except (ItemError, ValueError, OSError):
        pass  # whatever it is, it will be told by the next run
    else:
        # Another recipe than when it was last worked on, or another API address: its way was a different one.
        certain = all(row.fingerprint == fingerprint for row in rows)
        if begin is not None:
            done = {row.variant for row in rows if row.state == "done"}
            certain = _follow(found.keys, state, chain, begin, done) and certain
    if not rows or (certain and begin is not None):
        return
    if begin is None and not candidate.url and state.source(pipeline.job.name, candidate.key) is None:
        return  # no run has ever read it, so nothing was bought for it: a damaged file, mostly
    found.doubt(begin[0].value if begin is not None and begin[0].origin == "source" else "")


def _follow(keys: set[str], state: State, chain: Chain, begin: Start, done: set[int]) -> bool:
    """Add what all variants need; return whether those that are done still have everything on their way."""
    first, complete = chain.steps[0], True
    several = first.variants if isinstance(first, Generate) else 1
    for variant in range(1, several + 1) if several > 1 else (0,):
        way = list(_way(chain, chain.start(*begin), variant, state))
        keys.update(way)
        # If not, then the way is not what it was, or somebody removed a result.
        complete = complete and (variant not in done or all(state.results.find(key) is not None for key in way))
    return complete


def _doubt_items(found: Needs, state: State, job: str, met: set[str]) -> None:
    for row in state.items(job):
        if row.state != "vanished" and row.key not in met:
            source = state.source(job, row.key)
            found.doubt(source.sha256 if source is not None and source.version == row.version else "")


def _start(pipeline: Pipeline, state: State, candidate: Candidate) -> Start | None:
    """Return the history that a run begins with, and what is known of the picture; None: of unknown bytes."""
    if pipeline.by_url:
        return InputKey("object", candidate.version), Known(bytes=candidate.size)
    if candidate.url and not pipeline.fetches:
        return InputKey("url", candidate.url), Known()
    if isinstance(pipeline.chain.steps[0], Generate):
        return InputKey("unread", candidate.key), Known()
    known = state.source(pipeline.job.name, candidate.key)
    if (known is None or known.version != candidate.version) and pipeline.in_bucket:
        known = state.source_of_version(candidate.size, candidate.version)
    if known is not None and known.version == candidate.version:
        return InputKey("source", known.sha256), known_of(Facts.from_json(json.loads(known.facts)))
    source = pipeline.job.source
    if isinstance(source, FolderSource) and isinstance(source.path, Path) and state.knows_size(candidate.size):
        return InputKey("source", file_hash(source.path / candidate.key)), Known()
    return None


def _way(chain: Chain, start: Position, variant: int, state: State) -> Iterator[str]:
    """Yield the key of every result on an item's way; both ways where a condition is open."""
    ahead = [(chain, start)]
    while ahead:
        chain, position = ahead.pop()
        position, stop = chain.advance(position, variant)
        match stop:
            case Finished():
                continue
            case Undecided():
                ahead += [(chain, chain.skip(position)), (_unconditional(chain, position.index), position)]
            case Purchase():
                yield stop.result
                result = state.results.find(stop.result)
                known = None if result is None else known_of_result(result)
                after = stop.step.after(position.current.known) if known is None else known
                ahead.append((chain, chain.bought(position, stop, after)))


def _unconditional(chain: Chain, index: int) -> Chain:
    steps = list(chain.steps)
    steps[index] = replace(steps[index], when=None)
    return replace(chain, steps=tuple(steps))
