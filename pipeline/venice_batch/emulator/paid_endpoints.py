"""The five endpoints that cost money: validate, count, hold the price, draw, bill, answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.responses import JSONResponse, Response

from venice_batch.emulator import bad_pictures, input_images, request_bodies
from venice_batch.emulator.accounts import Hold, Sale
from venice_batch.emulator.api_error import Refusal
from venice_batch.emulator.catalogue import BACKGROUND_REMOVER, DEFAULT_EDIT_MODEL, UPSCALER, Model
from venice_batch.emulator.endpoint import Endpoint, Exchange, struck
from venice_batch.emulator.faults import Action
from venice_batch.emulator.pictures import Encoded
from venice_batch.emulator.request_log import without_pictures
from venice_batch.emulator.requested_work import READERS, Order
from venice_batch.emulator.server_state import World
from venice_batch.emulator.settings import Key

_SERVED_BY_DEFAULT = {
    "/image/upscale": UPSCALER,
    "/image/background-remove": BACKGROUND_REMOVER,
    "/image/edit": DEFAULT_EDIT_MODEL,
    "/image/multi-edit": DEFAULT_EDIT_MODEL,
}
_POLICY = "The prompt was refused by the content policy of Venice.ai or of the model's provider."


class Paid(Endpoint):
    """One paid endpoint."""

    def __init__(self, world: World, path: str) -> None:
        super().__init__(world, path)
        # Pillow keeps a core busy per picture: more threads than cores would only slow the event loop down.
        self._crew = CapacityLimiter(max(2, os.cpu_count() or 2))

    async def answer(self, exchange: Exchange) -> Response:
        """Answer one paid call."""
        arrived = time.monotonic()
        key = self.authorise(exchange)
        if early := self.strike(exchange, early=True):
            return await struck(early, Response())
        received = await self._receive(exchange)
        self.world.budget.check(key.token)
        action = self.strike(exchange, early=False)
        if action and action.kind in {"status", "hang"} and not action.is_billed:
            return await struck(action, Response())
        order, pictures = await self._admit(exchange, received, key)
        made = await self._buy(exchange, order, pictures, key, action)
        await asyncio.sleep(max(0.0, arrived + self.world.settings.latency - time.monotonic()))
        response = _response(order, made, exchange.entry.request_id)
        if action is None:
            return response
        for name, value in bad_pictures.HEADERS.get(action.kind, {}).items():
            response.headers[name] = value
        return await struck(action, response)

    async def _receive(self, exchange: Exchange) -> request_bodies.Received:
        transport = request_bodies.transport_of(exchange.request, forms=self.path != "/image/generate")
        exchange.bucket = exchange.entry.transport = transport
        repeated = "images" if self.path == "/image/multi-edit" else None
        received = await request_bodies.read(exchange.request, transport, repeated=repeated)
        model = received.model or _SERVED_BY_DEFAULT.get(self.path, "")
        exchange.entry.model = model
        exchange.entry.params = without_pictures(received.data)
        if transport == "json":
            exchange.bucket = f"json {model}"
        return received

    async def _admit(
        self, exchange: Exchange, received: request_bodies.Received, key: Key
    ) -> tuple[Order, list[bytes]]:
        """Check everything that can be refused before money is touched."""
        if not key.permitted:
            raise Refusal(403, "Access to the API is disabled for this key")
        order = READERS[self.path](received)
        exchange.entry.model = order.model.id
        exchange.headers |= _model_headers(order.model)
        pictures = await to_thread.run_sync(input_images.gather, order)
        if pictures:
            exchange.entry.image_sha256 = await to_thread.run_sync(_sha256, pictures[0])
        if order.blocked:
            raise Refusal(422, _POLICY)
        exchange.headers |= self.world.windows.take(order.model.id, order.units)
        return order, pictures

    async def _buy(
        self, exchange: Exchange, order: Order, pictures: list[bytes], key: Key, action: Action | None
    ) -> list[Encoded]:
        """Hold the price, draw, and bill; what cannot be drawn is not billed."""
        # Read again: the upload may have taken long, and the header promises the balance before this charge.
        self._show_balance(exchange, key)
        hold = self.world.books.hold(key, order.price)
        try:
            made = await to_thread.run_sync(self.world.studio.make, order, pictures, limiter=self._crew)
            if action is not None:
                made = await to_thread.run_sync(bad_pictures.spoil, action.kind, made, limiter=self._crew)
        except BaseException:
            self.world.books.release(hold)
            raise
        if action is not None and not action.is_billed:
            self.world.books.release(hold)
        else:
            self._bill(exchange, order, hold)
        return made

    def _bill(self, exchange: Exchange, order: Order, hold: Hold) -> None:
        sale = Sale(order.sku, order.units, order.model.id, exchange.entry.request_id)
        row = self.world.books.settle(hold, sale)
        exchange.entry.billed, exchange.entry.currency = row.amount, row.currency


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _model_headers(model: Model) -> dict[str, str]:
    headers = {"x-venice-model-id": model.id, "x-venice-model-name": model.name}
    if model.deprecation is not None:
        gone, successor = model.deprecation.removes_at, model.deprecation.replacement
        headers |= {
            "x-venice-model-deprecation-warning": f"{model.id} will be removed; use {successor} instead.",
            "x-venice-model-deprecation-date": gone,
            "x-venice-deprecated": "true",
            "x-venice-deprecated-replacement": successor,
        }
    return headers


def _response(order: Order, made: list[Encoded], request_id: str) -> Response:
    headers = {"x-venice-is-blurred": "true"} if order.blurred else {}
    if order.options.get("enhance_prompt"):
        headers["x-venice-enhanced-prompt"] = quote(f"{order.prompt}, in careful detail")
    if order.path != "/image/generate" or order.options["return_binary"]:
        return Response(made[0].data, headers=headers, media_type=made[0].media)
    body = {
        "id": f"generate-image-{request_id}",
        "images": [base64.b64encode(picture.data).decode("ascii") for picture in made],
        "timing": {
            "total": 0,
            "inferenceDuration": 0,
            "inferenceQueueTime": 0,
            "inferencePreprocessingTime": 0,
        },
    }
    return JSONResponse(body, headers=headers)
