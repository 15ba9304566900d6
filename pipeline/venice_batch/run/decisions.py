"""What a person decides about answers that are held back: to release them, or to reject them.

A decision is about an answer, so it holds for every item of every job of the state that waits for that answer. It is
recorded under the lease, between two runs; the next run acts upon it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from venice_batch.errors import UsageError
from venice_batch.run.materialize import set_aside_results
from venice_batch.state import Event, ItemId, ItemMoved, ItemRow, Released, ResultGone, State

Decision = Literal["released", "rejected"]

#: Where an item with a held-back result stays: by `run.on_flagged`, hold or fail.
_HELD = frozenset({"flagged", "failed"})
_VARIANT = re.compile(r"(?P<key>.+)-(?P<variant>[1-9]\d*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision came to.

    Attributes:
        rows: the items that it moved, in this job and in others, as they were before.
        already: names of items about which it had been made before.
    """

    rows: tuple[tuple[ItemId, ItemRow], ...]
    already: tuple[str, ...]


def name_of(row: ItemRow | ItemId) -> str:
    """Return an item's name as people see it: with the variant, where there are several."""
    return f"{row.key}-{row.variant}" if row.variant else row.key


def held(state: State, job: str) -> list[ItemRow]:
    """Return the items of `job` whose answer is held back."""
    return [row for kind in sorted(_HELD) for row in state.items(job, kind) if row.result]


def chosen(state: State, job: str, names: Sequence[str], decision: Decision) -> list[ItemRow]:
    """Return the items with these names; all of them can be decided about.

    Raises:
        UsageError: some cannot; each is named, with what keeps it.
    """
    rows, refused = [], []
    for name in dict.fromkeys(names):
        row = _find(state, job, name)
        problem = "there is no such item" if row is None else _problem_of(row, decision)
        if row is not None and not problem:
            rows.append(row)
        else:
            refused.append(f"{name}: {problem}")
    if refused:
        remedy = "`venice-batch items JOB --state flagged` lists what is held back; nothing was changed"
        raise UsageError("\n".join(refused), remedy=remedy)
    return rows


def decide(state: State, rows: Sequence[ItemRow], decision: Decision, now: float) -> Decided:
    """Record what was decided about the answers of `rows`; the caller holds the lease.

    Args:
        state: open for writing, recovered.
        rows: as `chosen` returned them.
        decision: about each of them.
        now: Unix seconds.
    """
    moved: dict[ItemId, ItemRow] = {}
    for result in dict.fromkeys(row.result for row in rows if not _is_made(row, decision)):
        waiting = [(item, row) for item, row in state.items_held_by(result) if not _is_made(row, decision)]
        moved.update(waiting)
        # One answer after the other: what is put aside must be recorded before anything else can go wrong.
        state.commit([*_about(state, result, decision, now), *_moves(waiting, result, decision, now)])
    return Decided(tuple(moved.items()), tuple(name_of(row) for row in rows if _is_made(row, decision)))


def _about(state: State, result: str, decision: Decision, now: float) -> Iterator[Event]:
    found = state.results.find(result)
    if decision == "released":
        if found is None:
            raise UsageError(
                f"the held-back result {result} was removed by somebody",
                remedy="reject its item instead: the next run regenerates it (charged again)",
            )
        yield Released(result, str(found.facts.get("sha256", "")), now)
    elif found is not None:
        yield from set_aside_results(state.results, [found])
    else:
        yield ResultGone(result)


def _moves(
    waiting: Sequence[tuple[ItemId, ItemRow]], result: str, decision: Decision, now: float
) -> Iterator[ItemMoved]:
    told = f"{decision} by a person"
    kept = result if decision == "released" else ""
    for item, row in waiting:
        yield ItemMoved(item, row.version, row.fingerprint, "pending", now, decision, told, result=kept)


def _find(state: State, job: str, name: str) -> ItemRow | None:
    rows = [row for row in state.rows_of(job, [name]) if row.variant == 0]
    split = _VARIANT.fullmatch(name)
    if not rows and split is not None:
        rows = [row for row in state.rows_of(job, [split["key"]]) if row.variant == int(split["variant"])]
    return rows[0] if rows else None


def _is_made(row: ItemRow, decision: Decision) -> bool:
    return row.state == "pending" and row.code == decision


def _problem_of(row: ItemRow, decision: Decision) -> str:
    """Return why nothing can be decided about an item; empty where it can."""
    if _is_made(row, decision) or (row.result and row.state in _HELD):
        return ""
    if row.state == "pending" and row.code == "released":
        return ""  # Rejecting it after all: no run has acted upon the release yet.
    if row.state == "pending" and row.code == "rejected":
        return "it was rejected: the next run regenerates it (charged again)"
    if row.code == "bad-answer":
        return "its answer is no picture, so there is nothing to release; the next run regenerates it (charged again)"
    return f"it is {row.state}: no answer of it is held back"
