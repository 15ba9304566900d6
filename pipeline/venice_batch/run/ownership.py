"""An output belongs to one state: a mark in it keeps two states from writing, and deleting, each other's files."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from venice_batch.errors import OutputError
from venice_batch.job import Job
from venice_batch.plan.reading.finished_files import FindOwners
from venice_batch.state import OutputRow, State, to_read
from venice_batch.storage import Changed, Exists, Place, Store

#: Hidden, so that neither a listing nor a web server shows it.
MARK = ".venice-batch/owner"


def claim_output(output: Store, place: Place, state: Place, folder: Path, *, by_force: bool = False) -> None:
    """Mark the output as written from this state.

    Args:
        output: where finished files go.
        place: the same, for comparisons and messages.
        state: the job's memory.
        folder: a folder for two small files.
        by_force: whatever another state's mark says.

    Raises:
        OutputError: the mark names another state.
        Unavailable: the output cannot be written.
    """
    name = _name(state, place)
    if by_force or output.stat(MARK) is None:
        mark = folder / "owner"
        mark.write_text(json.dumps({"state": name}), "utf-8")
        try:
            output.put(mark, MARK, replace=by_force)
        except Exists:
            pass  # another run was faster; whose it is, is read below
        else:
            return
    found = _owner(output, place, folder / "found")
    if found != name:
        raise OutputError(
            f"the output {place} is written by another state ({found})",
            remedy="give each job an output of its own, or both the same `state:`;"
            " if that state was moved here, `venice-batch unlock JOB --claim` says so",
        )


@contextmanager
def output_owners(job: Job, state: State, trial: Place) -> Iterator[FindOwners]:
    """Give what tells which finished files are the job's own.

    A real run may replace what a trial on the emulator wrote: where the state knows nothing of a file that is there,
    that of the trials is asked.

    Args:
        job: whose output it is.
        state: its memory.
        trial: where the memory of its trials lies.
    """
    with ExitStack() as stack:

        @functools.cache
        def trials() -> State:
            return stack.enter_context(to_read(trial))

        def owners(paths: Sequence[str]) -> Mapping[str, OutputRow]:
            found = state.outputs_at(job.name, paths)
            if state.root == job.state:
                known = {path for path, row in found.items() if row.version is not None}
                unknown = [path for path in paths if path not in known]
                found.update(trials().outputs_at(job.name, unknown) if unknown else {})
            return found

        yield owners


def _name(state: Place, output: Place) -> str:
    """Return the state's name: relative where it lies inside the output, so that both can be moved together."""
    if state.folder is None:
        return str(state)
    if output.folder is not None and output.holds(state):
        return str(state.folder.resolve().relative_to(output.folder.resolve()))
    return str(state.folder.resolve())


def _shown(place: Place) -> str:
    return f"{str(place).rstrip('/')}/{MARK}"


def _owner(output: Store, place: Place, into: Path) -> str:
    try:
        output.read(MARK, into)
        return str(json.loads(into.read_text("utf-8"))["state"])
    except (Changed, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{_shown(place)} does not say which state writes this output",
            remedy="if no other job writes there, remove that file and run again",
        ) from error
