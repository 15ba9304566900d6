"""The fields of every step, by the API's own names, checked before anything is priced or sent.

Each paid step has one model with exactly the fields that its endpoint takes, so a misspelt field is refused here and
not by a server that charges for the lesson. What only the live catalogue can know (models, their ratios, tiers and
prompt limits) is left open. Ranges follow the published OpenAPI file, version 20260821, and for ``enhance``,
``enhanceCreativity``, ``enhancePrompt``, ``replication`` and ``scale: 1`` the API's documents of early 2026.

Pictures are never fields: the picture comes from the chain. ``images`` of multi-edit names further ones by reference,
and the step that makes the call reads them; ``style_references`` of generate are https addresses, sent as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, field_serializer, model_validator

from venice_batch.steps.local_fields import (
    ConvertFields,
    CropFields,
    FitFields,
    FlattenFields,
    OrientFields,
    OverlayFields,
    PadFields,
    ResizeFields,
    SrgbFields,
    TrimFields,
)
from venice_batch.steps.references import (
    Current,
    FileRef,
    ImageRef,
    ImageRefs,
    Source,
    StepRef,
    StyleReference,
    StyleReferences,
    UrlRef,
)
from venice_batch.steps.scalars import (
    NUMBER,
    SAID,
    TEXT,
    Count,
    Encoding,
    Flag,
    Model,
    Prompt,
    Quality,
    Ratio,
    Resolution,
    Share,
    Side,
    as_number,
    quoted,
    refusal,
)
from venice_batch.steps.strict import StepFields

__all__ = [
    "FIELDS",
    "LOCAL",
    "PAID",
    "SUMMARIES",
    "BackgroundRemoveFields",
    "Current",
    "EditFields",
    "FileRef",
    "FitFields",
    "GenerateFields",
    "ImageRef",
    "MultiEditFields",
    "OrientFields",
    "Source",
    "StepFields",
    "StepRef",
    "StyleReference",
    "UpscaleFields",
    "UrlRef",
    "as_sent",
    "known_fields",
]

PAID = ("upscale", "background-remove", "edit", "multi-edit", "generate")
LOCAL = ("orient", "srgb", "fit", "resize", "trim", "pad", "flatten", "crop", "overlay", "convert")


_SCALES = (1, 2, 4)


def _scale(value: object) -> int:
    # Early documents say 1 to 4 in one place; 3 is refused by the API today.
    number = as_number(value)
    if number not in _SCALES:
        raise refusal(f"{quoted(value)} is not offered by the API", "write 2 or 4")
    return int(number)


def _one_name_for_the_model(keep: str, other: str) -> Callable[[object], object]:
    """Both names are in use among the endpoints; sending the wrong one is a 400."""

    def rename(data: object) -> object:
        if not isinstance(data, Mapping) or other not in data:
            return data
        if keep in data:
            raise refusal(f"{keep} and {other} are the same field, written twice", f"keep {keep}", at=other)
        return {keep if key == other else key: value for key, value in data.items()}

    return rename


class UpscaleFields(StepFields):
    """POST /image/upscale. The four ``enhance`` fields come from early documents; today's API ignores them."""

    scale: Annotated[
        Literal[1, 2, 4],
        BeforeValidator(_scale),
        Field(description="How many times larger: 2 (default) or 4; 1 only with enhance: true."),
    ] = 2
    creativity: Share | None = Field(None, description="0 to 0.02 (0.01 when absent); more acts as 0.02.")
    enhance: Flag | None = Field(None, description="Early documents only: turns the enhancer on.")
    enhance_creativity: Share | None = Field(
        None, alias="enhanceCreativity", description="Early documents only: 0 to 1."
    )
    enhance_prompt: Annotated[str, Field(min_length=1, max_length=1500), SAID] | None = Field(
        None, alias="enhancePrompt", description="Early documents only: the style to enhance towards."
    )
    replication: Share | None = Field(None, description="Early documents only: 0 to 1, how much grain is kept.")

    @model_validator(mode="after")
    def _scale_1_only_enhances(self) -> Self:
        if self.scale == 1 and self.enhance is not True:
            raise refusal("scale 1 changes nothing without enhance", "add enhance: true, or write 2 or 4", at="scale")
        return self


