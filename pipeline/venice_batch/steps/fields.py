"""The fields of the paid steps, by the API's own names, checked before anything is priced or sent.

Each paid step has one model with exactly the fields that its endpoint takes, so a misspelt field is refused here and
not by a server that charges for the lesson. What only the live catalogue can know (models, their ratios, tiers,
qualities and limits) is left open. Ranges follow the published OpenAPI file, version 20260821, and for ``enhance``,
``enhanceCreativity``, ``enhancePrompt``, ``replication`` and ``scale: 1`` the API's documents of early 2026.

Pictures are never fields: the picture comes from the chain. ``images`` of multi-edit names further ones by reference,
``style_references`` of generate pictures to follow; the step that makes the call reads those that are files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Self, TypeAlias, cast

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, WithJsonSchema, field_serializer, model_validator

from venice_batch.steps.references import Current, ImageRefs, StyleReferences
from venice_batch.steps.scalars import (
    NOT_EMPTY,
    NUMBER,
    TEXT,
    Choice,
    Count,
    Encoding,
    Flag,
    Model,
    Prompt,
    Ratio,
    Share,
    Side,
    Strict,
    UserId,
    as_number,
    invalid,
    quoted,
)

_ENHANCE_ONLY, _LEAST, _MOST = 1, 2, 4


def _scale(value: object) -> int | float:
    number = as_number(value)
    if number != _ENHANCE_ONLY and not _LEAST <= number <= _MOST:
        raise invalid(f"{quoted(value)} is not offered by the API", "write 2 to 4")
    return int(number) if number == int(number) else number


def _one_name_for_the_model(keep: str, other: str) -> Callable[[object], object]:
    """Both names are in use among the endpoints; sending the wrong one is a 400."""

    def rename(data: object) -> object:
        if not isinstance(data, Mapping) or other not in data:
            return data
        if keep in data:
            raise invalid(f"{keep} and {other} are the same field, written twice", f"keep {keep}", at=other)
        return {keep if key == other else key: value for key, value in data.items()}

    return rename


EditModel: TypeAlias = Annotated[
    Model | None, Field(description="An edit model of the catalogue; the API's default when absent.")
]
RatioOfModel: TypeAlias = Annotated[
    Ratio | None,
    Field(description="One of the model's, such as 4:5 or auto; `venice-batch models --json` lists them."),
]
TierOfModel: TypeAlias = Annotated[
    Choice | None,
    Field(description="One of the model's, such as 2K. An edit at 1K has about 1024 px on the long side."),
]
EditFormat: TypeAlias = Annotated[Encoding | None, Field(description="When absent: PNG at 1K, JPEG at 2K and 4K.")]
QualityOfModel: TypeAlias = Annotated[
    Choice | None, Field(description="One of the model's, such as low, medium or high; it changes the price.")
]
Transparent: TypeAlias = Annotated[
    Flag | None, Field(description="Asks for a transparent background, of models that make one; png or webp.")
]
AnonUserId: TypeAlias = Annotated[
    UserId | None, Field(description="Your own name for the user on whose behalf it is, up to 128 ASCII letters.")
]
EnhancePrompt: TypeAlias = Annotated[
    Flag | None, Field(description="Lets the API rewrite the prompt, at an extra price.")
]
NoThinking: TypeAlias = Annotated[Flag | None, Field(description="Skips the rewriting's thinking.")]
SafeMode: TypeAlias = Annotated[Flag | None, Field(description="Blurs adult content; true when absent.")]


class UpscaleFields(Strict):
    """POST /image/upscale. The four ``enhance`` fields come from early documents; today's API ignores them."""

    scale: Annotated[
        int | float,
        BeforeValidator(_scale),
        WithJsonSchema({"anyOf": [{"const": 1}, {"type": "number", "minimum": _LEAST, "maximum": _MOST}]}),
        Field(description="How many times larger: 2 (default) to 4; 1 only with enhance: true."),
    ] = 2
    creativity: Share | None = Field(None, description="0 to 0.02 (0.01 when absent); more acts as 0.02.")
    enhance: Flag | None = Field(None, description="Early documents only: turns the enhancer on.")
    enhance_creativity: Share | None = Field(
        None, alias="enhanceCreativity", description="Early documents only: 0 to 1."
    )
    enhance_prompt: Annotated[str, Field(min_length=1, max_length=1500), NOT_EMPTY] | None = Field(
        None, alias="enhancePrompt", description="Early documents only: the style to enhance towards."
    )
    replication: Share | None = Field(None, description="Early documents only: 0 to 1, how much grain is kept.")

    @model_validator(mode="after")
    def _scale_1_only_enhances(self) -> Self:
        if self.scale == _ENHANCE_ONLY and self.enhance is not True:
            raise invalid("scale 1 changes nothing without enhance", "add enhance: true, or write 2 to 4", at="scale")
        return self


