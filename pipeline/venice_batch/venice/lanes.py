"""Rate limiters, one lane a model: its calls start evenly spaced by its requests per minute, and are counted."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from venice_batch.venice.waits import Cancel, reset_after

#: Starts are this much further apart than the limit asks, so that jitter on the way to the server does
#: not put one start too many into its window. It costs 1 % of the ceiling.
_MARGIN = 1.01
#: Weight of the newest latency in the moving average.
_FRESH = 0.2
#: Assumed before the first answer, in seconds; image calls take 2 .. 30.
_FIRST_LATENCY = 8.0
_SMALLEST_WINDOW, _LARGEST_WINDOW = 2, 64
#: A lane whose window is used up is never held longer than this by the headers of a good answer: the
#: limit is per minute, so a longer time can only be a clock that is wrong.
_LONGEST_RESET = 65.0

Check = Callable[[], None]


class Lane:
    """One model's rate limiter, shared by all threads.

    A start is booked under the lock and slept for outside of it; when the lane is held meanwhile (after a 429), the
    sleepers book again, evenly behind the hold, so that nothing bursts when it ends.
    """

    def __init__(self, model: str, rpm: float, *, clock: Callable[[], float], cancel: Cancel) -> None:
        self.model = model
        self._clock = clock
        self._cancel = cancel
        self._lock = threading.Lock()
        self._rpm = float(rpm)
        self._next = -math.inf
        self._held_until = -math.inf
        self._in_flight = 0
        self._latency: float | None = None

    @property
    def rpm(self) -> float:
        """Requests per minute, by the API's latest headers."""
        return self._rpm

    @property
    def in_flight(self) -> int:
        """Calls that hold a permit now."""
        return self._in_flight

    @property
    def latency(self) -> float:
        """Seconds from a call's start to its answer: a moving average."""
        return _FIRST_LATENCY if self._latency is None else self._latency

    def window(self) -> int:
        """Return how many calls are worth having in flight so that the rate limit is used up."""
        wanted = math.ceil(self._rpm / 60 * self.latency) + 2
        return min(max(wanted, _SMALLEST_WINDOW), _LARGEST_WINDOW)

    @contextmanager
    def permit(self, n: int = 1, check: Check | None = None) -> Iterator[None]:
        """Wait for the next start of the lane, then count one call in flight.

        Args:
            n: requests that the call counts as: the variants of one ``generate``.
            check: looked at before and after the wait and whenever the run's sleepers are woken.

        Raises:
            Cancelled: the run was cancelled while waiting.
        """
        self._wait_for_start(n, check)
        with self._lock:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def hold(self, until: float) -> None:
        """Start nothing before ``until`` (by the lanes' clock), for all threads."""
        with self._lock:
            self._held_until = max(self._held_until, until)
            self._next = max(self._next, until)

    def record_latency(self, seconds: float) -> None:
        """Add one answered call's latency to the moving average."""
        with self._lock:
            old = seconds if self._latency is None else self._latency
            self._latency = old + _FRESH * (seconds - old)

    def apply_headers(self, headers: Mapping[str, str], now: float) -> None:
        """Take the limit, and a used-up window, from an answer's ``x-ratelimit-*-requests`` headers.

        Args:
            headers: names in lower case.
            now: Unix seconds, to read the reset time with.
        """
        limit = _number(headers.get("x-ratelimit-limit-requests"))
        if limit is not None and limit >= 1:
            self._rpm = limit
        if _number(headers.get("x-ratelimit-remaining-requests")) == 0:
            reset = reset_after(headers, now)
            if reset:
                self.hold(self._clock() + min(reset, _LONGEST_RESET))

    def _wait_for_start(self, n: int, check: Check | None) -> None:
        while True:
            start = self._book(n)
            self._cancel.sleep(start - self._clock(), check)
            with self._lock:
                # Held meanwhile: this start lies within the hold, so book another behind it.
                if start >= self._held_until:
                    return

    def _book(self, n: int) -> float:
        with self._lock:
            start = max(self._clock(), self._next)
            self._next = start + n * 60.0 / self._rpm * _MARGIN
            return start


class Lanes:
    """All lanes of a run.

    Args:
        limits: requests per minute by model id, from ``rate_limits``.
        default_rpm: for models that are not listed; the API's documented figure for images is 20.
        clock: monotonic seconds.
        cancel: ends every wait.
    """

    def __init__(
        self,
        limits: Mapping[str, int],
        *,
        cancel: Cancel,
        default_rpm: int = 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = {model: rpm for model, rpm in limits.items() if rpm > 0}
        self._default = default_rpm
        self._clock = clock
        self._cancel = cancel
        self._lanes: dict[str, Lane] = {}
        self._held_until = -math.inf
        self._lock = threading.Lock()

    def lane(self, model: str) -> Lane:
        """Return the one lane of a model."""
        with self._lock:
            if model not in self._lanes:
                rpm = self._limits.get(model, self._default)
                lane = Lane(model, rpm, clock=self._clock, cancel=self._cancel)
                # A lane born during a block of the whole key must wait for its end, too.
                lane.hold(self._held_until)
                self._lanes[model] = lane
            return self._lanes[model]

    def hold_all(self, until: float) -> None:
        """Hold every lane, also those not yet used: the error budget blocks the key, not a model."""
        with self._lock:
            self._held_until = max(self._held_until, until)
            for lane in self._lanes.values():
                lane.hold(until)


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