class BackgroundRemoveFields(StepFields):
    """POST /image/background-remove takes a picture and nothing else."""


class EditFields(StepFields):
    """POST /image/edit. ``modelId``, the deprecated name of ``model``, is accepted and sent as ``model``."""

    prompt: Prompt = Field(description="What to change.")
    model: Model | None = Field(None, description="An edit model of the catalogue; the API's default when absent.")
    aspect_ratio: Ratio | None = Field(None, description="width:height such as 4:5, or auto.")
    resolution: Resolution | None = Field(None, description="1K when absent: about 1024 px on the long side.")
    output_format: Encoding | None = Field(None, description="When absent: PNG at 1K, JPEG at 2K and 4K.")
    enhance_prompt: Flag | None = Field(None, description="Lets the API rewrite the prompt, at an extra price.")
    disable_prompt_optimization_thinking: Flag | None = Field(None, description="Skips the rewriting's thinking.")
    safe_mode: Flag | None = Field(None, description="Blurs adult content; true when absent.")

    _model_name = model_validator(mode="before")(_one_name_for_the_model("model", "modelId"))


class MultiEditFields(StepFields):
    """POST /image/multi-edit, where the model is called ``modelId``; ``model`` is accepted and sent as ``modelId``."""

    prompt: Prompt = Field(description="What to change; the first picture is the base.")
    images: Annotated[ImageRefs, Field(min_length=1)] = Field(
        (Current(),), description="The base first, then layers, masks and references; [current] when absent."
    )
    model: Model | None = Field(
        None, alias="modelId", description="An edit model of the catalogue; the API's default when absent."
    )
    aspect_ratio: Ratio | None = Field(None, description="width:height such as 4:5, or auto.")
    resolution: Resolution | None = Field(None, description="1K when absent: about 1024 px on the long side.")
    output_format: Encoding | None = Field(None, description="When absent: PNG at 1K, JPEG at 2K and 4K.")
    quality: Quality | None = Field(None, description="low, medium or high, for models with quality tiers.")
    enhance_prompt: Flag | None = Field(None, description="Lets the API rewrite the prompt, at an extra price.")
    disable_prompt_optimization_thinking: Flag | None = Field(None, description="Skips the rewriting's thinking.")
    safe_mode: Flag | None = Field(None, description="Blurs adult content; true when absent.")

    _model_name = model_validator(mode="before")(_one_name_for_the_model("modelId", "model"))


class GenerateFields(StepFields):
    """POST /image/generate. The prompt usually comes from the prompts file, so it may be absent here."""

    model: Model = Field(description="A generation model of the catalogue.")
    prompt: Prompt | None = Field(None, description="What to draw, where the prompts file does not say.")
    negative_prompt: Annotated[str, Field(max_length=7500), TEXT] | None = Field(None, description="What to avoid.")
    width: Side | None = Field(None, description="Pixels, 1 to 1280; 1024 when absent.")
    height: Side | None = Field(None, description="Pixels, 1 to 1280; 1024 when absent.")
    aspect_ratio: Ratio | None = Field(None, description="width:height, for models that take ratios.")
    resolution: Resolution | None = Field(None, description="1K, 2K or 4K, for models with tiers.")
    quality: Quality | None = Field(None, description="low, medium or high, for models with quality tiers.")
    cfg_scale: Annotated[float, Field(gt=0, le=20), NUMBER] | None = Field(
        None, description="How closely the prompt is followed: above 0, up to 20."
    )
    steps: Count | None = Field(None, description="Inference steps; the model has a maximum.")
    seed: Annotated[int, Field(ge=-999_999_999, le=999_999_999), NUMBER] | None = Field(
        None, description="The same seed draws the same picture."
    )
    variants: Annotated[int, Field(ge=1, le=4), NUMBER] | None = Field(
        None, description="Pictures per prompt, 1 to 4; each is billed."
    )
    style_preset: Annotated[str, Field(min_length=1), SAID] | None = Field(
        None, description="The exact name of a style; `venice-batch styles` lists them."
    )
    style_references: StyleReferences | None = Field(None, description="Pictures whose style is followed.")
    lora_strength: Annotated[float, Field(ge=0, le=100), NUMBER] | None = Field(None, description="0 to 100.")
    format: Encoding | None = Field(None, description="webp when absent.")
    return_binary: Flag | None = Field(None, description="Asks for raw bytes; not together with variants.")
    embed_exif_metadata: Flag | None = Field(None, description="Writes the prompt into the picture's EXIF data.")
    hide_watermark: Flag | None = Field(None, description="Asks for a picture without the watermark.")
    safe_mode: Flag | None = Field(None, description="Blurs adult content; true when absent.")
    enhance_prompt: Flag | None = Field(None, description="Lets the API rewrite the prompt, at an extra price.")
    enable_web_search: Flag | None = Field(None, description="Lets the model look things up.")
    disable_prompt_optimization_thinking: Flag | None = Field(None, description="Skips the rewriting's thinking.")

    @field_serializer("style_references")
    def _as_the_api_takes_them(self, references: StyleReferences | None) -> list[JsonValue] | None:
        return None if references is None else [reference.as_sent() for reference in references]

    @model_validator(mode="after")
    def _raw_bytes_hold_one_picture(self) -> Self:
        if self.variants is not None and self.return_binary:
            raise refusal("variants and return_binary exclude each other", "remove return_binary", at="variants")
        return self


