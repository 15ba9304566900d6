"""The emulated catalogue: entries as ``GET /models`` lists them, read from a file, and the models made of them.

The bundled ``models.json`` names its source and date; any saved answer of ``GET /models?type=all`` can take its place.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

BUNDLED_FILE = Path(__file__).with_name("models.json")
UPSCALER = "upscaler"
BACKGROUND_REMOVER = "bria-bg-remover"
DEFAULT_EDIT_MODEL = "firered-image-edit"

#: Model types of the API; those without image models answer an empty list.
TYPES = ("all", "asr", "code", "embedding", "image", "inpaint", "music", "text", "tts", "upscale", "video")
#: Models that are gone from the catalogue, with the one that took their place.
RETIRED: Mapping[str, str] = {"hidream": "z-image-turbo"}
#: By type, ids that are still taken though the catalogue does not list them, with the model that runs.
ALIASES: Mapping[str, Mapping[str, str]] = {"inpaint": {"qwen-edit": "qwen-edit-uncensored"}}
#: Models that take neither width nor height; others with ratios leave both out of account.
WITHOUT_SIZE = frozenset({"qwen-image", "qwen-image-3", "qwen-image-3-pro"})

#: What rewriting the prompt costs, once per call.
ENHANCE_PROMPT = Decimal("0.04")

#: The presets of ``GET /image/styles``.
STYLES = (
    *("3D Model", "Analog Film", "Anime", "Cinematic", "Comic Book", "Digital Art", "Enhance", "Fantasy Art"),
    *("Isometric", "Line Art", "Low Poly", "Neon Punk", "Origami", "Photographic", "Pixel Art", "Tile Texture"),
)

Prices = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Model:
    """What the emulator knows of one entry; amounts in USD, which equal DIEM.

    Attributes:
        flat: the base price of a call; None where only tiers have one.
        resolutions: price by resolution tier.
        quality: price by resolution tier and quality level.
        factors: upscale price by factor (``2x``, ``4x``).
        included: input images covered by the base price.
        additional: price of each input image beyond ``included``.
        limits: the entry's constraints as listed.
        replacement: what to use instead of a deprecated model.
        removed: when a deprecated model goes, empty for others.
    """

    id: str
    kind: str
    name: str
    private: bool
    flat: Decimal | None
    resolutions: Prices
    quality: Mapping[str, Prices]
    factors: Prices
    included: int
    additional: Decimal
    limits: Mapping[str, Any]
    replacement: str | None
    removed: str
    takes_styles: bool

    @property
    def tiers(self) -> tuple[str, ...]:
        """The resolution tiers on offer, cheapest first; empty where the field is not taken."""
        return tuple(self.limits.get("resolutions") or ())

    @property
    def levels(self) -> tuple[str, ...]:
        """The quality levels on offer; empty where the field is not taken."""
        return tuple(self.limits.get("qualities") or ())

    @property
    def ratios(self) -> tuple[str, ...]:
        """The aspect ratios on offer; empty where the field is not taken."""
        return tuple(self.limits.get("aspectRatios") or ())

    @property
    def default_ratio(self) -> str | None:
        """The ratio of a call that names none; None where pictures are drawn by width and height."""
        found: str | None = self.limits.get("defaultAspectRatio")
        return found or next(iter(self.ratios), None)

    @property
    def default_tier(self) -> str:
        """The resolution of a call that names none."""
        found: str | None = self.limits.get("defaultResolution")
        return found or next(iter(self.tiers), "1K")

    @property
    def prompt_limit(self) -> int:
        """Most characters of a prompt."""
        return int(self.limits.get("promptCharacterLimit") or 7500)

    @property
    def max_images(self) -> int:
        """Most inputs of multi-edit."""
        if self.limits.get("combineImages") is False:
            return 1
        return int(self.limits.get("maxInputImages") or 3)

    @property
    def max_steps(self) -> int | None:
        """Most steps; None where the field is left out of account."""
        return (self.limits.get("steps") or {}).get("max")

    @property
    def style_references(self) -> int:
        """Most style references."""
        return int(self.limits.get("maxStyleReferences") or 1) if self.takes_styles else 0

    @property
    def generates(self) -> bool:
        """Whether ``/image/generate`` takes it (the background remover is listed with them but not one)."""
        return self.kind == "image" and self.id != BACKGROUND_REMOVER

    def price(self, *, resolution: str | None = None, quality: str | None = None, inputs: int = 0) -> Decimal:
        """Return the price of one picture other than an upscale, the rewriting of its prompt apart.

        Args:
            resolution: tier as sent, None for the default.
            quality: level as sent, None for the default.
            inputs: number of input images.
        """
        tier = resolution if resolution in self.tiers else self.default_tier
        level = quality if quality in self.levels else self.limits.get("defaultQuality")
        by_level = self.quality.get(tier, {}).get(level) if level else None
        each = by_level or self.resolutions.get(tier) or self.flat or Decimal(0)
        return each + max(0, inputs - self.included) * self.additional


class Catalogue:
    """All entries, and the models among them that can be served.

    Attributes:
        models: by id; an entry that cannot be understood is listed but not among them.
    """

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._entries = entries
        self.models: dict[str, Model] = {model.id: model for model in _understood(entries)}

    def listing(self, kind: str, *, private_only: bool = False) -> dict[str, object]:
        """Return the answer of ``GET /models?type=kind``.

        Args:
            kind: one of ``TYPES``.
            private_only: leave out what a key that is bound to private models may not use.
        """
        chosen = [
            {"created": 1_700_000_000, "object": "model", "owned_by": "venice.ai", **entry, "model_spec": spec}
            for entry in self._entries
            if kind in {"all", entry.get("type")}
            for spec in (_filled_in(entry.get("model_spec")),)
            if not (private_only and _is_anonymized(spec))
        ]
        return {"object": "list", "type": kind, "data": chosen}

    def nearest(self, model_id: str) -> str | None:
        """Return the generation model whose id is most like an unknown one, for the 404's suggestion."""
        known = [model.id for model in self.models.values() if model.generates]
        return next(iter(difflib.get_close_matches(model_id, known, n=1, cutoff=0.3)), None)

    def traits(self, kind: str) -> dict[str, str]:
        """Map each trait to the first model of this type that carries it."""
        listed = [entry for entry in reversed(self._entries) if kind in {"all", entry.get("type")}]
        return {trait: entry["id"] for entry in listed for trait in _filled_in(entry.get("model_spec"))["traits"]}


