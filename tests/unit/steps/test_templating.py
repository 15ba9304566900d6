"""Placeholders in texts, and what a row decides about a condition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from venice_batch.steps.conditions import Condition, Decided, Known, parse
from venice_batch.steps.row_conditions import columns_of, needs_picture, resolve
from venice_batch.steps.templating import names, substitute

TEXTS = st.text(st.sampled_from("{}ab "), max_size=12)


def test_names_stand_once_in_their_order() -> None:
    assert names("{b} and {a}, {b}, {{c}} {") == ("b", "a")


def test_a_value_is_not_looked_at_again() -> None:
    assert substitute("{a}", {"a": "{b} {{"}.__getitem__) == "{b} {{"


@given(text=TEXTS)
def test_a_text_without_names_is_filled_with_nothing(text: str) -> None:
    asked: list[str] = []

    def value(name: str) -> str:
        asked.append(name)
        return f"<{name}>"

    substitute(text, value)
    assert tuple(dict.fromkeys(asked)) == names(text)


@given(text=TEXTS)
def test_doubled_braces_are_the_way_to_write_any_text(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert substitute(doubled, lambda name: f"<{name}>") == text


CONDITIONS = st.recursive(
    st.sampled_from(
        [{"metadata": {"a": "x"}}, {"metadata": {"b": ["x", "y"]}}, {"metadata": {"c": "present"}}, {"width_below": 5}]
    ),
    lambda inner: st.one_of(
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)


def plain(condition: object, row: dict[str, str], width: int | None) -> bool | None:
    """Judge a condition by its text alone, the slow way."""
    assert isinstance(condition, dict)
    ((key, value),) = condition.items()
    if key == "width_below":
        return None if width is None else width < value
    if key == "metadata":
        ((column, wanted),) = value.items()
        return bool(row[column]) if wanted == "present" else row[column] in [*wanted]
    if key == "not":
        part = plain(value, row, width)
        return None if part is None else not part
    parts = [plain(each, row, width) for each in value]
    decisive = key == "any"
    return decisive if decisive in parts else None if None in parts else not decisive


@given(
    condition=CONDITIONS,
    row=st.fixed_dictionaries({name: st.sampled_from(["", "x", "y", "z"]) for name in "abc"}),
    width=st.sampled_from([None, 4, 5]),
)
def test_what_is_left_of_a_condition_holds_as_the_whole_did(
    condition: dict[str, object], row: dict[str, str], width: int | None
) -> None:
    left: Condition | None = resolve(parse(condition), row.__getitem__)
    assert (True if left is None else left.holds(Known(width=width))) is plain(condition, row, width)
    assert columns_of(left) == ()
    assert left is None or left == Decided(wanted=False) or needs_picture(left)
