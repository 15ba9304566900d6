"""The fields of the five paid endpoints, with their types and ranges. Unknown fields are refused.

JSON bodies are read strictly (a number sent as text is refused); in a multipart form every value is text, so there
the same models convert.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from venice_batch.emulator.api_error import Refusal

Prompt = Annotated[str, Field(min_length=1, max_length=32_768)]
Resolution = Literal["1K", "2K", "4K"]
Quality = Literal["low", "medium", "high"]
OutputFormat = Literal["jpeg", "png", "webp"]
#: A string (base64 or URL) from JSON, the bytes of a file part from a form.
Source = str | bytes


class Body(BaseModel):
    """What every body has in common: no unknown fields."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), hide_input_in_errors=True)


class UpscaleBody(Body):
    """``/image/upscale``; the last four fields are of the original API, accepted and without effect today."""

    image: Source
    scale: float = 2
    creativity: float | None = None
    enhance: bool | Literal["true", "false"] = False
    enhance_creativity: float | None = Field(None, alias="enhanceCreativity", ge=0, le=1)
    enhance_prompt: str | None = Field(None, alias="enhancePrompt", max_length=1500)
    replication: float | None = Field(None, ge=0, le=1)


class BackgroundRemoveBody(Body):
    """``/image/background-remove``: exactly one of the two, and nothing else."""

    image: Source | None = None
    image_url: str | None = None


class EditBody(Body):
    """``/image/edit``."""

    image: Source
    prompt: Prompt
    model: str | None = None
    model_id: str | None = Field(None, alias="modelId")
    aspect_ratio: str | None = None
    resolution: Resolution | None = None
    output_format: OutputFormat | None = None
    enhance_prompt: bool = False
    disable_prompt_optimization_thinking: bool = False
    safe_mode: bool = True


class MultiEditBody(Body):
    """``/image/multi-edit``: ``modelId`` here, never ``model``."""

    images: list[Source] = Field(min_length=1)
    prompt: Prompt
    model_id: str | None = Field(None, alias="modelId")
    aspect_ratio: str | None = None
    resolution: Resolution | None = None
    output_format: OutputFormat | None = None
    quality: Quality | None = None
    enhance_prompt: bool = False
    disable_prompt_optimization_thinking: bool = False
    safe_mode: bool = True


class StyleReference(Body):
    """One picture whose style a generation follows."""

    image: str
    strength: float = Field(0.5, ge=0.1, le=1)


class GenerateBody(Body):
    """``/image/generate``."""

    model: str
    prompt: Prompt
    negative_prompt: str | None = Field(None, max_length=7500)
    width: int = Field(1024, ge=1, le=1280)
    height: int = Field(1024, ge=1, le=1280)
    aspect_ratio: str | None = None
    resolution: Resolution | None = None
    quality: Quality | None = None
    cfg_scale: float | None = Field(None, gt=0, le=20)
    steps: int | None = Field(None, ge=0)
    seed: int | None = Field(None, ge=-999_999_999, le=999_999_999)
    variants: int = Field(1, ge=1, le=4)
    style_preset: str | None = None
    style_references: list[StyleReference] | None = None
    lora_strength: int | None = Field(None, ge=0, le=100)
    format: OutputFormat = "webp"
    return_binary: bool = False
    embed_exif_metadata: bool = False
    hide_watermark: bool = False
    safe_mode: bool = True
    enhance_prompt: bool = False
    enable_web_search: bool = False
    disable_prompt_optimization_thinking: bool = False


AnyBody = TypeVar("AnyBody", bound=Body)


def check(shape: type[AnyBody], data: dict[str, Any], *, strict: bool) -> AnyBody:
    """Validate a body.

    Args:
        shape: the endpoint's model.
        data: the fields as they arrived.
        strict: True for JSON, False for a form.

    Raises:
        Refusal: 400 with ``error``, ``details`` (a tree by field) and ``issues``, as the API answers.
    """
    try:
        return shape.model_validate(data, strict=strict)
    except ValidationError as problem:
        raise _refusal(problem) from None


def _refusal(problem: ValidationError) -> Refusal:
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
    return Refusal(400, {"error": "Invalid request parameters", "details": details, "issues": issues})