def read(file: Path) -> Catalogue:
    """Read a catalogue in the form of ``GET /models?type=all``.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such catalogue.
    """
    document = json.loads(file.read_text("utf-8"))
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{file} is no answer of GET /models: it has no list `data` of objects")
    return Catalogue(entries)


def _filled_in(spec: object) -> dict[str, Any]:
    return {"offline": False, "beta": False, "traits": [], **(spec if isinstance(spec, dict) else {})}


def _is_anonymized(spec: Mapping[str, Any]) -> bool:
    return spec.get("privacy") == "anonymized"


def _understood(entries: list[dict[str, Any]]) -> Iterator[Model]:
    for entry in entries:
        try:
            yield _model(entry)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
            # One odd entry, as the live catalogue has had them, must not hide the others.
            continue


def _model(entry: Mapping[str, Any]) -> Model:
    spec = entry["model_spec"]
    pricing, gone = spec.get("pricing") or {}, spec.get("deprecation") or {}
    kind, inputs = entry["type"], pricing.get("inputImages") or {}
    flat = pricing.get("inpaint" if kind == "inpaint" else "generation")
    return Model(
        id=entry["id"],
        kind=kind,
        name=spec["name"],
        private=not _is_anonymized(spec),
        flat=_usd(flat) if flat else None,
        resolutions=_all_usd(pricing.get("resolutions") or {}),
        quality={tier: _all_usd(levels) for tier, levels in (pricing.get("quality") or {}).items()},
        # Entries of image models carry the account's upscale prices, too: no price of these models.
        factors=_all_usd(pricing["upscale"]) if kind == "upscale" else {},
        included=inputs.get("included", 1),
        additional=_usd(inputs["additional"]) if inputs else Decimal(0),
        limits=spec.get("constraints") or {},
        replacement=gone.get("replacementModelId"),
        removed=gone.get("removesAt") or "",
        takes_styles=spec.get("supportsStyleReferences") is True,
    )


def _usd(price: Mapping[str, Any]) -> Decimal:
    return Decimal(str(price["usd"]))


def _all_usd(prices: Mapping[str, Mapping[str, Any]]) -> Prices:
    return {name: _usd(price) for name, price in prices.items()}
