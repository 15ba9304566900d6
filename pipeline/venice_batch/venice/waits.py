"""Waiting: how long a server asks for (``Retry-After``, rate limit reset), and a sleep that a cancelled run ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from venice_batch.errors import Interrupted

#: No server may hold the run longer than this with one header, in seconds.
LONGEST_WAIT = 600.0
#: Numbers by magnitude: above the first a Unix time in milliseconds, above the second in seconds.
_UNIX_MS = 1e11
_UNIX_S = 1e9
#: Clocks that differ by less are taken as equal: the Date header is cut to whole seconds.
_CLOCK_TOLERANCE = 5.0
_RESET_HEADERS = ("x-ratelimit-reset-requests", "x-ratelimit-resets", "x-ratelimit-reset")


class Cancelled(Interrupted):
    """A wait was ended because the run was cancelled; nothing was sent and nothing more will be."""

    def __init__(self) -> None:
        super().__init__("the run was cancelled")


class Cancel:
    """The run's one switch for "no new calls", and the sleep that it ends.

    Setting it is safe from a signal handler: the lock is re-entrant.
    """

    def __init__(self) -> None:
        self._set = False
        self._condition = threading.Condition(threading.RLock())
        self._linked: list[threading.Condition] = [self._condition]

    def set(self) -> None:
        """Cancel: every sleep ends now, and no further request is begun."""
        self._set = True
        self.wake()

    def wake(self) -> None:
        """Let every sleeper look again at what it is waiting for."""
        for condition in tuple(self._linked):
            with condition:
                condition.notify_all()

    def link(self, condition: threading.Condition) -> None:
        """Have another condition notified too, so that its waiters end at once on cancel."""
        self._linked.append(condition)

    def check(self) -> None:
        """Raise Cancelled when the run was cancelled."""
        if self._set:
            raise Cancelled

    def sleep(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        """Sleep; raise instead of returning when there is a reason not to go on.

        Args:
            seconds: how long; zero and less return at once, after the checks.
            check: looked at before and after the sleep and whenever `wake` was called; may raise.

        Raises:
            Cancelled: the run was cancelled. Raising, not returning, is what keeps a retry loop
                from sending once more.
        """
        end = time.monotonic() + seconds
        with self._condition:
            while True:
                self.check()
                if check is not None:
                    check()
                left = end - time.monotonic()
                if left <= 0:
                    return
                self._condition.wait(left)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read how long the server asks to wait.

    ``Retry-After`` (seconds or an HTTP date) speaks first, then the rate limit's reset headers, which
    the vendor documents as Unix seconds and sends as Unix milliseconds: their magnitude tells,
    and smaller numbers are taken as seconds from now.

    Args:
        headers: the answer's headers, names in lower case.
        now: the local time, Unix seconds.

    Returns:
        Seconds from now, 0 .. 600, or None where no header can be read.
    """
    server_now = _server_time(headers, now)
    asked = _seconds(headers.get("retry-after"), server_now)
    return asked if asked is not None else reset_after(headers, now)


def reset_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read the rate limit's reset headers alone; see `retry_after` for units."""
    server_now = _server_time(headers, now)
    for name in _RESET_HEADERS:
        seconds = _seconds(headers.get(name), server_now)
        if seconds is not None:
            return seconds
    return None


def _server_time(headers: Mapping[str, str], now: float) -> float:
    """Return the server's clock where it plainly differs from ours: resets are in its time."""
    date = _http_date(headers.get("date", ""))
    return date if date is not None and abs(date - now) > _CLOCK_TOLERANCE else now


def _seconds(value: str | None, now: float) -> float | None:
    if value is None:
        return None
    try:
        number = float(value.strip())
    except ValueError:
        date = _http_date(value)
        return None if date is None else _bounded(date - now)
    if not math.isfinite(number):
        return None
    if number >= _UNIX_MS:
        return _bounded(number / 1000 - now)
    return _bounded(number - now if number >= _UNIX_S else number)


def _http_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT)
