"""From what a person wrote to a typed value, with the remedy when it does not fit.

A job file is typed by hand and filled from environment variables, a prompts file has text columns only: so a number
in a text field gives the text as it was written, and text that is plainly a number or a truth value counts as one.
What is sent is always the right JSON type, since the API refuses numbers sent as text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError


class Strict(BaseModel):
    """Base of every model of a job file: unknown keys are refused, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class IntLiteral(int):
    """A whole number that remembers how it was written, so that ``007`` can still become text."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Parse decimal digits."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class FloatLiteral(float):
    """A decimal number that remembers how it was written: ``1.10`` as text is not ``1.1``."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Parse a decimal number."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def invalid(what: str, instead: str = "", *, at: str = "") -> PydanticCustomError:
    """Make the error that a validator raises: what is wrong, what to write instead, and at which field.

    Args:
        what: what is wrong, without the field's name.
        instead: what to write instead.
        at: the field to point at, for a rule between several fields.
    """
    return PydanticCustomError("refused", "{what}", {"what": what, "instead": instead, "at": at})


#: Letters of a value that a message repeats.
_SHORT = 60


def quoted(value: object) -> str:
    """Show a value in a message: short, in quotes when it is text, without control characters."""
    if isinstance(value, IntLiteral | FloatLiteral):
        return value.text[:_SHORT]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        line = "".join(letter if letter.isprintable() else "?" for letter in value)
        return f'"{line}"' if len(line) <= _SHORT else f'"{line[: _SHORT - 3]}..."'
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else str(value)[:_SHORT]


def as_text(value: object) -> str:
    """Take text, or a number or true/false as the letters that were written.

    Raises:
        PydanticCustomError: The value is a list, a mapping or nothing.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, IntLiteral | FloatLiteral):
        return value.text
    if isinstance(value, bool | int | float):
        return str(value).lower()
    raise invalid(f"{quoted(value)} where text is expected", "write one text")


def as_number(value: object) -> int | float:
    """Take a number, or text that is plainly a decimal number; true and false are no numbers.

    Raises:
        PydanticCustomError: The value is not a finite number.
    """
    if isinstance(value, str):
        value = number_in(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(f"{quoted(value)} is not a number", "write a number")
    return int(value) if isinstance(value, int) else float(value)


#: More digits than any field needs; beyond, Python's own conversion slows down and then refuses.
_LONGEST_NUMBER = 40


def number_in(text: str) -> IntLiteral | FloatLiteral | str:
    """Return the number that a text spells by YAML 1.2's core schema (decimal only), else the text itself."""
    if len(text) > _LONGEST_NUMBER:
        return text
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return IntLiteral(text)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        number = FloatLiteral(text)
        return number if math.isfinite(number) else text
    return text


def as_flag(value: object) -> bool:
    """Take true or false, also as text in any case (early documents of the API show ``enhance: "true"``).

    Raises:
        PydanticCustomError: The value is neither.
    """
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word in {"true", "false"}:
        return word == "true"
    raise invalid(f"{quoted(value)} is neither true nor false", "write true or false")


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def as_bytes(value: object) -> int:
    """Take a size in bytes: a whole number, or text such as ``500KB`` (1 KB is 1,000 bytes, 1 KiB is 1,024).

    Raises:
        PydanticCustomError: The value is not a size of at least one byte.
    """
    text = value.text if isinstance(value, IntLiteral | FloatLiteral) else str(value).strip()
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([a-z]{0,3})", text.lower())
    if isinstance(value, bool) or match is None or match[2] not in _UNITS:
        raise invalid(f"{quoted(value)} is not a size", "write bytes, or a size such as 500KB or 20MB")
    size = float(match[1]) * _UNITS[match[2]]
    if size < 1:
        raise invalid(f"{quoted(value)} is less than one byte", "write a size such as 500KB or 20MB")
    return int(size)


_SHAPE = "[1-9][0-9]{0,3}:[1-9][0-9]{0,3}"


def _shape(value: object) -> str:
    text = as_text(value)
    if not re.fullmatch(_SHAPE, text):
        raise invalid(f"{quoted(value)} is not an aspect ratio", "write it as width:height, such as 4:5")
    return text


def _ratio(value: object) -> str:
    if isinstance(value, int | float):
        raise invalid(f"{quoted(value)} is not an aspect ratio", "write it as width:height, such as 4:5, or auto")
    return _not_empty(value)


def _format(value: object) -> str:
    text = as_text(value)
    return "jpeg" if text == "jpg" else text


def _ascii(value: object) -> str:
    text = _not_empty(value)
    if not text.isascii() or not text.isprintable():
        raise invalid(f"{quoted(text)} has other letters than ASCII", "write plain letters and digits")
    return text


def _not_empty(value: object) -> str:
    text = as_text(value)
    if not text.strip():
        raise invalid("the text is empty", "write some text, or remove the field")
    return text


NOT_EMPTY = BeforeValidator(_not_empty)
TEXT = BeforeValidator(as_text)
NUMBER = BeforeValidator(as_number)

Model: TypeAlias = Annotated[str, Field(min_length=1, max_length=200), NOT_EMPTY]
Prompt: TypeAlias = Annotated[str, Field(min_length=1, max_length=32_768), NOT_EMPTY]
Flag: TypeAlias = Annotated[bool, BeforeValidator(as_flag)]
#: One of the values that the catalogue lists for a model, such as a tier or a ratio: which there are, it alone knows.
Choice: TypeAlias = Annotated[str, Field(min_length=1, max_length=40), NOT_EMPTY]
Ratio: TypeAlias = Annotated[str, Field(min_length=1, max_length=40), BeforeValidator(_ratio)]
Shape: TypeAlias = Annotated[str, BeforeValidator(_shape), WithJsonSchema({"type": "string", "pattern": f"^{_SHAPE}$"})]
Encoding: TypeAlias = Annotated[
    Literal["jpeg", "png", "webp"], BeforeValidator(_format), WithJsonSchema({"enum": ["jpeg", "jpg", "png", "webp"]})
]
FileFormat: TypeAlias = Annotated[
    Literal["jpeg", "png", "webp", "avif"],
    BeforeValidator(_format),
    WithJsonSchema({"enum": ["jpeg", "jpg", "png", "webp", "avif"]}),
]
UserId: TypeAlias = Annotated[str, Field(min_length=1, max_length=128), BeforeValidator(_ascii)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1), NUMBER]
Side: TypeAlias = Annotated[int, Field(ge=1, le=1280), NUMBER]
Count: TypeAlias = Annotated[int, Field(ge=1), NUMBER]
Bytes: TypeAlias = Annotated[
    int,
    BeforeValidator(as_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?([kKmMgG][iI]?)?[bB]?$"},
            ]
        }
    ),
]
