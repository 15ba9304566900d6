"""What all endpoints of the API have in common: the key, the error budget, the headers, the log."""

from __future__ import annotations

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from venice_batch.emulator import broken_transport
from venice_batch.emulator.accounts import DIEM, USD
from venice_batch.emulator.api_error import ApiError
from venice_batch.emulator.faults import Action
from venice_batch.emulator.server_state import Entry, ServerState
from venice_batch.emulator.settings import Key

_TOO_MANY = 429
CAPTIVE_PORTAL = "<!DOCTYPE html><html><title>Sign in</title><body><h1>Welcome to the network</h1></body></html>"


@dataclass(slots=True)
class Exchange:
    """One request on its way through an endpoint.

    Attributes:
        request: what came.
        entry: its line in the log.
        token: the bearer token, empty where none was sent.
        bucket: whose error budget a client error counts against.
        headers: what the answer will carry in addition.
    """

    request: Request
    entry: Entry
    token: str = ""
    bucket: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Endpoint(ABC):
    """An ASGI application for one path."""

    def __init__(self, state: ServerState, path: str) -> None:
        self.state = state
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        request = Request(scope, receive)
        entry = self.state.begin(request, self.path)
        exchange = Exchange(request, entry, bucket=self.path)
        exchange.headers = {"cf-ray": entry.request_id, "x-venice-emulated": "true"}
        try:
            response = await self._response(exchange)
        except ClientDisconnect:
            entry.aborted = True
            return
        except asyncio.CancelledError:
            # The server is stopping: nobody is left to answer to, and a made-up status would be a lie.
            entry.aborted = True
            await broken_transport.reset(broken_transport.transport_of(scope))
            return
        self._close(exchange, response)
        entry.aborted |= broken_transport.transport_of(scope).is_closing()
        await response(scope, receive, send)

    async def _response(self, exchange: Exchange) -> Response:
        try:
            return await self.answer(exchange)
        except ApiError as error:
            return JSONResponse(error.body, error.status, error.headers)

    def _close(self, exchange: Exchange, response: Response) -> None:
        entry = exchange.entry
        for name, value in exchange.headers.items():
            response.headers.setdefault(name, value)
        entry.time_answered = self.state.settings.clock()
        if isinstance(response, (broken_transport.NoAnswer, broken_transport.Hang)):
            entry.aborted = True
            return
        entry.aborted |= isinstance(response, broken_transport.CutOff)
        entry.status = response.status_code
        if 400 <= response.status_code < 500 and response.status_code != _TOO_MANY and exchange.token:  # noqa: PLR2004 - the range of client errors
            self.state.budget.note(exchange.token, exchange.bucket)

    @abstractmethod
    async def answer(self, exchange: Exchange) -> Response:
        """Answer a request.

        Raises:
            ApiError: the answer is an error.
        """

    def authorise(self, exchange: Exchange) -> Key:
        """Return the key of a request.

        Raises:
            ApiError: 402 without any Authorization (the x402 offer), 401 for a key that is not known.
        """
        header = exchange.request.headers.get("authorization")
        if header is None:
            raise _payment_offer(str(exchange.request.url))
        scheme, _, token = header.partition(" ")
        exchange.token = token.strip() or header
        key = self.state.settings.find_key(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise ApiError(401, "Authentication failed")
        self._show_balance(exchange, key)
        return key

    def _show_balance(self, exchange: Exchange, key: Key) -> None:
        """Report what the key may spend before this request, as the API's headers do."""
        spendable = self.state.books.spendable(key)
        for currency, name in ((USD, "x-venice-balance-usd"), (DIEM, "x-venice-balance-diem")):
            if currency in spendable:
                exchange.headers[name] = f"{spendable[currency]:f}"

    def fault(self, exchange: Exchange, *, early: bool) -> Action | None:
        """Return the scripted fault for this request, if there is one at this moment."""
        action = self.state.faults.pick(self.path, exchange.entry.model, early=early)
        if action is not None:
            exchange.entry.fault = action.name
        return action


def _payment_offer(url: str) -> ApiError:
    """Return the 402 of the x402 protocol: the offer in the body and, as base64, in the header."""
    accepted = {
        "scheme": "exact",
        "network": "eip155:8453",
        "amount": "10000000",
        "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
        "payTo": "0x0000000000000000000000000000000000000000",
        "maxTimeoutSeconds": 300,
        "extra": {"name": "USD Coin", "version": "2"},
    }
    offer = {
        "x402Version": 2,
        "error": "Payment required",
        "resource": {"url": url, "description": "Venice API", "mimeType": "application/json"},
        "accepts": [accepted],
    }
    return ApiError(402, offer, {"PAYMENT-REQUIRED": base64.b64encode(json.dumps(offer).encode()).decode("ascii")})


async def apply_fault(action: Action, normal: Response) -> Response:
    """Turn a normal answer into the one that a fault leaves of it."""
    answer = normal
    match action.kind:
        case "status":
            answer = _status(action)
        case "reset-before-body" | "lost":
            answer = broken_transport.NoAnswer()
        case "reset-mid-body" | "truncate":
            answer = broken_transport.CutOff(normal, hard=action.kind == "reset-mid-body")
        case "hang":
            answer = broken_transport.Hang(seconds=action.seconds)
        case "slow":
            answer = broken_transport.Slow(normal, seconds=action.seconds)
        case "html":
            answer = HTMLResponse(CAPTIVE_PORTAL)
        case "late":
            await asyncio.sleep(action.seconds)
    return answer


def _status(action: Action) -> Response:
    status = action.status or 500
    if isinstance(action.body, str):
        return Response(action.body, status, action.headers, media_type="text/plain")
    return JSONResponse(action.body or {"error": f"scripted fault {status}"}, status, action.headers)
