"""`plan` and `run`: a run is planned, carried out and told of, to those who watch and to those who do not."""

from __future__ import annotations

import json

import click

from venice_batch.cli import settings
from venice_batch.cli.errors import told
from venice_batch.cli.options import RunOptions
from venice_batch.cli.output import RunOutput, output_for
from venice_batch.cli.run_loop import Starts, not_covered
from venice_batch.errors import Exit, Interrupted, VeniceBatchError
from venice_batch.report.notify import Notifier
from venice_batch.report.run_result import RunResult
from venice_batch.report.text import plan_text
from venice_batch.run.session import plan_only

__all__ = ["RunOptions", "plan", "run"]


def plan(options: RunOptions) -> int:
    """Print the plan.

    Raises:
        MoneyError: the money does not cover it (exit 5).
        VeniceBatchError: whatever would keep a run from starting.
    """
    job = options.loaded()
    with settings.api(settings.base_url(options.base_url, job.api.base_url)) as api:
        made = plan_only(job, api, options.item_filter)
    click.echo(json.dumps(made.as_json(), indent=2) if options.as_json else plan_text(job.name, made))
    if not made.coverage.covered:
        raise not_covered(made)
    return Exit.DONE


def run(options: RunOptions) -> int:
    """Carry the job out; the exit code tells what came of it, and errors are told by then."""
    if options.dry_run:
        return plan(options)
    output = output_for(options.log_format, as_json=options.as_json)
    try:
        job = options.loaded()
        url = settings.base_url(options.base_url, job.api.base_url)
        notifier = Notifier(job.notify, job.name, trial=url == settings.EMULATOR)
        starts = Starts(job, url, options, output, notifier)
    except VeniceBatchError as error:
        # Whom to tell stands in the job: as long as it cannot be read, only those who watch can be told.
        output.error(error)
        return error.exit_code
    outcome = _outcome(starts, output)
    if outcome is None:
        return Exit.DONE
    output.ended(outcome)
    _spread(notifier, outcome, starts, output)
    return outcome.exit_code


def _outcome(starts: Starts, output: RunOutput) -> RunResult | None:
    """Start, and say what kept it from ending well; None where the user did not want it after all."""
    try:
        code = starts.run()
    except BrokenPipeError:
        # The reader of our output went away: nothing is wrong with the run, and nobody is there to be told.
        raise
    except (VeniceBatchError, click.Abort, KeyboardInterrupt, OSError) as error:
        # At once: nobody should have to wait for it until a webhook has answered.
        ours = told(error)
        output.error(ours)
        return starts.outcome(ours.exit_code, cause=ours.message, remedy=ours.remedy)
    except Exception as bug:  # noqa: BLE001 - whoever relies on being told is told of bugs, too
        output.crash(bug)
        return starts.outcome(Exit.BUG, cause=type(bug).__name__)
    return None if code is None else starts.outcome(code)


def _spread(notifier: Notifier, outcome: RunResult, starts: Starts, output: RunOutput) -> None:
    """Tell those who were not there, for as long as nobody interrupts it."""
    try:
        undelivered = notifier.ended(outcome, starts.figures)
    except (KeyboardInterrupt, Interrupted):
        undelivered = ["interrupted"]
    for line in undelivered:
        output.warning("notify", line)
