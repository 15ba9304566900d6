"""Lengths, colours and anchors: checked here, kept as they are written.

Kept, because a local step's parameters are part of what a result is found by for years: ``5%`` must not become
something else when a class changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from venice_batch import imaging
from venice_batch.imaging.geometry import Length, Size
from venice_batch.steps.scalars import NUMBER, TEXT, as_number, as_text, invalid, quoted

#: Most pixels per side that any format of a finished file but PNG can hold.
LONGEST = 65_500
_LENGTH = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(%|px)?")

Anchor: TypeAlias = Annotated[
    Literal["center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right"],
    TEXT,
]


def length(text: int | str) -> Length:
    """Return a checked length: ``12``, ``12px`` or ``5%``."""
    match = _LENGTH.fullmatch(str(text))
    if match is None:
        raise ValueError(f"not a length: {text!r}")
    amount = Fraction(match[1])
    return Length(amount / 100, relative=True) if match[2] == "%" else Length(amount)


def pair(text: str) -> Size:
    """Return a checked size, ``2000x1500``, as two numbers of pixels."""
    width, height = text.split("x")
    return int(width), int(height)


def ratio(text: str) -> Fraction:
    """Return a checked shape, ``4:5``, as width / height."""
    width, height = text.split(":")
    return Fraction(int(width), int(height))


def _length(least: int, most_percent: int) -> Callable[[object], int | str]:
    """Make a check: whole pixels from `least` on, or up to `most_percent` %."""

    def check(value: object) -> int | str:
        text = as_text(value).strip()
        match = _LENGTH.fullmatch(text)
        if match is None:
            raise invalid(f"{quoted(value)} is not a length", "write pixels such as 40, or a share such as 5%")
        amount = Decimal(match[1])
        if match[2] == "%":
            if amount > most_percent or amount < min(least, 1):
                raise invalid(f"{quoted(value)} is out of range", f"write at most {most_percent}%")
            return f"{amount.normalize():f}%"
        if amount != int(amount) or not least <= amount <= LONGEST:
            raise invalid(f"{quoted(value)} is out of range", f"write whole pixels from {least} to {LONGEST:,}, or %")
        return int(amount)

    return check


def _size(value: object) -> str:
    text = as_text(value).strip().lower().replace("\N{MULTIPLICATION SIGN}", "x")
    match = re.fullmatch(r"([1-9][0-9]{0,4}) ?x ?([1-9][0-9]{0,4})", text)
    if match is None or max(int(match[1]), int(match[2])) > LONGEST:
        raise invalid(f"{quoted(value)} is not a size", "write width x height in pixels, such as 2000x2000")
    return f"{match[1]}x{match[2]}"


def _color(value: object) -> str:
    text = as_text(value).strip().lower()
    try:
        imaging.rgb(text)
    except ValueError:
        hint = "write a name such as white, or #rrggbb in quotes: an unquoted # begins a comment"
        raise invalid(f"{quoted(value)} is not a colour", hint) from None
    return text


def _color_or_none(value: object) -> str:
    text = as_text(value).strip().lower()
    return text if text == "transparent" else _color(value)


def share(value: object) -> float:
    """Take a share: ``4%`` or 0.04.

    Raises:
        PydanticCustomError: the value is not from 0 to 1.
    """
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", as_text(value).strip())
    number = float(Decimal(match[1]) / 100) if match else float(as_number(value))
    if not 0 <= number <= 1:
        raise invalid(f"{quoted(value)} is out of range", "write 0% to 100%, or 0 to 1")
    return number


def _lengths(least: int) -> WithJsonSchema:
    text = {"type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? ?(%|px)? *$"}
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": least, "maximum": LONGEST}, text]})


_HEX = "^ *(#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6}|[a-zA-Z]+) *$"
_SHARES = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? ?% *$"},
    ]
}

Extent: TypeAlias = Annotated[int | str, BeforeValidator(_length(1, 100)), _lengths(1)]
Offset: TypeAlias = Annotated[int | str, BeforeValidator(_length(0, 100)), _lengths(0)]
Margin: TypeAlias = Annotated[int | str, BeforeValidator(_length(0, 45)), _lengths(0)]
Side: TypeAlias = Annotated[int, Field(ge=1, le=LONGEST), NUMBER]
_DIMENSIONS = {"type": "string", "pattern": "^ *[1-9][0-9]* ?[xX\u00d7] ?[1-9][0-9]* *$"}
Dimensions: TypeAlias = Annotated[str, BeforeValidator(_size), WithJsonSchema(_DIMENSIONS)]
Color: TypeAlias = Annotated[str, BeforeValidator(_color), WithJsonSchema({"type": "string", "pattern": _HEX})]
ColorOrNone: TypeAlias = Annotated[
    str, BeforeValidator(_color_or_none), WithJsonSchema({"type": "string", "pattern": _HEX})
]
Percent: TypeAlias = Annotated[float, BeforeValidator(share), WithJsonSchema(_SHARES)]
EncodingQuality: TypeAlias = Annotated[int, Field(ge=1, le=100), NUMBER]
