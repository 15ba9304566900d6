"""Waiting out a store that cannot be reached for a while, with something that must not be lost in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from venice_batch.errors import Unavailable

Done = TypeVar("Done")


@dataclass(frozen=True)
class StoreRetry:
    """How long to try again, on top of the store's own repetitions.

    Attributes:
        seconds: after which no further try begins.
        pause: seconds between two tries.
        clock: seconds, of any origin.
        cancelled: set by whoever does not want to wait any longer; ends every pause at once.
    """

    seconds: float = 180.0
    pause: float = 5.0
    clock: Callable[[], float] = time.monotonic
    cancelled: threading.Event = field(default_factory=threading.Event)

    def run(self, work: Callable[[], Done]) -> Done:
        """Return what `work` returns; carry it out again while the store cannot be reached.

        Raises:
            Unavailable: the last failure, when the time is over or somebody gave up.
        """
        end = self.clock() + self.seconds
        while True:
            try:
                return work()
            except Unavailable:
                if self.clock() >= end or self.cancelled.wait(self.pause):
                    raise
