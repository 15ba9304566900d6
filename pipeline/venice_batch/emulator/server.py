"""The routes, and running them: in a thread for tests and ``base_url: emulator``, in the foreground for the command."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from venice_batch.emulator.accounts import Books
from venice_batch.emulator.control import Control
from venice_batch.emulator.free_endpoints import FREE_ENDPOINTS, FreeEndpoint
from venice_batch.emulator.paid_call import PARSERS
from venice_batch.emulator.paid_endpoints import PaidEndpoint
from venice_batch.emulator.server_state import ServerState
from venice_batch.emulator.settings import ADMIN_KEY, INFERENCE_KEY, Settings

PREFIX = "/api/v1"
_START_LIMIT = 15.0


def _application(state: ServerState) -> Starlette:
    """Return the ASGI application: the API under ``/api/v1``, the controls under ``/_emulator``."""
    paid = [Route(path, PaidEndpoint(state, path), methods=["POST"]) for path in PARSERS]
    free = [Route(path, FreeEndpoint(state, path, *how), methods=["GET"]) for path, how in FREE_ENDPOINTS.items()]
    return Starlette(
        routes=[
            Mount(PREFIX, routes=[*paid, *free, Route("/billing/usage", _gone, methods=["GET"])]),
            Mount("/_emulator", routes=Control(state).routes()),
        ],
        exception_handlers={HTTPException: _as_json},
    )


async def _gone(_request: Request) -> Response:
    return JSONResponse({"error": "This endpoint has been retired. Use /billing/usage-history instead."}, 410)


async def _as_json(_request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    text = problem.detail if isinstance(problem, HTTPException) else "Internal server error"
    return JSONResponse({"error": text}, status)


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
        state: everything it remembers, for tests in the same process.
    """

    url: str
    state: ServerState

    @property
    def key(self) -> str:
        """An inference key."""
        return next((key.token for key in self.state.settings.keys if not key.admin), INFERENCE_KEY)

    @property
    def admin_key(self) -> str:
        """An ADMIN key."""
        return next((key.token for key in self.state.settings.keys if key.admin), ADMIN_KEY)

    @property
    def books(self) -> Books:
        """The money of the account."""
        return self.state.books

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


def _running(state: ServerState, listener: socket.socket, host: str) -> Running:
    name = f"[{host}]" if ":" in host else host
    return Running(f"http://{name}:{listener.getsockname()[1]}{PREFIX}", state)


def _config(state: ServerState) -> uvicorn.Config:
    return uvicorn.Config(
        _application(state),
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
        OSError: the port is taken, or the catalogue cannot be read (ValueError: it is none).
        RuntimeError: the server did not start.
    """
    state = ServerState(settings or Settings())
    ready = threading.Event()
    listener = _listen(host, port)
    server = _Server(_config(state), ready.set)
    thread = threading.Thread(target=server.run, args=([listener],), name="emulator", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_LIMIT):
            raise RuntimeError("the emulator did not start in time")
        yield _running(state, listener, host)
    finally:
        server.stop()
        thread.join(_START_LIMIT)
        listener.close()


def serve(settings: Settings, host: str, port: int, *, ready: Callable[[Running], None]) -> None:
    """Serve in the foreground until SIGINT or SIGTERM.

    Args:
        settings: keys, balances, limits, speed.
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        ready: called once, when the server is ready to answer.

    Raises:
        OSError: the port is taken, or the catalogue cannot be read (ValueError: it is none).
    """
    state = ServerState(settings)
    listener = _listen(host, port)
    server = _Server(_config(state), lambda: ready(_running(state, listener, host)))
    try:
        server.run([listener])
    finally:
        listener.close()
