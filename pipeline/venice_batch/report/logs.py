"""What a run says on stderr, as one JSON object a line, for containers and whatever collects their logs.

Every line has ``time`` (UTC), ``level`` (info, warning, error), ``event`` and ``message``, then the event's own fields.
Money is text with all its digits, as everywhere else. All of it is ASCII: nothing in a file name can end a line, colour
a terminal or be taken for another field.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from venice_batch.errors import Exit, VeniceBatchError
from venice_batch.plan.model import PlannedItem
from venice_batch.report.run_result import RunResult
from venice_batch.report.text import duration, usd

Level = Literal["info", "warning", "error"]
Write = Callable[[str], object]

#: A run that finished is no error of the run, whatever became of some items.
_LEVELS: Mapping[int, Level] = {Exit.DONE: "info", Exit.ITEMS_FAILED: "warning"}
#: What a person should see by name while it happens.
_BAD = frozenset({"failed", "invalid", "flagged", "uncertain"})
#: Still to be done, by this run or the next.
_OPEN = frozenset({"pending", "waiting"})
#: Seconds between two lines about progress.
_PAUSE = 10.0


class JsonLog:
    """Writes events."""

    def __init__(self, write: Write, now: Callable[[], float] = time.time) -> None:
        """Begin.

        Args:
            write: prints one line, given without its end.
            now: Unix seconds.
        """
        self._write = write
        self._now = now
        # Waits are told of in any thread; two of them must not share a line.
        self._lock = threading.Lock()

    def event(self, event: str, message: str, level: Level = "info", **fields: object) -> None:
        """Write one line.

        Args:
            event: what kind of thing happened; a stable word.
            message: the same for people.
            level: how bad it is.
            fields: whatever JSON can hold; anything else is written as text.
        """
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = {"time": at, "level": level, "event": event, "message": message}
        line = json.dumps(document | fields, default=str)
        with self._lock:
            self._write(line)

    def error(self, error: VeniceBatchError) -> None:
        """Write why a run could not start, or ended early."""
        self.event("error", error.message, "error", remedy=error.remedy, exit_code=int(error.exit_code))

    def crash(self, error: BaseException) -> None:
        """Write a bug, with its traceback in one field."""
        text = "".join(traceback.format_exception(error))
        self.event("error", f"a bug in this tool: {type(error).__name__}", "error", exit_code=1, traceback=text)

    def ended(self, outcome: RunResult) -> None:
        """Write what came of the run: always the last line but those about notifications."""
        self.event(
            "end",
            f"ended with exit code {outcome.exit_code}",
            _LEVELS.get(outcome.exit_code, "error"),
            job=outcome.job,
            exit_code=int(outcome.exit_code),
            items=dict(outcome.items),
            spent_usd=usd(outcome.spent),
            uncertain_usd=usd(outcome.uncertain),
            left_usd=usd(outcome.left),
            seconds=round(max(0.0, outcome.ended - outcome.began), 3),
        )


class JsonLines:
    """An observer of a run: each bad item at once, and now and then how far the run is."""

    def __init__(self, total: int, log: JsonLog, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to watch a run of so many items."""
        self._total = total
        self._log = log
        self._clock = clock
        self._start = self._last = clock()
        self._count = 0
        self._spent = self._uncertain = 0

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        """Count an item; name it when it went wrong."""
        if state in _BAD:
            message = f"{state}: {item.name}: {reason}"
            self._log.event("item", message, "warning", item=item.name, state=state, reason=reason)
        if state in _OPEN:
            return
        self._count += 1
        if self._count == self._total or self._clock() - self._last >= _PAUSE:
            self._last = self._clock()
            self._progress()

    def money(self, spent: int, uncertain: int) -> None:
        """Remember the money for the next line, in millionths of a US dollar."""
        self._spent, self._uncertain = spent, uncertain

    def note(self, text: str) -> None:
        """Write something that a person watching should know."""
        self._log.event("note", text)

    def close(self) -> None:
        """Nothing is left open."""

    def _progress(self) -> None:
        elapsed = self._clock() - self._start
        left = elapsed / self._count * max(0, self._total - self._count)
        tail = f", about {duration(left)} left" if left else ""
        self._log.event(
            "progress",
            f"{self._count} of {self._total} items, {usd(self._spent)} USD spent{tail}",
            done=self._count,
            total=self._total,
            spent_usd=usd(self._spent),
            uncertain_usd=usd(self._uncertain),
            seconds_left=round(left, 1),
        )
