"""The gate: once a paid call was answered 402, 401 or 403, not one further paid request begins.

The gate's lock is held while a paid request's first bytes are written, and the status line of every
paid answer is recorded under the same lock. So for each request there is an order: it began before the
first 402, 401 or 403 was read, or it does not begin.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from venice_batch.venice.failures import CallFailed, closes_gate, code_of_status
from venice_batch.venice.waits import Cancel


@dataclass(eq=False, slots=True)
class Attempt:
    """One attempt, as the gate sees it.

    Attributes:
        begun_at: when its first byte was written, Unix seconds by the gate's clock; None before.
        holds_lock: whether it holds the gate's lock right now.
    """

    begun_at: float | None = None
    holds_lock: bool = False


class Gate:
    """Open until the first 401, 402 or 403 of a paid call.

    Args:
        cancel: woken when the gate closes, so that waits end early.
        now: the wall clock, Unix seconds.
        guard: looked at last before each paid request's first byte; raises where it must not begin.
    """

    def __init__(
        self,
        cancel: Cancel | None = None,
        now: Callable[[], float] = time.time,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._lock = threading.Lock()
        self._cancel = cancel
        self._now = now
        self._guard = guard
        self._cause: CallFailed | None = None
        self._closer: Attempt | None = None

    @property
    def cause(self) -> CallFailed | None:
        """What closed the gate first, or None while it is open."""
        return self._cause

    def check(self) -> None:
        """Raise CallFailed (``gate-closed``) when the gate is closed; used to end waits early."""
        cause = self._cause
        if cause is not None:
            text = f"not sent: {cause.message}"
            raise CallFailed("gate-closed", text, status=cause.status, ends_in=cause.ends_in)

    def acquire(self, attempt: Attempt) -> None:
        """Take the gate's lock for the first bytes of one attempt.

        Raises:
            CallFailed: ``gate-closed``; the lock is free again and nothing was sent.
            VeniceBatchError: what the guard raises, likewise.
        """
        self._lock.acquire()
        attempt.holds_lock = True
        try:
            self.check()
            self._guard()
        except BaseException:
            self.release(attempt)
            raise
        attempt.begun_at = self._now()

    def release(self, attempt: Attempt) -> None:
        """Free the lock; harmless when it is not held, so that a ``finally`` may always call it."""
        if attempt.holds_lock:
            attempt.holds_lock = False
            self._lock.release()

    def status_read(self, attempt: Attempt, status: int) -> None:
        """Record a paid answer's status line; 401, 402 and 403 close the gate here and now."""
        code = code_of_status(status)
        if code is None or not closes_gate(status):
            return
        with self._lock:
            if self._cause is None:
                self._cause, self._closer = CallFailed(code, status=status), attempt
        if self._cancel is not None:
            # Outside the gate's lock: the sleepers look at the gate as they wake.
            self._cancel.wake()

    def explain(self, attempt: Attempt, failure: CallFailed) -> None:
        """Give the server's words to the cause, once the body has been read, if this call was first."""
        with self._lock:
            if self._closer is attempt:
                self._cause = failure
