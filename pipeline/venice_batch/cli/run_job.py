"""`plan` and `run`: plan, run, print and notify."""

from __future__ import annotations

from typing import Any

import click

from venice_batch.cli import EXPECTED, as_error, settings
from venice_batch.cli.options import RunOptions
from venice_batch.cli.output import RunOutput
from venice_batch.cli.printing import print_json
from venice_batch.cli.run_loop import RunLoop, not_covered
from venice_batch.errors import Exit, Interrupted, VeniceBatchError
from venice_batch.report.notify import Notifier
from venice_batch.report.run_result import RunResult
from venice_batch.report.text import plan_text
from venice_batch.run.session import plan_only


def plan(**given: Any) -> int:
    """Print the plan; takes what `RunOptions` has.

    Raises:
        MoneyError: the money does not cover it (exit 5).
        VeniceBatchError: whatever would keep a run from starting.
    """
    options = RunOptions(**given)
    job = options.loaded()
    with settings.api(settings.base_url(options.base_url, job.api.base_url)) as api:
        made = plan_only(job, api, options.item_filter)
    if options.as_json:
        print_json("plan", made)
    else:
        click.echo(plan_text(job.name, made))
    if not made.coverage.covered:
        raise not_covered(made)
    return Exit.DONE


def run(**given: Any) -> int:
    """Run the job and return the exit code, errors printed by then; takes what `RunOptions` has."""
    options = RunOptions(**given)
    if options.dry_run:
        return plan(**given)
    output = RunOutput(options.log_format, as_json=options.as_json)
    try:
        job = options.loaded()
        url = settings.base_url(options.base_url, job.api.base_url)
        notifier = Notifier(job.notify, job.name, trial=url == settings.EMULATOR)
        run_loop = RunLoop(job, url, options, output, notifier)
    except VeniceBatchError as error:
        # Whom to notify stands in the job, which could not be read.
        output.error(error)
        return error.exit_code
    result = _result(run_loop, output)
    if result is None:
        return Exit.DONE
    output.ended(result)
    _notify(notifier, result, run_loop, output)
    return result.exit_code


def _result(run_loop: RunLoop, output: RunOutput) -> RunResult | None:
    """Run, and print what kept it from ending well; None where the user said no."""
    try:
        code = run_loop.run()
    except EXPECTED as error:
        # At once: nobody should have to wait for it until a webhook has answered.
        ours = as_error(error)
        output.error(ours)
        return run_loop.result(ours.exit_code, cause=ours.message, remedy=ours.remedy)
    except Exception as bug:  # noqa: BLE001 - whoever relies on notifications is notified of bugs, too
        output.crash(bug)
        return run_loop.result(Exit.BUG, cause=type(bug).__name__)
    return None if code is None else run_loop.result(code)


def _notify(notifier: Notifier, result: RunResult, run_loop: RunLoop, output: RunOutput) -> None:
    """Send the notifications, for as long as nobody interrupts it."""
    try:
        undelivered = notifier.ended(result, run_loop.metrics)
    except (KeyboardInterrupt, Interrupted):
        undelivered = ["interrupted"]
    for line in undelivered:
        output.warning("notify", line)
