"""`plan` and `run`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from pipeline.cli import settings
from pipeline.cli.jobs import load_job
from pipeline.errors import BudgetReached, Exit, MoneyError, UsageError, VeniceBatchError
from pipeline.job import Job
from pipeline.plan.model import Plan, dollars
from pipeline.plan.standing import Wishes
from pipeline.report.progress import Bar, Lines
from pipeline.report.text import duration, plan_text, shown, summary_text, usd
from pipeline.run.observe import Summary
from pipeline.run.session import Session, plan_only, session, waits_for_balance

#: Seconds between two looks at the balance.
_POLL = 60.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class RunOptions:
    """The options of `plan` and `run`, as given."""

    job: Path
    overrides: tuple[str, ...] = ()
    base_url: str | None = None
    limit: int | None = None
    only: str | None = None
    since: str | None = None
    budget: str | None = None
    retry_failed: bool = False
    as_json: bool = False
    dry_run: bool = False
    partial: bool = False
    workers: int | None = None
    yes: bool = False
    wait: str | None = None

    @property
    def wishes(self) -> Wishes:
        """What the plan should take up."""
        since = None if self.since is None else _moment(self.since, time.time())
        return Wishes(self.only, self.limit, self.retry_failed, since)


def plan(options: RunOptions) -> int:
    """Print the plan; exit 5 when the money does not cover it, 3 when some items cannot be done."""
    job = _job(options)
    with settings.api(settings.base_url(options.base_url, job.api.base_url)) as api:
        made = plan_only(job, api, options.wishes)
    click.echo(json.dumps(made.as_json(), indent=2) if options.as_json else plan_text(job.name, made))
    if not made.coverage.covered:
        raise _not_covered(made)
    return Exit.DONE


def run(options: RunOptions) -> int:
    """Carry the job out; the exit code tells what came of it."""
    if options.dry_run:
        return plan(options)
    job = _job(options)
    patience = time.monotonic() + (0.0 if options.wait is None else _seconds(options.wait))
    again = False
    while True:
        cause, code = _start(job, options, waits=time.monotonic() < patience, again=again)
        again = True
        if not waits_for_balance(cause) or time.monotonic() >= patience:
            return code
        pause = min(_POLL, max(0.0, patience - time.monotonic()))
        click.echo(f"waiting for the balance; looking again in {duration(pause)}", err=True)
        time.sleep(pause)


def _start(job: Job, options: RunOptions, *, waits: bool, again: bool) -> tuple[VeniceBatchError | None, int]:
    """Start the job once; return what ended it early, if anything did, and the exit code."""
    with (
        settings.api(settings.base_url(options.base_url, job.api.base_url)) as api,
        session(job, api, options.wishes) as begun,
    ):
        short = not begun.plan.coverage.covered
        if not (again and short):
            _show_plan(begun, options)
        if short and not options.partial:
            error = _not_covered(begun.plan)
            if waits and waits_for_balance(error):
                return error, error.exit_code
            raise error
        if not _agreed(begun.plan, options):
            click.echo("nothing was spent", err=True)
            return None, Exit.DONE
        summary = _carried_out(begun, options, waits=waits)
    return summary.cause, summary.exit_code


def _carried_out(begun: Session, options: RunOptions, *, waits: bool) -> Summary:
    total = len(begun.plan.to_do)
    watching = Bar(total) if sys.stderr.isatty() else Lines(total)
    try:
        short = options.partial and not begun.plan.coverage.covered
        summary = begun.execute(watching, partial=short, waits=waits)
    finally:
        watching.close()
    if options.as_json:
        click.echo(json.dumps(_as_json(summary, begun.plan), indent=2))
    else:
        sums = (summary.spent_micros, summary.uncertain_micros, summary.left_micros)
        click.echo(summary_text(summary.totals(), *sums))
    if summary.cause is not None:
        click.echo(f"error: {shown(summary.cause.message)}", err=True)
        _try(summary.cause.remedy, *_refill(begun, summary.cause))
    return summary


def _try(*remedies: str) -> None:
    for remedy in remedies:
        if remedy:
            click.echo(f"  try: {shown(remedy)}", err=True)


def _refill(begun: Session, cause: VeniceBatchError) -> tuple[str, ...]:
    """Say when DIEM is refilled, where waiting for that would help."""
    at = begun.known.account.next_epoch
    if at is None or "diem" not in begun.plan.balances or not waits_for_balance(cause):
        return ()
    return (f"wait: DIEM is refilled at {at.isoformat()}; --wait-for-balance 24h waits and goes on",)


def _show_plan(begun: Session, options: RunOptions) -> None:
    if begun.recovered:
        text = f"{begun.recovered} calls of a killed run are uncertain: they may have been charged"
        click.echo(text, err=True)
    # With --json, stdout is kept for the one document at the end.
    click.echo(plan_text(begun.job.name, begun.plan), err=options.as_json)


def _agreed(plan: Plan, options: RunOptions) -> bool:
    """Ask on a terminal before money is spent; elsewhere, and with --yes, go ahead."""
    if options.yes or not plan.cost.high or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return click.confirm(f"Spend up to {dollars(plan.cost.high)} USD?", default=False, err=True)


def _not_covered(plan: Plan) -> MoneyError:
    kind = BudgetReached if plan.coverage.by_budget else MoneyError
    return kind(
        f"the plan costs up to {dollars(plan.cost.high)} USD, and {plan.coverage.reason}:"
        f" {dollars(plan.coverage.shortfall)} USD are missing",
        remedy="add credits or raise the budget; --partial does what the money reaches for, --limit N takes fewer",
    )


def _job(options: RunOptions) -> Job:
    job = load_job(options.job, options.overrides)
    if options.workers is not None:
        job = replace(job, run=replace(job.run, concurrency=options.workers))
    if options.budget is not None:
        job = replace(job, budget=replace(job.budget, max_usd=_amount(options.budget)))
    return job


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise UsageError(f"--budget {text!r} is no amount of US dollars", remedy="write a number, such as 0.50")
    return amount


def _duration(text: str) -> float | None:
    """Return the seconds of text such as 2h, or None where it is no duration."""
    number, unit = text[:-1], text[-1:]
    return float(number) * _UNITS[unit] if unit in _UNITS and number.replace(".", "", 1).isdigit() else None


def _seconds(text: str) -> float:
    found = _duration(text)
    if found is None:
        raise UsageError(
            f"--wait-for-balance {text!r} is no duration", remedy="write a number with s, m, h or d, such as 2h"
        )
    return found


def _moment(text: str, now: float) -> float:
    """Return the Unix time of a date, of a date with a time, or of so long ago; without a zone it is UTC."""
    ago = _duration(text)
    if ago is not None:
        return now - ago
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text!r} is no time", remedy="write 2026-11-20, 2026-11-20T06:00Z, or how long ago: 36h, 7d"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _as_json(summary: Summary, plan: Plan) -> dict[str, object]:
    cause = summary.cause
    return {
        "exit_code": int(summary.exit_code),
        "items": summary.totals(),
        "spent": usd(summary.spent_micros),
        "uncertain": usd(summary.uncertain_micros),
        "left": usd(summary.left_micros),
        "cause": None if cause is None else cause.message,
        "plan": plan.as_json(),
    }
