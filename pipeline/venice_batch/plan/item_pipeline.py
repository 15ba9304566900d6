"""Each item's own chain: the job's, with the item's row of the metadata in texts, names and conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeGuard

from venice_batch import imaging
from venice_batch.errors import CatalogueError, ItemError, JobError
from venice_batch.imaging import Limits
from venice_batch.job import FolderSource, Job, PromptsSource
from venice_batch.plan.columns import Asked, asked_by, unknown
from venice_batch.plan.hashing import file_hash
from venice_batch.plan.metadata import Table, folder_of, is_json, stem_of
from venice_batch.plan.sidecars import Sidecars
from venice_batch.plan.sources import Candidate
from venice_batch.steps.canonical_json import digest
from venice_batch.steps.chain import Chain, Step
from venice_batch.steps.conditions import Settled
from venice_batch.steps.fields import GenerateFields
from venice_batch.steps.local import LocalStep
from venice_batch.steps.paid import Generate, PaidStep
from venice_batch.steps.placeholders import BUILT_IN
from venice_batch.steps.references import BesideRef, FileRef
from venice_batch.steps.registry import for_row
from venice_batch.steps.row_conditions import settled
from venice_batch.steps.templating import filled, one_part
from venice_batch.venice import Catalogue

_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"", "false", "no", "0"})
#: Chains kept for items with equal values; a catalogue of unique titles would fill the memory for nothing.
_MOST_CHAINS = 1000
_NO_COLUMNS: Mapping[str, str] = {}


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
    columns: Mapping[str, str] = _NO_COLUMNS
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class RowValues:
    """The values of one item.

    Attributes:
        candidate: the item.
        place: file and line of its row; empty: it has none.
        values: by column.
    """

    candidate: Candidate
    place: str
    values: Mapping[str, str]

    def get(self, column: str) -> str:
        """Return the value, or nothing where there is none; spaces around it do not count."""
        match column:
            case "key":
                return self.candidate.key
            case "dir":
                return folder_of(self.candidate)
            case "stem":
                return stem_of(self.candidate)
            case _:
                return self.values.get(column, "").strip()

    def need(self, column: str) -> str:
        """Return the value.

        Raises:
            ItemError: there is none; naming row and column.
        """
        found = self.get(column)
        if not found and column not in BUILT_IN:
            raise ItemError("metadata", f"{self.place}: column {column!r} is empty", remedy="fill it in")
        return found


class ItemPipelines:
    """Makes each item's own chain."""

    def __init__(self, job: Job, chain: Chain, offset: int, fingerprint: Callable[[Chain], str]) -> None:
        """Read the metadata, if there is any, and refuse columns that it has not.

        Args:
            job: the job.
            chain: its steps, unfilled.
            offset: how many of them the job file does not spell out.
            fingerprint: takes that of a chain.

        Raises:
            SourceError: the metadata cannot be read.
            JobError: a column that the job names is not there; every one with its place.
        """
        self._job, self._chain, self._fingerprint = job, chain, fingerprint
        self._folder = job.file.absolute().parent
        self._asked = tuple(asked_by(job, chain.steps[offset:], self._folder))
        self._in_names = tuple(dict.fromkeys(each.column for each in self._asked if _names_files(each)))
        self.table = self._table()
        self.sidecars = self._sidecars()
        columns = () if self.table is None else self.table.kept
        #: A column `prompt` is the whole prompt, unless the job itself says where it goes.
        overrides = "prompt" in columns and all(each.column != "prompt" for each in self._asked)
        self._overridden = _first_prompt(chain) if overrides else None
        of_steps = dict.fromkeys(each.column for each in self._asked if not each.of_output)
        #: What a chain depends on: equal values, equal chains.
        self._varying = tuple([*of_steps, "prompt"] if overrides else of_steps)
        self._made: dict[tuple[str, ...], tuple[Chain, str]] = {}
        self._hashes: dict[Path, str] = {}

    def _table(self) -> Table | None:
        if isinstance(self._job.source, PromptsSource) or self._job.source.metadata is None:
            return None
        table = Table(self._job.source.metadata, self._wanted)
        self._refuse_unknown(table.columns)
        return table

    def _wanted(self, columns: Sequence[str]) -> Iterator[str]:
        needed = {each.column for each in self._asked} | {"skip", "prompt"}
        return (column for column in columns if column in needed)

    def _refuse_unknown(self, columns: Sequence[str]) -> None:
        lacking = [each for each in self._asked if not each.is_built_in and each.column not in columns]
        if lacking:
            raise JobError([unknown(self._job, each, columns) for each in lacking])

    def _sidecars(self) -> Sidecars | None:
        beside = [ref.name for step in self._chain.paid for ref in step.images if isinstance(ref, BesideRef)]
        source = self._job.source
        return Sidecars(source, beside) if beside and isinstance(source, FolderSource) else None

    # One item

    def of(self, candidate: Candidate, catalogue: Catalogue | None = None) -> ItemPipeline:
        """Return what an input has of its own.

        Args:
            candidate: the input.
            catalogue: asked whether the API takes the filled texts; None: not asked.

        Raises:
            ItemError: its row is missing, lacks a value, or has one that cannot be used.
            JobError: a prompts file lacks a column that the job names.
            ValueError: a column of a prompts row does not suit the step (pydantic's `ValidationError`).
        """
        cells = self._cells(candidate)
        if _is_skipped(cells):
            return ItemPipeline(self._chain, "", {column: cells.get(column) for column in self._in_names}, skipped=True)
        self._refuse_rowless(cells)
        chain, fingerprint = self._filled(cells, catalogue)
        if self.sidecars is not None:
            chain = self._beside(chain, candidate, self.sidecars)
            fingerprint = self._fingerprint(chain)
        columns = {column: one_part(column, cells.need(column)) for column in self._in_names}
        return ItemPipeline(
            chain, digest({"recipe": fingerprint, "name": dict(columns)}) if columns else fingerprint, columns
        )

    def pinned(self, chain: Chain) -> Chain:
        """Return the chain with the hashes of the files beside the item's picture; those of a bucket have versions.

        Raises:
            ItemError: such a file cannot be read.
        """
        if self.sidecars is None:
            return chain
        return _with_beside(chain, self.sidecars.pinned)

    def _cells(self, candidate: Candidate) -> RowValues:
        if isinstance(self._job.source, PromptsSource):
            return RowValues(candidate, f"row {candidate.key!r}", candidate.columns)
        row = None if self.table is None else self.table.row(candidate)
        if row is None or self.table is None:
            return RowValues(candidate, "", _NO_COLUMNS)
        return RowValues(candidate, row.place, dict(zip(self.table.kept, row.values, strict=True)))

    def _refuse_rowless(self, cells: RowValues) -> None:
        source = self._job.source
        if isinstance(source, PromptsSource):
            # Every row of CSV has all the columns, so a missing one is the job's mistake; of JSON lines none need have.
            if not is_json(source.prompts):
                self._refuse_unknown(tuple(cells.values))
        elif self.table is not None and not cells.place:
            needed = next((each.column for each in self._asked if each.needed and not each.is_built_in), None)
            if needed is not None:
                text = f"no row of {self.table.path} has its {self.table.by}, and column {needed!r} is needed"
                raise ItemError("metadata", text, remedy="add a row, or exclude the picture")

    def _filled(self, cells: RowValues, catalogue: Catalogue | None) -> tuple[Chain, str]:
        by_row = isinstance(self._chain.steps[0], Generate)
        values = tuple(map(cells.get, self._varying))
        if not by_row and values in self._made:
            return self._made[values]
        steps = tuple(self._step(number, step, cells) for number, step in enumerate(self._chain.steps))
        _refuse_unsold(steps, self._chain.steps, catalogue)
        chain = replace(self._chain, steps=steps, files=self._files(steps))
        made = chain, self._fingerprint(chain)
        if not by_row:
            if len(self._made) >= _MOST_CHAINS:
                self._made.clear()
            self._made[values] = made
        return made

    def _step(self, number: int, step: Step, cells: RowValues) -> Step:
        when = settled(step.when, cells.get)
        if when != step.when:
            step = replace(step, when=when)
        if when == Settled(wanted=False):
            return step  # never done for this item: what its texts lack is not missed
        if isinstance(step, Generate):
            row = {name: text for name, text in cells.values.items() if name in GenerateFields.model_fields and text}
            own = filled(step, cells.need, self._folder, row)
            return for_row(own, cells.candidate.key, row) if isinstance(own, Generate) else own
        prompt = cells.get("prompt") if number == self._overridden else ""
        own = filled(step, cells.need, self._folder, {"prompt": prompt} if prompt else None)
        if not isinstance(own, LocalStep):
            return own
        return own.pinned({path: self._hash(path, Limits()) for path in own.unpinned})

    def _beside(self, chain: Chain, candidate: Candidate, sidecars: Sidecars) -> Chain:
        return _with_beside(chain, lambda ref: sidecars.found(ref, candidate))

    # Files that a filled step names

    def _files(self, steps: Sequence[Step]) -> Mapping[Path, str]:
        known = self._chain.files
        further: dict[Path, str] = {}
        for step in filter(_is_done, steps):
            sent = (ref.path for ref in step.images if isinstance(ref, FileRef))
            further |= {path: self._hash(path, step.limits) for path in sent if path not in known}
        return {**known, **further} if further else known

    def _hash(self, path: Path, limits: Limits) -> str:
        """Return the hash of a file that a row names; one that is no picture is told of now, not after a payment."""
        if path not in self._hashes:
            try:
                imaging.check_minimum(imaging.verify(path), limits)
                self._hashes[path] = file_hash(path)
            except ItemError as error:
                raise ItemError("reference", f"{path}, which its row names: {error.message}") from error
            except OSError as error:
                text = f"cannot read {path}, which its row names: {error.strerror}"
                raise ItemError("reference", text, lasting=False) from error
        return self._hashes[path]


