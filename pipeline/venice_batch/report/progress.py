"""Live progress: a bar on a terminal, plain lines elsewhere. Always on stderr, so that stdout stays data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NoReturn

import click
from tqdm import tqdm

from venice_batch.plan.model import PlannedItem
from venice_batch.report.text import duration, shown, usd

#: What a person should see by name while it happens.
_BAD = frozenset({"failed", "invalid", "flagged", "uncertain"})
#: Seconds between two plain lines: a nightly log stays readable.
_PAUSE = 10.0


class Bar:
    """A progress bar with items, money and the time left."""

    def __init__(self, total: int) -> None:
        self._bar: tqdm[NoReturn] = tqdm(total=total, unit="item", dynamic_ncols=True)

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        """Count an item; name it when it went wrong."""
        if state in _BAD:
            self.note(f"{state}: {item.name}: {reason}")
        if state not in {"pending", "waiting"}:
            self._bar.update()

    def money(self, spent: int, uncertain: int) -> None:
        """Show the money."""
        self._bar.set_postfix_str(_money(spent, uncertain))

    def note(self, text: str) -> None:
        """Show a line above the bar."""
        self._bar.write(shown(text), file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


class Lines:
    """Plain lines: each bad item at once, and now and then how far the run is."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._clock = clock
        self._start = self._last = clock()
        self._count = 0
        self._money = ""

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        """Count an item; name it when it went wrong."""
        if state in _BAD:
            self.note(f"{state}: {item.name}: {reason}")
        if state in {"pending", "waiting"}:
            return
        self._count += 1
        if self._count == self._total or self._clock() - self._last >= _PAUSE:
            self._last = self._clock()
            self.note(f"{self._count} of {self._total} items{self._money}{self._left()}")

    def money(self, spent: int, uncertain: int) -> None:
        """Remember the money for the next line."""
        self._money = f", {_money(spent, uncertain)}"

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(shown(text), err=True)

    def close(self) -> None:
        """Nothing is left open."""

    def _left(self) -> str:
        if self._count >= self._total:
            return ""
        elapsed = self._clock() - self._start
        return f", about {duration(elapsed / self._count * (self._total - self._count))} left"


def _money(spent: int, uncertain: int) -> str:
    return f"{usd(spent)} USD spent" + (f", {usd(uncertain)} uncertain" if uncertain else "")