class BackgroundRemoveFields(Strict):
    """POST /image/background-remove: no choices."""

    anon_user_id: AnonUserId = None


class EditFields(Strict):
    """POST /image/edit. ``modelId``, the deprecated name of ``model``, is accepted and sent as ``model``."""

    prompt: Prompt = Field(description="What to change.")
    model: EditModel = None
    aspect_ratio: RatioOfModel = None
    resolution: TierOfModel = None
    output_format: EditFormat = None
    enhance_prompt: EnhancePrompt = None
    disable_prompt_optimization_thinking: NoThinking = None
    safe_mode: SafeMode = None
    transparent_background: Transparent = None
    anon_user_id: AnonUserId = None

    _model_name = model_validator(mode="before")(_one_name_for_the_model("model", "modelId"))


class MultiEditFields(Strict):
    """POST /image/multi-edit, where the model is called ``modelId``; ``model`` is accepted and sent as ``modelId``."""

    prompt: Prompt = Field(description="What to change; the first picture is the base.")
    images: Annotated[ImageRefs, Field(min_length=1)] = Field(
        (Current(),), description="The base first, then layers, masks and references; [current] when absent."
    )
    model: EditModel = Field(None, alias="modelId")
    aspect_ratio: RatioOfModel = None
    resolution: TierOfModel = None
    output_format: EditFormat = None
    quality: QualityOfModel = None
    enhance_prompt: EnhancePrompt = None
    disable_prompt_optimization_thinking: NoThinking = None
    safe_mode: SafeMode = None
    transparent_background: Transparent = None
    anon_user_id: AnonUserId = None

    _model_name = model_validator(mode="before")(_one_name_for_the_model("modelId", "model"))


class GenerateFields(Strict):
    """POST /image/generate. The prompt usually comes from the prompts file, so it may be absent here."""

    model: Model = Field(description="A generation model of the catalogue.")
    prompt: Prompt | None = Field(None, description="What to draw, where the prompts file does not say.")
    negative_prompt: Annotated[str, Field(max_length=32_768), TEXT] | None = Field(None, description="What to avoid.")
    width: Side | None = Field(None, description="Pixels, 1 to 1280; 1024 when absent.")
    height: Side | None = Field(None, description="Pixels, 1 to 1280; 1024 when absent.")
    aspect_ratio: RatioOfModel = None
    resolution: TierOfModel = None
    quality: QualityOfModel = None
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
    style_preset: Annotated[str, Field(min_length=1), NOT_EMPTY] | None = Field(
        None, description="The exact name of a style; `venice-batch styles` lists them."
    )
    style_references: StyleReferences | None = Field(
        None,
        description="Pictures whose style is followed, each {image: {file: PATH}, strength: 0.5} or an https address.",
    )
    lora_strength: Annotated[int, Field(ge=0, le=100), NUMBER] | None = Field(None, description="0 to 100.")
    format: Encoding | None = Field(None, description="webp when absent.")
    return_binary: Flag | None = Field(None, description="Asks for raw bytes; not together with variants.")
    embed_exif_metadata: Flag | None = Field(None, description="Writes the prompt into the picture's EXIF data.")
    hide_watermark: Flag | None = Field(None, description="Asks for a picture without the watermark.")
    safe_mode: SafeMode = None
    enhance_prompt: EnhancePrompt = None
    enable_web_search: Flag | None = Field(None, description="Lets the model look things up.")
    disable_prompt_optimization_thinking: NoThinking = None
    transparent_background: Transparent = None
    anon_user_id: AnonUserId = None

    @field_serializer("style_references")
    def _as_the_api_takes_them(self, references: StyleReferences | None) -> list[JsonValue] | None:
        return None if references is None else [reference.as_sent() for reference in references]

    @model_validator(mode="after")
    def _raw_bytes_hold_one_picture(self) -> Self:
        if self.variants is not None and self.return_binary:
            raise invalid("variants and return_binary exclude each other", "remove return_binary", at="variants")
        return self


def known_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """The names that a job file may use for a model's fields, in the order they are documented."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def as_sent(fields: BaseModel) -> dict[str, JsonValue]:
    """The parameters of a call: only what the user set, by the API's names, without ``images``.

    Whole numbers are given as integers, also where a fraction is allowed: a form field then reads ``1``, not ``1.0``.

    Args:
        fields: the model of a step's fields.

    Returns:
        JSON values by field name. ``images`` is left out: whoever makes the call puts the pictures in. A style
        reference to a file has an empty ``image``.
    """
    dumped = fields.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True, exclude={"images"})
    return {name: _whole(cast("JsonValue", value)) for name, value in dumped.items()}


def _whole(value: JsonValue) -> JsonValue:
    return int(value) if isinstance(value, float) and value.is_integer() else value
