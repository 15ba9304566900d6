"""Finished files whose input is gone: kept, named, or deleted, as the job says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from venice_batch.errors import OutputError
from venice_batch.job import Job
from venice_batch.plan.reading.finished_files import has_our_bytes
from venice_batch.state import Event, OutputDropped, OutputRow, State, Unproduced
from venice_batch.storage import Store

_SHOWN = 5


def apply_rule(
    job: Job, state: State, output: Store, dropped: Sequence[str], tell: Callable[[str], None]
) -> tuple[list[Event], Unproduced]:
    """Carry out the job's rule on finished files of vanished inputs.

    A file that is not as this tool left it is somebody's work and stays. When more would go than the job's share, none
    does: a source that was listed in part, or an empty folder where a disk should be mounted, looks just like that.

    Args:
        job: its `output.on_vanished` and `output.max_deleted`.
        state: knows which files those are.
        output: where they lie.
        dropped: all files that no item produces any more, those of vanished inputs among them.
        tell: takes a line for the user.

    Returns:
        What to record of the files that are gone, and what became of all.

    Raises:
        Unavailable: the output cannot be reached or changed.
    """
    rule, orphans = job.output.on_vanished, state.orphans(job.name)
    others = len(set(dropped) - {row.path for row in orphans})
    found = Unproduced(state.counts(job.name).get("vanished", 0), files=len(orphans) + others)
    if rule == "report" and orphans:
        tell(f"{_files(orphans)} of inputs that are gone: {_named(orphans)}")
    if rule != "delete" or not orphans:
        return [], replace(found, kept=found.files)
    most = job.output.max_deleted * state.count_outputs(job.name)
    if len(orphans) > most:
        tell(
            f"{_files(orphans)} of inputs that are gone were kept: that is more than output.max_deleted allows"
            f" ({job.output.max_deleted:.0%}); raise it if they really are to go"
        )
        return [], replace(found, held_back=len(orphans), kept=others)
    return _deleted(job.name, orphans, output, tell, replace(found, kept=others))


def _deleted(
    job: str, orphans: Iterable[OutputRow], output: Store, tell: Callable[[str], None], found: Unproduced
) -> tuple[list[Event], Unproduced]:
    deleted: list[OutputRow] = []
    gone: list[OutputRow] = []
    for row in orphans:
        there = output.stat(row.path)
        if there is None:
            gone.append(row)
            continue
        if not has_our_bytes(output, row, there):
            tell(f"{row.path} was changed by somebody since it was written, and stays")
            found = replace(found, edited=found.edited + 1)
            continue
        try:
            output.delete(row.path)
        except OutputError as error:
            tell(f"{row.path} stays: {error.message}")
            found = replace(found, kept=found.kept + 1)
            continue
        deleted.append(row)
    if deleted:
        tell(f"deleted {_files(deleted)} of inputs that are gone: {_named(deleted)}")
    events: list[Event] = [OutputDropped(job, row.path) for row in (*deleted, *gone)]
    return events, replace(found, deleted=len(deleted), gone=len(gone))


def _files(rows: list[OutputRow]) -> str:
    return "1 finished file" if len(rows) == 1 else f"{len(rows)} finished files"


def _named(rows: list[OutputRow]) -> str:
    names = ", ".join(row.path for row in rows[:_SHOWN])
    return names if len(rows) <= _SHOWN else f"{names}, and {len(rows) - _SHOWN} more"