def _names_files(each: Asked) -> bool:
    return each.of_output and not each.is_built_in


def _is_done(step: Step) -> TypeGuard[PaidStep]:
    return isinstance(step, PaidStep) and step.when != Settled(wanted=False)


def _first_prompt(chain: Chain) -> int | None:
    takers = (number for number, step in enumerate(chain.steps) if isinstance(step, PaidStep) and "prompt" in step.sent)
    return next(takers, None)


def _is_skipped(cells: RowValues) -> bool:
    word = cells.get("skip").lower()
    if word not in _YES and word not in _NO:
        text = f"{cells.place}: column 'skip' holds {word!r}, which is neither yes nor no"
        raise ItemError("metadata", text, remedy="write yes, or leave it empty")
    return word in _YES


def _with_beside(chain: Chain, made: Callable[[BesideRef], BesideRef]) -> Chain:
    """Return the chain with each file beside the picture replaced by what `made` gives for it."""

    def of(step: Step) -> Step:
        if not _is_done(step) or not any(isinstance(ref, BesideRef) for ref in step.images):
            return step
        return replace(step, images=tuple(made(ref) if isinstance(ref, BesideRef) else ref for ref in step.images))

    return replace(chain, steps=tuple(map(of, chain.steps)))


def _refuse_unsold(steps: Sequence[Step], before: Sequence[Step], catalogue: Catalogue | None) -> None:
    """Refuse what the API will not take of the values filled in."""
    for step, unfilled in zip(steps, before, strict=True):
        if catalogue is None or step is unfilled or not _is_done(step):
            continue
        try:
            problems = step.problems(catalogue)
        except CatalogueError as error:
            raise ItemError("refused", f"step {step.id!r}: {error.message}", remedy=error.remedy) from error
        if problems:
            raise ItemError("refused", f"step {step.id!r}: {'; '.join(problem.text for problem in problems)}")
