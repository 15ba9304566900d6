"""Events on their way into a journal and back: the same, or refused."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.state import Event, ItemId, ResultGone, RunEnded, Settled
from venice_batch.state.event_json import from_json, to_json

KINDS = get_args(Event)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
for _type, _strategy in ((str, st.text()), (float, _FINITE)):
    st.register_type_strategy(_type, _strategy)
events = st.one_of(*(st.builds(kind) for kind in KINDS))


@given(events)
def test_what_is_read_is_what_was_written(event: Event) -> None:
    line = to_json(event)
    assert line.isascii()
    assert "\n" not in line
    again = from_json(line)
    assert again == event
    assert to_json(again) == line


def test_a_default_takes_no_room() -> None:
    assert (
        to_json(RunEnded(1, 2.0, 0, closed=False))
        == '{"event":"RunEnded","run":1,"at":2.0,"exit_code":0,"closed":false}'
    )
    assert "status" not in to_json(Settled(1, "spent", "answered", 2.0))


@given(events, st.data())
def test_a_line_that_lacks_a_field_or_has_another_is_refused(event: Event, data: st.DataObject) -> None:
    said = json.loads(to_json(event))
    needed = [field.name for field in fields(event) if field.default is MISSING]
    left_out = data.draw(st.sampled_from(["event", *needed]))
    lacking = {name: value for name, value in said.items() if name != left_out}
    for line in (json.dumps(lacking), json.dumps({**said, "extra": 1})):
        with pytest.raises(ValueError, match=r"."):
            from_json(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        '"ResultGone"',
        "{}",
        '{"event":"ResultGone"}',
        '{"event":"ResultGone","key":null}',
        '{"event":"ResultGone","key":7}',
        '{"event":["ResultGone"],"key":"a"}',
        '{"event":"Event","key":"a"}',
        '{"event":"RunEnded","run":true,"at":2.0,"exit_code":0,"closed":false}',
        '{"event":"RunEnded","run":1,"at":NaN,"exit_code":0,"closed":false}',
        '{"event":"RunEnded","run":1,"at":"2","exit_code":0,"closed":false}',
        '{"event":"RunEnded","run":1,"at":2.0,"exit_code":0,"closed":0}',
        '{"event":"RunEnded","run":1.0,"at":2.0,"exit_code":0,"closed":false}',
        '{"event":"OutputPlanned","item":["a","b"],"path":"c"}',
        '{"event":"OutputPlanned","item":["a","b",true],"path":"c"}',
        '{"event":"OutputPlanned","item":"a","path":"c"}',
        '{"event":"ResultGone","key":"a"} {}',
    ],
)
def test_what_is_not_exactly_an_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(line)


def test_what_a_number_cannot_say_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(RunEnded(1, float("nan"), 0, closed=False))


def test_a_whole_number_stands_for_a_time() -> None:
    assert from_json('{"event":"RunStarted","run":1,"job":"a","at":2}') == from_json(
        '{"event":"RunStarted","run":1,"job":"a","at":2.0}'
    )
    assert from_json('{"event":"ResultGone","key":"a"}') == ResultGone("a")
    assert ItemId("a", "b") == ItemId("a", "b", 0)
