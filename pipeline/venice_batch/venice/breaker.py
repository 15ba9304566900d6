"""The circuit breaker: keeps client errors well below the number at which the API blocks the key.

More than 20 client errors (4xx except 429) within 30 s make every call answer 429 for 30 s, which
hides the real cause. So a call is admitted only while the errors of the last 30 s, and those to be
expected of the calls in flight, stay below the limit.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from venice_batch.venice.waits import Cancel

#: Outcomes that speak for the present share of errors.
_RECENT = 30


class Breaker:
    """Client errors by all threads of one key.

    The expected share of errors is ``(errors + 1) / (outcomes + 1)`` of the recent outcomes: one before
    the first answer, so a run of only bad inputs never exceeds the limit; a few good answers let 64
    calls fly.

    Args:
        cancel: ends every wait.
        clock: monotonic seconds.
        limit: client errors within the window that are never exceeded.
        window: seconds.
    """

    def __init__(
        self,
        *,
        cancel: Cancel,
        clock: Callable[[], float] = time.monotonic,
        limit: int = 18,
        window: float = 30.0,
    ) -> None:
        self._cancel = cancel
        self._clock = clock
        self._limit = limit
        self._window = window
        self._errors: deque[float] = deque()
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._in_flight = 0
        self._condition = threading.Condition(threading.RLock())
        cancel.link(self._condition)

    def admit(self, check: Callable[[], None] | None = None) -> None:
        """Wait until one more call may begin, and count it; every `admit` needs its `record`.

        Args:
            check: looked at before each wait; may raise.

        Raises:
            Cancelled: the run was cancelled.
        """
        with self._condition:
            while True:
                self._cancel.check()
                if check is not None:
                    check()
                wait = self.try_admit()
                if wait == 0:
                    return
                self._condition.wait(wait)

    def try_admit(self) -> float:
        """Count one more call if it may begin now.

        Returns:
            0 when it was counted; otherwise the seconds after which to ask again, or earlier when a
            call ends. At most the window.
        """
        with self._condition:
            now = self._clock()
            while self._errors and self._errors[0] <= now - self._window:
                self._errors.popleft()
            if len(self._errors) + self._expected() < self._limit:
                self._in_flight += 1
                return 0.0
            oldest = self._errors[0] if self._errors else now
            return max(oldest + self._window - now, 1e-3)

    def record(self, client_error: bool | None) -> None:  # noqa: FBT001 - its one argument
        """Count a call as over, with its outcome.

        Args:
            client_error: whether the API answered 4xx except 429; None where nothing was sent, which
                says nothing about the share of errors.
        """
        with self._condition:
            self._in_flight -= 1
            if client_error is not None:
                self._recent.append(client_error)
            if client_error:
                self._errors.append(self._clock())
            self._condition.notify_all()

    def _expected(self) -> int:
        share = (sum(self._recent) + 1) / (len(self._recent) + 1)
        return math.ceil(self._in_flight * share)
