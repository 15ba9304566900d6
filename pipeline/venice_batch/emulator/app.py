"""The routes of the emulated API."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from venice_batch.emulator.control import Control
from venice_batch.emulator.free_endpoints import TELLERS, Free
from venice_batch.emulator.paid_endpoints import Paid
from venice_batch.emulator.requested_work import READERS
from venice_batch.emulator.server_state import World

PREFIX = "/api/v1"


def build(world: World) -> Starlette:
    """Return the ASGI application: eleven endpoints under ``/api/v1``, the controls under ``/_emulator``."""
    paid = [Route(path, Paid(world, path), methods=["POST"]) for path in READERS]
    free = [
        Route(path, Free(world, path, teller, rights), methods=["GET"]) for path, (teller, rights) in TELLERS.items()
    ]
    return Starlette(
        routes=[
            Mount(PREFIX, routes=[*paid, *free, Route("/billing/usage", _gone, methods=["GET"])]),
            Mount("/_emulator", routes=Control(world).routes()),
        ],
        exception_handlers={HTTPException: _as_json},
    )


async def _gone(_request: Request) -> Response:
    return JSONResponse({"error": "This endpoint has been retired. Use /billing/usage-history instead."}, 410)


async def _as_json(_request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    text = problem.detail if isinstance(problem, HTTPException) else "Internal server error"
    return JSONResponse({"error": text}, status)
