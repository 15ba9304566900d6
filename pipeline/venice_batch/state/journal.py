"""One object of a journal: a group of events that became durable together.

The first line is a header; one JSON line for each event follows. An object that was cut short, damaged, or put under
another number does not fit its header and is refused whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from venice_batch.errors import StateTooNew
from venice_batch.state.event_json import from_json, to_json
from venice_batch.state.events import Event
from venice_batch.state.schema import NEWEST

FORMAT = 1
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Record:
    """What one object holds: its number, who wrote it (a random name for each opening of a state), and the events."""

    number: int
    writer: str
    events: tuple[Event, ...]


def name(number: int) -> str:
    """Return the object's name; names sort like their numbers."""
    return f"{number:0{_DIGITS}}"


def number_of(name: str) -> int | None:
    """Return the number that the name stands for, or None for what is no object of a journal."""
    return int(name) if len(name) == _DIGITS and name.isascii() and name.isdecimal() else None


def encode(number: int, writer: str, events: Sequence[Event]) -> bytes:
    """Return the content of the object."""
    body = "".join(f"{to_json(event)}\n" for event in events).encode("ascii")
    header = {
        "format": FORMAT,
        "schema": NEWEST,
        "number": number,
        "writer": writer,
        "count": len(events),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(header).encode("ascii") + b"\n" + body


def decode(content: bytes, number: int) -> Record:
    """Return what `encode` was given.

    Args:
        content: the object.
        number: under which it lay.

    Raises:
        StateTooNew: a newer version wrote it.
        ValueError: it is not whole, or not this object.
    """
    first, _, body = content.partition(b"\n")
    header = parsed_header(first, f"object {number} of the journal")
    if (header.get("number"), header.get("sha256")) != (number, hashlib.sha256(body).hexdigest()):
        raise ValueError("the content does not fit the header")
    events = tuple(from_json(line) for line in body.decode("ascii").splitlines())
    if header.get("count") != len(events):
        raise ValueError("events are missing")
    return Record(number, str(header.get("writer")), events)


def parsed_header(line: bytes, what: str) -> dict[str, Any]:
    """Return the header of `what`.

    Raises:
        StateTooNew: a newer version wrote it: `format` or `schema` are above what is known here.
        ValueError: it is no header.
    """
    match json.loads(line):
        case {"format": int(form), "schema": int(schema)} as header:
            if form > FORMAT or schema > NEWEST:
                raise StateTooNew(
                    f"{what} was written by a newer version of venice-batch (schema {schema}, this one knows {NEWEST})",
                    remedy="upgrade venice-batch; nothing was changed",
                )
            return dict(header)
        case _:
            raise ValueError("the header names no version")
