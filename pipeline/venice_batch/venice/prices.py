"""What a call costs, exactly, from the live catalogue in USD; and which fields a model does not take.

The vendor rounds the prices it publishes; the catalogue is exact. A price that the catalogue does not
have is an error, never zero. All amounts are `Decimal`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias

from venice_batch.errors import CatalogueError
from venice_batch.venice.catalogue import Catalogue, Model, Price
from venice_batch.venice.fields import Fields

Endpoint: TypeAlias = Literal["edit", "multi-edit", "generate"]

#: What the API adds for rewriting a prompt (facts of 2026-10-02); the catalogue does not list it.
ENHANCE_PROMPT_USD = Decimal("0.04")
#: Images of a multi-edit where the catalogue is silent.
_DEFAULT_INPUT_IMAGES = 3


class CallPrice(NamedTuple):
    """What one call costs in US dollars: equal where it is known exactly."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A field that the API will refuse, or leave out of account where it is `dropped`; and a sentence why."""

    field: str
    text: str
    dropped: bool = False


def upscale(catalogue: Catalogue, factors: Sequence[str]) -> CallPrice:
    """Return the price of one upscale that is billed as one of `factors` (``2x``, ``4x``).

    Raises:
        CatalogueError: the catalogue has no price for one of them.
    """
    model = catalogue.upscaler()
    found = [_usd(model, model.spec.pricing.upscale.get(factor), f"an upscale {factor}") for factor in factors]
    return CallPrice(min(found), max(found))


def background_remove(catalogue: Catalogue) -> CallPrice:
    """Return the price of one background removal.

    Raises:
        CatalogueError: the catalogue has no price.
    """
    model = catalogue.background_remover()
    return _exactly(_usd(model, model.spec.pricing.generation, "background removal"))


def edit(catalogue: Catalogue, model: str, fields: Fields, images: int = 1) -> CallPrice:
    """Return the price of one edit or multi-edit.

    Args:
        catalogue: of now.
        model: the id of the model that serves it.
        fields: as they will be sent; resolution, quality and enhance_prompt count.
        images: pictures sent.

    Raises:
        CatalogueError: no such model, or no price for these fields.
    """
    entry = catalogue.find(model, "inpaint")
    base = _tiered(entry, entry.spec.pricing.inpaint, fields)
    return _exactly(base + _input_images(entry, images) + _enhancement(fields))


def generate(catalogue: Catalogue, model: str, fields: Fields) -> CallPrice:
    """Return the price of one generate call, all its variants together.

    Raises:
        CatalogueError: no such model, or no price for these fields.
    """
    entry = catalogue.find(model, "image")
    images = _input_images(entry, len(_style_references(fields)))
    each = _tiered(entry, entry.spec.pricing.generation, fields) + images
    return _exactly(each * _variants(fields) + _enhancement(fields))


def check(model: Model, endpoint: Endpoint, fields: Fields, images: int = 1) -> list[FieldProblem]:
    """Hold the fields of a call against what the model takes; empty when all is well.

    Which values the API refuses (400) and which it leaves out of account depends on the endpoint (facts of
    2026-10-02): edit takes no field that the model does not list; multi-edit and generate drop most of them.

    Args:
        model: the entry.
        endpoint: which call.
        fields: as they will be sent.
        images: pictures sent, the base included.
    """
    problems = [
        *_not_offered(model, endpoint, fields),
        *_too_long(model, fields),
        *_no_background(model, fields),
    ]
    if endpoint == "multi-edit":
        problems += _too_many_images(model, images)
    if endpoint == "generate":
        problems += [*_too_many_styles(model, fields), *_not_drawn(model, fields)]
    return problems


def _not_offered(model: Model, endpoint: Endpoint, fields: Fields) -> Iterator[FieldProblem]:
    """Look at the fields that take one of the values that the model lists."""
    offers = {
        "aspect_ratio": model.spec.constraints.aspect_ratios,
        "resolution": model.resolutions,
        "quality": model.qualities,
    }
    for name, offered in offers.items():
        value = _text(fields, name)
        if value is None or value in offered:
            continue
        if offered:
            text = f"{name} {value} is not offered by {model.id}; it offers {', '.join(offered)}"
            # A ratio of generate is not validated: the model takes its own.
            yield FieldProblem(name, text, dropped=endpoint == "generate" and name == "aspect_ratio")
        else:
            dropped = endpoint == "generate" or (endpoint == "multi-edit" and name != "aspect_ratio")
            yield FieldProblem(name, f"{model.id} takes no {name}", dropped=dropped)


def _too_long(model: Model, fields: Fields) -> Iterator[FieldProblem]:
    most = model.spec.constraints.prompt_limit
    for name in ("prompt", "negative_prompt"):
        prompt = _text(fields, name)
        if prompt is not None and most is not None and len(prompt) > most:
            text = f"the {name} has {len(prompt)} characters; {model.id} takes {most} at most"
            yield FieldProblem(name, text)


