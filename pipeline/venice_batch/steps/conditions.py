"""``when:`` — typed tests on a picture, or on its row of the metadata, that decide whether a step is done.

No expressions, nothing is evaluated.

A condition is judged while planning, when an edit's answer has no size yet, so it has three answers: it holds, it does
not, or it cannot be known before an earlier answer is there. The last is never guessed: the plan shows a range.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TypeAlias

from pydantic import JsonValue
from pydantic_core import PydanticCustomError

from venice_batch.imaging.facts import READ_FORMATS
from venice_batch.steps.scalars import as_bytes, as_flag, as_number, as_text, quoted, refusal

#: Numbers that can be measured on a picture.
MEASURES = ("width", "height", "max_side", "min_side", "pixels", "bytes", "aspect_ratio")
RELATIONS = ("below", "at_least")

#: What a job file may call a format, and Pillow's name for it.
FORMATS: Mapping[str, str] = MappingProxyType(
    {**{name.lower(): name for name in READ_FORMATS}, "jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}
)
#: Pillow opens photos of many cameras as MPO; to a person they are JPEG files.
_SAME_AS: Mapping[str, str] = MappingProxyType({"MPO": "JPEG"})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a picture so far; None: not yet.

    Attributes:
        width: pixels.
        height: pixels.
        has_alpha: whether it has an alpha channel.
        format: Pillow's name, such as ``JPEG``.
        bytes: size of the file.
    """

    width: int | None = None
    height: int | None = None
    has_alpha: bool | None = None
    format: str | None = None
    bytes: int | None = None

    def measure(self, name: str) -> Fraction | None:
        """Return one of `MEASURES`, exact, or None when it is not known yet."""
        if name == "bytes":
            return None if self.bytes is None else Fraction(self.bytes)
        if name in {"width", "height"}:
            side = self.width if name == "width" else self.height
            return None if side is None else Fraction(side)
        if self.width is None or self.height is None:
            return None
        return _of_both_sides(name, self.width, self.height)


def _of_both_sides(name: str, width: int, height: int) -> Fraction:
    if name == "aspect_ratio":
        return Fraction(width, height)
    if name == "pixels":
        return Fraction(width * height)
    return Fraction(max(width, height) if name == "max_side" else min(width, height))


@dataclass(frozen=True, slots=True)
class Compare:
    """One of `MEASURES` is below a bound, or at least as large."""

    measure: str
    relation: str
    bound: Fraction

    def holds(self, known: Known) -> bool | None:
        """Judge what is known; None: not decidable yet."""
        value = known.measure(self.measure)
        if value is None:
            return None
        return value < self.bound if self.relation == "below" else value >= self.bound

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {f"{self.measure}_{self.relation}": str(self.bound).replace("/", ":")}


@dataclass(frozen=True, slots=True)
class HasAlpha:
    """The picture has an alpha channel, or has none."""

    wanted: bool

    def holds(self, known: Known) -> bool | None:
        """Judge what is known; None: not decidable yet."""
        return None if known.has_alpha is None else known.has_alpha is self.wanted

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"has_alpha": self.wanted}


@dataclass(frozen=True, slots=True)
class FormatIs:
    """The file has one of these formats (Pillow's names, sorted)."""

    names: tuple[str, ...]

    def holds(self, known: Known) -> bool | None:
        """Judge what is known; None: not decidable yet."""
        return None if known.format is None else _SAME_AS.get(known.format, known.format) in self.names

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"format": list(self.names)}


@dataclass(frozen=True, slots=True)
class ColumnIs:
    """The item's row of the metadata has one of these values in a column (sorted); None: any value, but not empty."""

    column: str
    values: tuple[str, ...] | None

    def holds(self, known: Known) -> bool | None:  # noqa: ARG002 - the picture has no say in it
        """Return None: only the item's row decides it, by way of `settled`."""
        return None

    def has(self, cell: str) -> bool:
        """Whether a cell passes the test; spaces around its text do not count."""
        text = cell.strip()
        return text != "" if self.values is None else text in self.values

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"metadata": {self.column: "present" if self.values is None else list(self.values)}}


@dataclass(frozen=True, slots=True)
class Settled:
    """What the item's row has decided already."""

    wanted: bool

    def holds(self, known: Known) -> bool | None:  # noqa: ARG002 - it is decided
        """Return the decision."""
        return self.wanted

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"settled": self.wanted}


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; one that does not settles it, whatever is unknown about the others."""

    parts: tuple[Condition, ...]

    def holds(self, known: Known) -> bool | None:
        """Judge what is known; None: not decidable yet."""
        answers = [part.holds(known) for part in self.parts]
        return False if False in answers else None if None in answers else True

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"all": [part.to_json() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part holds; one that does settles it, whatever is unknown about the others."""

    parts: tuple[Condition, ...]

    def holds(self, known: Known) -> bool | None:
        """Judge what is known; None: not decidable yet."""
        answers = [part.holds(known) for part in self.parts]
        return True if True in answers else None if None in answers else False

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"any": [part.to_json() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition

    def holds(self, known: Known) -> bool | None:
        """Judge what is known; None: not decidable yet."""
        answer = self.part.holds(known)
        return None if answer is None else not answer

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"not": self.part.to_json()}


Condition: TypeAlias = Compare | HasAlpha | FormatIs | ColumnIs | Settled | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a condition; `path` leads to it from the condition's own top."""

    path: tuple[str | int, ...]
    what: str
    instead: str
    about_key: bool = False


