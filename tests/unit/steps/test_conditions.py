from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.imaging.facts import READ_FORMATS
from venice_batch.steps.canonical_json import digest
from venice_batch.steps.conditions import (
    KEYS,
    MEASURES,
    All,
    AnyOf,
    BadCondition,
    ColumnIs,
    Compare,
    Condition,
    Decided,
    Known,
    Not,
    parse,
)
from venice_batch.steps.row_conditions import needs_picture, resolve

PHOTO = Known(width=1000, height=800, has_alpha=False, format="JPEG", bytes=500_000)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"width_below": 1000}, False),
        ({"width_below": 1001}, True),
        ({"width_at_least": 1000}, True),
        ({"height_at_least": 801}, False),
        ({"max_side_below": 1001}, True),
        ({"max_side_at_least": 1001}, False),
        ({"min_side_at_least": 800}, True),
        ({"min_side_below": 800}, False),
        ({"pixels_at_least": 800_000}, True),
        ({"pixels_below": 800_000}, False),
        ({"bytes_below": "501KB"}, True),
        ({"bytes_at_least": 500_001}, False),
        ({"aspect_ratio_at_least": "5:4"}, True),
        ({"aspect_ratio_at_least": 1.25}, True),
        ({"aspect_ratio_below": "5:4"}, False),
        ({"aspect_ratio_below": "1.26"}, True),
        ({"has_alpha": False}, True),
        ({"has_alpha": "true"}, False),
        ({"format": "jpg"}, True),
        ({"format": "JPEG"}, True),
        ({"format": ["png", "webp"]}, False),
        ({"width_below": 2000, "height_below": 100}, False),
        ({"width_below": 2000, "height_below": 1000}, True),
        ({"any": [{"width_below": 5}, {"format": "jpeg"}]}, True),
        ({"all": [{"width_below": 5}, {"format": "jpeg"}]}, False),
        ({"not": {"has_alpha": True}}, True),
        ({"not": {"not": {"has_alpha": True}}}, False),
    ],
)
def test_a_condition_is_judged_by_what_is_known(condition: object, holds: bool) -> None:  # noqa: FBT001 - a table
    assert parse(condition).holds(PHOTO) is holds


@pytest.mark.parametrize("key", [key for key in KEYS if key not in {"any", "all", "not"}])
def test_every_test_waits_for_what_is_not_known_yet(key: str) -> None:
    value: object = {"has_alpha": True, "format": "png", "metadata": {"title": "present"}}.get(key, 1)
    assert parse({key: value}).holds(Known()) is None


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"any": [{"bytes_below": 1}, {"width_below": 2000}]}, True),
        ({"any": [{"bytes_below": 1}, {"width_below": 2}]}, None),
        ({"all": [{"bytes_below": 1}, {"width_below": 2}]}, False),
        ({"all": [{"bytes_below": 1}, {"width_below": 2000}]}, None),
        ({"bytes_below": 1, "width_below": 2}, False),
        ({"not": {"bytes_below": 1}}, None),
        ({"pixels_below": 1}, None),
    ],
)
def test_an_unknown_part_decides_only_where_the_others_do_not(condition: object, holds: bool | None) -> None:  # noqa: FBT001
    assert parse(condition).holds(Known(width=1000)) is holds


ANY_FORMAT = {"any": [{"format": ["JPEG"]}, {"not": {"format": ["PNG"]}}]}

#: Every measure of two pictures, one wide and one high: no two measures of a picture are the same number.
WIDE = Known(width=300, height=200, bytes=7_000)
MEASURED: dict[str, tuple[int | str, int | str]] = {
    "width": (300, 210),
    "height": (200, 320),
    "max_side": (300, 320),
    "min_side": (200, 210),
    "pixels": (60_000, 67_200),
    "bytes": (7_000, 8_000),
    "aspect_ratio": ("3:2", "21:32"),
}
HIGH = Known(width=210, height=320, bytes=8_000)


