"""What an answer is checked against: the API's promise, sensible defaults, and what the user wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from tests.unit.steps.conftest import paid
from venice_batch.imaging import Facts
from venice_batch.steps.answer_checks.expectations import Expect, ExpectFields, expect_of_call
from venice_batch.steps.answer_checks.verdict import check_answer

SENT = Facts(1200, 800, "JPEG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=9)


def written(**fields: object) -> ExpectFields:
    return ExpectFields.model_validate(fields)


def stored(expect: Expect | dict[str, object], **more: object) -> dict[str, Any]:
    """Return the facts of an answer as they come back from disk."""
    asked = expect.to_json() if isinstance(expect, Expect) else expect
    facts = {"content_type": "image/png", "violation": False, "blurred": False, "expect": asked, **more}
    return dict(json.loads(json.dumps(facts)))


def test_without_a_word_a_cut_out_must_be_neither_empty_nor_full() -> None:
    promised = paid("background-remove").expect(SENT)
    assert expect_of_call("background-remove", promised, None, SENT) == Expect(
        size=(1200, 800), alpha=True, opaque_between=(0.01, 0.99)
    )
    assert expect_of_call("edit", Expect(), None, SENT) == Expect()
    assert expect_of_call("upscale", paid("upscale").expect(SENT), None, SENT) == Expect(size=(2400, 1600))


def test_what_the_user_wrote_is_asked_on_top_of_what_is_promised() -> None:
    fields = written(min_side="900", alpha_share=["5%", 0.8], aspect_within="2%", sharpness=40, not_blank=False)
    assert expect_of_call("background-remove", Expect(size=(5, 6), alpha=True), fields, SENT) == Expect(
        size=(5, 6),
        alpha=True,
        min_side=900,
        opaque_between=(0.05, 0.8),
        not_blank=False,
        aspect_ratio=1.5,
        aspect_within=0.02,
        min_sharpness=40,
    )
    assert expect_of_call("edit", Expect(), written(aspect_within=0.02), None).aspect_ratio is None
    assert expect_of_call("edit", Expect(), written(min_width=5), SENT).aspect_ratio is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "nothing is expected"),
        ({"alpha_share": "5%"}, "two shares"),
        ({"alpha_share": ["90%", "5%"]}, "larger than the second"),
        ({"alpha_share": [5, 90]}, "out of range"),
        ({"sharpness": 0}, "greater than 0"),
        ({"min_sides": 5}, "not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        written(**fields)


def test_every_expectation_survives_being_stored() -> None:
    full = Expect((5, 6), True, 1, 2, 3, (0.1, 0.9), False, 1.5, 0.02, 40.0)  # noqa: FBT003 - every field, by place
    assert Expect.from_json(json.loads(json.dumps(full.to_json()))) == full
    assert Expect().to_json() == {}
    assert Expect.from_json({"size": None, "alpha": False}) == Expect()
    assert Expect.from_json({"size": [5, 6], "alpha": True, "of_a_later_version": 7}) == Expect((5, 6), alpha=True)


def cut_out(folder: Path, box: tuple[int, int, int, int]) -> Path:
    image = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle(box, fill=(180, 40, 60, 255))
    image.putpixel((7, 7), (1, 2, 3, 255))
    image.save(folder / "a.png")
    return folder / "a.png"


@pytest.mark.parametrize(
    ("box", "flags"),
    [
        ((100, 100, 200, 200), ()),
        ((0, 0, 20, 20), ("empty-cutout",)),
        ((0, 0, 399, 299), ("full-cutout",)),
        ((0, 0, 399, 290), ()),
    ],
)
def test_a_stored_cut_out_is_checked_from_its_facts_alone(
    tmp_path: Path, box: tuple[int, int, int, int], flags: tuple[str, ...]
) -> None:
    expect = expect_of_call("background-remove", Expect(alpha=True), None, SENT)
    assert check_answer(cut_out(tmp_path, box), stored(expect)).flags == flags


def test_what_an_earlier_version_stored_is_checked_as_it_was_promised(tmp_path: Path) -> None:
    path = cut_out(tmp_path, (0, 0, 399, 299))
    assert check_answer(path, stored({"size": [400, 300], "alpha": True})).flags == ()
    assert check_answer(path, stored({"size": [400, 310], "alpha": True})).flags == ("wrong-size",)


def test_what_the_headers_say_comes_first(tmp_path: Path) -> None:
    path = cut_out(tmp_path, (0, 0, 9, 9))
    facts = stored(expect_of_call("background-remove", Expect(), None, None), violation=True, blurred=True)
    assert check_answer(path, facts).flags == ("blocked", "blurred", "empty-cutout")
