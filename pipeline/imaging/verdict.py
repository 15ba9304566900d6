"""How an answer of the API is judged: what was promised, and what was found. Pure values, without Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.imaging.facts import Facts


@dataclass(frozen=True, slots=True)
class Expect:
    """What an answer was promised to be.

    Attributes:
        size: width and height in pixels, met within 2 pixels per side; None when the API promises none.
        alpha: whether an alpha channel is promised.
    """

    size: tuple[int, int] | None = None
    alpha: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a whole picture turned out to be.

    Attributes:
        facts: the picture.
        flags: what speaks against publishing it, from ``wrong-type``, ``wrong-size``, ``no-alpha``, ``blank``; empty
            when it is accepted.
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
