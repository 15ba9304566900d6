"""The API's field names by endpoint, written once, and what a call is made of: field values and pictures.

The client sends fields as they are given. Tests hold the steps' and the emulator's fields against them: a new field is
added here first, and the tests name every other place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

#: Fields that hold the pictures of a call; the client fills them in, a job never does.
PICTURE_FIELDS = frozenset({"image", "images", "image_url"})
#: Fields that name the model: ``modelId`` for multi-edit, ``model`` elsewhere.
MODEL_FIELDS = frozenset({"model", "modelId"})

_TIERS = ("aspect_ratio", "resolution")
_PROMPT = ("prompt", "enhance_prompt", "disable_prompt_optimization_thinking", "safe_mode")
_OTHER = ("transparent_background", "anon_user_id")
_ENHANCER = ("enhance", "enhanceCreativity", "enhancePrompt", "replication")
_SAMPLING = ("negative_prompt", "width", "height", "cfg_scale", "steps", "seed", "variants")
_STYLE = ("style_preset", "style_references", "lora_strength")
_FILE = ("format", "return_binary", "embed_exif_metadata", "hide_watermark")

#: What each paid endpoint takes, apart from its pictures (published API file, 20260821, and documents of early 2026).
ENDPOINT_FIELDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "image/upscale": frozenset({"scale", "creativity", *_ENHANCER}),
        "image/background-remove": frozenset({"anon_user_id"}),
        "image/edit": frozenset({"model", *_PROMPT, *_TIERS, *_OTHER, "output_format"}),
        "image/multi-edit": frozenset({"modelId", *_PROMPT, *_TIERS, *_OTHER, "output_format", "quality"}),
        "image/generate": frozenset(
            {"model", *_PROMPT, *_TIERS, *_OTHER, "quality", "enable_web_search", *_SAMPLING, *_STYLE, *_FILE}
        ),
    }
)
JsonValue: TypeAlias = "bool | int | float | str | Path | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
#: Field names of the API and their values, sent exactly as they are; a path stands for the base64 of its file.
Fields: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Url:
    """A picture that the API fetches itself, by its https address."""

    url: str


Image: TypeAlias = Path | Url
