"""The engine of one machine: daemon threads that take tasks from one queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from venice_batch.errors import Unavailable
from venice_batch.run.engines import TaskHandler
from venice_batch.run.tasks import InputRef, Outcome, Task

#: Threads beside those that may hold a call, so that local work goes on while every call waits for its answer.
_SPARE_THREADS = 4


class Threads:
    """A bounded number of daemon threads, started as they are needed; see `Engine`.

    Daemons, because a second Ctrl-C ends the process at once: a pool that joins its threads at exit would wait for
    answers that nobody wants any more. What they did not finish is uncertain, and the ledger says so already.
    """

    def __init__(self, handler: TaskHandler, capacity: int) -> None:
        """Have `handler` carry out the tasks, at most `capacity` calls at a time."""
        self.capacity = capacity
        self.release: Callable[[InputRef], None] = handler.release
        self._do = handler.do
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._lock = threading.Lock()

    def start(self, completed: Callable[[Outcome], None]) -> None:
        """Start the first thread; raises Unavailable where the machine refuses even that."""
        self._completed = completed
        if not self._start_thread():
            raise Unavailable(
                "this machine starts no further thread", remedy="raise its limit of processes, then run the job again"
            )

    def submit(self, task: Task) -> None:
        """Queue the task, with one more thread where all are busy."""
        with self._lock:
            self._busy += 1
            if self._busy > len(self._threads) and len(self._threads) < self.capacity + _SPARE_THREADS:
                self._start_thread()
        self._tasks.put(task)

    def _start_thread(self) -> bool:
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
            outcome = self._do(task)
            with self._lock:
                self._busy -= 1
            self._completed(outcome)

    def close(self) -> None:
        """Let idle threads end; busy ones are left behind."""
        for _ in self._threads:
            self._tasks.put(None)
