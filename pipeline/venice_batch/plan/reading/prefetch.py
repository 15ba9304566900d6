"""Requests to a store made ahead of their use: in order, in several threads, and no further ahead than a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

#: Requests to a store at a time: more threads make each one slower.
AT_ONCE = 16

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_order(
    work: Callable[[Item], Found], items: Iterable[Item], at_once: int = AT_ONCE
) -> Generator[tuple[Item, Found], None, None]:
    """Yield each item with what `work` returns for it, in order; at most `at_once` are in work or wait to be taken.

    `work` is called in other threads unless `at_once` is 1; items are taken in the caller's, and no further ahead.

    Raises:
        BaseException: whatever `work` raised, at the item's turn; what was not begun by then never is.
    """
    if at_once == 1:
        for item in items:
            yield item, work(item)
        return
    source = iter(items)
    with ThreadPoolExecutor(at_once, "prefetch") as pool:
        window: deque[tuple[Item, Future[Found]]] = deque()
        try:
            window.extend((item, pool.submit(work, item)) for item in islice(source, at_once))
            while window:
                item, future = window.popleft()
                found = future.result()
                window.extend((follower, pool.submit(work, follower)) for follower in islice(source, 1))
                yield item, found
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
