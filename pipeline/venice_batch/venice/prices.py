"""What a call costs, exactly, from the live catalogue in USD; and which fields a model does not take.

The vendor rounds the prices it publishes; the catalogue is exact. A price that the catalogue does not
have is an error, never zero. All amounts are `Decimal`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from venice_batch.errors import CatalogueError
from venice_batch.venice.catalogue import Catalogue, Model, Price
from venice_batch.venice.fields import Fields

Endpoint: TypeAlias = Literal["edit", "multi-edit", "generate"]

#: What the API adds for rewriting a prompt (facts of 2026-10-02); the catalogue does not list it.
ENHANCE_PROMPT_USD = Decimal("0.04")
_DEFAULT_RESOLUTION = "1K"
#: Images of a multi-edit where the catalogue is silent.
_DEFAULT_INPUT_IMAGES = 3


@dataclass(frozen=True, slots=True)
class InvalidField:
    """A field that the API will refuse, and a sentence why."""

    field: str
    text: str


def upscale(catalogue: Catalogue, scale: int = 2) -> Decimal:
    """Return the price of one upscale; scale 1 (enhance only) costs as much as 2.

    Raises:
        CatalogueError: the catalogue has no price for this scale.
    """
    model = catalogue.upscaler()
    tier = "2x" if scale == 1 else f"{scale}x"
    return _usd(model, model.spec.pricing.upscale.get(tier), f"scale {scale}")


def background_remove(catalogue: Catalogue) -> Decimal:
    """Return the price of one background removal.

    Raises:
        CatalogueError: the catalogue has no price.
    """
    model = catalogue.background_remover()
    return _usd(model, model.spec.pricing.generation, "background removal")


def edit(catalogue: Catalogue, model: str | None, fields: Fields, images: int = 1) -> Decimal:
    """Return the price of one edit or multi-edit.

    Args:
        catalogue: of now.
        model: the model's id, or None for the API's default.
        fields: as they will be sent; resolution, quality and enhance_prompt count.
        images: pictures sent.

    Raises:
        CatalogueError: no such model, or no price for these fields.
    """
    entry = catalogue.find(model) if model is not None else catalogue.default_edit_model()
    base = _tiered(entry, entry.spec.pricing.inpaint, fields)
    return base + _input_images(entry, images) + _enhancement(fields)


def generate(catalogue: Catalogue, model: str, fields: Fields) -> Decimal:
    """Return the price of one generate call, all its variants together.

    Raises:
        CatalogueError: no such model, or no price for these fields.
    """
    entry = catalogue.find(model)
    references = fields.get("style_references")
    images = len(references) if isinstance(references, Sequence) else 0
    each = _tiered(entry, entry.spec.pricing.generation, fields) + _input_images(entry, images)
    return each * _variants(fields) + _enhancement(fields)


def check(model: Model, endpoint: Endpoint, fields: Fields, images: int = 1) -> list[InvalidField]:
    """Return what the model's constraints would refuse; empty when all is well.

    Args:
        model: the entry.
        endpoint: which call.
        fields: as they will be sent.
        images: pictures sent, the base included.
    """
    limits = model.spec.constraints
    problems = [
        *_not_offered(model, fields, "aspect_ratio", limits.aspect_ratios),
        *_not_offered(model, fields, "resolution", limits.resolutions or tuple(model.spec.pricing.resolutions)),
        *_not_offered(model, fields, "quality", limits.qualities),
    ]
    prompt = fields.get("prompt")
    if isinstance(prompt, str) and limits.prompt_limit is not None and len(prompt) > limits.prompt_limit:
        text = f"the prompt has {len(prompt)} characters; {model.id} takes {limits.prompt_limit} at most"
        problems.append(InvalidField("prompt", text))
    if endpoint == "multi-edit":
        problems += _too_many_images(model, images)
    if endpoint == "generate":
        problems += _too_many_styles(model, fields)
    return problems


def check_style(catalogue: Catalogue, fields: Fields) -> list[InvalidField]:
    """Return what is wrong with the style preset of a generate call: the API takes the exact names of its list."""
    style = _text(fields, "style_preset")
    if style is None or not catalogue.styles or style in catalogue.styles:
        return []
    by_name = {name.casefold(): name for name in catalogue.styles}
    near = difflib.get_close_matches(style.casefold(), by_name, n=1)
    hint = f"did you mean {by_name[near[0]]}?" if near else "`venice-batch styles` lists them"
    return [InvalidField("style_preset", f"the API has no style {style!r}; {hint}")]


def _tiered(model: Model, base: Price | None, fields: Fields) -> Decimal:
    """Find the price among quality and resolution tiers, else the base price."""
    pricing, limits = model.spec.pricing, model.spec.constraints
    resolution = _text(fields, "resolution")
    tier = resolution or limits.default_resolution or _DEFAULT_RESOLUTION
    if pricing.quality:
        level = _text(fields, "quality") or limits.default_quality
        price = pricing.quality.get(tier, {}).get(level or "")
        named = resolution or _text(fields, "quality")
        return _usd(model, price or (None if named else base), f"resolution {tier}, quality {level}")
    if pricing.resolutions:
        price = pricing.resolutions.get(tier) or (None if resolution else base)
        return _usd(model, price, f"resolution {tier}")
    return _usd(model, base, f"resolution {tier}")


def _input_images(model: Model, images: int) -> Decimal:
    rule = model.spec.pricing.input_images
    further = max(images - rule.included, 0) if rule is not None else 0
    if rule is None or not further:
        return Decimal(0)
    return _usd(model, rule.additional, "a further input image") * further


def _enhancement(fields: Fields) -> Decimal:
    asked = fields.get("enhance_prompt")
    is_asked = asked is True or (isinstance(asked, str) and asked.lower() == "true")
    return ENHANCE_PROMPT_USD if is_asked else Decimal(0)


def _variants(fields: Fields) -> int:
    variants = fields.get("variants")
    return variants if isinstance(variants, int) and variants > 1 else 1


def _usd(model: Model, price: Price | None, what: str) -> Decimal:
    if price is None or price.usd is None or not price.usd.is_finite() or price.usd < 0:
        raise CatalogueError(
            f"the API's catalogue has no price of {model.id} for {what}",
            remedy=f"choose what {model.id} has a price for: {_priced(model)}",
        )
    return price.usd


def _priced(model: Model) -> str:
    pricing = model.spec.pricing
    tiers = [*pricing.upscale, *pricing.resolutions]
    tiers += [f"{tier}/{level}" for tier, levels in pricing.quality.items() for level in levels]
    return ", ".join(tiers) or "nothing; name another model"


def _not_offered(model: Model, fields: Fields, name: str, offered: Sequence[str]) -> list[InvalidField]:
    value = _text(fields, name)
    if value is None or not offered or value in offered:
        return []
    return [InvalidField(name, f"{name} {value} is not offered by {model.id}; it offers {', '.join(offered)}")]


def _too_many_images(model: Model, images: int) -> list[InvalidField]:
    limits = model.spec.constraints
    if limits.combine_images is False and images > 1:
        return [InvalidField("images", f"{model.id} does not combine images, and the step sends {images}")]
    most = limits.max_input_images or _DEFAULT_INPUT_IMAGES
    if images <= most:
        return []
    return [InvalidField("images", f"{model.id} takes {most} images at most, and the step sends {images}")]


def _too_many_styles(model: Model, fields: Fields) -> list[InvalidField]:
    references, most = fields.get("style_references"), model.spec.constraints.max_style_references
    count = len(references) if isinstance(references, Sequence) and not isinstance(references, str) else 0
    if most is None or count <= most:
        return []
    takes = f"takes {most} at most" if most else "takes none"
    return [InvalidField("style_references", f"{model.id} {takes}, and the step names {count} style references")]


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None
