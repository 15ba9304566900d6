"""Reading a request's body: content type, size limits, JSON or multipart, without judging the fields."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from anyio import to_thread
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from venice_batch.emulator.api_error import Refusal

#: Decimal megabytes, the stricter reading of the documents' "35 MB" and "25 MB".
MAX_JSON = 35_000_000
MAX_FILE = 25_000_000
_MAX_FORM = 20 * MAX_FILE
#: How much of a body that is too large is still read, so that the client gets the answer and not a reset.
_DRAIN = 100_000_000
#: Below this many bytes, parsing JSON in the event loop is cheaper than handing it to a thread.
_SMALL = 200_000

Transport = Literal["json", "multipart"]


@dataclass(frozen=True, slots=True)
class Received:
    """A body as it arrived: the fields (file parts as bytes) and how it was sent."""

    data: dict[str, Any]
    transport: Transport

    @property
    def model(self) -> str:
        """The model that was named, under either name; empty when none was."""
        named = self.data.get("model", self.data.get("modelId"))
        return named if isinstance(named, str) else ""


def too_large() -> Refusal:
    """Return the 413 of the API."""
    return Refusal(413, {"code": "PAYLOAD_TOO_LARGE", "error": "The request payload is too large."})


def transport_of(request: Request, *, forms: bool) -> Transport:
    """Tell JSON from a form by the content type.

    Raises:
        Refusal: 415 for anything else, and for a form where the endpoint takes JSON only.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        return "json"
    if kind == "multipart/form-data" and forms:
        return "multipart"
    expected = "application/json or multipart/form-data" if forms else "application/json"
    raise Refusal(415, f"Unsupported content type '{kind}'. Use {expected}.")


async def read(request: Request, transport: Transport, *, repeated: str | None) -> Received:
    """Read the whole body.

    Args:
        request: the request, its body not yet read.
        transport: what ``transport_of`` said.
        repeated: the one form field that may come several times and is a list (``images``), or None.

    Raises:
        Refusal: 400 for a body that is not what it claims to be, 413 for one that is too large.
    """
    if transport == "json":
        return Received(await _read_json(request), "json")
    return Received(await _read_form(request, repeated), "multipart")


async def _read_json(request: Request) -> dict[str, Any]:
    body = await _bounded(request)
    try:
        data = json.loads(body) if len(body) < _SMALL else await to_thread.run_sync(json.loads, body)
    except (ValueError, RecursionError):
        raise Refusal(400, "Invalid JSON in the request body") from None
    if not isinstance(data, dict):
        raise Refusal(400, "Invalid request body: expected a JSON object")
    return data


async def _bounded(request: Request) -> bytes:
    chunks: list[bytes] = []
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total <= MAX_JSON:
            chunks.append(chunk)
        elif total > _DRAIN:
            break
    if total > MAX_JSON:
        raise too_large()
    return b"".join(chunks)


async def _read_form(request: Request, repeated: str | None) -> dict[str, Any]:
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > _MAX_FORM:
        raise too_large()
    try:
        async with request.form(max_files=32, max_fields=64) as form:
            parts = [(name, await _value(part)) for name, part in form.multi_items()]
    except (MultiPartException, HTTPException) as problem:
        raise Refusal(400, f"Invalid multipart body: {getattr(problem, 'detail', problem)}") from None
    return _gather(parts, repeated)


async def _value(part: UploadFile | str) -> str | bytes:
    if isinstance(part, str):
        return part
    if (part.size or 0) > MAX_FILE:
        raise too_large()
    return await part.read()


def _gather(parts: list[tuple[str, str | bytes]], repeated: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, value in parts:
        if name.startswith("image") and name != "image_url" and isinstance(value, str):
            raise Refusal(400, f"Invalid request parameters: '{name}' must be a file part in a multipart form")
        if name == repeated:
            data.setdefault(name, []).append(value)
        elif name in data:
            raise Refusal(400, f"Invalid request parameters: '{name}' was sent more than once")
        else:
            data[name] = value
    return data
