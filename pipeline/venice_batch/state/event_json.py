"""Events as JSON lines and back: what a journal in a bucket is made of.

Reading is strict. A line of a journal decides what is bought again, so one that is not exactly an event of the closed
set is refused instead of being guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any, get_args, get_type_hints

from venice_batch.state.events import Event, ItemId

_KINDS: Mapping[str, type] = {kind.__name__: kind for kind in get_args(Event)}
_KIND = "event"


def to_json(event: Event) -> str:
    """Return the event as one line of ASCII JSON; fields that have their default are left out."""
    document: dict[str, object] = {_KIND: type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        if value != field.default:
            document[field.name] = [value.job, value.key, value.variant] if isinstance(value, ItemId) else value
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def from_json(line: str) -> Event:
    """Return the event that `to_json` wrote.

    Raises:
        ValueError: the line is not exactly an event.
    """
    document = json.loads(line, parse_constant=_refuse_constant)
    kind = _KINDS.get(str(document.pop(_KIND, ""))) if isinstance(document, dict) else None
    if kind is None:
        raise ValueError(f"not an event: {line[:80]}")
    shape = _shape(kind)
    if not shape.keys() >= document.keys():
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(document.keys() - shape.keys()))}")
    values = {name: _value(name, field, accepts, document) for name, (field, accepts) in shape.items()}
    event: Event = kind(**values)
    return event


def _value(name: str, field: Field[Any], accepts: Callable[[object], bool], document: Mapping[str, Any]) -> object:
    if name not in document:
        if field.default is MISSING:
            raise ValueError(f"{name} is missing")
        return field.default
    value = _item(document[name])
    if not accepts(value):
        raise ValueError(f"{name} cannot be {value!r}")
    return value


def _item(value: object) -> object:
    match value:
        case [str(job), str(key), int(variant)] if not isinstance(variant, bool):
            return ItemId(job, key, variant)
        case _:
            return value


@cache
def _shape(kind: type) -> Mapping[str, tuple[Field[Any], Callable[[object], bool]]]:
    hints = get_type_hints(kind)
    return {field.name: (field, _acceptor(hints[field.name])) for field in fields(kind)}


def _acceptor(hint: Any) -> Callable[[object], bool]:
    allowed: set[type] = set(get_args(hint)) or {hint}
    if float in allowed:
        # A time that was given as a whole number stays one on its way.
        allowed.add(int)
    # By the exact type: to isinstance, True would be a number.
    return lambda value: type(value) in allowed


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")
