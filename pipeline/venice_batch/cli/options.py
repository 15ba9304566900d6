"""What the options of the commands ask for: which items, how much money, how long, since when."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from venice_batch.cli import settings
from venice_batch.errors import UsageError
from venice_batch.job import Job
from venice_batch.plan.selection import ItemFilter

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class RunOptions:
    """The options of `plan` and `run`, as given."""

    job: Path
    overrides: tuple[str, ...] = ()
    base_url: str | None = None
    limit: int | None = None
    sample: int | None = None
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
    log_format: str = "text"
    allow_read: tuple[Path, ...] = ()

    @property
    def item_filter(self) -> ItemFilter:
        """Which items the plan should select.

        Raises:
            UsageError: an option is not what it must be, or two contradict each other.
        """
        if self.limit is not None and self.sample is not None:
            raise UsageError(
                "--limit and --sample both say how many items to take",
                remedy="keep --sample for a repeatable sample, or --limit for the first ones",
            )
        since = None if self.since is None else _since(self.since, time.time())
        return ItemFilter(self.only, self.limit, self.retry_failed, since, self.sample)

    def loaded(self) -> Job:
        """Load the job, with what the options say instead of it.

        Raises:
            JobError: with every problem and its place.
            UsageError: the file cannot be read, or the budget is not a valid amount.
        """
        job = settings.load_job(self.job, self.overrides, base_url=self.base_url, allow_read=self.allow_read)
        if self.workers is not None:
            job = replace(job, run=job.run.model_copy(update={"concurrency": self.workers}))
        if self.budget is not None:
            job = replace(job, budget=job.budget.model_copy(update={"max_usd": _budget(self.budget)}))
        return job


def seconds(option: str, text: str) -> float:
    """Return the seconds of an option's value, such as 2h.

    Raises:
        UsageError: it is not a valid duration.
    """
    found = _duration(text)
    if found is None:
        raise UsageError(
            f"{option} {text!r} is not a valid duration", remedy="write a number with s, m, h or d, such as 2h or 90d"
        )
    return found


def _budget(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise UsageError(
            f"--budget {text!r} is not a valid amount of US dollars", remedy="write a number, such as 0.50"
        )
    return amount


def _since(text: str, now: float) -> float:
    """Return the Unix seconds of a date, a date with a time, or so long ago; without a zone it is UTC."""
    ago = _duration(text)
    if ago is not None:
        return now - ago
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text!r} is not a valid time",
            remedy="write 2026-11-20, 2026-11-20T06:00Z, or how long ago: 36h, 7d",
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _duration(text: str) -> float | None:
    """Return the seconds of text such as 2h, or None where it is not a duration."""
    number, unit = text[:-1], text[-1:]
    valid = unit in _UNITS and number.isascii() and number.replace(".", "", 1).isdigit()
    return float(number) * _UNITS[unit] if valid else None
