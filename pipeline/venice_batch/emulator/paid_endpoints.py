"""The endpoints that cost money: validate, count, hold the price, draw, bill, answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.responses import JSONResponse, Response

from venice_batch.emulator import bad_pictures, input_images, request_bodies
from venice_batch.emulator.api_error import ApiError
from venice_batch.emulator.catalogue import BACKGROUND_REMOVER, DEFAULT_EDIT_MODEL, UPSCALER, Model
from venice_batch.emulator.endpoint import Endpoint, Exchange, apply_fault
from venice_batch.emulator.faults import Action
from venice_batch.emulator.paid_call import PARSERS, PaidCall, sized
from venice_batch.emulator.pictures import Encoded
from venice_batch.emulator.server_state import ServerState
from venice_batch.emulator.settings import Key

_SERVED_BY_DEFAULT = {
    "/image/upscale": UPSCALER,
    "/image/background-remove": BACKGROUND_REMOVER,
    "/image/edit": DEFAULT_EDIT_MODEL,
    "/image/multi-edit": DEFAULT_EDIT_MODEL,
}
_POLICY = "The prompt was refused by the content policy of Venice.ai or of the model's provider."


class PaidEndpoint(Endpoint):
    """One paid endpoint."""

    def __init__(self, state: ServerState, path: str) -> None:
        super().__init__(state, path)
        # Pillow keeps a core busy per picture: more threads than cores would only slow the event loop down.
        self._threads = CapacityLimiter(max(2, os.cpu_count() or 2))

    async def answer(self, exchange: Exchange) -> Response:
        """Answer one paid call."""
        arrived = time.monotonic()
        key = self.authorise(exchange)
        if early := self.fault(exchange, early=True):
            return await apply_fault(early, Response())
        received = await self._receive(exchange)
        self.state.budget.check(key.token)
        action = self.fault(exchange, early=False)
        if action and action.kind in {"status", "hang"} and not action.is_billed:
            return await apply_fault(action, Response())
        call, pictures = await self._admit(exchange, received, key)
        made = await self._buy(exchange, call, pictures, key, action)
        await asyncio.sleep(max(0.0, arrived + self.state.settings.latency - time.monotonic()))
        response = _response(call, made, exchange.entry.request_id)
        if action is None:
            return response
        for name, value in bad_pictures.HEADERS.get(action.kind, {}).items():
            response.headers[name] = value
        return await apply_fault(action, response)

    async def _receive(self, exchange: Exchange) -> request_bodies.Received:
        transport = request_bodies.transport_of(exchange.request, forms=self.path in _SERVED_BY_DEFAULT)
        exchange.bucket = exchange.entry.transport = transport
        repeated = "images" if self.path == "/image/multi-edit" else None
        received = await request_bodies.read(exchange.request, transport, repeated=repeated)
        model = received.model or _SERVED_BY_DEFAULT.get(self.path, "")
        exchange.entry.model = model
        exchange.entry.params = _without_pictures(received.data)
        if transport == "json":
            exchange.bucket = f"json {model}"
        return received

    async def _admit(
        self, exchange: Exchange, received: request_bodies.Received, key: Key
    ) -> tuple[PaidCall, list[bytes]]:
        """Check everything that can be refused before money is touched."""
        if not key.permitted:
            raise ApiError(403, "Access to the API is disabled for this key")
        call = PARSERS[self.path](received, self.state.catalogue)
        if key.private_only and not call.model.private:
            raise ApiError(403, f"This API key is limited to private models; {call.model.id} is not one")
        exchange.entry.model = call.model.id
        exchange.headers |= _model_headers(call.model)
        pictures, size = await to_thread.run_sync(input_images.gather, call)
        if self.path == "/image/upscale":
            call = sized(call, size)
        if pictures:
            exchange.entry.image_sha256 = await to_thread.run_sync(_sha256, pictures[0])
        if call.blocked:
            raise ApiError(422, _POLICY)
        exchange.headers |= self.state.windows.take(call.model.id, call.units)
        return replace(call, price=call.price + self.state.settings.surcharge), pictures

    async def _buy(
        self, exchange: Exchange, call: PaidCall, pictures: list[bytes], key: Key, action: Action | None
    ) -> list[Encoded]:
        """Hold the price, draw, and bill; what cannot be drawn is not billed."""
        # Read again: the upload may have taken long, and the header promises the balance before this charge.
        self._show_balance(exchange, key)
        hold = self.state.books.hold(key, sum((amount for _, _, amount in call.charges), Decimal(0)))
        try:
            made = await to_thread.run_sync(self.state.renderer.make, call, pictures, limiter=self._threads)
            if action is not None:
                made = await to_thread.run_sync(bad_pictures.damage, action.kind, made, limiter=self._threads)
        except BaseException:
            self.state.books.release(hold)
            raise
        if action is not None and not action.is_billed:
            self.state.books.release(hold)
        else:
            self.state.books.settle(hold, call.charges, exchange.entry.request_id)
            exchange.entry.billed, exchange.entry.currency = hold.amount, hold.currency
        return made


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


#: Fields that carry pictures, which a log has no use for.
_PICTURES = ("image", "images", "style_references")


def _without_pictures(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a body, each picture replaced by its URL or its length in bytes or characters."""
    return {name: _short(value) if name in _PICTURES else value for name, value in data.items()}


def _short(value: object) -> object:
    if isinstance(value, list):
        return [_short(each) for each in value]
    if isinstance(value, dict):
        return _without_pictures(value)
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return value
    return f"<{len(value)}>" if isinstance(value, (str, bytes)) else value


def _model_headers(model: Model) -> dict[str, str]:
    headers = {"x-venice-model-id": model.id, "x-venice-model-name": model.name}
    if model.replacement:
        headers |= {
            "x-venice-model-deprecation-warning": f"{model.id} will be removed; use {model.replacement} instead.",
            "x-venice-model-deprecation-date": model.removed,
            "x-venice-deprecated": "true",
            "x-venice-deprecated-replacement": model.replacement,
        }
    return headers


def _response(call: PaidCall, made: list[Encoded], request_id: str) -> Response:
    headers = {"x-venice-is-blurred": "true"} if call.blurred else {}
    if call.enhances:
        headers["x-venice-enhanced-prompt"] = quote(f"{call.prompt}, in careful detail")
    if not call.generates or call.options["return_binary"]:
        return Response(made[0].data, headers=headers, media_type=made[0].media)
    images = [base64.b64encode(picture.data).decode("ascii") for picture in made]
    if call.path == "/images/generations":
        url = {"url": f"data:{made[0].media};base64,{images[0]}"} if call.options["as_url"] else {"b64_json": images[0]}
        return JSONResponse({"created": int(time.time()), "data": [url]}, headers=headers)
    timing = dict.fromkeys(("total", "inferenceDuration", "inferenceQueueTime", "inferencePreprocessingTime"), 0)
    return JSONResponse({"id": f"generate-image-{request_id}", "images": images, "timing": timing}, headers=headers)
