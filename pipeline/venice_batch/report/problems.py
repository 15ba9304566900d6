"""Which items need a look since this run, and which did before: a morning with news differs from one without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from venice_batch.report.report_data import NEEDS_A_LOOK
from venice_batch.report.text import item_name
from venice_batch.state import ItemRow, State

#: So many new ones are named.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Problems:
    """Items that need a look.

    Attributes:
        named: a line for each of the first new ones.
        new: how many are new.
        known: how many are as the last run left them.
    """

    named: tuple[str, ...] = ()
    new: int = 0
    known: int = 0


NO_PROBLEMS = Problems()


def known_problems(state: State, job: str) -> frozenset[int]:
    """Return the problems that earlier runs told of, for `problems_since`; not those of a start that was killed."""
    number, continues = state.run_to_continue(job)
    last = state.last_run(job)
    since = last.started_at if continues and last is not None and last.id == number else float("inf")
    return frozenset(_identity(row) for row in _rows(state, job) if row.updated_at < since)


def problems_since(state: State, job: str, known: frozenset[int]) -> Problems:
    """Return the problems that there are now; one whose input, settings, state or reason changed is new."""
    named: list[str] = []
    new = old = 0
    for row in _rows(state, job):
        if _identity(row) in known:
            old += 1
            continue
        new += 1
        if len(named) < _NAMED:
            named.append(f"{row.state}: {item_name(row)}: {row.reason or row.code}")
    return Problems(tuple(named), new, old)


def _rows(state: State, job: str) -> Iterator[ItemRow]:
    for name in NEEDS_A_LOOK:
        yield from state.items(job, name)


def _identity(row: ItemRow) -> int:
    return hash((row.key, row.variant, row.version, row.fingerprint, row.state, row.code))
