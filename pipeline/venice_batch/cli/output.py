"""What a run prints: text for people, or one JSON object per line for whatever collects a container's logs.

Either way stdout holds data, which is the plan and the result for people, or with ``--json`` one document.
"""

from __future__ import annotations

import functools
import sys
import traceback
from typing import Protocol

import click

from venice_batch.cli import print_error
from venice_batch.cli.printing import print_json
from venice_batch.errors import VeniceBatchError
from venice_batch.plan.model import Plan, dollars
from venice_batch.report.logs import JsonLines, JsonLog, Level
from venice_batch.report.progress import Bar, Lines
from venice_batch.report.run_result import RunResult
from venice_batch.report.text import duration, plan_text, rest_text, shown, summary_text, unproduced_text
from venice_batch.run.observer import Observer, Summary


class Watcher(Observer, Protocol):
    """An observer of a run that is closed when the run is over."""

    def close(self) -> None:
        """Stop; what was shown stays."""


class RunOutput:
    """Prints a run from its plan to its end, in the one form or the other."""

    def __init__(self, log_format: str, *, as_json: bool) -> None:
        """Print as `--log-format` says; with `as_json` stdout is kept for the one document."""
        self._as_json = as_json
        self._log = JsonLog(functools.partial(click.echo, err=True)) if log_format == "json" else None

    def planned(self, name: str, plan: Plan, recovered: int) -> None:
        """Print what will be done, and how many calls of a killed run are uncertain."""
        if recovered:
            text = f"{recovered} calls of a killed run are uncertain: they may have been charged"
            self._line("note", text, "warning")
        if self._log is None:
            click.echo(plan_text(name, plan), err=self._as_json)
            return
        rest = (
            {}
            if plan.remainder is None
            else {"later": plan.remainder.items, "later_usd": dollars(plan.remainder.cost.high)}
        )
        head = plan_text(name, plan).splitlines()[0]
        self._log.event("plan", head, "info", items=plan.counts(), high_usd=dollars(plan.cost.high), **rest)
        for caution in plan.warnings:
            self._log.event("plan", caution.text, "warning", code=caution.code)

    def watcher(self, total: int) -> Watcher:
        """Return an observer that shows the progress of a run of so many items: a bar on a terminal, else lines."""
        if self._log is not None:
            return JsonLines(total, self._log)
        return Bar(total) if sys.stderr.isatty() else Lines(total)

    def result(self, summary: Summary, plan: Plan) -> None:
        """Print the result: the document where it is asked for, else the sums, which a log has in its last line."""
        if self._as_json:
            print_json("run", _run_values(summary, plan), indent=None if self._log else 2)
        elif self._log is None:
            sums = (summary.spent_micros, summary.uncertain_micros, summary.left_micros)
            click.echo(summary_text(summary.totals(), *sums, summary.published_flagged))
            if summary.unproduced is not None and summary.unproduced.files:
                click.echo(unproduced_text(summary.unproduced))
            if plan.remainder is not None:
                how = "; `run` without --sample goes on" if plan.remainder.items else ""
                click.echo(f"left for later: {rest_text(plan.remainder)}{how}")

    def error(self, error: VeniceBatchError, *hints: str) -> None:
        """Print why it could not start, or ended early, and what to do."""
        if self._log is None:
            print_error(error, *hints)
            return
        self._log.error(error)
        for hint in hints:
            self.note(hint)

    def crash(self, bug: Exception) -> None:
        """Print a bug of this tool with its traceback."""
        if self._log is None:
            click.echo("".join(traceback.format_exception(bug)), err=True, nl=False)
        else:
            self._log.crash(bug)

    def waiting(self, seconds: float) -> None:
        """Print that the balance is read again after so long."""
        text = f"waiting for the balance; checking again in {duration(seconds)}"
        self._line("wait", text, seconds=round(seconds, 3))

    def note(self, text: str) -> None:
        """Print something that a person watching should know."""
        self._line("note", text)

    def warning(self, kind: str, text: str) -> None:
        """Print that something other than the work failed: `kind` is notify or report."""
        if self._log is None:
            text = f"warning: {'not delivered' if kind == 'notify' else kind}: {text}"
        self._line(kind, text, "warning")

    def report(self, page: str) -> None:
        """Print where the review page lies."""
        if self._log is None:
            click.echo(f"report: {shown(page)}", err=self._as_json)
        else:
            self._log.event("report", f"report: {page}", page=page)

    def ended(self, result: RunResult) -> None:
        """Log the end, which people have read by now; only notifications that failed come after it."""
        if self._log is not None:
            self._log.ended(result)

    def _line(self, event: str, text: str, level: Level = "info", **fields: object) -> None:
        if self._log is None:
            click.echo(shown(text), err=True)
        else:
            self._log.event(event, text, level, **fields)


def _run_values(summary: Summary, plan: Plan) -> dict[str, object]:
    return {
        "exit_code": summary.exit_code,
        "items": summary.totals(),
        "spent": summary.spent_micros,
        "uncertain": summary.uncertain_micros,
        "left": summary.left_micros,
        "published_flagged": summary.published_flagged,
        "cause": None if summary.cause is None else summary.cause.message,
        "unproduced": summary.unproduced,
        "warnings": summary.warnings,
        "plan": plan,
    }
