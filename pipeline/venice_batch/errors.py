"""Every error that a user can meet, with the exit code it ends in and the remedy it carries.

VeniceBatchError                1  a bug in the tool, or the base of everything below
├── UsageError                  2  the job file or the command line cannot be carried out
│   ├── JobError                2  the job file: every problem at once, each with its place
│   ├── SourceError             2  the source, the prompts file or the list of addresses
│   ├── OutputError             2  the output folder belongs to somebody else, or lies inside the source
│   ├── CatalogueError          2  a model, price or parameter that the API does not offer
│   └── StateTooNew             2  the state was written by a newer version
├── KeyRefused                  4  no key, or the API refused it (401, 403)
├── MoneyError                  5  balance, key limit or budget
│   ├── BudgetReached           5  the job's own budget: waiting for credits would not help
│   ├── ModelSwitched           5  another model answered than the one that was priced: nor would it here
│   └── Overcharged             5  the balance falls faster than the prices say: nor here
├── Unavailable                 6  the API or a store cannot be reached or written, or too many failures
│   └── AccessDenied            6  a store refuses these credentials, perhaps one object only
├── Locked                      7  another run holds the job
│   └── LeaseLost               7  this run no longer holds it, or cannot be sure that it does
└── Interrupted           130/143  Ctrl-C or SIGTERM

Fatal to one item only, and never shown as a run's end:
ItemError                          this input cannot be processed; the batch goes on
└── ResultLost                     a stored result of this item is damaged or gone
"""

from __future__ import annotations

import copyreg
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command, fixed for scripts that rely on them."""

    DONE = 0
    BUG = 1
    USAGE = 2
    ITEMS_FAILED = 3
    KEY = 4
    MONEY = 5
    UNAVAILABLE = 6
    LOCKED = 7
    INTERRUPTED = 130
    TERMINATED = 143


#: Which exit code speaks for a run that has several causes, first wins.
PRECEDENCE = (
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    # What another run may have taken over, and what a bug has left, is not to be judged by the rest.
    Exit.BUG,
    Exit.LOCKED,
    Exit.MONEY,
    Exit.KEY,
    Exit.UNAVAILABLE,
    Exit.USAGE,
    Exit.ITEMS_FAILED,
    Exit.DONE,
)


class VeniceBatchError(Exception):
    """Base of all errors that are shown to a user.

    Attributes:
        message: what happened, one sentence, without the key and without control characters.
        remedy: what the user can do about it; empty where there is nothing to do.
        exit_code: the code the command ends with.
    """

    exit_code: Exit = Exit.BUG

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Let every error travel from a worker to the driver: most take other arguments than `args` holds."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # undocumented

    @property
    def told(self) -> str:
        """Message and remedy in one line, as the reason of an item is kept and shown."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UsageError(VeniceBatchError):
    """The job file or the command line asks for something that cannot be carried out."""

    exit_code = Exit.USAGE


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a text file: where it is, what it is, and what to write instead."""

    file: str
    line: int
    column: int
    what: str
    instead: str = ""

    def __str__(self) -> str:
        """Render as ``file:line:column: what; instead``."""
        tail = f"; {self.instead}" if self.instead else ""
        return f"{self.file}:{self.line}:{self.column}: {self.what}{tail}"


class JobError(UsageError):
    """The job file is wrong; carries every problem found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class SourceError(UsageError):
    """The source cannot be read: no such folder, no right to it, or a broken prompts or address file."""


class OutputError(UsageError):
    """The output cannot be used: inside the source, or owned by another state."""


class CatalogueError(UsageError):
    """A model, price or parameter that the live catalogue does not offer."""


class StateTooNew(UsageError):
    """The state was written by a newer version of the tool; reading it could lose what that version knows."""


class KeyRefused(VeniceBatchError):
    """There is no API key, or the API refused it (401, 403)."""

    exit_code = Exit.KEY


class MoneyError(VeniceBatchError):
    """The balance, a limit of the key, or the job's own budget does not cover the work."""

    exit_code = Exit.MONEY


class ModelSwitched(MoneyError):
    """Another model answered than the one that was priced: no balance makes that right."""


class Overcharged(MoneyError):
    """The balance falls faster than the catalogue's prices say: more balance would go the same way."""


class BudgetReached(MoneyError):
    """The job's own budget does not cover the work; only its owner can change that."""


class Unavailable(VeniceBatchError):
    """The API or a store cannot be reached or written, or too much of the work is failing."""

    exit_code = Exit.UNAVAILABLE


class AccessDenied(Unavailable):
    """A store that can be reached refuses these credentials; whoever asked for one object alone may go on."""


class Locked(VeniceBatchError):
    """Another run holds the state."""

    exit_code = Exit.LOCKED


class LeaseLost(Locked):
    """This run's hold on the state ran out, or another run took it over; nothing more may be begun or recorded."""


#: Signals besides Ctrl-C that end a run gently: a container or a person stops it, a terminal is closed, a session ends.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


class Interrupted(VeniceBatchError):
    """A signal ended the run: Ctrl-C (130), or SIGTERM and its like (143)."""

    exit_code = Exit.INTERRUPTED

    def __init__(self, message: str, *, remedy: str = "", terminated: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        if terminated:
            self.exit_code = Exit.TERMINATED


class ItemError(VeniceBatchError):
    """One input cannot be processed.

    Attributes:
        code: a short, stable word for tables and scripts (``broken``, ``too-small``, …).
        lasting: whether trying again without a change is pointless.
    """

    exit_code = Exit.ITEMS_FAILED

    def __init__(self, code: str, message: str, *, remedy: str = "", lasting: bool = True) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code
        self.lasting = lasting


class ResultLost(ItemError):
    """A stored result that an item needs is not what was stored; bought again by the next run, not by this one.

    Attributes:
        key: of the result.
    """

    def __init__(self, code: str, message: str, *, key: str, remedy: str) -> None:
        super().__init__(code, message, remedy=remedy, lasting=False)
        self.key = key


def out_of_memory() -> Unavailable:
    """Return the error for a machine without memory left: no bug, and nothing of the item's."""
    return Unavailable(
        "this machine has no memory left",
        remedy="give it more (`ulimit -v`, the container's limit), or lower `run.concurrency`; then run the job again",
    )
