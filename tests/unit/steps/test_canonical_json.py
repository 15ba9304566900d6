from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.steps.canonical_json import canonical, digest

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_keys_are_sorted_and_there_is_no_white_space() -> None:
    assert canonical({"b": [1, 2.0, None], "a": {"ü": True}}) == '{"a":{"\\u00fc":true},"b":[1,2,null]}'


def test_a_digest_of_today_is_that_of_tomorrow() -> None:
    # Stored results are found by it: when this fails, people would buy every picture again.
    value = {"endpoint": "/image/edit", "parameters": {"prompt": "white marble", "model": "m"}, "scale": 2.5}
    assert digest(value) == "9dff47dbe6a38be8cf2b00a102f331bd525bc67d60b7884ae98bb6b1ba01c26c"


@pytest.mark.parametrize(("one", "other"), [(2, 2.0), (0, -0.0), ((1,), [1]), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_equal_parameters_have_one_spelling(one: object, other: object) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), (1, "1"), (None, "null"), ([1, 2], [2, 1]), ("", None)]
)
def test_different_parameters_have_different_spellings(one: object, other: object) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_a_number_without_a_json_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="has no JSON form"):
        canonical(value)


@pytest.mark.parametrize("value", [{1: 2}, {1, 2}, b"x", Decimal(1), object()])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


@given(_JSON)
def test_the_canonical_form_reads_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)
    assert canonical(value).isascii()
