"""Live progress: a bar on a terminal, plain lines elsewhere. Always on stderr, so that stdout stays data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NoReturn

import click
from tqdm import tqdm

from venice_batch.plan.model import PlannedItem
from venice_batch.plan.money import usd_cents
from venice_batch.report.report_data import NEEDS_A_LOOK
from venice_batch.report.text import duration, shown

#: Still to be done, by this run or the next.
_OPEN = frozenset({"pending", "waiting"})
#: Seconds between two plain lines: a nightly log stays readable.
_PAUSE = 10.0


class Bar:
    """A progress bar with items, money and the time left."""

    def __init__(self, total: int) -> None:
        self._bar: tqdm[NoReturn] = tqdm(total=total, unit="item", dynamic_ncols=True)

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        """Count an item; name it when it went wrong."""
        if state in NEEDS_A_LOOK:
            self.note(f"{state}: {item.name}: {reason}")
        if state not in _OPEN:
            self._bar.update()

    def money(self, spent: int, uncertain: int) -> None:
        """Show the money."""
        self._bar.set_postfix_str(_money(spent, uncertain))

    def note(self, text: str) -> None:
        """Show a line above the bar."""
        self._bar.write(shown(text), file=sys.stderr)

    def warning(self, code: str, text: str) -> None:  # noqa: ARG002 - for logs
        """Show it above the bar."""
        self.note(f"warning: {text}")

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


class Counter:
    """Counts items; reports each bad one at once, and now and then how far the run is. Subclasses write.

    Attributes:
        total: items to do.
        count: items that came to an end.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to watch a run of so many items."""
        self.total = total
        self.count = 0
        self._clock = clock
        self._start = self._last = clock()
        self._spent = self._uncertain = 0

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        """Count an item; name it when it went wrong."""
        if state in NEEDS_A_LOOK:
            self.bad_item(item.name, state, reason)
        if state in _OPEN:
            return
        self.count += 1
        if self.count == self.total or self._clock() - self._last >= _PAUSE:
            self._last = self._clock()
            self.progress()

    def money(self, spent: int, uncertain: int) -> None:
        """Remember the money for the next line, in millionths of a US dollar."""
        self._spent, self._uncertain = spent, uncertain

    @property
    def seconds_left(self) -> float:
        """Seconds that the rest takes at the pace so far."""
        return (self._clock() - self._start) / self.count * max(0, self.total - self.count)

    def bad_item(self, name: str, state: str, reason: str) -> None:
        """Write that an item went wrong."""
        raise NotImplementedError

    def progress(self) -> None:
        """Write how far the run is."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is left open."""


class Lines(Counter):
    """Plain lines."""

    def bad_item(self, name: str, state: str, reason: str) -> None:
        """Print it."""
        self.note(f"{state}: {name}: {reason}")

    def progress(self) -> None:
        """Print it."""
        left = f", about {duration(self.seconds_left)} left" if self.count < self.total else ""
        self.note(f"{self.count} of {self.total} items, {_money(self._spent, self._uncertain)}{left}")

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(shown(text), err=True)

    def warning(self, code: str, text: str) -> None:  # noqa: ARG002 - for logs
        """Print it."""
        self.note(f"warning: {text}")


def _money(spent: int, uncertain: int) -> str:
    return f"{usd_cents(spent)} USD spent" + (f", {usd_cents(uncertain)} uncertain" if uncertain else "")