@pytest.mark.parametrize("picture", [0, 1], ids=["wide", "high"])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_is_compared_with_its_bound_exactly(measure: str, picture: int) -> None:
    known, bound = (WIDE, HIGH)[picture], MEASURED[measure][picture]
    number = Fraction(bound.replace(":", "/")) if isinstance(bound, str) else Fraction(bound)
    above = f"{number.numerator * 1000 + 1}:{number.denominator * 1000}" if isinstance(bound, str) else bound + 1
    assert parse({f"{measure}_at_least": bound}).holds(known) is True
    assert parse({f"{measure}_below": bound}).holds(known) is False
    assert parse({f"{measure}_at_least": above}).holds(known) is False
    assert parse({f"{measure}_below": above}).holds(known) is True


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("missing", ["width", "height", "bytes"])
def test_a_measure_waits_for_just_what_it_is_made_of(measure: str, missing: str) -> None:
    known = replace(WIDE, **{missing: None})
    needed = {measure} if measure in {"width", "height", "bytes"} else {"width", "height"}
    assert (known.measure(measure) is None) is (missing in needed)


def test_a_ratio_is_exact() -> None:
    third = Known(width=1, height=3)
    assert parse({"aspect_ratio_at_least": "1:3"}).holds(third) is True
    assert parse({"aspect_ratio_below": 0.1}) == Compare("aspect_ratio", "below", Fraction(1, 10))


def test_a_photo_of_several_pictures_is_a_jpeg() -> None:
    assert parse({"format": "jpeg"}).holds(Known(format="MPO")) is True


def test_the_formats_are_those_that_can_be_opened() -> None:
    for name in READ_FORMATS:
        assert parse({"format": name}).holds(Known(format=name)) is True


@pytest.mark.parametrize(
    ("condition", "faults"),
    [
        ({}, [((), "a mapping is not a condition")]),
        ("wide", [((), '"wide" is not a condition')]),
        ([], [((), "a list is not a condition")]),
        ({"width_bellow": 1}, [(("width_bellow",), 'unknown test "width_bellow"')]),
        ({"width_below": 0}, [(("width_below",), "0 decides nothing")]),
        ({"width_below": True}, [(("width_below",), "true is not a number")]),
        ({"width_below": "4:5"}, [(("width_below",), '"4:5" is not a number')]),
        ({"aspect_ratio_below": "0:5"}, [(("aspect_ratio_below",), '"0:5" is not a number')]),
        ({"bytes_below": "x"}, [(("bytes_below",), '"x" is not a size')]),
        ({"has_alpha": 1}, [(("has_alpha",), "1 is neither true nor false")]),
        ({"format": []}, [(("format",), "the list of formats is empty")]),
        ({"format": "doc"}, [(("format",), 'unknown format "doc"')]),
        ({"any": []}, [(("any",), "a list where a list of conditions is expected")]),
        ({"any": {"width_below": 1}}, [(("any",), "a mapping where a list of conditions is expected")]),
        ({"not": [{"width_below": 1}]}, [(("not",), "a list is not a condition")]),
        (
            {"all": [{"x": 1}, {"width_below": 1}, {"not": {"y": 1}}], "z": 1},
            [
                (("all", 0, "x"), 'unknown test "x"'),
                (("all", 2, "not", "y"), 'unknown test "y"'),
                (("z",), 'unknown test "z"'),
            ],
        ),
    ],
)
def test_a_bad_condition_gives_every_fault_with_its_path(
    condition: object, faults: list[tuple[tuple[str | int, ...], str]]
) -> None:
    with pytest.raises(BadCondition) as caught:
        parse(condition)
    assert [(fault.path, fault.what) for fault in caught.value.faults] == faults
    assert all(fault.instead for fault in caught.value.faults)


_TESTS = st.one_of(
    st.builds(lambda key, bound: {key: bound}, st.sampled_from(KEYS[:10]), st.integers(1, 2000)),
    st.builds(lambda alpha: {"has_alpha": alpha}, st.booleans()),
    st.builds(lambda a, b: {"aspect_ratio_below": f"{a}:{b}"}, st.integers(1, 30), st.integers(1, 30)),
)
_CONDITIONS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _TESTS,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)
_KNOWN = st.builds(
    Known,
    width=st.none() | st.integers(1, 2000),
    height=st.none() | st.integers(1, 2000),
    has_alpha=st.none() | st.booleans(),
)


