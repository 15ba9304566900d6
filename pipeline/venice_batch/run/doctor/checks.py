"""Checks, run all at once, each with a time limit; an error in one never hides what another finds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from venice_batch.errors import PRECEDENCE, Exit, VeniceBatchError

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination.

    Attributes:
        check: its name.
        level: how it is.
        found: what was found.
        remedy: what to do about it.
        code: the exit code that a bad one stands for.
    """

    check: str
    level: Level
    found: str
    remedy: str = ""
    code: Exit = Exit.DONE


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to check.

    Attributes:
        check: its name, for what goes wrong in it.
        work: yields what it finds; what it raises is a finding, too.
        code: of an error that is none of ours, such as one of the disk.
        seconds: how long it may take.
    """

    check: str
    work: Callable[[], Iterable[Finding]]
    code: Exit = Exit.UNAVAILABLE
    seconds: float = 10.0


@dataclass
class _RunningCheck:
    """A check under way; what it has found so far counts even if it never ends."""

    check: Check
    findings: list[Finding] = field(default_factory=list)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        # A daemon: a server that never answers must not keep the command from ending.
        self.thread = threading.Thread(target=self._work, name=self.check.check, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            for finding in self.check.work():
                self.findings.append(finding)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
            self.findings.append(finding_of(self.check.check, error, self.check.code))

    def ended(self, deadline: float) -> list[Finding]:
        self.thread.join(max(0.0, deadline - time.monotonic()))
        found = list(self.findings)
        if self.thread.is_alive():
            late = f"no answer within {self.check.seconds:.0f} s"
            found.append(Finding(self.check.check, "bad", late, "see to the network and try again", self.check.code))
        return found


def run_checks(checks: Sequence[Check]) -> Iterator[Finding]:
    """Run all checks at the same time and yield their findings in order. Never raises what a check raises."""
    begun = time.monotonic()
    for running in [_RunningCheck(check) for check in checks]:
        yield from running.ended(begun + running.check.seconds)


def finding_of(check: str, error: Exception, code: Exit = Exit.UNAVAILABLE) -> Finding:
    """Return what an error means; ours bring their remedy and exit code along."""
    if isinstance(error, VeniceBatchError):
        return Finding(check, "bad", error.message, error.remedy, error.exit_code)
    if isinstance(error, OSError):
        return Finding(check, "bad", str(error), "see to the disk and the rights of this user", code)
    return Finding(check, "bad", f"the check itself failed: {type(error).__name__}: {error}", "", Exit.BUG)


def most_serious(findings: Iterable[Finding]) -> Exit:
    """Return the exit code that speaks for all bad findings: 0 where there is none."""
    codes = {finding.code for finding in findings if finding.level == "bad"}
    return next((code for code in (*PRECEDENCE, *Exit) if code in codes), Exit.DONE)
