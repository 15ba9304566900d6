"""A TCP proxy in front of a server on loopback: it counts what passes, and cuts, delays, refuses or answers itself."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Refuse:
    """End the connection at once, as a port that nobody listens on."""


@dataclass(frozen=True)
class Cut:
    """End the connection when `after` bytes have passed in one direction: ``down`` is what the server sends."""

    after: int
    direction: Literal["up", "down"] = "down"


@dataclass(frozen=True)
class Delay:
    """Pass the first byte of each connection on only after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """Answer the first request of the connection with an S3 error, and never ask the server."""

    status: int = 503
    code: str = "SlowDown"


@dataclass(frozen=True)
class Deny:
    """Answer requests for paths that hold `part` with 403, as for an object of another owner's; pass on all others."""

    part: str


Fault: TypeAlias = Refuse | Cut | Delay | Answer | Deny
#: What happens to the n-th connection (from 1) after `behave`; None: nothing.
Plan: TypeAlias = Callable[[int], Fault | None]


class Proxy:
    """A proxy for one server; start it with `in_front_of`.

    Attributes:
        up: bytes sent to the server so far.
        down: bytes that came from it.
        connections: how many there were.
        signed: bytes that came down on connections which began with a signed address: somebody else's, not the tool's.
    """

    def __init__(self, target: tuple[str, int], scheme: str = "http") -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._plan: Plan = lambda _: None
        self._since = 0
        self._open = set[socket.socket]()
        self._threads = list[threading.Thread]()
        self._closed = False
        self.up = self.down = self.connections = self.signed = 0
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    # Faults

    def behave(self, plan: Plan) -> None:
        """From now on ask `plan` about each connection; those that are open end, or they would go round it."""
        with self._lock:
            self._plan, self._since = plan, self.connections
            self._drop()

    def always(self, fault: Fault | None) -> None:
        """Do the same to every connection."""
        self.behave(lambda _: fault)

    def first(self, count: int, fault: Fault) -> None:
        """Do it to the next `count` connections only."""
        self.behave(lambda number: fault if number <= count else None)

    @contextmanager
    def doing(self, fault: Fault) -> Iterator[None]:
        """Do it for the length of the block."""
        self.always(fault)
        try:
            yield
        finally:
            self.always(None)

    def reset_counts(self) -> None:
        """Begin to count anew; open connections stay, and count on."""
        with self._lock:
            self.up = self.down = self.signed = 0

    def close(self) -> None:
        """End all connections and the proxy itself."""
        with self._lock:
            self._closed = True
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._drop()
        for thread in self._threads:
            thread.join(5)

    def _drop(self) -> None:
        for one in self._open:
            # Not closed here: its own thread still has it in its hands.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    # Passing on

    def serve(self) -> None:
        """Take connections until it is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    client.close()
                    return
                self.connections += 1
                fault = self._plan(self.connections - self._since)
                self._open.add(client)
                thread = threading.Thread(target=self._attend, args=(client, fault), daemon=True)
                self._threads.append(thread)
            thread.start()

    def _attend(self, client: socket.socket, fault: Fault | None) -> None:
        try:
            with suppress(OSError):
                self._treat(client, fault)
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()

    def _treat(self, client: socket.socket, fault: Fault | None) -> None:
        match fault:
            case Refuse():
                _reset(client)
            case Answer():
                self._answer(client, fault)
            case Delay():
                select.select([client], [], [])
                time.sleep(fault.seconds)
                self._relay(client, None)
            case Cut() | Deny() | None:
                self._relay(client, fault)

    def _answer(self, client: socket.socket, fault: Answer) -> None:
        self._count("up", len(client.recv(_CHUNK)))
        self._send_error(client, fault)

    def _send_error(self, client: socket.socket, fault: Answer) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>by the proxy</Message></Error>".encode()
        head = f"HTTP/1.1 {fault.status} Busy\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        client.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
        self._count("down", len(body))
        client.shutdown(socket.SHUT_WR)
        client.settimeout(1)
        while client.recv(_CHUNK):  # a close with bytes unread would reset the connection, and the answer be lost
            pass

    def _relay(self, client: socket.socket, fault: Cut | Deny | None) -> None:
        with socket.create_connection(self._target) as server:
            with self._lock:
                self._open.add(server)
            try:
                self._pump(client, server, fault)
            finally:
                with self._lock:
                    self._open.discard(server)

    def _pump(self, client: socket.socket, server: socket.socket, fault: Cut | Deny | None) -> None:
        cut = fault if isinstance(fault, Cut) else None
        passed = {"up": 0, "down": 0}
        signed = False
        while True:
            for ready in select.select([client, server], [], [])[0]:
                direction: Literal["up", "down"] = "up" if ready is client else "down"
                chunk = ready.recv(_CHUNK)
                if direction == "up" and isinstance(fault, Deny) and _asks_for(fault.part, chunk):
                    self._send_error(client, Answer(403, "AccessDenied"))
                    return
                if cut is not None and cut.direction == direction:
                    chunk = chunk[: cut.after - passed[direction]]
                if not chunk:
                    return
                (server if ready is client else client).sendall(chunk)
                signed = signed or (not passed["up"] and b"X-Amz-Signature=" in chunk.partition(b"\r\n")[0])
                passed[direction] += len(chunk)
                self._count(direction, len(chunk), signed=signed)
                if cut is not None and cut.direction == direction and passed[direction] >= cut.after:
                    _reset(client)
                    return

    def _count(self, direction: Literal["up", "down"], count: int, *, signed: bool = False) -> None:
        with self._lock:
            if direction == "up":
                self.up += count
            else:
                self.down += count
                self.signed += count if signed else 0


def _asks_for(part: str, chunk: bytes) -> bool:
    line = chunk.partition(b"\r\n")[0]
    return line.endswith(b" HTTP/1.1") and part.encode() in line


@contextmanager
def in_front_of(endpoint: str) -> Iterator[Proxy]:
    """Run a proxy in front of the server at `endpoint` for the length of the block."""
    parts = urlsplit(endpoint)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"{endpoint!r} names no host and port")
    proxy = Proxy((parts.hostname, parts.port), parts.scheme)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(5)


def _reset(client: socket.socket) -> None:
    """Have the close that follows end the connection with a reset, which no reader takes for a regular end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
