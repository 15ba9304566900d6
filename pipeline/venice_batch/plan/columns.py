"""Where a job names columns, and what is said of one that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from venice_batch.errors import Problem
from venice_batch.job import Job
from venice_batch.job.schema import PLACEHOLDERS
from venice_batch.steps.chain import Step
from venice_batch.steps.conditions import ColumnIs
from venice_batch.steps.placeholders import BUILT_IN, names
from venice_batch.steps.row_conditions import tests_of
from venice_batch.steps.templating import asked


@dataclass(frozen=True, slots=True)
class Asked:
    """One place that names a column.

    Attributes:
        place: the path of the value in the job file.
        column: its name.
        needed: an item without a row cannot do without it.
        of_output: it stands in the names of finished files, not in a step.
    """

    place: tuple[str | int, ...]
    column: str
    needed: bool = True
    of_output: bool = False

    @property
    def is_built_in(self) -> bool:
        """Whether the item itself gives the value, whatever its row says."""
        return self.column in (PLACEHOLDERS if self.of_output else BUILT_IN)


def asked_by(job: Job, steps: Sequence[Step], folder: Path) -> Iterator[Asked]:
    """Yield every place that names a column.

    Args:
        job: the job.
        steps: those that the job file spells out, in order.
        folder: the job file's.
    """
    for number, step in enumerate(steps):
        for place, column in asked(step, folder):
            yield Asked(("steps", number, step.name, *place), column)
        for test in () if step.when is None else tests_of(step.when):
            if isinstance(test, ColumnIs):
                yield Asked(("steps", number, "when"), test.column, needed=test.values is not None)
    for column in names(job.output.name):
        yield Asked(("output", "name"), column, of_output=True)


def unknown(job: Job, each: Asked, columns: Sequence[str]) -> Problem:
    """Return the problem of a column that is not among those that there are."""
    near = difflib.get_close_matches(each.column, columns, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(columns)}"
    braces = "" if each.of_output or each.place[-1] == "when" else "; write {{ and }} for braces that are no column"
    return job.problem(each.place, f"the metadata has no column {each.column!r}", f"{hint}{braces}")
