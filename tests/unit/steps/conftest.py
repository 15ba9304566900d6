"""Steps as a job file would make them, and a catalogue in the API's own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from venice_batch.steps.chain import Step
from venice_batch.steps.conditions import parse
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import PaidStep
from venice_batch.steps.table import STEPS, build
from venice_batch.venice import Catalogue
from venice_batch.venice.catalogue import Model

SOURCE = InputKey("source", "5" * 64)
HOST = "api.venice.ai"


def step(
    name: str, fields: Mapping[str, Any] | None = None, *, named: str = "", when: Mapping[str, Any] | None = None
) -> Step:
    """Build a step from fields as they stand in a job file."""
    condition = None if when is None else parse(when)
    return build(named or name, name, STEPS[name].fields.model_validate(fields or {}), condition)


def paid(name: str, fields: Mapping[str, Any] | None = None, **more: Any) -> PaidStep:
    made = step(name, fields, **more)
    assert isinstance(made, PaidStep)
    return made


def key(name: str, fields: Mapping[str, Any] | None = None, *inputs: InputKey, host: str = HOST) -> str:
    """Return the key of a step with one input, the source."""
    return paid(name, fields).key(host, inputs or [SOURCE])


def entry(model: str, kind: str, **spec: Any) -> Model:
    return Model.model_validate({"id": model, "type": kind, "model_spec": spec})


def usd(amount: float) -> dict[str, float]:
    return {"usd": amount, "diem": amount}


TIERS = {"1K": usd(0.18), "2K": usd(0.23), "4K": usd(0.35)}

MODELS = [
    entry("upscaler", "upscale", pricing={"upscale": {"2x": usd(0.02), "4x": usd(0.08)}}),
    entry("bria-bg-remover", "image", pricing={"generation": usd(0.03)}),
    entry("firered-image-edit", "inpaint", pricing={"inpaint": usd(0.04)}, constraints={"promptCharacterLimit": 100}),
    entry(
        "nano-banana-pro-edit",
        "inpaint",
        pricing={"inpaint": usd(0.18), "resolutions": TIERS},
        constraints={"resolutions": ["1K", "2K", "4K"], "aspectRatios": ["auto", "1:1", "4:5"], "maxInputImages": 14},
    ),
    entry("two-tiers", "inpaint", pricing={"resolutions": TIERS}, constraints={"defaultResolution": "2K"}),
    entry("z-image-turbo", "image", pricing={"generation": usd(0.01)}, constraints={"promptCharacterLimit": 100}),
    entry("sleeping-edit", "inpaint", offline=True, pricing={"inpaint": usd(0.04)}),
    entry(
        "old-edit",
        "inpaint",
        pricing={"inpaint": usd(0.05)},
        deprecation={"removesAt": "2027-06-30T00:00:00.000Z", "replacementModelId": "firered-image-edit"},
    ),
    entry("free-of-price", "inpaint", pricing={}),
]


def catalogue_of(*models: Model, default: str | None = "firered-image-edit") -> Catalogue:
    traits = {} if default is None else {"default": default}
    return Catalogue({model.id: model for model in models or MODELS}, traits)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return catalogue_of()
