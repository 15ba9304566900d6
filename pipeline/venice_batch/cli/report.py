"""`report`, and the report at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from venice_batch.cli import settings
from venice_batch.cli.printing import print_json
from venice_batch.errors import Exit, Interrupted
from venice_batch.job import Job
from venice_batch.report import report_files
from venice_batch.report.gather import ReportLimits
from venice_batch.report.text import shown
from venice_batch.run.observer import Summary
from venice_batch.run.session import Session
from venice_batch.state import State, to_read

#: A run should end soon after its work; pictures that are not made by then come with the next report.
_AT_THE_END = ReportLimits(seconds=60.0)
#: From so many items on a page that is still current is not written again.
_LARGE = 10_000
#: After a signal a SIGKILL may follow soon.
_INTERRUPTED = ReportLimits(seconds=1.0)


def report(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Write the page again and print its path.

    Raises:
        Unavailable: the state cannot be read, or the report cannot be written (exit 6).
    """
    loaded = settings.load_job(job, overrides)
    with to_read(settings.state_of(loaded, base_url)) as state:
        written = report_files.save_report(state, loaded)
    if as_json:
        print_json("report", written)
        return Exit.DONE
    click.echo(f"report: {shown(written.page)}")
    for note in written.notes:
        click.echo(f"note: {shown(note)}")
    return Exit.DONE


def after_run(begun: Session, summary: Summary) -> str:
    """Write the report of a run; return where the page lies.

    The page of a large job stays as it is where this run left everything as the page shows it: it would take longer
    than the run.

    Raises:
        VeniceBatchError, OSError: it cannot be written.
    """
    if sum(summary.totals().values()) > _LARGE and _is_current(begun, summary):
        return report_files.page_of(begun.state.root)
    limits = _INTERRUPTED if isinstance(summary.cause, Interrupted) else _AT_THE_END
    notes = [warning.text for warning in summary.warnings]
    return report_files.save_report(begun.state, begun.job, notes=notes, limits=limits).page


def after_refusal(state: State, job: Job) -> None:
    """Write the report of a run that was refused; its pictures are those of the runs before.

    Raises:
        VeniceBatchError, OSError: it cannot be written.
    """
    report_files.save_report(state, job, limits=_INTERRUPTED)


def _is_current(begun: Session, summary: Summary) -> bool:
    """Whether the page of an earlier run shows what there is to show of this one."""
    if any(summary.ended.values()) or summary.cause is not None or begun.plan.vanished:
        return False
    last = report_files.last_summary(begun.state.root, begun.job.name)
    if last is None or last["run"] is None or last["run"]["exit_code"] != summary.exit_code:
        return False
    # A run that was killed before it wrote its page has left items in other states than the page shows.
    return all(last["items"].get(state, 0) == count for state, count in summary.totals().items())
