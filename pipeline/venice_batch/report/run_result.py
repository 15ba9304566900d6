"""The result of a run as notifications report it: its event, and a short message in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from venice_batch.errors import Exit
from venice_batch.job.notify import Event
from venice_batch.plan.money import usd_cents
from venice_batch.report.problems import NO_PROBLEMS, Problems
from venice_batch.report.text import counts_text, duration, shown, unproduced_text
from venice_batch.state import Unproduced

#: Characters of one line of a message: a cause may quote a response, and chats cut what is too long where they like.
_LONGEST_LINE = 400
#: Warnings of one message; the report has them all.
_MOST_WARNINGS = 5
#: Ten problems must fit into a message.
_LONGEST_PROBLEM = 120

_HEADLINES: Mapping[int, str] = {
    Exit.DONE: "all done",
    Exit.BUG: "ended by a bug in the tool",
    Exit.USAGE: "could not start: job file, command line or catalogue",
    Exit.ITEMS_FAILED: "finished, but some items failed or were held back",
    Exit.KEY: "stopped: no key, or the key was refused",
    Exit.MONEY: "stopped: money",
    Exit.UNAVAILABLE: "stopped: API or disk unavailable, or too much failing",
    Exit.LOCKED: "another run holds the job, or may have taken it over",
    Exit.INTERRUPTED: "interrupted by hand",
    Exit.TERMINATED: "interrupted by SIGTERM",
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    Attributes:
        job: its name.
        exit_code: what the command ends with.
        began: Unix seconds.
        ended: Unix seconds.
        items: how many items of the job are in which state; empty where the run did not get that far.
        spent: millionths of a US dollar, in this run.
        uncertain: the same, for calls whose response was lost.
        left: the same, at most, for what the run did not finish.
        cause: why it ended early; empty if it did not.
        remedy: what to do about it.
        machine: the name of the machine.
        waiting: it has not ended: it waits for the balance.
        warnings: what it warned of while it worked.
        problems: items that need a look.
        unproduced: what became of finished files that no item produces any more.
    """

    job: str
    exit_code: int
    began: float
    ended: float
    items: Mapping[str, int] = field(default_factory=dict)
    spent: int = 0
    uncertain: int = 0
    left: int = 0
    cause: str = ""
    remedy: str = ""
    machine: str = ""
    waiting: bool = False
    warnings: tuple[str, ...] = ()
    problems: Problems = NO_PROBLEMS
    unproduced: Unproduced | None = None

    @property
    def event(self) -> Event | None:
        """Which event of `notify.on` it is.

        ``success`` is exit code 0, ``money`` is 5, and ``failure`` everything else but 130: who pressed Ctrl-C knows.
        A run that found the job locked (7) is a failure of this start, see `Notifier.ended`.
        """
        if self.exit_code == Exit.INTERRUPTED:
            return None
        if self.exit_code == Exit.MONEY:
            return "money"
        return "success" if self.exit_code == Exit.DONE else "failure"


def result_text(result: RunResult, *, trial: bool = False) -> str:
    """Return the message: a headline, items, money, warnings, cause and remedy, a line each.

    Args:
        result: of the run.
        trial: it ran on the bundled emulator.
    """
    headline = _HEADLINES.get(result.exit_code, "ended")
    end = "waits for the balance" if result.waiting else f"{headline} (exit code {result.exit_code})"
    lines = [f"{'trial on the emulator: ' if trial else ''}venice-batch {result.job}: {end}"]
    if result.items:
        lines.append(f"items: {counts_text(dict(sorted(result.items.items())))}")
    lines.append(_money(result))
    lines += [f"warning: {line}" for line in result.warnings[:_MOST_WARNINGS]]
    lines += [f"cause: {line}" for line in result.cause.splitlines()[:3]]
    lines += [f"try: {line}" for line in result.remedy.splitlines()[:3]]
    where = f" on {result.machine}" if result.machine else ""
    if result.unproduced is not None and result.unproduced.files:
        lines.append(unproduced_text(result.unproduced))
    lines.append(f"took {duration(max(0.0, result.ended - result.began))}{where}")
    lines += _problem_lines(result.problems)
    return "\n".join(_cut(shown(line)) for line in lines)


def _problem_lines(problems: Problems) -> list[str]:
    """Return the new problems, each by its name, and the number of those that were told before."""
    lines = [f"new: {_cut(line, _LONGEST_PROBLEM)}" for line in problems.named]
    if problems.new > len(problems.named):
        lines.append(f"new: and {problems.new - len(problems.named)} more")
    if problems.known:
        lines.append(f"known, unchanged since the last run: {problems.known}")
    return lines


def _money(result: RunResult) -> str:
    parts = [f"{usd_cents(result.spent)} USD spent"]
    if result.uncertain:
        parts.append(f"{usd_cents(result.uncertain)} uncertain")
    if result.left:
        parts.append(f"up to {usd_cents(result.left)} remaining")
    return f"money: {', '.join(parts)}"


def _cut(line: str, longest: int = _LONGEST_LINE) -> str:
    return line if len(line) <= longest else line[: longest - 3] + "..."
