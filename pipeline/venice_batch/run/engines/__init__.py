"""Where tasks are carried out. The driver knows this interface; threads of this process are one implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from venice_batch.run.tasks import InputRef, Outcome, Task


class TaskHandler(Protocol):
    """Carries out tasks one at a time, in any number of threads at once; `run.worker.Worker` is the real one."""

    def do(self, task: Task) -> Outcome:
        """Carry out one task. Never raises: an error is an outcome."""

    def release(self, ref: InputRef) -> None:
        """Drop what is kept of an input; a later task that needs it reads it again."""


class Engine(Protocol):
    """Carries out tasks in any order and hands back one outcome for each.

    Only the driver's thread calls these methods. A task is submitted when everything that it depends on is durable, so
    an engine may start it at once. An engine that loses a task and starts it again must not send its call twice.
    """

    @property
    def capacity(self) -> int:
        """The most paid calls that it can have in flight; tasks without a call wait for none of them."""

    def start(self, completed: Callable[[Outcome], None]) -> None:
        """Get ready; `completed` takes every outcome, in any thread, and neither blocks nor raises.

        Raises:
            Unavailable: nothing can be carried out.
        """

    def submit(self, task: Task) -> None:
        """Have the task carried out. Never blocks: what is more than fits waits its turn."""

    def release(self, ref: InputRef) -> None:
        """Tell that an item ended, so that no task to come refers to its input. A hint: copies are bounded without."""

    def close(self) -> None:
        """Take no more tasks, and do not wait: calls in flight are left behind and recorded as uncertain."""
