"""Doing something for many things ahead of who needs it, in their order and with a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

#: Requests to a store at a time: more threads make each one dearer.
AT_ONCE = 16

Thing = TypeVar("Thing")
Found = TypeVar("Found")


def in_order(
    work: Callable[[Thing], Found], things: Iterable[Thing], at_once: int = AT_ONCE
) -> Generator[tuple[Thing, Found], None, None]:
    """Yield each thing with what `work` finds for it, in order; at most `at_once` are in work or wait to be taken.

    Args:
        work: called in other threads, unless `at_once` is 1.
        things: taken from in the caller's thread, no further ahead than that.
        at_once: the bound.

    Raises:
        BaseException: whatever `work` raised, at the thing's turn; what was not begun by then never is.
    """
    if at_once == 1:
        for thing in things:
            yield thing, work(thing)
        return
    source = iter(things)
    with ThreadPoolExecutor(at_once, "look") as crew:
        window: deque[tuple[Thing, Future[Found]]] = deque()
        try:
            window.extend((thing, crew.submit(work, thing)) for thing in islice(source, at_once))
            while window:
                thing, future = window.popleft()
                found = future.result()
                window.extend((follower, crew.submit(work, follower)) for follower in islice(source, 1))
                yield thing, found
        finally:
            crew.shutdown(wait=True, cancel_futures=True)
