"""`completion`: click's own shell completion; a job argument completes as a file."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class

from venice_batch.errors import Exit, UsageError

_NAME, _VARIABLE = "venice-batch", "_VENICE_BATCH_COMPLETE"


class _AnyBash(BashComplete):
    """Without a look at the bash of this machine: the text may be for another one."""

    @staticmethod
    def _check_version() -> None:
        """Do nothing."""


def completion(cli: click.Command, shell: str) -> int:
    """Print the text that `shell` is to evaluate.

    Raises:
        UsageError: click knows no such shell.
    """
    kind = _AnyBash if shell == "bash" else get_completion_class(shell)
    if kind is None:
        raise UsageError(f"there is no completion for {shell}", remedy="one of bash, zsh, fish")
    click.echo(kind(cli, {}, _NAME, _VARIABLE).source())
    return Exit.DONE
