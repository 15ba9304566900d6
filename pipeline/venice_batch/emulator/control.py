"""The control endpoints under ``/_emulator``: read the log and the books, script faults, change balance and limits."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from venice_batch.emulator.accounts import BUNDLED, DIEM, USD
from venice_batch.emulator.api_error import ApiError
from venice_batch.emulator.server_state import ServerState

_CURRENCIES = {"usd": USD, "diem": DIEM, "bundled": BUNDLED}


class Control:
    """Handlers of the control endpoints; they need no key, the server listens on loopback."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes, without their common prefix."""
        changes = {"/faults": self._script, "/balance": self._set_balances, "/rpm": self._set_rpm}
        return [
            Route("/log", self._log, methods=["GET"]),
            Route("/books", self._books, methods=["GET"]),
            Route("/reset", self._reset, methods=["POST"]),
            *(Route(path, _changing(change), methods=["POST"]) for path, change in changes.items()),
        ]

    async def _log(self, _request: Request) -> Response:
        return JSONResponse([entry.as_json() for entry in self._state.log])

    async def _books(self, _request: Request) -> Response:
        books, budget = self._state.books, self._state.budget
        return JSONResponse(
            {
                "billed": f"{books.billed():f}",
                "calls": len(books.rows),
                "by_sku": {sku: f"{amount:f}" for sku, amount in books.billed_by_sku().items()},
                "balances": {name: f"{amount:f}" for name, amount in books.balances.items()},
                "abuse_blocks": budget.blocks,
                "client_errors": budget.times,
            }
        )

    async def _reset(self, _request: Request) -> Response:
        self._state.reset()
        return JSONResponse({"ok": True})

    def _script(self, document: Any) -> None:
        self._state.faults.script(document)

    def _set_balances(self, document: Any) -> None:
        if not isinstance(document, dict) or not document.keys() <= _CURRENCIES.keys():
            raise ApiError(400, f"send an object with any of {', '.join(_CURRENCIES)}")
        try:
            amounts = {
                _CURRENCIES[name]: None if text is None else Decimal(str(text)) for name, text in document.items()
            }
        except InvalidOperation:
            raise ApiError(400, 'amounts are decimal numbers as text, such as "1.00", or null') from None
        self._state.books.set_balances(amounts)

    def _set_rpm(self, document: Any) -> None:
        if not isinstance(document, dict) or not document.keys() <= {"default", "models"}:
            raise ApiError(400, 'send {"default": 60, "models": {"id": 20}}')
        models = document.get("models", {})
        numbers = [*models.values(), document.get("default", 1)]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise ApiError(400, "requests per minute are whole numbers")
        self._state.windows.change(document.get("default"), models)


def _changing(change: Callable[[Any], None]) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler that reads a JSON document and changes something by it."""

    async def handle(request: Request) -> Response:
        try:
            change(json.loads(await request.body()))
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        except ValueError as problem:
            return JSONResponse({"error": f"bad request to the emulator's controls: {problem}"}, 400)
        return JSONResponse({"ok": True})

    return handle
