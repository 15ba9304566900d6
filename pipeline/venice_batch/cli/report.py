"""`report`, and the report at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from venice_batch.cli import settings
from venice_batch.cli.jobs import load_job
from venice_batch.errors import Exit, Interrupted
from venice_batch.report import report_files
from venice_batch.report.gather import Effort
from venice_batch.report.text import shown
from venice_batch.run.observer import Summary
from venice_batch.run.session import Session, state_root
from venice_batch.state import to_read

#: A run ends when its work is done; what its report has no pictures of by then, the next one has.
_AT_THE_END = Effort(seconds=60.0)
#: Items from which on a page that is still true is not written anew.
_LARGE = 10_000
#: After a signal somebody counts the seconds to a SIGKILL.
_IN_A_HURRY = Effort(seconds=1.0)


def report(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Write the page anew and say where it lies.

    Raises:
        Unavailable: the state cannot be read, or the report cannot be written (exit 6).
    """
    loaded = load_job(job, overrides)
    root = state_root(loaded, settings.host(settings.base_url(base_url, loaded.api.base_url)))
    with to_read(root) as state:
        filed = report_files.file_report(state, loaded)
    if as_json:
        click.echo(json.dumps(filed.as_json(), indent=2))
        return Exit.DONE
    click.echo(f"report: {shown(filed.page)}")
    for note in filed.notes:
        click.echo(f"note: {shown(note)}")
    return Exit.DONE


def after_run(begun: Session, summary: Summary) -> str:
    """Write the report of a run; return where the page lies.

    The page of a large job stays as it is where this run left everything as the page shows it: it would take longer
    than the run.

    Raises:
        VeniceBatchError, OSError: it cannot be written.
    """
    if sum(summary.totals().values()) > _LARGE and _shows_it_all(begun, summary):
        return report_files.page_of(begun.state.root)
    hurried = isinstance(summary.cause, Interrupted)
    cause = "" if summary.cause is None else summary.cause.message
    effort = _IN_A_HURRY if hurried else _AT_THE_END
    return report_files.file_report(begun.state, begun.job, cause=cause, effort=effort).page


def _shows_it_all(begun: Session, summary: Summary) -> bool:
    """Whether the page of an earlier run shows what there is to show of this one."""
    if any(summary.ended.values()) or summary.cause is not None or begun.plan.vanished:
        return False
    last = report_files.last_summary(begun.state.root, begun.job.name)
    if last is None or last["run"] is None or last["run"]["exit_code"] != summary.exit_code:
        return False
    # A run that was killed before it wrote its page has left items in other states than the page tells.
    return all(last["items"].get(state, 0) == count for state, count in summary.totals().items())
