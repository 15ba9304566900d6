"""Runs a job once, or again and again where `--wait-for-balance` waits in between; keeps what notifications report."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import click

from venice_batch.cli import settings
from venice_batch.cli.options import RunOptions, seconds
from venice_batch.cli.output import RunOutput
from venice_batch.errors import (
    BudgetReached,
    Interrupted,
    LeaseLost,
    Locked,
    MoneyError,
    OutputError,
    VeniceBatchError,
)
from venice_batch.job import Job
from venice_batch.plan.model import Plan, cents
from venice_batch.plan.money import micros
from venice_batch.plan.pricing import PriceList
from venice_batch.report.metrics import RateLimit, RunMetrics, run_metrics
from venice_batch.report.notify import Notifier
from venice_batch.report.problems import NO_PROBLEMS, Problems, known_problems, problems_since
from venice_batch.report.run_result import RunResult
from venice_batch.run.observer import Summary
from venice_batch.run.session import (
    Session,
    money_of_run,
    record_refusal,
    session,
    state_root,
    state_to_write,
    waits_for_balance,
)
from venice_batch.state import State, to_read

#: Seconds between two looks at the balance.
_POLL = 60.0


def not_covered(plan: Plan) -> MoneyError:
    """Return the error of a plan that the money does not cover."""
    kind = BudgetReached if plan.coverage.by_budget else MoneyError
    return kind(
        f"the plan costs up to {cents(plan.cost.high)} USD, and {plan.coverage.reason}:"
        f" {cents(plan.coverage.shortfall)} USD are missing",
        remedy="add credits or raise the budget; --partial processes what the money covers, --limit N fewer items",
    )


@dataclass(frozen=True)
class _Start:
    """What one start gave: a summary, or the error that kept it from beginning; neither: the user said no."""

    summary: Summary | None = None
    not_covered: MoneyError | None = None


@dataclass(frozen=True)
class _Found:
    """What is known of the job after the last start; the money, (spent, uncertain), is that of the whole run."""

    items: Mapping[str, int] = field(default_factory=dict)
    money: tuple[int, int] = (0, 0)
    left_micros: int = 0
    problems: Problems = NO_PROBLEMS


class RunLoop:
    """Starts the job, prints, and remembers what notifications report at the end.

    Attributes:
        metrics: of all starts together; empty unless the job wants them.
    """

    def __init__(self, job: Job, url: str, options: RunOptions, output: RunOutput, notifier: Notifier) -> None:
        """Get ready.

        Raises:
            UsageError: `options.wait` is not a valid duration.
        """
        self._job = job
        self._url = url
        self._options = options
        self._output = output
        self._notifier = notifier
        self._began = time.time()
        self._until = time.monotonic() + (0.0 if options.wait is None else seconds("--wait-for-balance", options.wait))
        self._begun = False
        self._ended: list[Summary] = []
        self._found = _Found()
        self._recorded = False
        self.metrics = RunMetrics()

    @property
    def _may_wait(self) -> bool:
        return time.monotonic() < self._until

    def run(self) -> int | None:
        """Start until the work is done or the time to wait is over; return the exit code, None if the user said no.

        Raises:
            VeniceBatchError: whatever keeps the job from starting; nothing was spent in that start.
        """
        first = True
        while True:
            try:
                start = self._start(waits=self._may_wait, first=first)
            except VeniceBatchError as error:
                self._record_unheld(error)
                raise
            first = False
            cause = start.not_covered or (start.summary.cause if start.summary else None)
            if start.summary is not None and not (waits_for_balance(cause) and self._may_wait):
                return start.summary.exit_code
            if cause is None:
                return None
            self._wait(cause)

    def result(self, exit_code: int, *, cause: str = "", remedy: str = "", waiting: bool = False) -> RunResult:
        """Return what is known by now; the cause is that of the last start unless one is given."""
        last, found = self._ended[-1] if self._ended else Summary({}, 0, {}, 0, 0), self._found
        if not cause and last.cause is not None:
            cause, remedy = last.cause.message, last.cause.remedy
        return RunResult(
            self._job.name,
            exit_code,
            self._began,
            time.time(),
            found.items or last.totals(),
            *found.money,
            found.left_micros,
            cause,
            remedy,
            socket.gethostname(),
            waiting,
            tuple(dict.fromkeys(warning.text for summary in self._ended for warning in summary.warnings)),
            found.problems,
            last.unproduced,
        )

    def _start(self, *, waits: bool, first: bool) -> _Start:
        """Start the job once.

        Args:
            waits: whether there is time left to wait for the balance.
            first: whether it is the first start: later a plan that is still not covered need not be shown again.
        """
        with (
            settings.api(self._url) as api,
            session(self._job, api, self._options.item_filter, self._refused) as begun,
        ):
            covered = begun.plan.coverage.covered
            if first or covered:
                self._output.planned(self._job.name, begun.plan, begun.recovered)
            if not covered and not self._options.partial:
                error = not_covered(begun.plan)
                if waits and waits_for_balance(error):
                    return _Start(not_covered=error)
                self._refused(begun.state, error, begun.plan)
                raise error
            if not self._agreed(begun.plan):
                self._output.note("nothing was spent")
                return _Start()
            return _Start(self._execute(begun, waits=waits))

    def _agreed(self, plan: Plan) -> bool:
        """Ask on a terminal before money is spent; elsewhere, and with --yes, go ahead."""
        if self._options.yes or not plan.cost.high or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return True
        return click.confirm(f"Spend up to {cents(plan.cost.high)} USD?", default=False, err=True)

    def _execute(self, begun: Session, *, waits: bool) -> Summary:
        """Do the work, and print the result, what was wrong, and where the report lies."""
        if not self._begun:
            self._begun = True
            self._warn(self._notifier.started())
        watcher = self._output.watcher(len(begun.plan.to_do))
        known = known_problems(begun.state, self._job.name)
        self._recorded = True
        try:
            partial = self._options.partial and not begun.plan.coverage.covered
            summary = begun.execute(watcher, partial=partial, waits=waits)
        except VeniceBatchError:
            # Whatever it was, the money of its calls is gone: what was recorded is told.
            self._found = replace(self._found, money=money_of_run(begun.state, self._job.name))
            raise
        finally:
            watcher.close()
        self._ended.append(summary)
        self._found = _Found(
            summary.totals(),
            (summary.spent_micros, summary.uncertain_micros),
            summary.left_micros,
            problems_since(begun.state, self._job.name, known),
        )
        self._output.result(summary, begun.plan)
        if summary.cause is not None:
            self._output.error(summary.cause, *_refill(begun, summary.cause))
        if self._notifier.wants_metrics:
            self.metrics = self._run_metrics(begun)
        self._report(begun, summary)
        return summary

    def _refused(self, state: State, error: VeniceBatchError, plan: Plan | None = None) -> None:
        """Record a start that was refused while its state is held, with what waits, in manifest, report and metrics."""
        from venice_batch.cli.report import after_refusal  # noqa: PLC0415 - see `_report`

        job, self._recorded = self._job.name, True
        try:
            known = known_problems(state, job)
            open_run = state.run_to_continue(job)[1]
            record_refusal(self._job, state, error, plan)
            self._found = _Found(
                {name: count for name, count in state.counts(job).items() if name != "vanished"},
                money_of_run(state, job) if open_run else (0, 0),
                0 if plan is None else micros(plan.cost.high),
                problems_since(state, job, known),
            )
            if self._notifier.wants_metrics:
                self.metrics = run_metrics((), state.items(job))
            after_refusal(state, self._job)
        except (VeniceBatchError, OSError) as second:
            self._output.warning("report", f"this start could not be recorded: {second}")

    def _record_unheld(self, error: VeniceBatchError) -> None:
        """Record a start that was refused before its state was held, where there is a state and it can be had."""
        if self._recorded or isinstance(error, Locked | Interrupted | LeaseLost | OutputError):
            return
        host = settings.host(self._url)
        with suppress(VeniceBatchError, OSError):
            with to_read(state_root(self._job, host)) as state:
                ran = state.last_run(self._job.name) is not None
            if ran:
                with state_to_write(self._job, host) as state:
                    self._refused(state, error)

    def _report(self, begun: Session, summary: Summary) -> None:
        """Write the report. Whatever becomes of it, the work is done, and the exit code is that of the work."""
        from venice_batch.cli.report import after_run  # noqa: PLC0415 - Jinja2 and Pillow, once the work is done

        try:
            self._output.report(after_run(begun, summary))
        except (KeyboardInterrupt, Interrupted):
            if waits_for_balance(summary.cause) and self._may_wait:
                raise
            self._output.warning("report", "left unfinished; `venice-batch report` writes it")
        except Exception as error:  # noqa: BLE001 - see the docstring: not even a bug in the page makes a run fail
            ours = isinstance(error, VeniceBatchError | OSError)
            what = str(error) if ours else f"a bug in this tool: {type(error).__name__}: {error}"
            self._output.warning("report", f"cannot be written: {what}")

    def _run_metrics(self, begun: Session) -> RunMetrics:
        prices = PriceList(begun.known.catalogue)
        names = {step.id: prices.lane(step) for step in begun.pipeline.chain.paid}
        return run_metrics(
            (call for call in begun.state.calls(self._job.name) if call.reserved_at >= self._began),
            begun.state.items(self._job.name),
            limits={step: RateLimit(name, begun.known.account.rpm_of(name)) for step, name in names.items()},
            balances=begun.plan.balances,
        )

    def _wait(self, cause: VeniceBatchError) -> None:
        pause = min(_POLL, max(0.0, self._until - time.monotonic()))
        self._warn(self._notifier.waiting(self.result(cause.exit_code, cause=cause.message, waiting=True)))
        self._output.waiting(pause)
        time.sleep(pause)

    def _warn(self, undelivered: list[str]) -> None:
        for line in undelivered:
            self._output.warning("notify", line)


def _refill(begun: Session, cause: VeniceBatchError) -> tuple[str, ...]:
    """Return a hint at when DIEM is refilled, where waiting for that would help: an account without gets none."""
    at = begun.known.account.next_epoch
    if at is None or not begun.plan.balances.get("diem") or not waits_for_balance(cause):
        return ()
    return (f"wait: DIEM is refilled at {at.isoformat()}; --wait-for-balance 24h waits and goes on",)
