"""Marks the stored results that items need, now or to write a finished file again. Writes nothing.

What items of any job used when they were last worked on is recorded. What those in the source need now is found by
walking their chain, as a run would. Where that cannot be done for certain, the item is *unclear*: every result that was
ever used for its bytes must stay; and where not even these are known, everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from venice_batch.errors import ItemError
from venice_batch.job import FolderSource
from venice_batch.plan.model import Candidate
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.reading.probe import file_hash, known_source
from venice_batch.plan.selection import IN_THE_BYTES
from venice_batch.run.result_uses import Start, results_passed, start_of
from venice_batch.state import ItemId, ItemRow, State
from venice_batch.state.manifest import MOST_KEYS
from venice_batch.steps.chain import Chain
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import Generate

#: A job, and its source, listed now.
JobInputs = tuple[Pipeline, Iterable[Candidate]]


@dataclass
class Marked:
    """What must stay.

    Attributes:
        keys: of the results that items use, or that chains of items pass.
        sources: the bytes of unclear items, by SHA-256 or etag.
        unclear: how many items are unclear.
        unknown: how many of those are of unknown bytes.
    """

    keys: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    unclear: int = 0
    unknown: int = 0

    def add_unclear(self, source: str, *, recorded: bool = False) -> None:
        """Count an unclear item.

        Args:
            source: its bytes; empty where they are not known.
            recorded: whether it is known what it uses, though not what it will need.
        """
        self.unclear += 1
        self.unknown += not source and not recorded
        if source:
            self.sources.add(source)


def mark(state: State, jobs: Iterable[JobInputs]) -> Marked:
    """Go through every source once, and through what the manifest knows beyond them.

    Args:
        state: the manifest and results.
        jobs: those that are given.

    Raises:
        SourceError: a source cannot be read.
        Unavailable: a source or the state cannot be reached.
    """
    marked, listed = Marked(set(state.results_in_use())), dict[str, set[str]]()
    for pipeline, candidates in jobs:
        listed[pipeline.job.name] = _mark_source(marked, pipeline, state, candidates)
    # Not in the source, and yet no run has found it gone: a disk that is not mounted looks just like that.
    for job in [*listed, *(other for other in state.jobs() if other not in listed)]:
        for row in state.items(job):
            if row.state != "vanished" and row.key not in listed.get(job, ()) and not _is_no_picture(row):
                source = state.source(job, row.key)
                sha256 = source.sha256 if source is not None and source.version == row.version else ""
                marked.add_unclear(sha256, recorded=state.knows_results(ItemId(job, row.key, row.variant)))
    return marked


def _mark_source(marked: Marked, pipeline: Pipeline, state: State, candidates: Iterable[Candidate]) -> set[str]:
    """Mark what the items in the source need; return their keys."""
    keys: set[str] = set()
    # What cannot even be taken from the source is as good as not there.
    source = (candidate for candidate in candidates if not candidate.problem)
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
    start = _start(pipeline, state, candidate)
    try:
        chain, fingerprint = pipeline.for_candidate(candidate)
    except (ItemError, ValueError, OSError):
        unchanged = walked = False  # the next run tells what it is; once it is mended, the item needs what it needed
    else:
        # Another pipeline than when it was last worked on, or another API address: it passed other results.
        unchanged = all(row.fingerprint == fingerprint for row in rows)
        done = {row.variant for row in rows if row.state == "done"}
        walked = start is not None and _mark_variants(marked.keys, state, chain, start, done)
    if start is None and _needs_nothing_more(pipeline, state, candidate, rows, unchanged=unchanged):
        return
    if not (walked and unchanged):
        known = start is not None and start[0].origin in {"source", "object"}
        marked.add_unclear(start[0].value if start is not None and known else "", recorded=start is not None)


def _needs_nothing_more(
    pipeline: Pipeline, state: State, candidate: Candidate, rows: Sequence[ItemRow], *, unchanged: bool
) -> bool:
    """Whether an input of unknown bytes needs no other result than its items are known to use."""
    if not rows:
        # Of whatever was read the size is known; a list of addresses gives none.
        return not candidate.url and pipeline.is_remote and not state.knows_size(candidate.size)
    if any(row.version != candidate.version for row in rows):
        return False
    job = pipeline.job.name
    return all(
        _is_no_picture(row) or (unchanged and state.knows_results(ItemId(job, row.key, row.variant))) for row in rows
    )


def _is_no_picture(row: ItemRow) -> bool:
    return row.state == "invalid" and row.code in IN_THE_BYTES


def _mark_variants(keys: set[str], state: State, chain: Chain, start: Start, done: set[int]) -> bool:
    """Mark what all variants need; return whether those that are done still have every result that they passed."""
    first, complete = chain.steps[0], True
    several = first.variants if isinstance(first, Generate) else 1
    for variant in range(1, several + 1) if several > 1 else (0,):
        passed = list(results_passed(chain, chain.start(*start), variant, state))
        keys.update(passed)
        # If not, then the chain is not what it was, or somebody removed a result.
        complete = complete and (variant not in done or all(state.results.find(key) is not None for key in passed))
    return complete


def _start(pipeline: Pipeline, state: State, candidate: Candidate) -> Start | None:
    """Return what a run begins with; a file that no run has read is hashed now. None: of unknown bytes."""
    start = start_of(pipeline, candidate, known_source(pipeline, state, candidate))
    source = pipeline.job.source
    folder = source.path.folder if isinstance(source, FolderSource) else None
    if start is not None or folder is None:
        return start
    try:
        return InputKey("source", file_hash(folder / candidate.key)), Known()
    except OSError:
        return None