def _no_background(model: Model, fields: Fields) -> Iterator[FieldProblem]:
    name = "transparent_background"
    if fields.get(name) is not True:
        return
    if not model.spec.constraints.transparent_background:
        yield FieldProblem(name, f"{model.id} makes no transparent background")
    elif "jpeg" in {fields.get("output_format"), fields.get("format")}:
        yield FieldProblem(name, "jpeg has no transparency; write png or webp")


def _not_drawn(model: Model, fields: Fields) -> Iterator[FieldProblem]:
    """Look at the fields of generate alone."""
    limits = model.spec.constraints
    steps, most = fields.get("steps"), limits.steps.max if limits.steps else None
    if isinstance(steps, int) and not most:
        yield FieldProblem("steps", f"{model.id} takes no steps", dropped=True)
    elif isinstance(steps, int) and most and steps > most:
        yield FieldProblem("steps", f"{model.id} takes {most} steps at most, not {steps}")
    if limits.aspect_ratios:
        for side in ("width", "height"):
            if side in fields:
                yield FieldProblem(side, f"{model.id} takes an aspect_ratio, and no {side}", dropped=True)
    if limits.style_strength is False and any("strength" in one for one in _style_references(fields)):
        yield FieldProblem("style_references", f"{model.id} takes no strength of a reference", dropped=True)


def check_style(catalogue: Catalogue, fields: Fields) -> list[FieldProblem]:
    """Return what is wrong with the style preset of a generate call: the API takes the exact names of its list."""
    style = _text(fields, "style_preset")
    if style is None or not catalogue.styles or style in catalogue.styles:
        return []
    by_name = {name.casefold(): name for name in catalogue.styles}
    near = difflib.get_close_matches(style.casefold(), by_name, n=1)
    hint = f"did you mean {by_name[near[0]]}?" if near else "`venice-batch styles` lists them"
    return [FieldProblem("style_preset", f"the API has no style {style!r}; {hint}")]


def _exactly(usd: Decimal) -> CallPrice:
    return CallPrice(usd, usd)


def _tiered(model: Model, base: Price | None, fields: Fields) -> Decimal:
    """Find the price among quality and resolution tiers, else the base price.

    What a model does not take is dropped by the API and changes no price. A model with qualities and none by default
    has, for a call that names none, the price of its tier.
    """
    pricing, written = model.spec.pricing, _text(fields, "resolution") if model.resolutions else None
    if pricing.is_odd:
        raise _no_price(model, "anything: its price list cannot be read")
    tier = written or model.default_resolution
    level = _text(fields, "quality") or model.spec.constraints.default_quality
    if pricing.quality and level:
        by_level = pricing.quality.get(tier, {}).get(level)
        # The base price is that of a call which names neither.
        plain = None if written or _text(fields, "quality") else base
        return _usd(model, by_level or plain, f"resolution {tier}, quality {level}")
    return _usd(model, pricing.resolutions.get(tier) or (None if written else base), f"resolution {tier}")


def _input_images(model: Model, images: int) -> Decimal:
    rule = model.spec.pricing.input_images
    if rule is None or not images:
        return Decimal(0)
    further = images if rule.included is None else max(images - rule.included, 0)
    if further and (rule.included is None or rule.additional is None):
        raise _no_price(model, "a further input image")
    return rule.additional.usd * further if rule.additional else Decimal(0)


def _enhancement(fields: Fields) -> Decimal:
    asked = fields.get("enhance_prompt")
    is_asked = asked is True or (isinstance(asked, str) and asked.lower() == "true")
    return ENHANCE_PROMPT_USD if is_asked else Decimal(0)


def _variants(fields: Fields) -> int:
    variants = fields.get("variants")
    return variants if isinstance(variants, int) and variants > 1 else 1


def _usd(model: Model, price: Price | None, what: str) -> Decimal:
    # No call is free: a price of 0 is a mistake of the catalogue, and would let a budget be spent without end.
    if price is None or price.usd == 0:
        raise _no_price(model, what)
    return price.usd


def _no_price(model: Model, what: str) -> CatalogueError:
    return CatalogueError(
        f"the API's catalogue has no price of {model.id} for {what}",
        remedy=f"choose what {model.id} has a price for: {_priced(model)}",
    )


def _priced(model: Model) -> str:
    return ", ".join(name or "the default" for name, usd in model.prices() if usd) or "nothing; name another model"


def _too_many_images(model: Model, images: int) -> list[FieldProblem]:
    limits = model.spec.constraints
    if limits.combine_images is False and images > 1:
        return [FieldProblem("images", f"{model.id} does not combine images, and the step sends {images}")]
    most = limits.max_input_images or _DEFAULT_INPUT_IMAGES
    if images <= most:
        return []
    return [FieldProblem("images", f"{model.id} takes {most} images at most, and the step sends {images}")]


def _too_many_styles(model: Model, fields: Fields) -> list[FieldProblem]:
    count, most = len(_style_references(fields)), model.style_references
    if most is None or count <= most:
        return []
    takes = f"takes {most} at most" if most else "takes none"
    return [FieldProblem("style_references", f"{model.id} {takes}, and the step names {count} style references")]


def _style_references(fields: Fields) -> list[Mapping[str, object]]:
    listed = fields.get("style_references")
    each = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    return [one for one in each if isinstance(one, Mapping)]


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None
