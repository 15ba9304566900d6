"""Where the work is done: threads that take one task after another and hand back what came of it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from venice_batch.errors import Unavailable

T = TypeVar("T")


class Threads(Generic[T]):
    """A bounded crew of daemon threads.

    Daemons, because a second Ctrl-C ends the process at once: a pool that joins its threads at exit would wait for
    answers that nobody wants any more. What they did not finish is uncertain, and the ledger says so already.
    """

    def __init__(self, most: int, landed: Callable[[T], None]) -> None:
        """Prepare a crew.

        Args:
            most: threads at most; they are started as they are needed.
            landed: takes each task's value; called in the worker's thread.

        Raises:
            Unavailable: not even one thread can be started.
        """
        self._most = most
        self._landed = landed
        self._tasks: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._lock = threading.Lock()
        if not self._another():
            raise Unavailable(
                "this machine starts no further thread", remedy="raise its limit of processes, then run the job again"
            )

    def submit(self, task: Callable[[], T]) -> None:
        """Have `task` done by some thread; it must return a value, never raise."""
        with self._lock:
            self._busy += 1
            if self._busy > len(self._threads) and len(self._threads) < self._most:
                self._another()
        self._tasks.put(task)

    def _another(self) -> bool:
        thread = threading.Thread(target=self._work, name=f"worker-{len(self._threads) + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # A limit of the machine: those there are do all the work.
            return False
        self._threads.append(thread)
        return True

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            value = task()
            with self._lock:
                self._busy -= 1
            self._landed(value)

    def close(self) -> None:
        """Let idle threads end; busy ones are left behind."""
        for _ in self._threads:
            self._tasks.put(None)
