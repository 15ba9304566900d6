"""How a command ends that could not do what it was asked to: one error, in words, and its exit code."""

from __future__ import annotations

import click

from venice_batch.errors import Interrupted, Unavailable, VeniceBatchError


def told(error: BaseException) -> VeniceBatchError:
    """Return what a person is told of `error`, which is one of ours, of the machine's, or an interrupt."""
    if isinstance(error, VeniceBatchError):
        return error
    if isinstance(error, OSError):
        # Not from the job's folders, whose errors are told with their remedy: the machine's own, such as TMPDIR.
        return Unavailable(f"this machine failed: {error}", remedy="see to its disk, then run it again")
    return Interrupted("interrupted")


def tell(error: VeniceBatchError, *hints: str) -> int:
    """Print the error, its remedy and further hints to stderr; return its exit code."""
    from venice_batch.report.text import shown  # noqa: PLC0415 - only needed when something went wrong

    for line in error.message.splitlines() or [""]:
        click.echo(f"error: {shown(line)}", err=True)
    for hint in (error.remedy, *hints):
        if hint:
            click.echo(f"  try: {shown(hint)}", err=True)
    return error.exit_code
