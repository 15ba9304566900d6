"""A pen for product shots: shapes in a square of 100 by 100 units, drawn large and shrunk for smooth edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]
#: Above this many pixels on the long side, two times larger is smooth enough and four times would need too much memory.
_LARGE = 1000


class Pen:
    """Draws onto a transparent sheet; units are hundredths of the sheet's shorter side, the square is centred."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._factor = 4 if max(size) <= _LARGE else 2
        self._sheet = Image.new("RGBA", (size[0] * self._factor, size[1] * self._factor), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._sheet)
        self._unit = min(self._sheet.size) / 100
        self._left = (self._sheet.width - 100 * self._unit) / 2
        self._top = (self._sheet.height - 100 * self._unit) / 2

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [(self._left + x * self._unit, self._top + y * self._unit) for x, y in points]

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        (x0, y0), (x1, y1) = self._at([(left, top), (right, bottom)])
        return x0, y0, x1, y1

    def oval(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an ellipse."""
        self._draw.ellipse(self._box(left, top, right, bottom), fill=colour)

    def ring(self, left: float, top: float, right: float, bottom: float, colour: Colour, *, width: float) -> None:
        """Draw an ellipse's outline; what it encloses stays as it is."""
        self._draw.ellipse(self._box(left, top, right, bottom), outline=colour, width=round(width * self._unit))

    def arc(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        *,
        angles: tuple[float, float],
        colour: Colour,
        width: float,
    ) -> None:
        """Draw a part of an ellipse's outline, angles in degrees clockwise from three o'clock."""
        box = self._box(left, top, right, bottom)
        self._draw.arc(box, angles[0], angles[1], fill=colour, width=round(width * self._unit))

    def block(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, *, round_by: float = 0.0
    ) -> None:
        """Fill a rectangle, with rounded corners if wanted."""
        box = self._box(left, top, right, bottom)
        self._draw.rounded_rectangle(box, radius=round_by * self._unit, fill=colour)

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._at(points), fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line with round joints and ends."""
        placed = self._at(points)
        thick = width * self._unit
        self._draw.line(placed, fill=colour, width=round(thick), joint="curve")
        for x, y in (placed[0], placed[-1]):
            self._draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)

    def finished(self) -> Image.Image:
        """Return the drawing in its real size, RGBA."""
        return self._sheet.resize(self._size, Image.Resampling.BOX)


@dataclass(frozen=True, slots=True)
class Shadow:
    """Where a product stands: an ellipse in the pen's units."""

    left: float
    right: float
    ground: float


def on_backdrop(product: Image.Image, colour: Colour, shadow: Shadow) -> Image.Image:
    """Put a cut-out product on a plain backdrop that darkens slightly to the floor, with a soft shadow; RGB."""
    floor = (max(0, colour[0] - 9), max(0, colour[1] - 9), max(0, colour[2] - 8))
    column = Image.new("RGB", (1, 2), colour)
    column.putpixel((0, 1), floor)
    scene = column.resize(product.size, Image.Resampling.BILINEAR)
    dark = Image.new("RGB", product.size, (floor[0] * 4 // 5, floor[1] * 4 // 5, floor[2] * 4 // 5))
    scene.paste(dark, (0, 0), _soft(product.size, shadow))
    scene.paste(product, (0, 0), product)
    return scene


def _soft(size: tuple[int, int], shadow: Shadow) -> Image.Image:
    """Return the shadow's mask, blurred in a small picture: a large blur costs seconds and looks the same."""
    small = (max(1, size[0] // 4), max(1, size[1] // 4))
    unit = min(small) / 100
    left, top = (small[0] - 100 * unit) / 2, (small[1] - 100 * unit) / 2
    mask = Image.new("L", small, 0)
    box = (left + shadow.left * unit, top + (shadow.ground - 3) * unit, left + shadow.right * unit)
    ImageDraw.Draw(mask).ellipse((*box, top + (shadow.ground + 3) * unit), fill=150)
    return mask.filter(ImageFilter.GaussianBlur(1.6 * unit)).resize(size, Image.Resampling.BILINEAR)
