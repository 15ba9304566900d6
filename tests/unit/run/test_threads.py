"""The crew of threads: bounded, started as needed, never in the way of an exit."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from venice_batch.errors import Unavailable
from venice_batch.run.engines.threads import Threads

ROOT = Path(__file__).parents[3]


def workers() -> int:
    return sum(thread.name.startswith("worker-") for thread in threading.enumerate())


def test_every_task_is_done_once() -> None:
    landed: queue.SimpleQueue[int] = queue.SimpleQueue()
    crew = Threads[int](4, landed.put)
    for number in range(100):
        crew.submit(lambda number=number: number * 2)  # type: ignore[misc]  # mypy cannot infer a default's type
    assert sorted(landed.get(timeout=5) for _ in range(100)) == [number * 2 for number in range(100)]
    crew.close()


def test_no_more_tasks_run_at_once_than_there_are_threads() -> None:
    landed: queue.SimpleQueue[int] = queue.SimpleQueue()
    crew, lock, go = Threads[int](3, landed.put), threading.Lock(), threading.Event()
    running, most = 0, 0

    def task() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go.wait(5)
        with lock:
            running -= 1
        return 1

    for _ in range(12):
        crew.submit(task)
    go.set()
    assert sum(landed.get(timeout=5) for _ in range(12)) == 12
    assert 1 <= most <= 3
    crew.close()


def test_tasks_that_wait_for_one_another_get_threads_enough() -> None:
    landed: queue.SimpleQueue[int] = queue.SimpleQueue()
    crew, meeting = Threads[int](4, landed.put), threading.Barrier(4)
    for _ in range(4):
        crew.submit(lambda: meeting.wait(5))
    assert sorted(landed.get(timeout=5) for _ in range(4)) == [0, 1, 2, 3]
    crew.close()


def test_an_idle_crew_does_the_next_task_with_a_thread_it_has() -> None:
    before, landed = workers(), queue.SimpleQueue[int]()
    crew = Threads[int](8, landed.put)
    for number in range(5):
        crew.submit(lambda: 1)
        landed.get(timeout=5)
        assert workers() <= before + 2, number
    crew.close()


def test_idle_threads_end_when_the_crew_is_closed() -> None:
    landed: queue.SimpleQueue[int] = queue.SimpleQueue()
    crew = Threads[int](4, landed.put)
    before = {thread.ident for thread in threading.enumerate()}
    meeting = threading.Barrier(4)
    for _ in range(4):
        crew.submit(lambda: meeting.wait(5))
    for _ in range(4):
        landed.get(timeout=5)
    mine = [thread for thread in threading.enumerate() if thread.ident not in before]
    crew.close()
    for thread in mine:
        thread.join(5)
    assert not any(thread.is_alive() for thread in mine)


def test_a_busy_thread_does_not_keep_the_process_alive() -> None:
    code = """
import threading
from venice_batch.run.engines.threads import Threads
crew, begun = Threads(2, print), threading.Event()
crew.submit(lambda: begun.set() or threading.Event().wait(60))
begun.wait(5)
crew.close()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=10)


def test_a_machine_that_starts_no_more_threads_does_the_work_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    landed: queue.SimpleQueue[int] = queue.SimpleQueue()
    crew = Threads[int](4, landed.put)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        for number in range(20):
            crew.submit(lambda number=number: number)  # type: ignore[misc]  # mypy cannot infer a default's type
        with pytest.raises(Unavailable, match="no further thread"):
            Threads[int](4, landed.put)
    assert sorted(landed.get(timeout=5) for _ in range(20)) == list(range(20))
    crew.close()
