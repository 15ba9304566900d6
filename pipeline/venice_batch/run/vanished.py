"""Finished files whose input is gone: kept, named, or deleted, as the job says."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from venice_batch.errors import OutputError
from venice_batch.job import Job
from venice_batch.plan.reading.finished_files import has_our_bytes
from venice_batch.state import Event, OutputDropped, OutputRow, State
from venice_batch.storage import Store

_SHOWN = 5


def apply_rule(job: Job, state: State, output: Store, tell: Callable[[str], None]) -> list[Event]:
    """Carry out the job's rule on finished files of vanished inputs.

    A file that is not as this tool left it is somebody's work and stays. When more would go than the job's share, none
    does: a source that was listed in part, or an empty folder where a disk should be mounted, looks just like that.

    Args:
        job: its `output.on_vanished` and `output.max_deleted`.
        state: knows which files those are.
        output: where they lie.
        tell: takes a line for the user.

    Returns:
        What to record of the files that are gone.

    Raises:
        Unavailable: the output cannot be reached or changed.
    """
    rule = job.output.on_vanished
    orphans = state.orphans(job.name) if rule != "keep" else []
    if not orphans:
        return []
    if rule == "report":
        tell(f"{_files(orphans)} of inputs that are gone: {_named(orphans)}")
        return []
    most = job.output.max_deleted * state.count_outputs(job.name)
    if len(orphans) > most:
        tell(
            f"{_files(orphans)} of inputs that are gone were kept: that is more than output.max_deleted allows"
            f" ({job.output.max_deleted:.0%}); raise it if they really are to go"
        )
        return []
    return _deleted(job.name, orphans, output, tell)


def _deleted(job: str, orphans: Iterable[OutputRow], output: Store, tell: Callable[[str], None]) -> list[Event]:
    gone: list[OutputRow] = []
    absent: list[OutputRow] = []
    for row in orphans:
        there = output.stat(row.path)
        if there is None:
            absent.append(row)
            continue
        if not has_our_bytes(output, row, there):
            tell(f"{row.path} was changed by somebody since it was written, and stays")
            continue
        try:
            output.delete(row.path)
        except OutputError as error:
            tell(f"{row.path} stays: {error.message}")
            continue
        gone.append(row)
    if gone:
        tell(f"deleted {_files(gone)} of inputs that are gone: {_named(gone)}")
    return [OutputDropped(job, row.path) for row in (*gone, *absent)]


def _files(rows: list[OutputRow]) -> str:
    return "1 finished file" if len(rows) == 1 else f"{len(rows)} finished files"


def _named(rows: list[OutputRow]) -> str:
    names = ", ".join(row.path for row in rows[:_SHOWN])
    return names if len(rows) <= _SHOWN else f"{names}, and {len(rows) - _SHOWN} more"
