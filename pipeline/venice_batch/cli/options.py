"""What the options of `plan` and `run` ask for."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from venice_batch.cli import amounts
from venice_batch.cli.jobs import load_job
from venice_batch.errors import UsageError
from venice_batch.job import Job
from venice_batch.plan.selection import ItemFilter


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

    @property
    def item_filter(self) -> ItemFilter:
        """What the plan should take up.

        Raises:
            UsageError: an option is not what it must be, or two contradict each other.
        """
        if self.limit is not None and self.sample is not None:
            raise UsageError(
                "--limit and --sample both say how many items to take",
                remedy="keep --sample for a spread, or --limit for the first ones",
            )
        since = None if self.since is None else amounts.since(self.since, time.time())
        return ItemFilter(self.only, self.limit, self.retry_failed, since, self.sample)

    def loaded(self) -> Job:
        """Load the job, with what the options say instead of it.

        Raises:
            JobError: with every problem and its place.
            UsageError: the file cannot be read, or the budget is no amount.
        """
        job = load_job(self.job, self.overrides)
        if self.workers is not None:
            job = replace(job, run=job.run.model_copy(update={"concurrency": self.workers}))
        if self.budget is not None:
            job = replace(job, budget=job.budget.model_copy(update={"max_usd": amounts.budget(self.budget)}))
        return job
