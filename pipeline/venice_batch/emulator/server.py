"""Running the emulator: in a thread for tests and ``base_url: emulator``, or in the foreground for the command."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from venice_batch.emulator.accounts import Books
from venice_batch.emulator.app import PREFIX, build
from venice_batch.emulator.server_state import World
from venice_batch.emulator.settings import ADMIN_KEY, INFERENCE_KEY, Settings

_START_LIMIT = 15.0


class _Protocol(H11Protocol):
    """HTTP/1.1 that shows every request its transport, which the faults that cut connections need."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """A server that tells when it listens, and that can drop its connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self._ready()

    def stop(self) -> None:
        """Stop from another thread, at once: connections that are still open are cut."""
        self.should_exit = self.force_exit = True
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._drop_connections)

    def _drop_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


@dataclass(frozen=True, slots=True)
class Running:
    """A running emulator.

    Attributes:
        url: the base URL, with ``/api/v1``.
        key: an inference key.
        admin_key: an ADMIN key.
        world: everything it remembers, for tests in the same process.
    """

    url: str
    key: str
    admin_key: str
    world: World

    @property
    def books(self) -> Books:
        """The money of the account."""
        return self.world.books

    @property
    def control(self) -> str:
        """The URL of the control endpoints."""
        return self.url.removesuffix(PREFIX) + "/_emulator"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off; without it every answer takes 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _running(world: World, listener: socket.socket, host: str) -> Running:
    name = f"[{host}]" if ":" in host else host
    keys = world.settings.keys
    return Running(
        url=f"http://{name}:{listener.getsockname()[1]}{PREFIX}",
        key=next((key.token for key in keys if not key.admin), INFERENCE_KEY),
        admin_key=next((key.token for key in keys if key.admin), ADMIN_KEY),
        world=world,
    )


def _config(world: World) -> uvicorn.Config:
    return uvicorn.Config(
        build(world),
        http=_Protocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        backlog=1024,
    )


@contextmanager
def serve_in_thread(settings: Settings | None = None, port: int = 0, host: str = "127.0.0.1") -> Iterator[Running]:
    """Serve from a background thread while the ``with`` block runs.

    Args:
        settings: keys, balances, limits, speed; the defaults when None.
        port: TCP port; 0 takes a free one.
        host: address to listen on.

    Raises:
        OSError: the port is taken.
        RuntimeError: the server did not start.
    """
    world = World(settings or Settings())
    ready = threading.Event()
    listener = _listen(host, port)
    server = _Server(_config(world), ready.set)
    thread = threading.Thread(target=server.run, args=([listener],), name="emulator", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_LIMIT):
            raise RuntimeError("the emulator did not start in time")
        yield _running(world, listener, host)
    finally:
        server.stop()
        thread.join(_START_LIMIT)
        listener.close()


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    announce: Callable[[str], None],
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM, as the command does.

    Args:
        settings: keys, balances, limits, speed.
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        announce: gets one line for people, when the server is ready to answer.

    Raises:
        OSError: the port is taken.
    """

    def tell(running: Running) -> None:
        announce(f"emulator listening on {running.url} key {running.key}")

    serve_until_stopped(settings, host, port, ready=tell)


def serve_until_stopped(settings: Settings, host: str, port: int, *, ready: Callable[[Running], None]) -> None:
    """Serve in the foreground until SIGINT or SIGTERM.

    Args:
        settings: keys, balances, limits, speed.
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        ready: called once, when the server is ready to answer.

    Raises:
        OSError: the port is taken.
    """
    world = World(settings)
    listener = _listen(host, port)
    server = _Server(_config(world), lambda: ready(_running(world, listener, host)))
    try:
        server.run([listener])
    finally:
        listener.close()
