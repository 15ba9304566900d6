"""The catalogue as ``GET /models`` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from venice_batch.emulator.catalogue import BACKGROUND_REMOVER, CATALOGUE, DEPRECATED_AT, REMOVED_AT, Model

#: Model types of the API; those without image models answer an empty list.
TYPES = ("all", "asr", "code", "embedding", "image", "inpaint", "music", "text", "tts", "upscale", "video")


def listing(kind: str) -> dict[str, object]:
    """Return the answer of ``GET /models?type=kind``; amounts are JSON numbers, as the API has them."""
    chosen = [model for model in CATALOGUE if kind in {"all", model.kind}]
    return {"object": "list", "type": kind, "data": [_entry(model) for model in chosen]}


def _entry(model: Model) -> dict[str, object]:
    spec: dict[str, object] = {
        "name": model.name,
        "privacy": "private" if model.private else "anonymized",
        "offline": False,
        "beta": model.beta,
        "traits": list(model.traits),
        "constraints": _constraints(model),
        "pricing": _pricing(model),
    }
    if model.replacement is not None:
        spec["deprecation"] = {
            "date": REMOVED_AT,
            "startsAt": DEPRECATED_AT,
            "removesAt": REMOVED_AT,
            "replacementModelId": model.replacement,
            "autoRemap": False,
        }
    return {"id": model.id, "object": "model", "owned_by": "venice.ai", "type": model.kind, "model_spec": spec}


def _amount(price: Decimal) -> dict[str, float]:
    return {"usd": float(price), "diem": float(price)}


def _amounts(prices: Mapping[str, Decimal]) -> dict[str, object]:
    return {name: _amount(price) for name, price in prices.items()}


def _pricing(model: Model) -> dict[str, object]:
    pricing: dict[str, object] = {}
    if model.flat is not None:
        pricing["inpaint" if model.kind == "inpaint" else "generation"] = _amount(model.flat)
    if model.resolutions:
        pricing["resolutions"] = _amounts(model.resolutions)
    if model.quality:
        pricing["quality"] = {tier: _amounts(levels) for tier, levels in model.quality.items()}
    if model.factors:
        pricing["upscale"] = _amounts(model.factors)
    if model.additional is not None:
        pricing["inputImages"] = {"included": model.included, "additional": _amount(model.additional)}
    return pricing


def _constraints(model: Model) -> dict[str, object]:
    if model.kind == "upscale" or model.id == BACKGROUND_REMOVER:
        return {}
    found: dict[str, object] = {"promptCharacterLimit": model.prompt_limit}
    if model.ratios:
        found["aspectRatios"] = list(model.ratios)
    if model.tiers:
        found |= {"resolutions": list(model.tiers), "defaultResolution": "1K"}
    if model.levels:
        found |= {"qualities": list(model.levels), "defaultQuality": "medium"}
    return found | (_edit_only(model) if model.kind == "inpaint" else _generation_only(model))


def _edit_only(model: Model) -> dict[str, object]:
    found: dict[str, object] = {"combineImages": model.combine, "singleImageAspectRatio": bool(model.ratios)}
    if model.max_images is not None:
        found["maxInputImages"] = model.max_images
    return found


def _generation_only(model: Model) -> dict[str, object]:
    found: dict[str, object] = {
        "steps": {"default": min(20, model.max_steps), "max": model.max_steps},
        "widthHeightDivisor": model.divisor,
    }
    if model.default_ratio is not None:
        found["defaultAspectRatio"] = model.default_ratio
    if model.style_references:
        found["maxStyleReferences"] = model.style_references
    return found