class BadCondition(ValueError):
    """A condition cannot be understood; carries every fault found."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(fault.what for fault in faults))
        self.faults = faults


#: Every key of a condition.
KEYS = (
    *(f"{measure}_{relation}" for measure in MEASURES for relation in RELATIONS),
    "has_alpha",
    "format",
    "metadata",
    "any",
    "all",
    "not",
)


def parse(value: object) -> Condition:
    """Read a condition: a mapping of tests that must all hold.

    Args:
        value: plain mappings, lists and scalars, as they come from YAML.

    Returns:
        The condition; the order of keys makes no difference to it.

    Raises:
        BadCondition: with every fault and the path to it.
    """
    faults: list[Fault] = []
    condition = _mapping(value, (), faults)
    if faults or condition is None:
        raise BadCondition(tuple(faults))
    return condition


_Path: TypeAlias = tuple[str | int, ...]


def _mapping(value: object, path: _Path, faults: list[Fault]) -> Condition | None:
    if not isinstance(value, Mapping) or not value:
        faults.append(Fault(path, f"{quoted(value)} is not a condition", "write tests, such as {max_side_below: 2000}"))
        return None
    parts = [_part(key, value[key], (*path, key), faults) for key in sorted(value, key=str)]
    known = tuple(part for part in parts if part is not None)
    if len(known) < len(parts):
        return None
    return known[0] if len(known) == 1 else All(known)


def _part(key: str, value: object, path: _Path, faults: list[Fault]) -> Condition | None:
    if key in {"any", "all"}:
        return _several(key, value, path, faults)
    if key == "not":
        part = _mapping(value, path, faults)
        return None if part is None else Not(part)
    if key == "metadata":
        return _of_columns(value, path, faults)
    try:
        return _test(key, value)
    except KeyError:
        faults.append(Fault(path, f"unknown test {quoted(key)}", _nearest(key), about_key=True))
    except PydanticCustomError as error:
        context = error.context or {}
        faults.append(Fault(path, str(context.get("what", error)), str(context.get("instead", ""))))
    return None


def _several(key: str, value: object, path: _Path, faults: list[Fault]) -> Condition | None:
    if not isinstance(value, list | tuple) or not value:
        faults.append(Fault(path, f"{quoted(value)} where a list of conditions is expected", "write [{...}, {...}]"))
        return None
    parts = [_mapping(item, (*path, place), faults) for place, item in enumerate(value)]
    known = tuple(part for part in parts if part is not None)
    if len(known) < len(parts):
        return None
    return AnyOf(known) if key == "any" else All(known)


def _of_columns(value: object, path: _Path, faults: list[Fault]) -> Condition | None:
    """Read tests of the item's row, which must all hold: ``{category: [shoes, bags], title: present}``."""
    if not isinstance(value, Mapping) or not value:
        hint = "write columns, such as {category: shoes}, {category: [shoes, bags]} or {title: present}"
        faults.append(Fault(path, f"{quoted(value)} where columns are expected", hint))
        return None
    parts: list[Condition] = []
    for column in sorted(value, key=str):
        try:
            parts.append(ColumnIs(str(column), _wanted(value[column])))
        except PydanticCustomError as error:
            context = error.context or {}
            fault = Fault((*path, column), str(context.get("what", error)), str(context.get("instead", "")))
            faults.append(fault)
    if len(parts) < len(value):
        return None
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _wanted(value: object) -> tuple[str, ...] | None:
    if value == "present":
        return None
    written = value if isinstance(value, list | tuple) else [value]
    texts = sorted({as_text(one).strip() for one in written})
    if not texts or "" in texts:
        raise refusal("an empty value decides nothing", "write a value or present; not: {...} tells what is empty")
    return tuple(texts)


def _test(key: str, value: object) -> Condition:
    """Read one test.

    Raises:
        KeyError: there is no such test.
        PydanticCustomError: the value does not fit it.
    """
    if key == "has_alpha":
        return HasAlpha(as_flag(value))
    if key == "format":
        return FormatIs(tuple(sorted(set(_formats(value)))))
    match = re.fullmatch(f"({'|'.join(MEASURES)})_({'|'.join(RELATIONS)})", key)
    if match is None:
        raise KeyError(key)
    return Compare(match[1], match[2], _bound(match[1], value))


def _bound(measure: str, value: object) -> Fraction:
    if measure == "bytes":
        return Fraction(as_bytes(value))
    text = as_text(value)
    ratio = re.fullmatch(r"([1-9][0-9]{0,5}):([1-9][0-9]{0,5})", text)
    if measure == "aspect_ratio" and ratio is not None:
        return Fraction(int(ratio[1]), int(ratio[2]))
    # By way of text, so that 0.8 is exactly 4/5 and not the nearest binary fraction.
    bound = Fraction(str(as_number(value)))
    if bound <= 0:
        raise refusal(f"{quoted(value)} decides nothing", "write a number above 0")
    return bound


def _formats(value: object) -> Iterator[str]:
    names = value if isinstance(value, list | tuple) else [value]
    if not names:
        raise refusal("the list of formats is empty", "write one, such as jpeg")
    for written in names:
        name = as_text(written).lower()
        if name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, n=1)
            raise refusal(
                f"unknown format {quoted(written)}", f"did you mean {near[0]}?" if near else "write jpeg, png"
            )
        yield FORMATS[name]


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, KEYS, n=1)
    return f"did you mean {near[0]}?" if near else f"known tests: {', '.join(KEYS)}"
