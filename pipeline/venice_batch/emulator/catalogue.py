"""The emulated model catalogue: what ``GET /models`` lists, with prices and constraints.

Figures are those seen on the live API on 2026-08-22; tiers that were not recorded (gpt-image-2-edit above 1K, the
generation twins) are filled in plausibly, in the same form.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Kind = Literal["image", "inpaint", "upscale"]

UPSCALER = "upscaler"
BACKGROUND_REMOVER = "bria-bg-remover"
DEFAULT_EDIT_MODEL = "firered-image-edit"

#: Models that are gone from the catalogue, with the one that took their place.
RETIRED: Mapping[str, str] = {"qwen-edit": DEFAULT_EDIT_MODEL, "hidream": "z-image-turbo"}

RATIOS = ("1:1", "3:2", "16:9", "21:9", "9:16", "2:3", "3:4", "4:3", "4:5")


@dataclass(frozen=True, slots=True)
class Deprecation:
    """When a model goes, and what replaces it (dates in ISO form)."""

    starts_at: str
    removes_at: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the catalogue; amounts in USD, which equal DIEM.

    Attributes:
        flat: the base price of a call; None where only tiers have one.
        resolutions: price by resolution tier.
        quality: price by resolution tier and quality level.
        factors: upscale price by factor (``2x``, ``4x``).
        included: input images covered by the base price.
        additional: price of each input image beyond ``included``.
        max_images: most inputs of multi-edit; None where the catalogue is silent (then 3).
        combine: whether several inputs are taken at all.
    """

    id: str
    kind: Kind
    name: str
    flat: Decimal | None = None
    resolutions: Mapping[str, Decimal] = field(default_factory=dict)
    quality: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    factors: Mapping[str, Decimal] = field(default_factory=dict)
    included: int = 1
    additional: Decimal | None = None
    ratios: tuple[str, ...] = ()
    default_ratio: str | None = None
    prompt_limit: int = 7500
    max_images: int | None = None
    combine: bool = True
    divisor: int = 1
    max_steps: int = 50
    style_references: int = 0
    traits: tuple[str, ...] = ()
    deprecation: Deprecation | None = None
    private: bool = True
    beta: bool = False

    @property
    def tiers(self) -> tuple[str, ...]:
        """The resolution tiers on offer, cheapest first; empty where there are none."""
        return tuple(self.quality or self.resolutions)

    @property
    def levels(self) -> tuple[str, ...]:
        """The quality levels on offer; empty where there are none."""
        return tuple(next(iter(self.quality.values()))) if self.quality else ()

    @property
    def default_level(self) -> str | None:
        """The quality used when none is sent."""
        return "medium" if self.quality else None


def _usd(text: str) -> Decimal:
    return Decimal(text)


def _tiers(one: str, two: str, four: str) -> dict[str, Decimal]:
    return {"1K": _usd(one), "2K": _usd(two), "4K": _usd(four)}


def _levels(low: str, medium: str, high: str) -> dict[str, Decimal]:
    return {"low": _usd(low), "medium": _usd(medium), "high": _usd(high)}


_GPT_QUALITY = {
    "1K": _levels("0.03", "0.08", "0.34"),
    "2K": _levels("0.05", "0.14", "0.56"),
    "4K": _levels("0.08", "0.24", "0.92"),
}

_SUNSET = Deprecation("2026-08-01T00:00:00.000Z", "2027-06-30T00:00:00.000Z", "qwen-image-3-edit")
_SD_SUNSET = Deprecation("2026-08-01T00:00:00.000Z", "2027-06-30T00:00:00.000Z", "z-image-turbo")

