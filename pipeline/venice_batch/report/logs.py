"""What a run writes to stderr as one JSON object per line, for containers and whatever collects their logs.

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
from venice_batch.plan.money import usd, usd_cents
from venice_batch.report.progress import Counter
from venice_batch.report.run_result import RunResult
from venice_batch.report.text import duration

Level = Literal["info", "warning", "error"]
Write = Callable[[str], object]

#: A run that finished is no error of the run, whatever became of some items.
_LEVELS: Mapping[int, Level] = {Exit.DONE: "info", Exit.ITEMS_FAILED: "warning"}


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
        # Waits are logged in any thread; two of them must not share a line.
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

    def ended(self, result: RunResult) -> None:
        """Write the result of the run: always the last line but those about notifications."""
        self.event(
            "end",
            f"ended with exit code {result.exit_code}",
            _LEVELS.get(result.exit_code, "error"),
            job=result.job,
            exit_code=int(result.exit_code),
            items=dict(result.items),
            spent_usd=usd(result.spent),
            uncertain_usd=usd(result.uncertain),
            left_usd=usd(result.left),
            new_problems=result.problems.new,
            known_problems=result.problems.known,
            seconds=round(max(0.0, result.ended - result.began), 3),
        )


class JsonLines(Counter):
    """An observer of a run that writes events."""

    def __init__(self, total: int, log: JsonLog, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to watch a run of so many items."""
        super().__init__(total, clock)
        self._log = log

    def bad_item(self, name: str, state: str, reason: str) -> None:
        """Write it."""
        self._log.event("item", f"{state}: {name}: {reason}", "warning", item=name, state=state, reason=reason)

    def progress(self) -> None:
        """Write it."""
        left = self.seconds_left
        tail = f", about {duration(left)} left" if left else ""
        self._log.event(
            "progress",
            f"{self.count} of {self.total} items, {usd_cents(self._spent)} USD spent{tail}",
            done=self.count,
            total=self.total,
            spent_usd=usd(self._spent),
            uncertain_usd=usd(self._uncertain),
            seconds_left=round(left, 1),
        )

    def note(self, text: str) -> None:
        """Write something that a person watching should know."""
        self._log.event("note", text)

    def warning(self, code: str, text: str) -> None:
        """Write something that a person should act upon."""
        self._log.event("note", text, "warning", code=code)
