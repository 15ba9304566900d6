"""``when:`` — typed tests on a picture, or on its row of the metadata, that decide whether a step is done.

No expressions, nothing is evaluated.

A condition is judged while planning, when an edit's answer has no size yet, so it has three answers: it holds, it does
not, or it cannot be known before an earlier answer is there. The last is never guessed: the plan shows a range.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar, TypeAlias

from pydantic import JsonValue
from pydantic_core import PydanticCustomError

from venice_batch.imaging.facts import READ_FORMATS
from venice_batch.steps.scalars import as_bytes, as_flag, as_number, as_text, invalid, quoted

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
        """Return None: only the item's row decides it, see `resolve`."""
        return None

    def has(self, cell: str) -> bool:
        """Whether a cell passes the test; spaces around its text do not count."""
        text = cell.strip()
        return text != "" if self.values is None else text in self.values

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {"metadata": {self.column: "present" if self.values is None else list(self.values)}}


@dataclass(frozen=True, slots=True)
class Decided:
    """What the item's row has decided already."""

    wanted: bool

    def holds(self, known: Known) -> bool | None:  # noqa: ARG002 - it is decided
        """Return the decision."""
        return self.wanted

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        # "settled" is stored: another word would make every item a changed one.
        return {"settled": self.wanted}


@dataclass(frozen=True, slots=True)
class _Several:
    """Conditions of which one that is `decisive` decides it, whatever is unknown about the others."""

    parts: tuple[Condition, ...]

    key: ClassVar[str]
    decisive: ClassVar[bool]

    def holds(self, known: Known) -> bool | None:
        """Judge what is known; None: not decidable yet."""
        answers = [part.holds(known) for part in self.parts]
        return self.decisive if self.decisive in answers else None if None in answers else not self.decisive

    def to_json(self) -> JsonValue:
        """Return the one JSON form that fingerprints are taken of."""
        return {self.key: [part.to_json() for part in self.parts]}


class All(_Several):
    """Every part holds."""

    __slots__ = ()
    key = "all"
    decisive = False


class AnyOf(_Several):
    """Some part holds."""

    __slots__ = ()
    key = "any"
    decisive = True


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


Condition: TypeAlias = Compare | HasAlpha | FormatIs | ColumnIs | Decided | All | AnyOf | Not


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
    *("has_alpha", "format", "metadata", "any", "all", "not"),
)
_COMPARISON = re.compile(f"({'|'.join(MEASURES)})_({'|'.join(RELATIONS)})")
_Path: TypeAlias = tuple[str | int, ...]


def parse(value: object) -> Condition:
    """Read a condition: a mapping of tests that must all hold.

    Args:
        value: plain mappings, lists and scalars, as they come from YAML.

    Returns:
        The condition; the order of keys makes no difference to it.

    Raises:
        BadCondition: with every fault and the path to it.
    """
    parser = _Parser()
    condition = parser.mapping(value, ())
    if parser.faults or condition is None:
        raise BadCondition(tuple(parser.faults))
    return condition


class _Parser:
    """Reads a condition to its end, so that one fault does not hide the others; a part with a fault is None."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def mapping(self, value: object, path: _Path) -> Condition | None:
        if not isinstance(value, Mapping) or not value:
            return self._fault(
                path, f"{quoted(value)} is not a condition", "write tests, such as {max_side_below: 2000}"
            )
        return _all([self._part(key, value[key], (*path, key)) for key in sorted(value, key=str)])

    def _part(self, key: str, value: object, path: _Path) -> Condition | None:
        match key:
            case "has_alpha" | "format":
                return self._checked(path, lambda: _of_file(key, value))
            case "metadata":
                return self._columns(value, path)
            case "any" | "all":
                return self._several(key, value, path)
            case "not":
                part = self.mapping(value, path)
                return None if part is None else Not(part)
            case _ if match := _COMPARISON.fullmatch(key):
                return self._checked(path, lambda: Compare(match[1], match[2], _bound(match[1], value)))
        return self._fault(path, f"unknown test {quoted(key)}", _nearest(key), about_key=True)

    def _several(self, key: str, value: object, path: _Path) -> Condition | None:
        if not isinstance(value, list | tuple) or not value:
            what = f"{quoted(value)} where a list of conditions is expected"
            return self._fault(path, what, "write [{...}, {...}]")
        parts = [self.mapping(item, (*path, place)) for place, item in enumerate(value)]
        known = tuple(part for part in parts if part is not None)
        if len(known) < len(parts):
            return None
        return AnyOf(known) if key == "any" else All(known)

    def _columns(self, value: object, path: _Path) -> Condition | None:
        """Read tests of the item's row, which must all hold: ``{category: [shoes, bags], title: present}``."""
        if not isinstance(value, Mapping) or not value:
            hint = "write columns, such as {category: shoes}, {category: [shoes, bags]} or {title: present}"
            return self._fault(path, f"{quoted(value)} where columns are expected", hint)

        def column(name: str) -> Condition | None:
            return self._checked((*path, name), lambda: ColumnIs(str(name), _accepted(value[name])))

        return _all([column(name) for name in sorted(value, key=str)])

    def _checked(self, path: _Path, read: Callable[[], Condition]) -> Condition | None:
        try:
            return read()
        except PydanticCustomError as error:
            context = error.context or {}
            return self._fault(path, str(context["what"]), str(context["instead"]))

    def _fault(self, path: _Path, what: str, instead: str, *, about_key: bool = False) -> Condition | None:
        self.faults.append(Fault(path, what, instead, about_key))
        return None


def _all(parts: Sequence[Condition | None]) -> Condition | None:
    known = tuple(part for part in parts if part is not None)
    if len(known) < len(parts):
        return None
    return known[0] if len(known) == 1 else All(known)


def _of_file(key: str, value: object) -> Condition:
    return HasAlpha(as_flag(value)) if key == "has_alpha" else FormatIs(tuple(sorted(set(_formats(value)))))


def _accepted(value: object) -> tuple[str, ...] | None:
    if value == "present":
        return None
    listed = value if isinstance(value, list | tuple) else [value]
    texts = sorted({as_text(one).strip() for one in listed})
    if not texts or "" in texts:
        raise invalid("an empty value decides nothing", "write a value or present; not: {...} tells what is empty")
    return tuple(texts)


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
        raise invalid(f"{quoted(value)} decides nothing", "write a number above 0")
    return bound


def _formats(value: object) -> Iterator[str]:
    names = value if isinstance(value, list | tuple) else [value]
    if not names:
        raise invalid("the list of formats is empty", "write one, such as jpeg")
    for given in names:
        name = as_text(given).lower()
        if name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, n=1)
            raise invalid(f"unknown format {quoted(given)}", f"did you mean {near[0]}?" if near else "write jpeg, png")
        yield FORMATS[name]


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, KEYS, n=1)
    return f"did you mean {near[0]}?" if near else f"known tests: {', '.join(KEYS)}"
