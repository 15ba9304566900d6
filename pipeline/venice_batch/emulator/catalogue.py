"""The emulated catalogue: the models with their prices and constraints, and the style presets.

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
RETIRED: Mapping[str, str] = {"hidream": "z-image-turbo"}
#: By type, ids that are still taken though the catalogue does not list them, with the model that runs.
ALIASES: Mapping[str, Mapping[str, str]] = {"inpaint": {"qwen-edit": "qwen-edit-uncensored"}}
#: When models that have a replacement are deprecated, and removed.
DEPRECATED_AT, REMOVED_AT = "2026-08-01T00:00:00.000Z", "2027-06-30T00:00:00.000Z"

#: What rewriting the prompt costs, once per call.
ENHANCE_PROMPT = Decimal("0.04")


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
        replacement: what to use instead of a deprecated model.
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
    replacement: str | None = None
    private: bool = True
    beta: bool = False

    @property
    def tiers(self) -> tuple[str, ...]:
        """The resolution tiers on offer, cheapest first; empty where there are none."""
        return tuple(self.quality or self.resolutions)

    @property
    def levels(self) -> tuple[str, ...]:
        """The quality levels on offer, ``medium`` being the default; empty where there are none."""
        return tuple(next(iter(self.quality.values()))) if self.quality else ()

    def price(
        self,
        *,
        resolution: str | None = None,
        quality: str | None = None,
        inputs: int = 0,
        variants: int = 1,
        enhance: bool = False,
    ) -> Decimal:
        """Return the price of a call other than an upscale.

        Args:
            resolution: tier as sent, None for the default (1K).
            quality: level as sent, None for the default.
            inputs: number of input images.
            variants: pictures drawn; each one is billed.
            enhance: whether the prompt is rewritten first.
        """
        tier = resolution if resolution in self.tiers else "1K"
        if self.quality:
            each = self.quality[tier][quality or "medium"]
        else:
            each = self.resolutions[tier] if self.resolutions else self.flat or Decimal(0)
        extra = max(0, inputs - self.included) * (self.additional or Decimal(0))
        return each * variants + extra + (ENHANCE_PROMPT if enhance else Decimal(0))


def _priced(names: str, *prices: str) -> dict[str, Decimal]:
    return dict(zip(names.split(), map(Decimal, prices), strict=True))


_RATIOS = ("1:1", "3:2", "16:9", "21:9", "9:16", "2:3", "3:4", "4:3", "4:5")
_EDIT_RATIOS = ("auto", *_RATIOS)
_PRO_TIERS = _priced("1K 2K 4K", "0.18", "0.23", "0.35")
_GPT_RATIOS = ("1:1", "3:2", "2:3")
_GPT_QUALITY = {
    "1K": _priced("low medium high", "0.03", "0.08", "0.34"),
    "2K": _priced("low medium high", "0.05", "0.14", "0.56"),
    "4K": _priced("low medium high", "0.08", "0.24", "0.92"),
}

# A table, a model a paragraph.
# fmt: off
CATALOGUE: tuple[Model, ...] = (
    Model(DEFAULT_EDIT_MODEL, "inpaint", "FireRed Image Edit", Decimal("0.04"), ratios=_EDIT_RATIOS,
          prompt_limit=10_000, traits=("default",)),
    Model("qwen-edit-uncensored", "inpaint", "Qwen Edit Uncensored", Decimal("0.04"), ratios=_EDIT_RATIOS),
    Model("qwen-image-2-edit", "inpaint", "Qwen Image 2 Edit", Decimal("0.05"), ratios=_EDIT_RATIOS),
    Model("qwen-image-3-edit", "inpaint", "Qwen Image 3 Edit", Decimal("0.04"), ratios=_EDIT_RATIOS,
          included=0, additional=Decimal("0.00345"), max_images=3),
    Model("nano-banana-pro-edit", "inpaint", "Nano Banana Pro Edit", Decimal("0.18"), resolutions=_PRO_TIERS,
          ratios=_EDIT_RATIOS, prompt_limit=32_768, max_images=14, private=False, traits=("highest_quality",)),
    Model("gpt-image-2-edit", "inpaint", "GPT Image 2 Edit", Decimal("0.08"), quality=_GPT_QUALITY,
          ratios=("auto", *_GPT_RATIOS), prompt_limit=32_768, max_images=16, private=False),
    Model("flux-2-max-edit", "inpaint", "FLUX.2 Max Edit", Decimal("0.12"),
          ratios=("auto", "1:1", "16:9", "9:16", "4:3", "3:4"),
          additional=Decimal("0.0345"), max_images=8, private=False, beta=True),
    Model("seedream-v4-edit", "inpaint", "Seedream 4 Edit", Decimal("0.05"), ratios=("auto", "1:1", "16:9", "9:16"),
          prompt_limit=1500, combine=False, max_images=1, replacement="qwen-image-3-edit"),
    Model("z-image-turbo", "image", "Z-Image Turbo", Decimal("0.01"), divisor=8, max_steps=8,
          traits=("default", "fastest")),
    Model("qwen-image-2", "image", "Qwen Image 2", Decimal("0.05"), ratios=_RATIOS, default_ratio="1:1",
          style_references=2),
    Model("nano-banana-pro", "image", "Nano Banana Pro", resolutions=_PRO_TIERS, ratios=_RATIOS, default_ratio="1:1",
          prompt_limit=32_768, style_references=4, private=False, traits=("highest_quality",)),
    Model("gpt-image-2", "image", "GPT Image 2", quality=_GPT_QUALITY, ratios=_GPT_RATIOS, default_ratio="1:1",
          prompt_limit=32_768, private=False),
    Model("venice-sd35", "image", "Venice SD35", Decimal("0.01"), prompt_limit=1500, divisor=16, max_steps=30,
          replacement="z-image-turbo"),
    Model(BACKGROUND_REMOVER, "image", "Bria Background Remover", Decimal("0.03")),
    Model(UPSCALER, "upscale", "Upscaler", factors=_priced("2x 4x", "0.02", "0.08"), traits=("default",)),
)
# fmt: on

MODELS: Mapping[str, Model] = {model.id: model for model in CATALOGUE}

#: The presets of ``GET /image/styles``.
STYLES = (
    *("3D Model", "Analog Film", "Anime", "Cinematic", "Comic Book", "Digital Art", "Enhance", "Fantasy Art"),
    *("Isometric", "Line Art", "Low Poly", "Neon Punk", "Origami", "Photographic", "Pixel Art", "Tile Texture"),
)


def generates(model: Model) -> bool:
    """Say whether ``/image/generate`` takes this model (the background remover is listed with them but not one)."""
    return model.kind == "image" and model.id != BACKGROUND_REMOVER


def nearest(model_id: str) -> str | None:
    """Return the generation model whose id is most like an unknown one, for the 404's suggestion."""
    known = [model.id for model in CATALOGUE if generates(model)]
    return next(iter(difflib.get_close_matches(model_id, known, n=1, cutoff=0.3)), None)


def traits(kind: str) -> dict[str, str]:
    """Map each trait to the first model of this type that carries it."""
    return {trait: model.id for model in reversed(CATALOGUE) if model.kind == kind for trait in model.traits}
