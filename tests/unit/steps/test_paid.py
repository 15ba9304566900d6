"""Price, lane, promises and file names of the paid steps."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.steps.conftest import MODELS, catalogue_of, entry, paid, usd
from venice_batch.errors import CatalogueError
from venice_batch.imaging import UPSCALE_CAP, Facts
from venice_batch.steps.answer_checks.expectations import Expect
from venice_batch.steps.conditions import Known
from venice_batch.steps.paid import Edit, enlarged
from venice_batch.venice import Catalogue


def facts(width: int, height: int) -> Facts:
    return Facts(width, height, "PNG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=1000)


@pytest.mark.parametrize(
    ("name", "fields", "price", "lane"),
    [
        ("upscale", {}, "0.02", "upscaler"),
        ("upscale", {"scale": 4}, "0.08", "upscaler"),
        ("upscale", {"scale": 1, "enhance": True}, "0.02", "upscaler"),
        ("background-remove", {}, "0.03", "bria-bg-remover"),
        ("edit", {"prompt": "p"}, "0.04", "firered-image-edit"),
        ("edit", {"prompt": "p", "enhance_prompt": True}, "0.08", "firered-image-edit"),
        ("edit", {"prompt": "p", "model": "nano-banana-pro-edit"}, "0.18", "nano-banana-pro-edit"),
        ("edit", {"prompt": "p", "model": "nano-banana-pro-edit", "resolution": "4K"}, "0.35", "nano-banana-pro-edit"),
        ("edit", {"prompt": "p", "model": "two-tiers"}, "0.23", "two-tiers"),
        ("generate", {"prompt": "p", "model": "z-image-turbo"}, "0.01", "z-image-turbo"),
        ("generate", {"prompt": "p", "model": "z-image-turbo", "variants": 4}, "0.04", "z-image-turbo"),
    ],
)
def test_price_and_lane_come_from_the_catalogue(
    catalogue: Catalogue, name: str, fields: dict[str, Any], price: str, lane: str
) -> None:
    step = paid(name, fields)
    assert step.price(catalogue, Known(300, 300)) == (Decimal(price), Decimal(price))
    assert step.lane(catalogue) == lane


def test_a_new_default_model_changes_price_and_lane_but_not_what_is_sent() -> None:
    step = paid("edit", {"prompt": "p"})
    moved = catalogue_of(*MODELS, default="nano-banana-pro-edit")
    assert step.price(moved).high == Decimal("0.18")
    assert step.lane(moved) == "nano-banana-pro-edit"
    assert step.sent == {"prompt": "p"}


def test_without_a_default_the_known_one_is_taken_and_without_that_a_model_must_be_named() -> None:
    step = paid("edit", {"prompt": "p"})
    assert step.lane(catalogue_of(*MODELS, default=None)) == "firered-image-edit"
    with pytest.raises(CatalogueError) as caught:
        step.lane(catalogue_of(entry("m", "inpaint", pricing={"inpaint": usd(1)}), default=None))
    assert "name a model" in caught.value.remedy


@pytest.mark.parametrize("model", ["no-such-model", "sleeping-edit", "free-of-price"])
def test_an_unknown_price_is_an_error_and_never_nothing(catalogue: Catalogue, model: str) -> None:
    with pytest.raises(CatalogueError):
        paid("edit", {"prompt": "p", "model": model}).price(catalogue)


@pytest.mark.parametrize(
    ("name", "fields", "complaint"),
    [
        ("edit", {"prompt": "p", "model": "z-image-turbo"}, "no model for edit"),
        ("generate", {"prompt": "p", "model": "firered-image-edit"}, "no model for generate"),
        ("edit", {"prompt": "x" * 101}, "101 characters"),
        ("edit", {"prompt": "p", "model": "nano-banana-pro-edit", "aspect_ratio": "9:16"}, "9:16 is not offered"),
        ("multi-edit", {"prompt": "p", "images": ["current"] * 4}, "3 images at most"),
        ("generate", {"prompt": "x" * 101, "model": "z-image-turbo"}, "101 characters"),
    ],
)
def test_what_the_api_would_refuse_is_said_before(
    catalogue: Catalogue, name: str, fields: dict[str, Any], complaint: str
) -> None:
    (problem,) = paid(name, fields).problems(catalogue)
    assert complaint in problem.text


def test_what_the_api_takes_is_no_problem(catalogue: Catalogue) -> None:
    steps = [paid("upscale"), paid("background-remove"), paid("edit", {"prompt": "p" * 100})]
    steps += [paid("multi-edit", {"prompt": "p", "images": ["current"] * 14, "modelId": "nano-banana-pro-edit"})]
    assert [step.problems(catalogue) for step in steps] == [[], [], [], []]


# What is known and promised


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((1000, 500), 2, (2000, 1000)),
        ((1000, 500), 4, (4000, 2000)),
        ((1024, 1024), 4, (4096, 4096)),
        ((2048, 2048), 4, (4096, 4096)),
        ((4000, 3000), 2, (4730, 3547)),
        ((4096, 4096), 2, (4096, 4096)),
    ],
)
def test_the_size_of_an_upscaled_picture_is_known_up_to_the_cap(
    size: tuple[int, int], scale: int, expected: tuple[int, int]
) -> None:
    assert enlarged(*size, scale) == expected
    known = paid("upscale", {"scale": scale}).after(Known(*size, has_alpha=True, format="JPEG", bytes=5))
    assert (known.width, known.height) == expected
    assert (known.format, known.bytes, known.has_alpha) == ("PNG", None, True)


def test_an_upscale_of_an_unknown_picture_tells_only_its_format() -> None:
    assert paid("upscale").after(Known()) == Known(format="PNG")


def test_the_exact_size_is_promised_up_to_the_cap_and_not_beyond() -> None:
    step = paid("upscale", {"scale": 4})
    assert UPSCALE_CAP == 16_777_216
    assert step.expect(facts(1024, 1024)) == Expect(size=(4096, 4096))
    assert step.expect(facts(1025, 1024)) == Expect()
    assert step.expect(None) == Expect()
    assert paid("upscale").expect(facts(2048, 2048)) == Expect(size=(4096, 4096))
    assert paid("upscale").expect(facts(2048, 2049)) == Expect()


def test_a_cut_out_promises_alpha_and_the_size_that_was_sent() -> None:
    step = paid("background-remove")
    assert step.expect(facts(300, 200)) == Expect(size=(300, 200), alpha=True)
    assert step.expect(None) == Expect(alpha=True)
    assert step.after(Known(300, 200, has_alpha=False, format="JPEG", bytes=9)) == Known(
        300, 200, has_alpha=True, format="PNG"
    )


def test_an_edit_promises_nothing() -> None:
    assert paid("edit", {"prompt": "p"}).after(Known(300, 200, has_alpha=True, format="PNG", bytes=9)) == Known()
    assert paid("edit", {"prompt": "p"}).expect(facts(300, 200)) == Expect()


# File names


@pytest.mark.parametrize(
    ("name", "fields", "extension"),
    [
        ("upscale", {}, "png"),
        ("background-remove", {}, "png"),
        ("edit", {}, "png"),
        ("edit", {"output_format": "jpeg"}, "jpg"),
        ("edit", {"output_format": "webp", "model": "nano-banana-pro-edit", "resolution": "4K"}, "webp"),
        ("edit", {"model": "nano-banana-pro-edit", "resolution": "1K"}, "png"),
        ("edit", {"model": "nano-banana-pro-edit", "resolution": "2K"}, "jpg"),
        ("edit", {"model": "nano-banana-pro-edit", "resolution": "4K"}, "jpg"),
        ("edit", {"model": "two-tiers"}, "jpg"),
        ("multi-edit", {"modelId": "nano-banana-pro-edit", "resolution": "2K", "output_format": "png"}, "png"),
        ("generate", {"model": "z-image-turbo"}, "webp"),
        ("generate", {"model": "z-image-turbo", "format": "jpeg"}, "jpg"),
        ("generate", {"model": "z-image-turbo", "format": "png"}, "png"),
    ],
)
def test_the_extension_follows_the_apis_own_rule(
    catalogue: Catalogue, name: str, fields: dict[str, Any], extension: str
) -> None:
    prompt = {} if name in {"upscale", "background-remove"} else {"prompt": "p"}
    assert paid(name, {**prompt, **fields}).extension(catalogue) == extension


NANO_4K = {"model": "nano-banana-pro-edit", "resolution": "4K"}


def test_the_tier_is_the_one_written_else_the_models_own(catalogue: Catalogue) -> None:
    steps = [paid("edit", {"prompt": "p", **more}) for more in ({}, {"model": "two-tiers"}, NANO_4K)]
    assert [step.tier(catalogue) for step in steps if isinstance(step, Edit)] == ["1K", "2K", "4K"]
