"""`plan` and `run`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from pipeline.cli import settings
from pipeline.cli.jobs import load_job
from pipeline.errors import Exit, MoneyError, UsageError
from pipeline.job import Job
from pipeline.plan.model import Plan, dollars
from pipeline.plan.standing import Wishes
from pipeline.report.progress import Bar, Lines
from pipeline.report.text import plan_text, shown, summary_text, usd
from pipeline.run.observe import Summary
from pipeline.run.session import Session, plan_only, session


@dataclass(frozen=True)
class RunOptions:
    """The options of `plan` and `run`, as given."""

    job: Path
    overrides: tuple[str, ...] = ()
    base_url: str | None = None
    limit: int | None = None
    only: str | None = None
    budget: str | None = None
    retry_failed: bool = False
    as_json: bool = False
    dry_run: bool = False
    partial: bool = False
    workers: int | None = None
    yes: bool = False

    @property
    def wishes(self) -> Wishes:
        """What the plan should take up."""
        return Wishes(self.only, self.limit, self.retry_failed)


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
    with (
        settings.api(settings.base_url(options.base_url, job.api.base_url)) as api,
        session(job, api, options.wishes) as begun,
    ):
        _show_plan(begun, options)
        if not begun.plan.coverage.covered and not options.partial:
            raise _not_covered(begun.plan)
        if not _agreed(begun.plan, options):
            click.echo("nothing was spent", err=True)
            return Exit.DONE
        return _carried_out(begun, options)


def _carried_out(begun: Session, options: RunOptions) -> int:
    total = len(begun.plan.to_do)
    watching = Bar(total) if sys.stderr.isatty() else Lines(total)
    try:
        summary = begun.execute(watching, partial=options.partial and not begun.plan.coverage.covered)
    finally:
        watching.close()
    if options.as_json:
        click.echo(json.dumps(_as_json(summary, begun.plan), indent=2))
    else:
        click.echo(summary_text(summary.totals(), summary.spent_micros, summary.uncertain_micros))
    if summary.cause is not None:
        click.echo(f"error: {shown(summary.cause.message)}", err=True)
        if summary.cause.remedy:
            click.echo(f"  try: {shown(summary.cause.remedy)}", err=True)
    return summary.exit_code


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
    return MoneyError(
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


def _as_json(summary: Summary, plan: Plan) -> dict[str, object]:
    cause = summary.cause
    return {
        "exit_code": int(summary.exit_code),
        "items": summary.totals(),
        "spent": usd(summary.spent_micros),
        "uncertain": usd(summary.uncertain_micros),
        "cause": None if cause is None else cause.message,
        "plan": plan.as_json(),
    }