@given(_CONDITIONS, _KNOWN, st.integers(1, 2000), st.integers(1, 2000), st.booleans())
def test_an_answer_given_early_is_never_taken_back(
    written: dict[str, Any],
    known: Known,
    width: int,
    height: int,
    alpha: bool,  # noqa: FBT001 - drawn
) -> None:
    condition = parse(written)
    early = condition.holds(known)
    whole = Known(
        width=width if known.width is None else known.width,
        height=height if known.height is None else known.height,
        has_alpha=alpha if known.has_alpha is None else known.has_alpha,
        bytes=1000,
    )
    assert condition.holds(whole) is not None
    assert early in {None, condition.holds(whole)}


@given(_CONDITIONS, _KNOWN)
def test_a_condition_read_back_from_its_json_is_the_same(written: dict[str, Any], known: Known) -> None:
    condition = parse(written)
    again = parse(condition.to_json())
    assert digest(again.to_json()) == digest(condition.to_json())
    assert again.holds(known) is condition.holds(known)


def test_the_order_of_keys_makes_no_difference() -> None:
    one = parse({"width_below": 5, "has_alpha": True, "format": ["png", "jpg"]})
    other = parse({"format": ["jpeg", "png"], "has_alpha": "true", "width_below": 5.0})
    assert one == other
    assert digest(one.to_json()) == digest(other.to_json())
    assert isinstance(one, All)


def test_different_conditions_have_different_json() -> None:
    part = {"width_below": 5}
    forms = [
        parse(part),
        Not(parse(part)),
        AnyOf((parse(part),)),
        parse({"width_below": 6}),
        parse({"height_below": 5}),
    ]
    assert len({digest(form.to_json()) for form in forms}) == len(forms)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ({"metadata": "shoes"}, "where columns are expected"),
        ({"metadata": {}}, "where columns are expected"),
        ({"metadata": {"category": []}}, "decides nothing"),
        ({"metadata": {"category": ""}}, "decides nothing"),
        ({"metadata": {"category": {"equals": "x"}}}, "where text is expected"),
    ],
)
def test_a_test_of_columns_that_makes_no_sense_is_told(condition: object, told: str) -> None:
    with pytest.raises(BadCondition, match=told):
        parse(condition)


def test_a_number_in_a_test_of_columns_is_the_text_that_was_written() -> None:
    assert parse({"metadata": {"size": [42, "41"]}}).to_json() == {"metadata": {"size": ["41", "42"]}}


@pytest.mark.parametrize(
    ("condition", "stored"),
    [
        (parse({"aspect_ratio_below": 0.8}), {"aspect_ratio_below": "4:5"}),
        (
            parse({"bytes_at_least": "2KB", "has_alpha": True}),
            {"all": [{"bytes_at_least": "2000"}, {"has_alpha": True}]},
        ),
        (parse({"any": [{"format": "jpg"}, {"not": {"format": "png"}}]}), ANY_FORMAT),
        (parse({"metadata": {"title": "present"}}), {"metadata": {"title": "present"}}),
        (Decided(wanted=False), {"settled": False}),
    ],
)
def test_the_json_that_stored_fingerprints_were_taken_of_stays(condition: Condition, stored: object) -> None:
    assert condition.to_json() == stored


def test_spaces_around_a_value_do_not_count() -> None:
    test = parse({"metadata": {"category": " shoes "}})
    assert test == ColumnIs("category", ("shoes",))
    assert test.has("shoes ")
    assert not test.has("sho es")
    assert not ColumnIs("category", None).has("  ")


def test_what_a_row_has_decided_needs_no_picture() -> None:
    assert not needs_picture(Decided(wanted=False))
    assert not needs_picture(ColumnIs("category", None))
    assert needs_picture(parse({"not": {"has_alpha": True}}))


def test_a_row_decides_its_part_and_leaves_every_test_of_the_picture() -> None:
    condition = parse({"metadata": {"kind": "shoes"}, "has_alpha": True, "width_below": 5})
    assert resolve(condition, lambda _: "shoes") == parse({"has_alpha": True, "width_below": 5})
    assert resolve(condition, lambda _: "bags") == Decided(wanted=False)
    assert resolve(parse({"metadata": {"kind": "shoes"}}), lambda _: "shoes") is None
