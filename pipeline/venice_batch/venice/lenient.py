"""Reading the API's JSON so that an odd value costs itself alone, and is named.

A field of the types below takes what it cannot read for absent. What was given up stands in the list `notes` of the
validation context, for whoever wants to say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, WrapValidator
from pydantic.functional_validators import ModelWrapValidatorHandler

Value = TypeVar("Value")
Handler = ModelWrapValidatorHandler[Any]

#: No amount has more digits before or behind its point; `Decimal` takes 1e400, and no sum could be made with it.
_DIGITS = 20
#: Letters of an odd value that a note repeats.
_SHORT = 40
#: Notes that are kept: more say nothing new.
_MOST_NOTES = 20


class Lenient(BaseModel):
    """A part of an answer of which only the known fields are read."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("not an amount")  # noqa: TRY004 - pydantic takes a TypeError for a bug
    try:
        # A JSON number was parsed to a float; its shortest text is what the server wrote.
        amount = Decimal(str(value))
    except ArithmeticError as error:
        raise ValueError("not an amount") from error
    if not amount.is_finite() or abs(amount.adjusted()) >= _DIGITS:
        raise ValueError("not an amount of a size that can be reckoned with")
    return amount


def _whole(value: object) -> object:
    # To pydantic true is 1.
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - pydantic takes a TypeError for a bug
    return value


def _or_none(value: object, handler: Handler, info: ValidationInfo) -> Any:
    if value is None:
        return None
    try:
        return handler(value)
    except ValidationError as error:
        _note(info, error)
        return None


def _or_empty(value: object, handler: Handler, info: ValidationInfo) -> Any:
    try:
        return handler({} if value is None else value)
    except ValidationError as error:
        _note(info, error)
        return handler({})


def _each(value: object, handler: Handler, info: ValidationInfo) -> tuple[Any, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        _note(info, value)
        return ()
    kept: list[Any] = []
    for member in value:
        try:
            kept += handler((member,))
        except ValidationError as error:
            _note(info, error)
    return tuple(kept)


def _each_named(value: object, handler: Handler, info: ValidationInfo) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        _note(info, value)
        return {}
    kept: dict[str, Any] = {}
    for name, member in value.items():
        try:
            kept |= handler({name: member})
        except ValidationError as error:
            _note(info, error)
    return kept


def _note(info: ValidationInfo, odd: object) -> None:
    """Note an odd value, or what an error says of one within it."""
    notes = info.context.get("notes") if isinstance(info.context, dict) else None
    if not isinstance(notes, list) or len(notes) >= _MOST_NOTES:
        return
    place = [info.field_name or ""]
    if isinstance(odd, ValidationError):
        first = odd.errors(include_url=False, include_context=False)[0]
        place += [str(part)[:_SHORT] for part in first["loc"]]
        odd = first["input"]
    notes.append(f"{'.'.join(filter(None, place))} {_shown(odd)}")


def _shown(value: object) -> str:
    """Return a short word for an odd value; it is data, however long and whatever is in it."""
    if isinstance(value, str):
        return ascii(value[:_SHORT])
    scalar = value is None or isinstance(value, bool | int | float | Decimal)
    return str(value)[:_SHORT] if scalar else type(value).__name__


#: A finite amount of a size that can be reckoned with; a number, or text that spells one.
Amount: TypeAlias = Annotated[Decimal, BeforeValidator(_amount)]
Whole: TypeAlias = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=10**9)]
#: A value, or None where it is absent or cannot be read.
Maybe: TypeAlias = Annotated[Value | None, WrapValidator(_or_none)]
#: An object, or an empty one where it is absent or none.
Part: TypeAlias = Annotated[Value, WrapValidator(_or_empty)]
#: The members of a list that can be read.
Several: TypeAlias = Annotated[tuple[Value, ...], WrapValidator(_each)]
#: The members of an object that can be read.
Named: TypeAlias = Annotated[Mapping[str, Value], WrapValidator(_each_named)]
