"""Request limits: fixed one-minute windows by model, and the budget of client errors by key.

Times are Unix seconds from the injected clock; headers give them in milliseconds, as the live API was seen to do
against its own documentation.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from venice_batch.emulator.api_error import ApiError
from venice_batch.emulator.settings import Settings

WINDOW = 60.0


def _milliseconds(seconds: float) -> str:
    return str(math.ceil(seconds * 1000))


@dataclass(slots=True)
class _Window:
    began: float
    used: int = 0


class RateWindows:
    """Requests per minute of every model, for the whole account."""

    def __init__(self, settings: Settings) -> None:
        self._clock: Callable[[], float] = settings.clock
        self.default = settings.rpm
        self.by_model: dict[str, int] = dict(settings.rpm_by_model)
        self._windows: dict[str, _Window] = {}

    def limit(self, model: str) -> int:
        """Return the requests per minute of a model."""
        return self.by_model.get(model, self.default)

    def change(self, default: int | None, by_model: Mapping[str, int]) -> None:
        """Set other limits from now on; windows that are open stay open."""
        if default is not None:
            self.default = default
        self.by_model.update(by_model)

    def take(self, model: str, requests: int = 1) -> dict[str, str]:
        """Count requests (one per variant) and return the headers that report the window.

        Raises:
            ApiError: 429, when the window does not hold them any more; nothing is counted then.
        """
        now, limit = self._clock(), self.limit(model)
        window = self._windows.get(model)
        if window is None or now >= window.began + WINDOW:
            window = self._windows[model] = _Window(now)
        if window.used + requests > limit:
            raise ApiError(429, "Rate limit exceeded", self._headers(limit, 0, window))
        window.used += requests
        return self._headers(limit, limit - window.used, window)

    def _headers(self, limit: int, remaining: int, window: _Window) -> dict[str, str]:
        return {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(remaining),
            "x-ratelimit-reset-requests": _milliseconds(window.began + WINDOW),
        }


class ErrorBudget:
    """Client errors by key; too many of them block the key for every call.

    Errors of multipart calls are counted together, those of JSON calls by model. A block hides the real cause of
    the errors, which is what makes it worth emulating.
    """

    def __init__(self, settings: Settings) -> None:
        self._clock: Callable[[], float] = settings.clock
        self.limit = settings.error_budget
        self._window, self._pause = settings.error_window, settings.blocked
        self._errors: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._blocked_until: dict[str, float] = {}
        self.times: list[float] = []
        self.blocks = 0

    def check(self, token: str) -> None:
        """Let a call through.

        Raises:
            ApiError: 429 "Too many failed attempts", while the key is blocked.
        """
        until = self._blocked_until.get(token, 0.0)
        if self._clock() < until:
            text = (
                f"Too many failed attempts (> {self.limit}) resulting in a non-success status code. "
                f"Please wait {self._pause:.0f}s and try again."
            )
            headers = {"x-ratelimit-remaining": "0", "x-ratelimit-resets": _milliseconds(until)}
            raise ApiError(429, text, headers)

    def note(self, token: str, bucket: str) -> None:
        """Count one client error (4xx except 429); the first one beyond the budget blocks the key."""
        now = self._clock()
        self.times.append(now)
        errors = self._errors[token, bucket]
        errors.append(now)
        while errors[0] <= now - self._window:
            errors.popleft()
        if len(errors) > self.limit:
            self._blocked_until[token] = now + self._pause
            self.blocks += 1
            errors.clear()
