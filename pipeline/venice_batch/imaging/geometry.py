"""Sizes, lengths and places, in whole pixels: one arithmetic for predicting a size and for cutting the pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

Size = tuple[int, int]
#: Left, top, right, bottom; right and bottom are the first column and row outside.
Box = tuple[int, int, int, int]

_HALF = Fraction(1, 2)

#: Where a smaller thing lies in a larger one: shares of the free room to its left and above it.
GRAVITIES: Mapping[str, tuple[Fraction, Fraction]] = MappingProxyType(
    {
        "center": (_HALF, _HALF),
        "top": (_HALF, Fraction(0)),
        "bottom": (_HALF, Fraction(1)),
        "left": (Fraction(0), _HALF),
        "right": (Fraction(1), _HALF),
        "top-left": (Fraction(0), Fraction(0)),
        "top-right": (Fraction(1), Fraction(0)),
        "bottom-left": (Fraction(0), Fraction(1)),
        "bottom-right": (Fraction(1), Fraction(1)),
    }
)


@dataclass(frozen=True, slots=True)
class Length:
    """A length in pixels, or as a share of something.

    Attributes:
        amount: pixels, or the share (1/20 for 5 %).
        relative: whether `amount` is a share.
    """

    amount: Fraction = Fraction(0)
    relative: bool = False

    def of(self, whole: int) -> int:
        """Return the length in whole pixels, where a share is one of `whole` pixels."""
        return nearest(self.amount * whole if self.relative else self.amount)


NOTHING = Length()


def nearest(value: Fraction) -> int:
    """Round to the nearest whole number, halves upwards (Python's own rounding sends them to the even neighbour)."""
    return math.floor(value + _HALF)


def times(size: Size, factor: Fraction) -> Size:
    """Return the size enlarged or shrunk by `factor`, each side at least one pixel."""
    return max(1, nearest(size[0] * factor)), max(1, nearest(size[1] * factor))


def within(size: Size, width: int | None, height: int | None, *, enlarge: bool) -> Size:
    """Return the largest size of the same shape that is inside `width` x `height`; None bounds nothing.

    Args:
        size: the picture.
        width: most pixels per row.
        height: most rows.
        enlarge: whether it may become larger than it is.
    """
    factors = [Fraction(most, side) for most, side in ((width, size[0]), (height, size[1])) if most is not None]
    factor = min(factors, default=Fraction(1))
    return size if factor >= 1 and not enlarge else times(size, factor)


def of_shape(size: Size, ratio: Fraction) -> Size:
    """Return the largest size of the shape `ratio` (width / height) inside `size`, each side at least one pixel."""
    if Fraction(*size) > ratio:
        return max(1, nearest(size[1] * ratio)), size[1]
    return size[0], max(1, nearest(size[0] / ratio))


def around(size: Size, ratio: Fraction | None, margin: Length) -> Size:
    """Return the smallest size of the shape `ratio` that holds `size` with `margin` left free on all four sides.

    Args:
        size: what must find room.
        ratio: width / height of the result; None takes it as it comes.
        margin: pixels, or a share below 1/2 of the result's shorter side.
    """
    if ratio is None:
        return _framed(size, margin)
    wide, high = max(ratio, Fraction(1)), max(1 / ratio, Fraction(1))
    share = 2 * margin.amount if margin.relative else Fraction(0)
    fixed = 0 if margin.relative else 2 * margin.of(0)
    shorter = math.ceil(max((size[0] + fixed) / (wide - share), (size[1] + fixed) / (high - share)))
    # Rounded up: rounding down could leave no room for the last row.
    return math.ceil(shorter * wide), math.ceil(shorter * high)


def _framed(size: Size, margin: Length) -> Size:
    room = margin.of(0)
    if margin.relative:
        # The margin is a share of the finished picture, margins included.
        room = nearest(margin.amount * min(size) / (1 - 2 * margin.amount))
    return size[0] + 2 * room, size[1] + 2 * room


def placed(inner: Size, outer: Size, gravity: str = "center", margin: int = 0) -> Box:
    """Return where `inner` lies in `outer`.

    Args:
        inner: the smaller size; nothing is said about one that is larger.
        outer: the larger size.
        gravity: one of `GRAVITIES`.
        margin: pixels kept free along the sides that it lies against.
    """
    across, down = GRAVITIES[gravity]
    left = margin + math.floor((outer[0] - 2 * margin - inner[0]) * across)
    top = margin + math.floor((outer[1] - 2 * margin - inner[1]) * down)
    return left, top, left + inner[0], top + inner[1]
