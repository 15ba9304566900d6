"""What may be written for a local step, and what is said about the rest."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from venice_batch.imaging.geometry import Length
from venice_batch.imaging.local_ops import Crop, Operation, Overlay, Pad, Resize, Trim
from venice_batch.steps.local_fields import LocalFields
from venice_batch.steps.table import STEPS, StepKind

FIVE_PERCENT = Length(Fraction(1, 20), relative=True)


def operation(name: str, **fields: object) -> Operation:
    made = STEPS[name].fields.model_validate(fields, context={"folder": Path("/jobs")})
    assert isinstance(made, LocalFields)
    return made.operation()


def complaint(name: str, **fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        STEPS[name].fields.model_validate(fields)
    (detail,) = caught.value.errors()
    context: dict[str, Any] = detail.get("ctx", {})
    return f"{context.get('what', detail['msg'])}; {context.get('instead', '')}"


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        (
            "pad",
            {"aspect_ratio": "1:1", "margin": "5%", "color": "white"},
            Pad(None, Fraction(1), FIVE_PERCENT, (255,) * 3),
        ),
        ("pad", {"size": "2000x1500", "margin": 40}, Pad((2000, 1500), margin=Length(Fraction(40)))),
        (
            "pad",
            {"margin": "2.5%", "color": "Transparent"},
            Pad(margin=Length(Fraction(1, 40), relative=True), color="transparent"),
        ),
        ("resize", {"max_side": "800"}, Resize(800, 800)),
        ("resize", {"width": 8, "height": 9, "mode": "fill", "gravity": "top"}, Resize(8, 9, "fill", gravity="top")),
        ("resize", {"height": 9, "enlarge": "true"}, Resize(None, 9, enlarge=True)),
        ("trim", {"tolerance": "10 %"}, Trim(0.1)),
        ("crop", {"left": "5%", "width": "20px"}, Crop(Length(Fraction(20)), left=FIVE_PERCENT)),
        ("crop", {"aspect_ratio": "4:5", "gravity": "top"}, Crop(ratio=Fraction(4, 5), gravity="top")),
        ("overlay", {"file": "brand/logo.png", "size": "5%"}, Overlay(Path("/jobs/brand/logo.png"), size=FIVE_PERCENT)),
    ],
)
def test_a_step_reads_as_it_is_written(name: str, fields: dict[str, object], expected: Operation) -> None:
    assert operation(name, **fields) == expected


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("resize", {}, "resize has no size; write width, height or max_side"),
        ("resize", {"width": 0}, "greater than or equal to 1"),
        ("resize", {"width": 5, "max_side": 5}, "exclude each other"),
        ("resize", {"width": 5, "mode": "fill"}, "mode fill needs both sides"),
        ("resize", {"width": 5, "height": 5, "mode": "cover"}, "'fit', 'fill' or 'exact'"),
        ("resize", {"width": 5, "gravity": "top"}, "only mode fill cuts anything off"),
        ("trim", {"tolerance": "101%"}, "0% to 100%"),
        ("trim", {"tolerance": 4}, "0% to 100%"),
        ("pad", {}, "pad has no canvas; write aspect_ratio, size or margin"),
        ("pad", {"color": "white"}, "pad has no canvas"),
        ("pad", {"aspect_ratio": "1:1", "size": "5x5"}, "exclude each other"),
        ("pad", {"aspect_ratio": "auto"}, "width:height"),
        ("pad", {"size": 2000}, "such as 2000x2000"),
        ("pad", {"size": "99999x5"}, "such as 2000x2000"),
        ("pad", {"margin": "50%"}, "at most 45%"),
        ("pad", {"margin": "5 percent"}, "pixels such as 40, or a share such as 5%"),
        ("pad", {"margin": "1.5"}, "whole pixels"),
        ("pad", {"margin": 5, "color": "whit"}, "an unquoted # begins a comment"),
        ("pad", {"margin": 5, "enlarge": True}, "without size"),
        ("flatten", {"color": "transparent"}, "is not a colour"),
        ("crop", {}, "crop keeps everything"),
        ("crop", {"aspect_ratio": "1:1", "width": 5}, "exclude each other"),
        ("crop", {"left": 5, "gravity": "top"}, "exclude each other"),
        ("crop", {"width": "0%"}, "out of range"),
        ("overlay", {}, "required"),
        ("overlay", {"file": "https://a.example/logo.png"}, "is an address, not a path"),
        ("overlay", {"file": "a.png", "opacity": 50}, "0 to 1"),
        ("overlay", {"file": "a.png", "position": "middle"}, "'center'"),
        ("convert", {}, "required"),
        ("convert", {"format": "gif"}, "'jpeg', 'png', 'webp' or 'avif'"),
        ("convert", {"format": "png", "quality": 80}, "png loses nothing"),
        ("convert", {"format": "jpeg", "quality": 101}, "less than or equal to 100"),
        ("srgb", {"profile": "a.icc"}, "not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write_instead(
    name: str, fields: dict[str, object], words: str
) -> None:
    assert words in complaint(name, **fields)


@pytest.mark.parametrize("kind", STEPS.values(), ids=STEPS)
def test_a_step_is_either_a_call_or_an_operation_and_is_summed_up(kind: StepKind) -> None:
    assert kind.paid != issubclass(kind.fields, LocalFields)
    assert kind.summary.endswith(".")


@pytest.mark.parametrize("name", STEPS)
def test_every_field_has_a_description_that_is_a_sentence(name: str) -> None:
    for field in STEPS[name].fields.model_fields.values():
        assert field.description
        assert field.description.endswith(".")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("pad", {"aspect_ratio": "1:1", "margin": "5%", "color": "#fff"}),
        ("pad", {"size": "20x30", "margin": 4, "color": "transparent", "enlarge": True}),
        ("resize", {"width": 5, "height": 6, "mode": "fill", "gravity": "top-left"}),
        ("trim", {"tolerance": "4%"}),
        ("trim", {"tolerance": 0.04}),
        ("crop", {"left": 0, "top": "1.5%", "width": "50 %", "height": 5}),
        ("overlay", {"file": "a.png", "size": "5%", "opacity": "50%", "position": "top"}),
        ("convert", {"format": "avif", "quality": 50}),
    ],
)
def test_the_schema_takes_what_is_read(name: str, fields: dict[str, object]) -> None:
    operation(name, **fields)
    assert not list(Draft202012Validator(STEPS[name].fields.model_json_schema()).iter_errors(fields))
