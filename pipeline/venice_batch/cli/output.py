"""What a run says, and how: lines for people, or one JSON object a line for whatever collects a container's logs.

Either way stdout holds data, which is the plan and the result for people, or with ``--json`` one document.
"""

from __future__ import annotations

import functools
import json
import sys
import traceback
from typing import Any, Protocol

import click

from venice_batch.cli.errors import tell
from venice_batch.errors import VeniceBatchError
from venice_batch.plan.model import Plan, dollars
from venice_batch.report.logs import JsonLines, JsonLog
from venice_batch.report.progress import Bar, Lines
from venice_batch.report.run_result import RunResult
from venice_batch.report.text import duration, plan_text, rest_text, shown, summary_text, usd
from venice_batch.run.observer import Observer, Summary


class Watcher(Observer, Protocol):
    """An observer that has to be told when there is nothing more to see."""

    def close(self) -> None:
        """Leave what was shown as it stands."""


class RunOutput(Protocol):
    """How a run speaks."""

    def planned(self, name: str, plan: Plan, recovered: int) -> None:
        """Say what will be done, and how many calls of a killed run are uncertain."""

    def watcher(self, total: int) -> Watcher:
        """Return somebody who tells of a run of so many items while it works."""

    def result(self, summary: Summary, plan: Plan) -> None:
        """Say what came of it."""

    def error(self, error: VeniceBatchError, *hints: str) -> None:
        """Say why it could not start, or ended early, and what to do."""

    def crash(self, bug: Exception) -> None:
        """Say what only the author of this tool can mend."""

    def waiting(self, seconds: float) -> None:
        """Say that it looks at the balance again after so long."""

    def note(self, text: str) -> None:
        """Say something that a person watching should know."""

    def warning(self, kind: str, text: str) -> None:
        """Say that something beside the work went wrong: `kind` is notify or report."""

    def report(self, page: str) -> None:
        """Say where the review page lies."""

    def ended(self, outcome: RunResult) -> None:
        """Close, but for notifications that cannot be delivered."""


def output_for(log_format: str, *, as_json: bool) -> RunOutput:
    """Return the voice that the command line asks for."""
    return JsonOutput(as_json=as_json) if log_format == "json" else PlainOutput(as_json=as_json)


class PlainOutput:
    """Speaks to people."""

    def __init__(self, *, as_json: bool) -> None:
        """Keep stdout for the one document where `as_json` is asked for."""
        self._as_json = as_json

    def planned(self, name: str, plan: Plan, recovered: int) -> None:
        """Print the plan, to stderr where stdout is kept for the document."""
        if recovered:
            self.note(f"{recovered} calls of a killed run are uncertain: they may have been charged")
        click.echo(plan_text(name, plan), err=self._as_json)

    def watcher(self, total: int) -> Watcher:
        """Return a bar on a terminal, plain lines elsewhere."""
        return Bar(total) if sys.stderr.isatty() else Lines(total)

    def result(self, summary: Summary, plan: Plan) -> None:
        """Print the summary."""
        if self._as_json:
            click.echo(json.dumps(document(summary, plan), indent=2))
            return
        sums = (summary.spent_micros, summary.uncertain_micros, summary.left_micros)
        click.echo(summary_text(summary.totals(), *sums, summary.published_flagged))
        if plan.remainder is not None:
            way = "; `run` without --sample goes on" if plan.remainder.items else ""
            click.echo(f"left for later: {rest_text(plan.remainder)}{way}")

    def error(self, error: VeniceBatchError, *hints: str) -> None:
        """Print the error, its remedy and the hints."""
        tell(error, *hints)

    def crash(self, bug: Exception) -> None:
        """Print the traceback."""
        click.echo("".join(traceback.format_exception(bug)), err=True, nl=False)

    def waiting(self, seconds: float) -> None:
        """Print that it waits."""
        self.note(f"waiting for the balance; looking again in {duration(seconds)}")

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(shown(text), err=True)

    def warning(self, kind: str, text: str) -> None:
        """Print a line."""
        self.note(f"warning: {'not told' if kind == 'notify' else kind}: {text}")

    def report(self, page: str) -> None:
        """Print where the page lies."""
        click.echo(f"report: {shown(page)}", err=self._as_json)

    def ended(self, outcome: RunResult) -> None:
        """Add nothing: people have read the result, and the exit code is their shell's."""


class JsonOutput:
    """Speaks to log collectors: everything but the document of ``--json`` goes to stderr."""

    def __init__(self, *, as_json: bool) -> None:
        """Print the one document, too, where `as_json` is asked for."""
        self._as_json = as_json
        self._log = JsonLog(functools.partial(click.echo, err=True))

    def planned(self, name: str, plan: Plan, recovered: int) -> None:
        """Log the plan's sums, and each of its warnings."""
        if recovered:
            text = f"{recovered} calls of a killed run are uncertain: they may have been charged"
            self._log.event("note", text, "warning")
        rest = plan.remainder
        later: dict[str, Any] = {} if rest is None else {"later": rest.items, "later_usd": dollars(rest.cost.high)}
        head = plan_text(name, plan).splitlines()[0]
        self._log.event("plan", head, items=plan.counts(), usd_at_most=dollars(plan.cost.high), **later)
        for caution in plan.warnings:
            self._log.event("plan", caution.text, "warning", code=caution.code)

    def watcher(self, total: int) -> Watcher:
        """Return lines of the log, also on a terminal."""
        return JsonLines(total, self._log)

    def result(self, summary: Summary, plan: Plan) -> None:
        """Print the document on one line, where it is asked for; the log's own last line has the rest."""
        if self._as_json:
            click.echo(json.dumps(document(summary, plan)))

    def error(self, error: VeniceBatchError, *hints: str) -> None:
        """Log the error, and each hint."""
        self._log.error(error)
        for hint in hints:
            self.note(hint)

    def crash(self, bug: Exception) -> None:
        """Log the traceback in one field."""
        self._log.crash(bug)

    def waiting(self, seconds: float) -> None:
        """Log that it waits."""
        text = f"waiting for the balance; looking again in {duration(seconds)}"
        self._log.event("wait", text, seconds=round(seconds, 3))

    def note(self, text: str) -> None:
        """Log a line."""
        self._log.event("note", text)

    def warning(self, kind: str, text: str) -> None:
        """Log a line of that kind."""
        self._log.event(kind, text, "warning")

    def report(self, page: str) -> None:
        """Log where the page lies."""
        self._log.event("report", f"report: {page}", page=page)

    def ended(self, outcome: RunResult) -> None:
        """Log what came of the run."""
        self._log.ended(outcome)


def document(summary: Summary, plan: Plan) -> dict[str, object]:
    """Return what ``run --json`` prints; scripts rely on it."""
    cause = summary.cause
    return {
        "exit_code": int(summary.exit_code),
        "items": summary.totals(),
        "spent": usd(summary.spent_micros),
        "uncertain": usd(summary.uncertain_micros),
        "left": usd(summary.left_micros),
        "published_flagged": summary.published_flagged,
        "cause": None if cause is None else cause.message,
        "plan": plan.as_json(),
    }
