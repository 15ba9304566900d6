"""The body of a request: content type, size limits, JSON or multipart, and the fields with their types and ranges.

JSON is read strictly (a number sent as text is refused); in a multipart form every value is text, so there the same
models convert. Unknown fields are refused in both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from anyio import to_thread
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from venice_batch.emulator.api_error import ApiError, invalid, too_large

#: Decimal megabytes, the stricter reading of the documents' "35 MB" and "25 MB".
MAX_JSON = 35_000_000
MAX_FILE = 25_000_000
_MAX_FORM = 20 * MAX_FILE
#: How much of a body that is too large is still read, so that the client gets the answer and not a reset.
_DRAIN = 100_000_000
#: Below this many bytes, parsing JSON in the event loop is cheaper than handing it to a thread.
_SMALL = 200_000

Transport = Literal["json", "multipart"]
Prompt = Annotated[str, Field(min_length=1, max_length=32_768)]
#: Which tiers, ratios and qualities there are is a matter of the model.
Choice = Annotated[str, Field(min_length=1)]
OutputFormat = Annotated[Literal["jpeg", "png", "webp"], BeforeValidator(lambda name: {"jpg": "jpeg"}.get(name, name))]
UserId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x20-\x7e]+$")]
#: A string (base64 or URL) from JSON, the bytes of a file part from a form.
Source = str | bytes


class Body(BaseModel):
    """What every body has in common: no unknown fields."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), hide_input_in_errors=True)


class UpscaleBody(Body):
    """``/image/upscale``: unknown fields, those of the original API among them, are left out of account."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    image: Source
    scale: float = Field(2, ge=2, le=4)
    #: Clamped to 0.02 and not refused.
    creativity: float | None = None


class BackgroundRemoveBody(Body):
    """``/image/background-remove``: exactly one of the two pictures."""

    image: Source | None = None
    image_url: str | None = None
    anon_user_id: UserId | None = None


class PromptBody(Body):
    """What the endpoints with a prompt have in common."""

    prompt: Prompt
    aspect_ratio: Choice | None = None
    resolution: Choice | None = None
    enhance_prompt: bool = False
    disable_prompt_optimization_thinking: bool = False
    safe_mode: bool = True
    transparent_background: bool = False
    anon_user_id: UserId | None = None


class EditBody(PromptBody):
    """``/image/edit``."""

    image: Source
    model: str | None = None
    model_id: str | None = Field(None, alias="modelId")
    output_format: OutputFormat | None = None


class MultiEditBody(PromptBody):
    """``/image/multi-edit``: ``modelId`` here, never ``model``."""

    images: list[Source] = Field(min_length=1)
    model_id: str | None = Field(None, alias="modelId")
    output_format: OutputFormat | None = None
    quality: Choice | None = None


class StyleReference(Body):
    """One picture whose style a generation follows."""

    image: str
    strength: float = Field(0.5, ge=0.1, le=1)


class GenerateBody(PromptBody):
    """``/image/generate``."""

    model: str
    negative_prompt: str | None = None
    width: int | None = Field(None, ge=1, le=1280)
    height: int | None = Field(None, ge=1, le=1280)
    quality: Choice | None = None
    cfg_scale: float | None = Field(None, gt=0, le=20)
    steps: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=-999_999_999, le=999_999_999)
    variants: int = Field(1, ge=1, le=4)
    style_preset: str | None = None
    style_references: list[StyleReference] | None = None
    lora_strength: int | None = Field(None, ge=0, le=100)
    format: OutputFormat = "webp"
    return_binary: bool = False
    embed_exif_metadata: bool = False
    hide_watermark: bool = False
    enable_web_search: bool = False


class OpenAiBody(Body):
    """``/images/generations``: the fields of OpenAI's API that count here; all others are left out of account."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    prompt: str = Field(min_length=1, max_length=1500)
    model: str = "default"
    n: Literal[1] | None = None
    size: str | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: OutputFormat | None = None
    moderation: Literal["auto", "low"] | None = None


AnyBody = TypeVar("AnyBody", bound=Body)


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

    def checked(self, shape: type[AnyBody]) -> AnyBody:
        """Return the fields as the endpoint's model.

        Raises:
            ApiError: 400 with ``error``, ``details`` (a tree by field) and ``issues``, as the API answers.
        """
        try:
            return shape.model_validate(self.data, strict=self.transport == "json")
        except ValidationError as problem:
            raise _schema_error(problem) from None


def _schema_error(problem: ValidationError) -> ApiError:
    details: dict[str, Any] = {"_errors": []}
    issues: list[dict[str, object]] = []
    for error in problem.errors(include_url=False, include_context=False, include_input=False):
        path = [str(step) for step in error["loc"]]
        message, code = error["msg"], error["type"]
        if code == "extra_forbidden":
            message, code = f"Unrecognized key(s) in object: '{path[-1]}'", "unrecognized_keys"
            details["_errors"].append(message)
        else:
            details.setdefault(path[0], {"_errors": []})["_errors"].append(message)
        issues.append({"code": code, "path": path, "message": message})
    return invalid(details, issues=issues)


def transport_of(request: Request, *, forms: bool) -> Transport:
    """Tell JSON from a form by the content type.

    Raises:
        ApiError: 400 for anything else, and for a form where the endpoint takes JSON only; 415 for a multi-edit of
            no type at all.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        return "json"
    if kind == "multipart/form-data" and forms:
        return "multipart"
    if not kind and request.url.path.endswith("/multi-edit"):
        raise ApiError(415, "Unsupported content type")
    raise ApiError(400, "'Content-Type' must be 'application/json'")


async def read(request: Request, transport: Transport, *, repeated: str | None) -> Received:
    """Read the whole body.

    Args:
        request: the request, its body not yet read.
        transport: what ``transport_of`` said.
        repeated: the one form field that may come several times and is a list (``images``), or None.

    Raises:
        ApiError: 400 for a body that is not what it claims to be, 413 for one that is too large.
    """
    if transport == "json":
        return Received(await _read_json(request), "json")
    return Received(await _read_form(request, repeated), "multipart")


async def _read_json(request: Request) -> dict[str, Any]:
    body = await _bounded(request)
    try:
        data = json.loads(body) if len(body) < _SMALL else await to_thread.run_sync(json.loads, body)
    except (ValueError, RecursionError):
        raise ApiError(400, "Invalid JSON in the request body") from None
    if not isinstance(data, dict):
        raise ApiError(400, "Invalid request body: expected a JSON object")
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
        raise ApiError(400, f"Invalid multipart body: {getattr(problem, 'detail', problem)}") from None
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
            raise ApiError(400, f"Invalid request parameters: '{name}' must be a file part in a multipart form")
        if name == repeated:
            data.setdefault(name, []).append(value)
        elif name in data:
            raise ApiError(400, f"Invalid request parameters: '{name}' was sent more than once")
        else:
            data[name] = value
    return data
