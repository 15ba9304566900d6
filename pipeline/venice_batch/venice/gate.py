"""The gate: once money or key are refused, not one further paid request begins.

The gate's lock is held while a paid request's first bytes are written, and the status line of every
paid answer is recorded under the same lock. So for each request there is an order: it began before the
refusal was read, or it does not begin.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from venice_batch.venice.failures import CallFailed, FailureClass, closes_gate, status_failure
from venice_batch.venice.waits import Cancel


@dataclass(eq=False, slots=True)
class Passage:
    """One attempt's way through the gate.

    Attributes:
        begun_at: when its first byte was written, Unix seconds by the gate's clock; None before.
        held: whether this attempt holds the gate's lock right now.
    """

    begun_at: float | None = None
    held: bool = False


class Gate:
    """Open until the first 401, 402 or 403 of a paid call, or until it is shut.

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
        self._closer: Passage | None = None
        self._closed_at: float | None = None

    @property
    def cause(self) -> CallFailed | None:
        """What closed the gate first, or None while it is open."""
        return self._cause

    @property
    def closed_at(self) -> float | None:
        """When the gate closed, Unix seconds; no paid request has a later `begun_at`."""
        return self._closed_at

    def check(self) -> None:
        """Raise CallFailed (``gate-closed``) when the gate is closed; used to end waits early."""
        if self._cause is not None:
            raise closed_failure(self._cause)

    def shut(self, cause: CallFailed) -> None:
        """Close the gate without a refusal: the run drains and wants no new calls."""
        with self._lock:
            self._close(cause, None)
        self._wake()

    def enter(self, passage: Passage) -> None:
        """Take the gate's lock for the first bytes of one attempt.

        Raises:
            CallFailed: ``gate-closed``; the lock is free again and nothing was sent.
            VeniceBatchError: what the guard raises, likewise.
        """
        self._lock.acquire()
        passage.held = True
        try:
            self.check()
            self._guard()
        except BaseException:
            self.leave(passage)
            raise
        passage.begun_at = self._now()

    def leave(self, passage: Passage) -> None:
        """Free the lock; harmless when it is not held, so that a ``finally`` may always call it."""
        if passage.held:
            passage.held = False
            self._lock.release()

    def status_read(self, passage: Passage, status: int) -> None:
        """Record a paid answer's status line; 401, 402 and 403 close the gate here and now."""
        if closes_gate(status):
            with self._lock:
                self._close(status_failure(status), passage)
            self._wake()

    def explain(self, passage: Passage, failure: CallFailed) -> None:
        """Give the server's words to the cause, once the body has been read, if this call was first."""
        with self._lock:
            if self._closer is passage:
                self._cause = failure

    def _close(self, cause: CallFailed, closer: Passage | None) -> None:
        if self._cause is None:
            self._cause, self._closer, self._closed_at = cause, closer, self._now()

    def _wake(self) -> None:
        # Outside the gate's lock: the sleepers look at the gate as they wake.
        if self._cancel is not None:
            self._cancel.wake()


def closed_failure(cause: CallFailed) -> CallFailed:
    """Return the failure of a call that was never begun because the gate is closed."""
    return CallFailed(
        FailureClass.RUN_STOPS,
        "gate-closed",
        status=cause.status,
        text=f"not sent: {cause.message}",
        ends_in=cause.ends_in,
    )
