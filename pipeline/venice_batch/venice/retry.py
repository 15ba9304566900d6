"""Retry of one call: which failures are retried, how often, and the backoff in between."""

from __future__ import annotations

import random
from collections.abc import Callable

import tenacity

from venice_batch.venice.failures import CallFailed, FailureClass

#: Full jitter: uniform between 0 and the doubling bound, so that threads that failed together part.
_BASE, _CAP = 1.0, 30.0
#: The least part of that bound, so that no pause is nothing.
_LEAST = 0.1
#: Seconds that a rate limit is waited for at least, whatever the server says: some say 0, for ever.
SHORTEST_WAIT = 1.0
#: 429s that one call waits out, and for how many seconds in total.
_MOST_WAITS, _LONGEST_WAITING = 20, 15 * 60.0
#: Seconds before a free call is repeated after a 429 that names no time.
_FREE_WAIT = 10.0

OnWait = Callable[[str, float], None]


class RetryPolicy:
    """The retries of one call.

    RETRY is repeated up to ``attempts`` requests, once where a request ran into its deadline; WAIT (429) up to 20 times
    and 15 minutes. The other classes end the call. All limits end with the last failure as it is: its class says
    "another time".

    Args:
        attempts: requests at most for RETRY.
        rng: the jitter.
        clock: monotonic seconds.
        on_wait: called with a reason and seconds before each wait.
        free: a free call has no lane that is held for it, so it sleeps for a WAIT itself, and repeats
            an UNCERTAIN one, since asking twice costs nothing, but none that ran into its deadline.

    Attributes:
        requests: requests of which at least one byte was sent.
        multipart: the form of the latest request.
    """

    def __init__(
        self,
        *,
        attempts: int,
        rng: random.Random,
        clock: Callable[[], float],
        on_wait: OnWait | None,
        free: bool = False,
    ) -> None:
        self.requests = 0
        self.multipart = False
        self._attempts = attempts
        self._rng = rng
        self._clock = clock
        self._on_wait = on_wait
        self._free = free
        self._failures = self._late = 0
        self._waits = 0
        self._give_up = clock() + _LONGEST_WAITING

    def retrying(self, sleep: Callable[[float], None]) -> tenacity.Retrying:
        """Return the loop; ``sleep`` must raise when the run is cancelled, or one more would be sent."""
        return tenacity.Retrying(
            sleep=sleep,
            retry=tenacity.retry_if_exception(self._should_retry),
            wait=self._backoff,
            before_sleep=self._report_wait,
            reraise=True,
        )

    def _should_retry(self, error: BaseException) -> bool:
        """Count a failure and decide; tenacity asks once per failure."""
        if not isinstance(error, CallFailed):
            return False
        if error.failure_class is FailureClass.WAIT:
            self._waits += 1
            return self._waits <= _MOST_WAITS and self._clock() < self._give_up
        if error.failure_class is FailureClass.RETRY or (self._free and error.failure_class is FailureClass.UNCERTAIN):
            self._failures += 1
            # Asked again and again, it would take as much time each time.
            self._late += error.late
            return self._failures < self._attempts and self._late < (1 if self._free else 2)
        return False

    def _backoff(self, state: tenacity.RetryCallState) -> float:
        failure = _failure(state)
        if failure.failure_class is FailureClass.WAIT:
            if self._free:
                return max(failure.retry_after or _FREE_WAIT, SHORTEST_WAIT)
            # A paid call's lane is held already and gives the next start; what helps not at once may help later.
            return self._jitter(self._waits - 1) if self._waits > 1 else 0.0
        if failure.code == "wrong-content-type":
            return 0.0
        return max(self._jitter(self._failures), failure.retry_after or 0.0)

    def _jitter(self, times: int) -> float:
        bound: float = min(_CAP, _BASE * 2.0 ** (times - 1))
        return self._rng.uniform(_LEAST * bound, bound)

    def _report_wait(self, state: tenacity.RetryCallState) -> None:
        if self._on_wait is not None:
            failure = _failure(state)
            seconds = failure.retry_after if failure.failure_class is FailureClass.WAIT else state.upcoming_sleep
            self._on_wait(failure.message, seconds or 0.0)


def _failure(state: tenacity.RetryCallState) -> CallFailed:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, CallFailed):
        raise TypeError("only failed calls are repeated")
    return error
