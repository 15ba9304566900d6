"""`report`, and the report at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from pipeline.cli import settings
from pipeline.cli.jobs import load_job
from pipeline.errors import Exit, Interrupted
from pipeline.report import filing
from pipeline.report.gather import Effort
from pipeline.report.text import shown
from pipeline.run.observe import Summary
from pipeline.run.session import Session, state_root
from pipeline.state import to_read

#: A run ends when its work is done; what its report has no pictures of by then, the next one has.
_AT_THE_END = Effort(seconds=60.0)
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
        filed = filing.file_report(state, loaded)
    if as_json:
        click.echo(json.dumps(filed.as_json(), indent=2))
        return Exit.DONE
    click.echo(f"report: {shown(filed.page)}")
    for note in filed.notes:
        click.echo(f"note: {shown(note)}")
    return Exit.DONE


def after_run(begun: Session, summary: Summary) -> str:
    """Write the report of a run, unless nothing changed since there is one; return where the page lies.

    Raises:
        VeniceBatchError, OSError: it cannot be written.
    """
    changed = any(summary.ended.values()) or summary.cause is not None or bool(begun.plan.vanished)
    if not changed and filing.is_there(begun.state.root, begun.job.name):
        return filing.page_of(begun.state.root)
    hurried = isinstance(summary.cause, Interrupted)
    cause = "" if summary.cause is None else summary.cause.message
    effort = _IN_A_HURRY if hurried else _AT_THE_END
    return filing.file_report(begun.state, begun.job, cause=cause, effort=effort).page
