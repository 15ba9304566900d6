"""Answers that do not arrive as they should: cut, reset, trickling or never sent.

They are ASGI responses. The server gives every request its TCP transport in the scope's state; closing it ends the
connection with a FIN, and closing it with a linger time of zero with a RST, which the other side reads as
"connection reset by peer".
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

_TRICKLE = 20
#: Most bytes that go out before a reset: they must fit into socket buffers, or the wait for them would be long.
_MOST_BEFORE_CUT = 65_536


def transport_of(scope: Scope) -> asyncio.Transport:
    """Return the connection that a request came in on."""
    found = scope["state"]["transport"]
    assert isinstance(found, asyncio.Transport)  # noqa: S101 - set by the emulator's own protocol class
    return found


async def reset(transport: asyncio.Transport) -> None:
    """End a connection with a TCP reset, at once."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        # Already closed by the other side is fine: then there is nothing to reset.
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _noticed()


async def _noticed() -> None:
    """Let the loop deliver ``connection_lost``, so that the server does not try to answer what is gone."""
    for _ in range(3):
        await asyncio.sleep(0)


async def _flushed(transport: asyncio.Transport) -> None:
    for _ in range(200):
        if transport.get_write_buffer_size() == 0:
            break
        await asyncio.sleep(0.01)


class NoAnswer(Response):
    """No answer at all: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Reset the connection."""
        await reset(transport_of(scope))


class CutOff(Response):
    """The status and half of the promised bytes, then the end.

    Args:
        whole: the answer that is cut.
        hard: True resets the connection, False closes it in order.
    """

    def __init__(self, whole: Response, *, hard: bool) -> None:
        super().__init__(bytes(whole.body), whole.status_code, dict(whole.headers))
        self._hard = hard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send half, then cut."""
        transport = transport_of(scope)
        most = min(len(self.body) // 2, _MOST_BEFORE_CUT) if self._hard else len(self.body) // 2
        await send(_start(self))
        await send({"type": "http.response.body", "body": bytes(self.body)[:most], "more_body": True})
        await _flushed(transport)
        if self._hard:
            await reset(transport)
        else:
            transport.close()
            await _noticed()


class Slow(Response):
    """The whole answer, in small pieces spread over some seconds."""

    def __init__(self, whole: Response, *, seconds: float) -> None:
        super().__init__(bytes(whole.body), whole.status_code, dict(whole.headers))
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Trickle."""
        transport = transport_of(scope)
        body = bytes(self.body)
        piece = max(1, -(-len(body) // _TRICKLE))
        await send(_start(self))
        for start in range(0, len(body), piece):
            if transport.is_closing():
                return
            await send({"type": "http.response.body", "body": body[start : start + piece], "more_body": True})
            await asyncio.sleep(self._seconds / _TRICKLE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Hang(Response):
    """Silence: the connection stays open until the client gives up or the time is over, then it is reset."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Wait."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while (await receive())["type"] != "http.disconnect":
                    pass
        await reset(transport_of(scope))


def _start(response: Response) -> Message:
    return {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