FIELDS: Mapping[str, type[StepFields]] = MappingProxyType(
    {
        "upscale": UpscaleFields,
        "background-remove": BackgroundRemoveFields,
        "edit": EditFields,
        "multi-edit": MultiEditFields,
        "generate": GenerateFields,
        "orient": OrientFields,
        "srgb": SrgbFields,
        "fit": FitFields,
        "resize": ResizeFields,
        "trim": TrimFields,
        "pad": PadFields,
        "flatten": FlattenFields,
        "crop": CropFields,
        "overlay": OverlayFields,
        "convert": ConvertFields,
    }
)


#: What each step does, in a sentence, for the job file's schema and the docs.
SUMMARIES: Mapping[str, str] = MappingProxyType(
    {
        "upscale": "Enlarges the picture 2 or 4 times. Paid.",
        "background-remove": "Cuts the subject out; the result has transparency. Takes no fields. Paid.",
        "edit": "Changes the picture as the prompt says. Paid.",
        "multi-edit": "Combines several pictures as the prompt says. Paid.",
        "generate": "Draws pictures from the rows of a prompts file; only as the first step. Paid.",
        "orient": "Turns the picture upright by its EXIF orientation. Takes no fields. Free.",
        "srgb": "Converts the colours to sRGB, from any profile and from CMYK. Takes no fields. Free.",
        "fit": "Shrinks or re-encodes the picture into limits. Free.",
        "resize": "Scales the picture into, over or exactly to a size; never enlarges unless asked. Free.",
        "trim": "Cuts off a border that is transparent or of nearly one colour. Free.",
        "pad": "Puts the picture in the middle of a canvas of some shape or size, with margins. Free.",
        "flatten": "Lays a transparent picture on a colour. Free.",
        "crop": "Keeps a part: a box in pixels or %, or the largest part of a shape. Free.",
        "overlay": "Lays another picture on top, such as a logo. Free.",
        "convert": "Encodes the picture as jpeg, png, webp or avif. Free.",
    }
)


def known_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """The names that a job file may use for a model's fields, in the order they are documented."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def as_sent(fields: BaseModel) -> dict[str, JsonValue]:
    """The parameters of a call: only what the user wrote, by the API's names, without ``images``.

    Whole numbers are given as integers, also where a fraction is allowed: a form field then reads ``1``, not ``1.0``.

    Args:
        fields: one of the models in `FIELDS`.

    Returns:
        JSON values by field name. ``images`` is left out: whoever makes the call puts the pictures in.
    """
    dumped = fields.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True, exclude={"images"})
    return {name: _whole(cast("JsonValue", value)) for name, value in dumped.items()}


def _whole(value: JsonValue) -> JsonValue:
    return int(value) if isinstance(value, float) and value.is_integer() else value