_EDIT_MODELS = (
    Model(
        DEFAULT_EDIT_MODEL,
        "inpaint",
        "FireRed Image Edit",
        flat=_usd("0.04"),
        ratios=("auto", *RATIOS),
        prompt_limit=10_000,
        traits=("default",),
    ),
    Model("qwen-image-2-edit", "inpaint", "Qwen Image 2 Edit", flat=_usd("0.05"), ratios=("auto", *RATIOS)),
    Model(
        "qwen-image-3-edit",
        "inpaint",
        "Qwen Image 3 Edit",
        flat=_usd("0.04"),
        ratios=("auto", *RATIOS),
        included=0,
        additional=_usd("0.00345"),
        max_images=3,
    ),
    Model(
        "nano-banana-pro-edit",
        "inpaint",
        "Nano Banana Pro Edit",
        flat=_usd("0.18"),
        resolutions=_tiers("0.18", "0.23", "0.35"),
        ratios=("auto", *RATIOS),
        prompt_limit=32_768,
        max_images=14,
        private=False,
        traits=("highest_quality",),
    ),
    Model(
        "gpt-image-2-edit",
        "inpaint",
        "GPT Image 2 Edit",
        flat=_usd("0.08"),
        quality=_GPT_QUALITY,
        ratios=("auto", "1:1", "3:2", "2:3"),
        prompt_limit=32_768,
        max_images=16,
        private=False,
    ),
    Model(
        "flux-2-max-edit",
        "inpaint",
        "FLUX.2 Max Edit",
        flat=_usd("0.12"),
        ratios=("auto", "1:1", "16:9", "9:16", "4:3", "3:4"),
        additional=_usd("0.0345"),
        max_images=8,
        private=False,
        beta=True,
    ),
    Model(
        "seedream-v4-edit",
        "inpaint",
        "Seedream 4 Edit",
        flat=_usd("0.05"),
        ratios=("auto", "1:1", "16:9", "9:16"),
        prompt_limit=1500,
        combine=False,
        max_images=1,
        deprecation=_SUNSET,
    ),
)

_GENERATION_MODELS = (
    Model(
        "z-image-turbo",
        "image",
        "Z-Image Turbo",
        flat=_usd("0.01"),
        divisor=8,
        max_steps=8,
        traits=("default", "fastest"),
    ),
    Model(
        "qwen-image-2",
        "image",
        "Qwen Image 2",
        flat=_usd("0.05"),
        ratios=RATIOS,
        default_ratio="1:1",
        style_references=2,
    ),
    Model(
        "nano-banana-pro",
        "image",
        "Nano Banana Pro",
        resolutions=_tiers("0.18", "0.23", "0.35"),
        ratios=RATIOS,
        default_ratio="1:1",
        prompt_limit=32_768,
        style_references=4,
        private=False,
        traits=("highest_quality",),
    ),
    Model(
        "gpt-image-2",
        "image",
        "GPT Image 2",
        quality=_GPT_QUALITY,
        ratios=("1:1", "3:2", "2:3"),
        default_ratio="1:1",
        prompt_limit=32_768,
        private=False,
    ),
    Model(
        "venice-sd35",
        "image",
        "Venice SD35",
        flat=_usd("0.01"),
        prompt_limit=1500,
        divisor=16,
        max_steps=30,
        deprecation=_SD_SUNSET,
    ),
)

_UPSCALE_FACTORS = {"2x": _usd("0.02"), "4x": _usd("0.08")}

CATALOGUE: tuple[Model, ...] = (
    *_EDIT_MODELS,
    *_GENERATION_MODELS,
    Model(BACKGROUND_REMOVER, "image", "Bria Background Remover", flat=_usd("0.03")),
    Model(UPSCALER, "upscale", "Upscaler", factors=_UPSCALE_FACTORS, traits=("default",)),
)

MODELS: Mapping[str, Model] = {model.id: model for model in CATALOGUE}


def generates(model: Model) -> bool:
    """Say whether ``/image/generate`` takes this model (the background remover is listed with them but not one)."""
    return model.kind == "image" and model.id != BACKGROUND_REMOVER


def nearest(model_id: str) -> str | None:
    """Return the generation model whose id is most like an unknown one, for the 404's suggestion."""
    known = [model.id for model in CATALOGUE if generates(model)]
    found = difflib.get_close_matches(model_id, known, n=1, cutoff=0.3)
    return found[0] if found else None


def traits(kind: str) -> dict[str, str]:
    """Map each trait to the first model of this type that carries it."""
    found: dict[str, str] = {}
    for model in CATALOGUE:
        if model.kind == kind:
            for trait in model.traits:
                found.setdefault(trait, model.id)
    return found
