"""A real loopback server that plays scripted faults, and the client's parts around it."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from venice_batch.venice.address import Api, Secret
from venice_batch.venice.breaker import Breaker
from venice_batch.venice.client import Client
from venice_batch.venice.gate import Gate
from venice_batch.venice.lanes import Lanes
from venice_batch.venice.waits import Cancel

KEY = "VENICE_INFERENCE_KEY_sesame-0123456789"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


@dataclass
class Talk:
    """One request as the server meets it; the body is read only when a play asks for it."""

    connection: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    begun: bytes
    index: int
    body: bytes = b""
    closing: bool = False

    def read_body(self) -> bytes:
        wanted = int(self.headers.get("content-length", "0"))
        body = bytearray(self.begun)
        while len(body) < wanted:
            chunk = self.connection.recv(1 << 20)
            if not chunk:
                break
            body += chunk
        self.body = bytes(body)
        return self.body

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reset(self) -> None:
        """Close with RST, as a crashed server does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closing = True


Play = Callable[[Talk], None]


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()


def reply(
    status: int, body: bytes | str = b"", headers: Mapping[str, str] | None = None, *, delay: float = 0.0
) -> Play:
    raw = body.encode() if isinstance(body, str) else body

    def play(talk: Talk) -> None:
        talk.read_body()
        time.sleep(delay)
        talk.send(head(status, {"content-length": str(len(raw)), **(headers or {})}) + raw)

    return play


def picture(headers: Mapping[str, str] | None = None, *, delay: float = 0.0) -> Play:
    return reply(200, PNG, {"content-type": "image/png", **(headers or {})}, delay=delay)


def refuse(status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Play:
    return reply(status, json.dumps(body), {"content-type": "application/json", **(headers or {})})


@dataclass
class Server:
    """Answers the n-th request with the n-th play; the last one is repeated."""

    plays: list[Play] = field(default_factory=lambda: [picture()])
    talks: list[Talk] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/api/v1"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for connection in self._connections:
            with suppress(OSError):  # closed by its own thread already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._connections.append(connection)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while (talk := self._read(connection)) is not None:
                    self.plays[min(talk.index, len(self.plays) - 1)](talk)
                    if talk.closing:
                        return
            except OSError:
                return  # the client went away, which some plays provoke

    def _read(self, connection: socket.socket) -> Talk | None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            raw += chunk
        top, _, begun = raw.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        with self._lock:
            talk = Talk(connection, method, path, headers, begun, len(self.talks))
            self.talks.append(talk)
        return talk


class TimedGate(Gate):
    """Notes when it closes, under its own lock: exactly, no paid request may have a later `begun_at`."""

    closed_at: float | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_cause" and value is not None and self.closed_at is None:
            self.closed_at = time.time()
        super().__setattr__(name, value)


class NoJitter(random.Random):
    """Retries at once, so that tests do not wait."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


@dataclass
class Kit:
    """One client and everything it shares with its threads."""

    server: Server
    client: Client
    gate: TimedGate
    lanes: Lanes
    breaker: Breaker
    cancel: Cancel
    folder: Path
    waits: list[tuple[str, float]]

    def source(self, data: bytes = PNG, name: str = "my secret product.png") -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def new(self, name: str = "answer") -> Path:
        return self.folder / name


MakeKit = Callable[..., Kit]


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


@pytest.fixture
def make_kit(server: Server, tmp_path: Path) -> Iterator[MakeKit]:
    clients: list[Client] = []

    def make(
        *,
        rpm: int = 60_000,
        timeout: float = 5.0,
        prefer: str = "multipart",
        base_url: str | None = None,
        key: str = KEY,
        max_answer_bytes: int = 1_000_000,
        most_errors: int = 18,
    ) -> Kit:
        cancel = Cancel()
        gate, lanes = TimedGate(cancel), Lanes({}, default_rpm=rpm, cancel=cancel)
        breaker = Breaker(cancel=cancel, limit=most_errors)
        waits: list[tuple[str, float]] = []
        client = Client(
            Api(base_url or server.url, Secret(key)),
            gate=gate,
            lanes=lanes,
            breaker=breaker,
            cancel=cancel,
            rng=NoJitter(),
            timeout=timeout,
            prefer="json" if prefer == "json" else "multipart",
            on_wait=lambda reason, seconds: waits.append((reason, seconds)),
            max_answer_bytes=max_answer_bytes,
        )
        clients.append(client)
        return Kit(server, client, gate, lanes, breaker, cancel, tmp_path, waits)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def kit(make_kit: MakeKit) -> Kit:
    return make_kit()
