"""The metadata of items: its table of rows, the places of a job that use its columns, and one item's values."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from venice_batch.errors import ItemError, Problem
from venice_batch.job import Job
from venice_batch.job.key_types import PLACEHOLDERS
from venice_batch.plan.model import Candidate
from venice_batch.plan.naming import folder_and_stem
from venice_batch.steps.chain import Step
from venice_batch.steps.conditions import ColumnIs
from venice_batch.steps.row_conditions import tests_of
from venice_batch.steps.templating import BUILT_IN, names, placeholders


@dataclass
class MetadataTable:
    """The rows of a metadata file, by the name of their item.

    Attributes:
        path: the file.
        by: the column that names the item: ``key``, ``url``, or one that holds stems.
        columns: every column that the file has.
        kept: those whose values are kept.
        rows: line, from 1, and the values of `kept` (empty where there is none), by `row_name`.
    """

    path: Path
    by: str
    columns: tuple[str, ...]
    kept: tuple[str, ...]
    rows: Mapping[str, tuple[int, tuple[str, ...]]]
    _matched: set[str] = field(default_factory=set)

    def row(self, candidate: Candidate) -> RowValues:
        """Return the row of an input; one without a place and values where there is none."""
        match self.by:
            case "key":
                name = candidate.key
            case "url":
                name = candidate.url
            case _:
                name = folder_and_stem(candidate.key)[1]
        name = row_name(name)
        if name not in self.rows:
            return RowValues(candidate)
        self._matched.add(name)
        line, values = self.rows[name]
        return RowValues(candidate, f"{self.path}:{line}", dict(zip(self.kept, values, strict=True)))

    @property
    def unmatched(self) -> int:
        """How many rows belong to no input so far."""
        return len(self.rows) - len(self._matched)


def row_name(written: str) -> str:
    """Return the form of a name in which rows and items match."""
    # Some systems store é as two letters in file names; a spreadsheet writes one.
    return written if written.isascii() else unicodedata.normalize("NFC", written)


def is_json_lines(path: Path) -> bool:
    """Whether a file holds JSON lines, by its name; else it is CSV."""
    return path.suffix.lower() in {".jsonl", ".ndjson"}


@dataclass(frozen=True, slots=True)
class RowValues:
    """The values of one item.

    Attributes:
        candidate: the item.
        place: file and line of its row; empty: it has none.
        values: by column.
    """

    candidate: Candidate
    place: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    def get(self, column: str) -> str:
        """Return the value, or nothing where there is none; spaces around it do not count."""
        match column:
            case "key":
                return self.candidate.key
            case "dir":
                return self.candidate.folder
            case "stem":
                return folder_and_stem(self.candidate.key)[1]
            case _:
                return self.values.get(column, "").strip()

    def require(self, column: str) -> str:
        """Return the value.

        Raises:
            ItemError: there is none; naming row and column.
        """
        found = self.get(column)
        if not found and column not in BUILT_IN:
            raise ItemError("metadata", f"{self.place}: column {column!r} is empty", remedy="fill it in")
        return found


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """One place of the job file that names a column.

    Attributes:
        place: the path of the value in the job file.
        column: its name.
        needed: an item without a row cannot do without it.
        in_output_name: it stands in the names of finished files, not in a step.
    """

    place: tuple[str | int, ...]
    column: str
    needed: bool = True
    in_output_name: bool = False

    @property
    def is_built_in(self) -> bool:
        """Whether the item itself gives the value, whatever its row says."""
        return self.column in (PLACEHOLDERS if self.in_output_name else BUILT_IN)

    def unknown(self, job: Job, columns: Sequence[str]) -> Problem:
        """Return the problem of a column that is not among those that there are."""
        near = difflib.get_close_matches(self.column, columns, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(columns)}"
        in_text = not self.in_output_name and self.place[-1] != "when"
        braces = "; write {{ and }} for braces that are no column" if in_text else ""
        return job.problem(self.place, f"the metadata has no column {self.column!r}", f"{hint}{braces}")


def column_uses(job: Job, steps: Sequence[Step], folder: Path) -> Iterator[ColumnUse]:
    """Yield every place that names a column.

    Args:
        job: the job.
        steps: those that the job file spells out, in order.
        folder: the job file's.
    """
    for number, step in enumerate(steps):
        for place, column in placeholders(step, folder):
            yield ColumnUse(("steps", number, step.name, *place), column)
        for test in () if step.when is None else tests_of(step.when):
            if isinstance(test, ColumnIs):
                yield ColumnUse(("steps", number, "when"), test.column, needed=test.values is not None)
    for column in names(job.output.name):
        yield ColumnUse(("output", "name"), column, in_output_name=True)
