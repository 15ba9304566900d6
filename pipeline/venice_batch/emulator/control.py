"""The control endpoints under ``/_emulator``: read the log and the books, script faults, change balance and limits."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from venice_batch.emulator.accounts import BUNDLED, DIEM, USD
from venice_batch.emulator.api_error import Refusal
from venice_batch.emulator.server_state import World

_CURRENCIES = {"usd": USD, "diem": DIEM, "bundled": BUNDLED}


class Control:
    """Handlers of the control endpoints; they need no key, the server listens on loopback."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes, without their common prefix."""
        return [
            Route("/log", self._log, methods=["GET"]),
            Route("/books", self._books, methods=["GET"]),
            Route("/faults", self._faults, methods=["POST"]),
            Route("/reset", self._reset, methods=["POST"]),
            Route("/balance", self._balance, methods=["POST"]),
            Route("/rpm", self._rpm, methods=["POST"]),
        ]

    async def _log(self, _request: Request) -> Response:
        return JSONResponse([entry.as_json() for entry in self._world.log])

    async def _books(self, _request: Request) -> Response:
        books, budget = self._world.books, self._world.budget
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

    async def _faults(self, request: Request) -> Response:
        return await self._change(request, self._world.faults.script)

    async def _reset(self, _request: Request) -> Response:
        self._world.reset()
        return JSONResponse({"ok": True})

    async def _balance(self, request: Request) -> Response:
        return await self._change(request, self._set_balances)

    async def _rpm(self, request: Request) -> Response:
        return await self._change(request, self._set_rpm)

    async def _change(self, request: Request, change: Any) -> Response:
        try:
            change(json.loads(await request.body()))
        except Refusal as refusal:
            return JSONResponse(refusal.body, refusal.status)
        except ValueError as problem:
            return JSONResponse({"error": f"bad request to the emulator's controls: {problem}"}, 400)
        return JSONResponse({"ok": True})

    def _set_balances(self, document: Any) -> None:
        if not isinstance(document, dict) or not document.keys() <= _CURRENCIES.keys():
            raise Refusal(400, f"send an object with any of {', '.join(_CURRENCIES)}")
        try:
            amounts = {
                _CURRENCIES[name]: None if text is None else Decimal(str(text)) for name, text in document.items()
            }
        except InvalidOperation:
            raise Refusal(400, 'amounts are decimal numbers as text, such as "1.00", or null') from None
        self._world.books.set_balances(amounts)

    def _set_rpm(self, document: Any) -> None:
        if not isinstance(document, dict) or not document.keys() <= {"default", "models"}:
            raise Refusal(400, 'send {"default": 60, "models": {"id": 20}}')
        models = document.get("models", {})
        numbers = [*models.values(), document.get("default", 1)]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise Refusal(400, "requests per minute are whole numbers")
        self._world.windows.change(document.get("default"), models)
