"""What one call costs, in exact USD, computed from the emulator's own catalogue."""

from __future__ import annotations

from decimal import Decimal

from venice_batch.emulator.catalogue import BACKGROUND_REMOVER, MODELS, UPSCALER, Model

ENHANCE_PROMPT = Decimal("0.04")


def factor(scale: int) -> str:
    """Return the price list's name of an upscale (``2x``, ``4x``); a pure enhancement (scale 1) goes as 2x."""
    return f"{max(scale, 2)}x"


def upscale(scale: int) -> Decimal:
    """Return the price of an upscale by 1, 2 or 4."""
    return MODELS[UPSCALER].factors[factor(scale)]


def background_remove() -> Decimal:
    """Return the price of one cut-out."""
    price = MODELS[BACKGROUND_REMOVER].flat
    assert price is not None, "the background remover has a flat price"  # noqa: S101 - a fact of the table
    return price


def picture(
    model: Model,
    *,
    resolution: str | None,
    quality: str | None,
    inputs: int = 0,
    variants: int = 1,
    enhance: bool = False,
) -> Decimal:
    """Return the price of an edit, a multi-edit or a generation.

    Args:
        model: the model that serves the call.
        resolution: tier as sent, None for the default (1K).
        quality: level as sent, None for the model's default.
        inputs: number of input images.
        variants: pictures drawn; each one is billed.
        enhance: whether the prompt is rewritten first, billed once per call.
    """
    tier = resolution or "1K"
    if model.quality:
        each = model.quality[tier][quality or model.default_level or "medium"]
    elif model.resolutions:
        each = model.resolutions[tier]
    else:
        each = model.flat or Decimal(0)
    extra = max(0, inputs - model.included) * (model.additional or Decimal(0))
    return each * variants + extra + (ENHANCE_PROMPT if enhance else Decimal(0))
