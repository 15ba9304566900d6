"""What a scalar stands for: PyYAML's YAML 1.1 surprises are off, numbers remember how they were written."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.job import Job
from venice_batch.job.positions import plain
from venice_batch.job.yaml_tree import compose
from venice_batch.steps.fields import EditFields, as_sent

Loader = Callable[..., Job]


def _read(text: str) -> object:
    root, problems = compose(f"value: {text}\n", "x")
    assert root is not None
    assert not problems
    tree = plain(root)
    assert isinstance(tree, dict)
    return tree["value"]


@pytest.mark.parametrize(
    "text",
    [
        "16:9",
        "on",
        "no",
        "yes",
        "off",
        "y",
        "0o17",
        "0x1F",
        "1_000",
        "2026-11-21",
        ".inf",
        ".nan",
        "1e999",
        "+",
        ".",
        "1 2",
        "True",
        "FALSE",
        "Null",
        "9" * 50,
    ],
)
def test_it_stays_the_text_that_was_written(text: str) -> None:
    assert _read(text) == text
    assert isinstance(_read(text), str)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("4", 4),
        ("-3", -3),
        ("007", 7),
        ("1.10", 1.1),
        (".5", 0.5),
        ("1.", 1.0),
        ("2e3", 2000.0),
        ("+1", 1),
    ],
)
def test_it_stands_for_a_value(text: str, value: object) -> None:
    assert _read(text) == value
    assert type(value) in type(_read(text)).__mro__


@pytest.mark.parametrize("text", ["1.10", "007", "true", "2e3", "16:9", "on", "1_000", "True"])
def test_a_text_field_gets_the_letters_as_written(step: Loader, text: str) -> None:
    fields = step(f"edit: {{prompt: {text}}}").steps[0].fields
    assert isinstance(fields, EditFields)
    assert fields.prompt == text


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("safe_mode: true", True),
        ("safe_mode: 'true'", True),
        ("safe_mode: False", False),
        ("aspect_ratio: 16:9", "16:9"),
        ("aspect_ratio: 4:5", "4:5"),
        ("resolution: 2K", "2K"),
    ],
)
def test_a_field_gets_its_own_type(step: Loader, field: str, expected: object) -> None:
    sent = as_sent(step(f"edit: {{prompt: x, {field}}}").steps[0].fields)
    assert sent[field.split(":", maxsplit=1)[0]] == expected


@pytest.mark.parametrize(
    ("written", "sent"),
    [("2", "2"), ("2.0", "2"), ("'4'", "4")],
)
def test_a_number_is_sent_as_a_whole_number_where_it_is_one(step: Loader, written: str, sent: str) -> None:
    assert json.dumps(as_sent(step(f"upscale: {{scale: {written}}}").steps[0].fields)["scale"]) == sent


@given(
    st.text(
        st.characters(
            codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"
        )
    )
)
def test_quoted_text_comes_back_as_it_was(text: str) -> None:
    assert _read(json.dumps(text, ensure_ascii=False)) == text
    assert _read("'" + text.replace("'", "''") + "'") == text


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers_come_back_as_they_were(number: int) -> None:
    value = _read(str(number))
    assert value == number
    assert isinstance(value, int)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_numbers_come_back_as_they_were(number: float) -> None:
    value = _read(repr(number))
    assert value == number
    assert isinstance(value, float)
