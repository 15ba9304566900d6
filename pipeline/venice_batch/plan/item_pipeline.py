"""Each item's own chain: the job's, filled with the item's row. Pure, except that filling a path follows links."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol, TypeGuard

from venice_batch.errors import CatalogueError, ItemError, JobError
from venice_batch.imaging import Limits
from venice_batch.job import Job, PromptsSource
from venice_batch.plan.metadata import MetadataTable, RowValues, column_uses, is_json_lines
from venice_batch.plan.model import NO_COLUMNS, Candidate
from venice_batch.steps.canonical_json import digest
from venice_batch.steps.chain import Chain, Step
from venice_batch.steps.conditions import Decided
from venice_batch.steps.fields import GenerateFields
from venice_batch.steps.local import LocalStep
from venice_batch.steps.paid import Generate, PaidStep
from venice_batch.steps.references import BesideRef, FileRef
from venice_batch.steps.row_conditions import resolve
from venice_batch.steps.table import for_row
from venice_batch.steps.templating import one_part, render
from venice_batch.venice import Catalogue

_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"", "false", "no", "0"})
#: Chains kept for items with equal values; a catalogue of unique titles would fill the memory for nothing.
_MOST_CHAINS = 1000


class ItemPipeline(NamedTuple):
    """What an item has of its own.

    Attributes:
        chain: the steps as they apply to it.
        fingerprint: of these, and of what its finished files are named by.
        columns: the values that names of finished files ask for.
        skipped: its row says to leave it out.
    """

    chain: Chain
    fingerprint: str
    columns: Mapping[str, str] = NO_COLUMNS
    skipped: bool = False


class SidecarFinder(Protocol):
    """The files beside the items' pictures; `reading.sidecars` has it in full."""

    @property
    def used(self) -> Collection[str]:
        """Keys that some item uses."""

    def find(self, ref: BesideRef, candidate: Candidate, /) -> BesideRef:
        """Return the reference with the key and version of the item's own file."""

    def with_hash(self, ref: BesideRef, /) -> BesideRef:
        """Return the reference with the hash of the bytes, where the file is on this machine."""


class JobFiles(Protocol):
    """Reads the files that a job names; `reading.load_pipeline` has it in full."""

    def table(self, choose: Callable[[Sequence[str]], Iterable[str]], /) -> MetadataTable | None:
        """Return the metadata table with the columns that `choose` takes; None where the job names none."""

    def sidecars(self, names: Sequence[str], /) -> SidecarFinder | None:
        """Return the files beside the pictures; None where the source has no files."""

    def image_hash(self, path: Path, limits: Limits, /) -> str:
        """Return the hash of a picture that a row names."""


