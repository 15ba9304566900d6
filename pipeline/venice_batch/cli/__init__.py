"""The command line: the only place that reads arguments and the environment, prints, and exits.

Commands are declared in `commands`; what they do is imported when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence

import click

from venice_batch.cli import streams
from venice_batch.cli.network_environment import keep_loopback_unproxied
from venice_batch.cli.scrubbed_stream import scrubbed
from venice_batch.errors import Exit, Interrupted, Unavailable, VeniceBatchError, out_of_memory
from venice_batch.trust import secrets

#: What ends a command in words. Anything else is a bug, and shown as one.
EXPECTED = (click.Abort, KeyboardInterrupt, VeniceBatchError, OSError, MemoryError, sqlite3.Error)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, turn what went wrong into text and an exit code, and exit."""
    streams.prepare()
    secrets.learn(os.environ)
    keep_loopback_unproxied(os.environ)
    sys.stdout, sys.stderr = scrubbed(sys.stdout), scrubbed(sys.stderr)
    from venice_batch.cli.commands import cli  # noqa: PLC0415 - `import venice_batch.cli` stays cheap

    sys.exit(run(cli, arguments))


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run `command` and return its exit code; errors are on stderr by then."""
    try:
        code = command.main(args=arguments, prog_name="venice-batch", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except EXPECTED as error:
        return print_error(as_error(error))
    return code if isinstance(code, int) else Exit.DONE


def as_error(error: BaseException) -> VeniceBatchError:
    """Return `error`, which is one of ours, of the machine's, or an interrupt, with message, remedy and exit code."""
    if isinstance(error, VeniceBatchError):
        return error
    if isinstance(error, OSError):
        # Not from the job's folders, whose errors have their own remedy: the machine's own, such as TMPDIR.
        return Unavailable(f"this machine failed: {error}", remedy="see to its disk, then run it again")
    if isinstance(error, MemoryError):
        return out_of_memory()
    if isinstance(error, sqlite3.Error):
        from venice_batch.state.schema import unusable  # noqa: PLC0415 - only needed when something went wrong

        return unusable("of this state", error)
    return Interrupted("interrupted")


def print_error(error: VeniceBatchError, *hints: str) -> int:
    """Print the error, its remedy and further hints to stderr; return its exit code."""
    from venice_batch.report.text import shown  # noqa: PLC0415 - only needed when something went wrong

    for line in error.message.splitlines() or [""]:
        click.echo(f"error: {shown(line)}", err=True)
    for hint in (error.remedy, *hints):
        if hint:
            click.echo(f"  try: {shown(hint)}", err=True)
    return error.exit_code
