"""What is known of an input before a run: the header of its picture, the hash of its bytes, and stored results."""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts
from venice_batch.imaging.probe_head import probe_head
from venice_batch.job import FolderSource
from venice_batch.job.model import OnFlagged
from venice_batch.plan.model import TO_DO, Candidate, PlannedItem
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import FindStored, Inspect, Inspection, StoredResult, known_of_result
from venice_batch.plan.reading.prefetch import AT_ONCE, in_order
from venice_batch.plan.selection import flagged_action
from venice_batch.state import SourceRow, State
from venice_batch.steps.canonical_json import canonical
from venice_batch.storage import Changed, Place, Store, open_store

#: Bytes of an object that are read in search of its header, first and, should that not do, second: APP segments of a
#: JPEG may take hundreds of KB. What has its header further back is planned for without.
_HEAD_BYTES = (1 << 16, 1 << 20)

#: What a probe gave; None: nothing that is certain.
ProbeResult = Facts | ItemError | None


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Prober:
    """Reads headers of the inputs of one place."""

    def __init__(self, place: Place, scratch: Path) -> None:
        """Read from `place`; `scratch` holds the first bytes of a bucket's objects while their headers are read."""
        self._store: Store = open_store(place)
        self._root = place.folder
        self._scratch = scratch

    @property
    def at_once(self) -> int:
        """How many inputs are worth probing at a time."""
        return AT_ONCE if self._root is None else 1

    def probe(self, candidate: Candidate) -> ProbeResult:
        """Return what the header says, or why the picture cannot be used; None: that would take reading all of it.

        Safe in any thread.
        """
        spare = self._scratch / secrets.token_hex(8)
        try:
            return self._header(candidate, spare)
        except ItemError as error:
            return error
        except Changed:
            return ItemError("unreadable", "gone since it was listed", remedy="run the job again", lasting=False)
        finally:
            spare.unlink(missing_ok=True)

    def _header(self, candidate: Candidate, spare: Path) -> Facts | None:
        if candidate.size == 0:
            spare.touch()  # nothing can be read of it: a store refuses even to try
            return probe_head(spare, 0)
        for count in _HEAD_BYTES:
            spare.unlink(missing_ok=True)
            found = probe_head(self._store.peek(candidate.key, spare, count), candidate.size)
            if found is not None or candidate.size <= count:
                return found
        return None

    def hash(self, candidate: Candidate) -> str:
        """Return the SHA-256 of a local file's bytes.

        Raises:
            ItemError: the file cannot be read.
        """
        if self._root is None:
            raise TypeError("nothing is downloaded for a plan")
        try:
            return file_hash(self._root / candidate.key)
        except OSError as error:
            raise ItemError("unreadable", f"cannot be read: {error.strerror}", lasting=False) from error


class Inspector:
    """Tells of one item after another what is known of its input."""

    def __init__(self, pipeline: Pipeline, state: State, prober: Prober, sizes: Mapping[int, int]) -> None:
        """Read nothing yet; `sizes` counts the inputs of each size: one that is alone with its size is no duplicate."""
        self._pipeline, self._state, self._prober, self._sizes = pipeline, state, prober, sizes

    def inspect(self, items: Iterable[PlannedItem]) -> Iterator[tuple[PlannedItem, Inspection | None]]:
        """Yield each item with what is known of its input, in order, however far ahead headers are read."""
        with_rows = ((item, self._row(item)) for item in items)
        for (item, row), probed in in_order(self._probed, with_rows, self._prober.at_once):
            yield item, self._inspection(item, row, probed) if item.status in TO_DO else None

    def _row(self, item: PlannedItem) -> SourceRow | None:
        return known_source(self._pipeline, self._state, item.candidate) if item.status in TO_DO else None

    def _probed(self, item_and_row: tuple[PlannedItem, SourceRow | None]) -> ProbeResult:
        """Probe a header where the plan depends on it; may run in another thread."""
        item, row = item_and_row
        # A folder's headers cost next to nothing, and a broken picture is better told of now.
        needed = self._pipeline.needs_header or not self._pipeline.is_remote
        return self._prober.probe(item.candidate) if needed and row is None and item.status in TO_DO else None

    @cached_property
    def _manifest_is_lost(self) -> bool:
        return not self._state.jobs() and next(self._state.results.keys(), None) is not None

    def _inspection(self, item: PlannedItem, row: SourceRow | None, probed: ProbeResult) -> Inspection:
        candidate = item.candidate
        if isinstance(probed, ItemError):
            return Inspection(problem=probed)
        if row is not None:
            # A row of another input may be gone tomorrow: this one's own must not depend on it.
            learned = None if row == self._own(candidate) else replace(row, key=candidate.key)
            return Inspection(Facts.from_json(json.loads(row.facts)), row.sha256, learned=learned)
        # Only an input of a known size can be a renamed or doubled one, and only then is a file worth reading whole.
        alone = self._sizes.get(candidate.size, 0) <= 1 and not self._state.knows_size(candidate.size)
        # A finished file that nobody seems to own may be what a result that is here gives.
        if alone and not (item.taken and self._manifest_is_lost):
            return Inspection(probed)
        if self._pipeline.is_remote:
            return Inspection(probed, may_be_duplicate=True)
        try:
            sha256 = self._prober.hash(candidate)
        except ItemError as error:
            return Inspection(problem=error)
        learned = None if probed is None else source_row(candidate, sha256, probed)
        return Inspection(probed, sha256, learned=learned)

    def _own(self, candidate: Candidate) -> SourceRow | None:
        return self._state.source(self._pipeline.job.name, candidate.key)


def source_row(candidate: Candidate, sha256: str, facts: Facts) -> SourceRow:
    """Return what the manifest keeps of an input that was read."""
    return SourceRow(candidate.key, candidate.version, candidate.size, sha256, canonical(facts.to_json()))


def known_source(pipeline: Pipeline, state: State, candidate: Candidate) -> SourceRow | None:
    """Return what an earlier run learned of the bytes of an input; None where it has read none of this version."""
    known = state.source(pipeline.job.name, candidate.key)
    if known is not None and known.version == candidate.version:
        return known
    # Two objects of one etag and size are one picture, under whatever key and in whatever job.
    return state.source_of_version(candidate.size, candidate.version) if pipeline.versions_are_content else None


@contextmanager
def inspecting(pipeline: Pipeline, state: State, items: Iterable[PlannedItem]) -> Iterator[Inspect]:
    """Give what inspects `items`, with a scratch folder for headers; it knows nothing where there are no files."""
    source = pipeline.job.source
    if not isinstance(source, FolderSource):
        yield lambda some: ((item, None) for item in some)
        return
    with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
        inputs = (item.candidate for item in items if item.status in TO_DO)
        # Where versions are content, inputs of one version are one picture.
        by_version = pipeline.versions_are_content
        sizes = Counter(size for size, _ in {(each.size, each.version if by_version else each.key) for each in inputs})
        yield Inspector(pipeline, state, Prober(source.path, Path(scratch)), sizes).inspect


def stored_results(state: State, rule: OnFlagged) -> FindStored:
    """Return what finds stored results; flagged ones with what becomes of them by the job's `rule`."""

    def find(key: str) -> StoredResult | None:
        result = state.results.find(key)
        if result is None or not result.flags:
            return None if result is None else StoredResult(known_of_result(result))
        set_aside = state.results.was_set_aside(key)
        action = flagged_action(result.flags, rule, released=state.released(result), set_aside=set_aside)
        return StoredResult(known_of_result(result), action)

    return find
