"""How an answer of the API is judged: what was promised, and what was found. Pure values, without Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from venice_batch.imaging.facts import Facts


@dataclass(frozen=True, slots=True)
class Expect:
    """What an answer was promised to be, and what it must be to be published. None asks for nothing.

    Attributes:
        size: width and height in pixels, met within 2 pixels per side.
        alpha: whether an alpha channel is promised.
        min_width: fewest pixels per row.
        min_height: fewest rows.
        min_side: fewest pixels of the shorter side.
        opaque_between: the least and the largest share of the picture, 0 to 1, that a cut-out may cover. What is half
            transparent counts half.
        not_blank: whether something must be seen: a picture of nearly one colour is flagged.
        aspect_ratio: width / height.
        aspect_within: how far the ratio may be off, as a share of it.
        min_sharpness: the least `judging.sharpness`, 0 to 127.
    """

    size: tuple[int, int] | None = None
    alpha: bool = False
    min_width: int | None = None
    min_height: int | None = None
    min_side: int | None = None
    opaque_between: tuple[float, float] | None = None
    not_blank: bool = True
    aspect_ratio: float | None = None
    aspect_within: float = 0.01
    min_sharpness: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the fields that ask for something, as a dict that `json.dumps` takes and `from_json` reads."""
        asked = {name: value for name, value in asdict(self).items() if value != _NOTHING_ASKED[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Expect:
        """Read what `to_json` wrote, in this version or an earlier one; keys of a later version are ignored."""
        known = {name: value for name, value in data.items() if name in _NOTHING_ASKED}
        read = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        return cls(**read)  # type: ignore[arg-type]  # our own file: what `to_json` wrote has the types of the fields


_NOTHING_ASKED: Mapping[str, object] = {field.name: field.default for field in fields(Expect)}


#: Every flag, with what it says of an answer. The first two come from the API's headers, the rest from the picture.
FLAGS: Mapping[str, str] = {
    "blocked": "the API says that it violates its content policy",
    "blurred": "the API says that it blurred it",
    "wrong-type": "a picture, but of another format than its label says",
    "wrong-size": "of another size than promised",
    "too-small": "smaller than asked for",
    "wrong-aspect": "of another shape than asked for",
    "no-alpha": "without the transparency that was promised",
    "empty-cutout": "next to nothing is left of the subject",
    "full-cutout": "next to nothing was cut away",
    "blank": "nothing can be seen: nearly one colour, or all transparent",
    "soft": "less sharp than asked for",
}


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """What a whole picture turned out to be.

    Attributes:
        facts: the picture.
        flags: what speaks against publishing it, in the order of `FLAGS`; empty when it is accepted.
    """

    facts: Facts
    flags: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.flags


class NotAPicture(Exception):
    """The answer is not a whole picture: cut short, empty, text, or damaged.

    Attributes:
        reason: what it is instead, one line of printable text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