class ItemPipelines:
    """Makes each item's own chain."""

    def __init__(
        self, job: Job, chain: Chain, offset: int, fingerprint: Callable[[Chain], str], files: JobFiles
    ) -> None:
        """Take the metadata, if there is any, and refuse columns that it has not.

        Args:
            job: the job.
            chain: its steps, unfilled.
            offset: how many of them the job file does not spell out.
            fingerprint: takes that of a chain.
            files: reads what the job names.

        Raises:
            SourceError: the metadata cannot be read.
            JobError: a column that the job names is not there; every one with its place.
        """
        self._job, self._chain, self._fingerprint, self._files = job, chain, fingerprint, files
        self._folder = job.file.absolute().parent
        self._uses = uses = tuple(column_uses(job, chain.steps[offset:], self._folder))
        in_names = (use.column for use in uses if use.in_output_name and not use.is_built_in)
        self._in_names = tuple(dict.fromkeys(in_names))
        self.table = files.table(self._needed_columns)
        if self.table is not None:
            self._refuse_unknown(self.table.columns)
        names = [ref.name for step in chain.paid for ref in step.images if isinstance(ref, BesideRef)]
        self.sidecars = files.sidecars(names) if names else None
        #: What all items have; None where each may have something of its own.
        self.shared = None
        if not names and self.table is None and not isinstance(job.source, PromptsSource):
            self.shared = ItemPipeline(chain, fingerprint(chain))
        columns = () if self.table is None else self.table.kept
        #: A column `prompt` is the whole prompt, unless the job itself says where it goes.
        overrides = "prompt" in columns and all(use.column != "prompt" for use in uses)
        prompted = (at for at, step in enumerate(chain.steps) if isinstance(step, PaidStep) and "prompt" in step.sent)
        self._overridden = next(prompted, None) if overrides else None
        in_steps = dict.fromkeys(use.column for use in uses if not use.in_output_name)
        #: What a chain depends on: equal values, equal chains.
        self._varying = tuple([*in_steps, "prompt"] if overrides else in_steps)
        self._made: dict[tuple[str, ...], tuple[Chain, str]] = {}

    def _needed_columns(self, columns: Sequence[str]) -> Iterator[str]:
        needed = {use.column for use in self._uses} | {"skip", "prompt"}
        return (column for column in columns if column in needed)

    def _refuse_unknown(self, columns: Sequence[str]) -> None:
        unknown = [use for use in self._uses if not use.is_built_in and use.column not in columns]
        if unknown:
            raise JobError([use.unknown(self._job, columns) for use in unknown])

    # One item

    def make(self, candidate: Candidate, catalogue: Catalogue | None = None) -> ItemPipeline:
        """Return what an input has of its own; the catalogue, where given, tells whether the API takes its texts.

        Raises:
            ItemError: its row is missing, lacks a value, or has one that cannot be used.
            JobError: a prompts file lacks a column that the job names.
            ValueError: a column of a prompts row does not suit the step (pydantic's `ValidationError`).
        """
        if self.shared is not None:
            return self.shared
        row = self._row(candidate)
        if _is_skipped(row):
            return ItemPipeline(self._chain, "", {column: row.get(column) for column in self._in_names}, skipped=True)
        self._check_row(row)
        chain, fingerprint = self._filled(row, catalogue)
        if (sidecars := self.sidecars) is not None:
            chain = _with_sidecars(chain, lambda ref: sidecars.find(ref, candidate))
            fingerprint = self._fingerprint(chain)
        columns = {column: one_part(column, row.require(column)) for column in self._in_names}
        if columns:
            # Both words stand in every state: others would make every item a changed one.
            fingerprint = digest({"recipe": fingerprint, "name": dict(columns)})
        return ItemPipeline(chain, fingerprint, columns)

    def with_hashes(self, chain: Chain) -> Chain:
        """Return the chain with the hashes of the sidecars; those of a bucket have versions.

        Raises:
            ItemError: such a file cannot be read.
        """
        return chain if self.sidecars is None else _with_sidecars(chain, self.sidecars.with_hash)

    def _row(self, candidate: Candidate) -> RowValues:
        if isinstance(self._job.source, PromptsSource):
            return RowValues(candidate, f"row {candidate.key!r}", candidate.columns)
        return RowValues(candidate) if self.table is None else self.table.row(candidate)

    def _check_row(self, row: RowValues) -> None:
        """Refuse an item without the row that it needs, and prompts without a column that the job names."""
        source = self._job.source
        if isinstance(source, PromptsSource):
            # Every row of CSV has all the columns, so a missing one is the job's mistake; of JSON lines none need have.
            if not is_json_lines(source.prompts):
                self._refuse_unknown(tuple(row.values))
        elif self.table is not None and not row.place:
            needed = next((use.column for use in self._uses if use.needed and not use.is_built_in), None)
            if needed is not None:
                text = f"no row of {self.table.path} has its {self.table.by}, and column {needed!r} is needed"
                raise ItemError("metadata", text, remedy="add a row, or exclude the picture")

    def _filled(self, row: RowValues, catalogue: Catalogue | None) -> tuple[Chain, str]:
        by_row = isinstance(self._chain.steps[0], Generate)
        values = tuple(map(row.get, self._varying))
        if not by_row and values in self._made:
            return self._made[values]
        steps = tuple(self._step(number, step, row) for number, step in enumerate(self._chain.steps))
        _check_offered(steps, self._chain.steps, catalogue)
        chain = replace(self._chain, steps=steps, files=self._file_hashes(steps))
        made = chain, self._fingerprint(chain)
        if not by_row:
            if len(self._made) >= _MOST_CHAINS:
                self._made.clear()
            self._made[values] = made
        return made

    def _step(self, number: int, step: Step, row: RowValues) -> Step:
        when = resolve(step.when, row.get)
        if when != step.when:
            step = replace(step, when=when)
        if when == Decided(wanted=False):
            return step  # never done for this item: what its texts lack is not missed
        if isinstance(step, Generate):
            fields = {name: text for name, text in row.values.items() if name in GenerateFields.model_fields and text}
            own = render(step, row.require, self._folder, fields)
            return for_row(own, row.candidate.key, fields) if isinstance(own, Generate) else own
        prompt = row.get("prompt") if number == self._overridden else ""
        own = render(step, row.require, self._folder, {"prompt": prompt} if prompt else None)
        if not isinstance(own, LocalStep):
            return own
        return own.pinned({path: self._files.image_hash(path, Limits()) for path in own.unpinned})

    def _file_hashes(self, steps: Sequence[Step]) -> Mapping[Path, str]:
        """Return the hash of every file that the filled steps name."""
        known = self._chain.files
        further: dict[Path, str] = {}
        for step in filter(_is_used, steps):
            paths = (ref.path for ref in step.images if isinstance(ref, FileRef))
            further |= {path: self._files.image_hash(path, step.limits) for path in paths if path not in known}
        return {**known, **further} if further else known


def _is_used(step: Step) -> TypeGuard[PaidStep]:
    return isinstance(step, PaidStep) and step.when != Decided(wanted=False)


def _is_skipped(row: RowValues) -> bool:
    word = row.get("skip").lower()
    if word not in _YES and word not in _NO:
        text = f"{row.place}: column 'skip' holds {word!r}, which is neither yes nor no"
        raise ItemError("metadata", text, remedy="write yes, or leave it empty")
    return word in _YES


def _with_sidecars(chain: Chain, change: Callable[[BesideRef], BesideRef]) -> Chain:
    """Return the chain with each reference to a sidecar changed."""

    def changed(step: Step) -> Step:
        if not _is_used(step) or not any(isinstance(ref, BesideRef) for ref in step.images):
            return step
        return replace(step, images=tuple(change(ref) if isinstance(ref, BesideRef) else ref for ref in step.images))

    return replace(chain, steps=tuple(map(changed, chain.steps)))


def _check_offered(steps: Sequence[Step], unfilled: Sequence[Step], catalogue: Catalogue | None) -> None:
    """Refuse what the API will not take of the values filled in."""
    for step, before in zip(steps, unfilled, strict=True):
        if catalogue is None or step is before or not _is_used(step):
            continue
        try:
            problems = [problem for problem in step.problems(catalogue) if not problem.dropped]
            step.price(catalogue)
        except CatalogueError as error:
            raise ItemError("refused", f"step {step.id!r}: {error.message}", remedy=error.remedy) from error
        if problems:
            raise ItemError("refused", f"step {step.id!r}: {'; '.join(problem.text for problem in problems)}")
