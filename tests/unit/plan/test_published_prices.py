"""A plan's sums against arithmetic of this file's own over the vendor's published list."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.unit.plan.conftest import Bench
from venice_batch.errors import JobError
from venice_batch.venice import Catalogue
from venice_batch.venice.catalogue import Model

_FILE = Path(__file__).with_name("published_prices.json")
LISTED: list[dict[str, Any]] = json.loads(_FILE.read_text("utf-8"))["models"]
#: Every image entry of the live catalogue carries this block, which is the account's and no price of its own.
ACCOUNT_WIDE = {"2x": {"usd": 0.02, "diem": 0.02}, "4x": {"usd": 0.08, "diem": 0.08}}


def served(listed: dict[str, Any]) -> Model:
    """The entry as the live API would have it: floats, and nested amounts."""

    def amount(usd: float) -> dict[str, float]:
        return {"usd": usd, "diem": usd}

    pricing: dict[str, Any] = {"upscale": ACCOUNT_WIDE}
    pricing |= {name: amount(listed[name]) for name in ("generation", "inpaint") if name in listed}
    if "resolutions" in listed:
        pricing["resolutions"] = {tier: amount(usd) for tier, usd in listed["resolutions"].items()}
    if "quality" in listed:
        levels = listed["quality"].items()
        pricing["quality"] = {tier: {level: amount(usd) for level, usd in each.items()} for tier, each in levels}
    if "input_images" in listed:
        included, further = listed["input_images"]
        pricing["inputImages"] = {"included": included, "additional": amount(further)}
    constraints = {"maxInputImages": 6} | ({"defaultQuality": "high"} if listed["id"].startswith("gpt") else {})
    spec = {"pricing": pricing, "constraints": constraints}
    return Model.model_validate({"id": listed["id"], "type": listed["type"], "model_spec": spec})


CATALOGUE = Catalogue({each["id"]: served(each) for each in LISTED}, {"default": "firered-image-edit"})


class Call(NamedTuple):
    """A step over one picture, and what it costs by hand."""

    step: str
    usd: Decimal | None


def _by_hand(listed: dict[str, Any], tier: str, level: str, pictures: int, variants: int) -> Decimal | None:
    """Return the price as the list reads; None where it has none."""
    level = level or ("high" if listed["id"].startswith("gpt") else "")
    base: float | None
    if level and "quality" in listed:
        base = listed["quality"].get(tier or "1K", {}).get(level)
    elif "resolutions" in listed:
        base = listed["resolutions"].get(tier or "1K")
    else:
        base = listed.get("inpaint", listed.get("generation"))
    if base is None:
        return None
    included, further = listed.get("input_images", [pictures, 0])
    each = Decimal(str(base)) + max(0, pictures - int(included)) * Decimal(str(further))
    return each * variants


def calls() -> Iterator[Call]:
    for listed, tier, level in itertools.product(LISTED, ("", "1K", "2K", "4K"), ("", "low", "medium", "high")):
        if listed["id"] in {"bria-bg-remover", "upscaler"}:
            continue
        if (tier and "resolutions" not in listed) or (level and "quality" not in listed):
            continue  # refused or dropped for what the model is, which is not the sums' business
        fields = f"model: {listed['id']}" + (f", resolution: {tier}" if tier else "")
        quality = f", quality: {level}" if level else ""
        if listed["type"] == "image":
            yield Call(f"generate: {{{fields}{quality}}}", _by_hand(listed, tier, level, 0, 1))
            yield Call(f"generate: {{{fields}{quality}, variants: 3}}", _by_hand(listed, tier, level, 0, 3))
            continue
        if not level:
            yield Call(f"edit: {{prompt: p, {fields}}}", _by_hand(listed, tier, level, 1, 1))
        three = f"{fields}{quality}, images: [current, source, current]"
        yield Call(f"multi-edit: {{prompt: p, {three}}}", _by_hand(listed, tier, level, 3, 1))


CALLS = tuple(calls())


def test_the_list_is_gone_through_with_every_tier_and_level() -> None:
    assert len(CALLS) == len({call.step for call in CALLS}) > 100
    assert {call.usd is None for call in CALLS} == {True, False}


@pytest.fixture
def shop(bench: Bench) -> Bench:
    bench.catalogue = CATALOGUE
    bench.picture("a.png")
    (bench.folder / "rows.csv").write_text("id,prompt\na,x\n", "utf-8")
    return bench


def test_every_price_of_the_list_is_the_plans_to_the_last_digit(shop: Bench) -> None:
    for call in CALLS:
        source = "{prompts: rows.csv}" if call.step.startswith("generate") else "./in"
        if call.usd is None:
            with pytest.raises(JobError):
                shop.plan(call.step, source=source)
        else:
            cost = shop.plan(call.step, source=source).cost
            assert (cost.low, cost.high) == (call.usd, call.usd), call.step


@pytest.mark.parametrize(
    ("size", "scale", "usd"),
    [
        ((300, 300), 2, "0.02"),
        ((300, 300), 2.5, "0.08"),
        ((300, 300), 3, "0.08"),
        ((300, 300), 4, "0.08"),
        ((2047, 2048), 4, "0.08"),
        ((2048, 2048), 4, "0.02"),
        ((2600, 2200), 4, "0.02"),
        ((4000, 4096), 2, "0.02"),
    ],
)
def test_an_upscale_costs_what_is_left_of_its_scale(shop: Bench, size: tuple[int, int], scale: float, usd: str) -> None:
    shop.picture("a.png", size)
    cost = shop.plan(f"upscale: {{scale: {scale}}}").cost
    assert (str(cost.low), str(cost.high)) == (usd, usd)


def test_a_chain_sums_up_and_the_second_upscale_is_priced_by_what_the_first_leaves(shop: Bench) -> None:
    shop.picture("a.png", (600, 500))
    steps = ("background-remove", "upscale: {scale: 4}", "{upscale: {scale: 4}, id: again}")
    assert shop.plan(*steps).cost.high == Decimal("0.03") + Decimal("0.08") + Decimal("0.02")
    shop.picture("a.png", (1100, 1000))
    (item,) = shop.plan(*steps).items
    assert (item.status, item.code) == ("invalid", "too-large")
