"""The watchdog: ends a call's connection at the call's deadline, whatever the call is waiting for.

A client's timeouts are for one read or write each, and a server that sends a byte now and then satisfies all of them:
in the handshake, the headers, interim responses, the body or an error's text. So the socket itself is shut down.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any


class Watch:
    """One call under watch.

    Attributes:
        expired: the deadline has passed, and the connection was ended.
    """

    def __init__(self, watchdog: Watchdog, seconds: float) -> None:
        self.expired = False
        self.end = time.monotonic() + seconds
        self._watchdog = watchdog
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """Seconds left, at least a millisecond: a socket timeout of zero would mean "do not block"."""
        return max(self.end - time.monotonic(), 1e-3)

    def shorten(self, seconds: float) -> None:
        """Let the call go on for so many seconds at most."""
        self.end = min(self.end, time.monotonic() + seconds)
        self._watchdog.wake()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take httpx2's trace events of the call: one of them brings its connection."""
        if event.endswith(".connect_tcp.complete"):
            self.bind(info["return_value"].get_extra_info("socket"))

    def bind(self, connection: socket.socket) -> None:
        """Take the call's connection, also before TLS is agreed on.

        A second handle is kept: wrapping a socket in TLS takes the first one away, and shutting down either ends both.
        """
        handle = connection.dup()
        with self._lock:
            before, self._socket = self._socket, handle
            if self.expired:
                _shut_down(handle)
        if before is not None:
            before.close()

    def expire(self) -> None:
        """End the connection: whoever reads from it or writes to it stops waiting."""
        with self._lock:
            self.expired = True
            if self._socket is not None:
                _shut_down(self._socket)

    def release(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None


class Watchdog:
    """One thread that watches all calls of a client; it starts with the first."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._watches: set[Watch] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def watch(self, seconds: float) -> Iterator[Watch]:
        """Watch over the block, and end its connection when it takes longer than so many seconds."""
        watch = Watch(self, seconds)
        with self._condition:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            self._condition.notify()
        try:
            yield watch
        finally:
            with self._condition:
                self._watches.discard(watch)
            watch.release()

    def wake(self) -> None:
        """Look at the deadlines again: one has changed."""
        with self._condition:
            self._condition.notify()

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._condition:
            while not self._closed:
                now = time.monotonic()
                for watch in [watch for watch in self._watches if watch.end <= now]:
                    self._watches.remove(watch)
                    watch.expire()
                first = min((watch.end for watch in self._watches), default=None)
                self._condition.wait(None if first is None else first - now)


def _shut_down(handle: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        handle.shutdown(socket.SHUT_RDWR)
