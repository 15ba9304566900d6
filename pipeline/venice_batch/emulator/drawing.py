"""Draws products from a few shapes in a square of 100 by 100 units, large and then shrunk, for smooth edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
#: Above this many pixels on the long side, two times larger is smooth enough and four times would need too much memory.
_LARGE = 1000


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape; units are hundredths of the picture's shorter side, the square is centred.

    Attributes:
        kind: filled: ``oval``, ``block`` (a rectangle), ``polygon``; outlined: ``ring``, ``arch`` (the upper half of a
            ring), ``line`` with round ends.
        points: left, top, right, bottom of the bounding box; x and y of each point of a polygon or line.
        colour: RGB.
        width: of an outline; of a block, the radius of its corners.
    """

    kind: Literal["oval", "block", "polygon", "ring", "arch", "line"]
    points: Sequence[float]
    colour: Colour
    width: float = 0.0


def draw(shapes: Sequence[Shape], size: tuple[int, int]) -> Image.Image:
    """Return the shapes, each over those before it, on a transparent ground; RGBA of the size in pixels."""
    factor = 4 if max(size) <= _LARGE else 2
    sheet = Image.new("RGBA", (size[0] * factor, size[1] * factor), (0, 0, 0, 0))
    unit = min(sheet.size) / 100
    left, top = (sheet.width - 100 * unit) / 2, (sheet.height - 100 * unit) / 2
    canvas = ImageDraw.Draw(sheet)
    for shape in shapes:
        across, down = shape.points[::2], shape.points[1::2]
        points = [(left + x * unit, top + y * unit) for x, y in zip(across, down, strict=True)]
        _draw(canvas, shape, points, shape.width * unit)
    return sheet.resize(size, Image.Resampling.BOX)


def _draw(canvas: ImageDraw.ImageDraw, shape: Shape, points: list[tuple[float, float]], width: float) -> None:
    colour = shape.colour
    match shape.kind:
        case "oval":
            canvas.ellipse(points, fill=colour)
        case "block":
            canvas.rounded_rectangle(points, radius=width, fill=colour)
        case "polygon":
            canvas.polygon(points, fill=colour)
        case "ring":
            canvas.ellipse(points, outline=colour, width=round(width))
        case "arch":
            canvas.arc(points, 180, 360, fill=colour, width=round(width))
        case "line":
            canvas.line(points, fill=colour, width=round(width), joint="curve")
            for x, y in (points[0], points[-1]):
                canvas.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=colour)


def on_backdrop(product: Image.Image, colour: Colour, shadow: tuple[float, float, float]) -> Image.Image:
    """Put a cut-out product on a plain backdrop that darkens slightly to the floor, with a soft shadow; RGB.

    Args:
        product: RGBA.
        colour: of the backdrop.
        shadow: left and right end and height of the ellipse where the product stands, in units.
    """
    floor = (max(0, colour[0] - 9), max(0, colour[1] - 9), max(0, colour[2] - 8))
    column = Image.new("RGB", (1, 2), colour)
    column.putpixel((0, 1), floor)
    scene = column.resize(product.size, Image.Resampling.BILINEAR)
    dark = Image.new("RGB", product.size, (floor[0] * 4 // 5, floor[1] * 4 // 5, floor[2] * 4 // 5))
    scene.paste(dark, (0, 0), _shadow_mask(product.size, shadow))
    scene.paste(product, (0, 0), product)
    return scene


def _shadow_mask(size: tuple[int, int], shadow: tuple[float, float, float]) -> Image.Image:
    """Return the shadow, blurred in a small picture: a large blur costs seconds and looks the same."""
    small = (max(1, size[0] // 4), max(1, size[1] // 4))
    unit = min(small) / 100
    left, top = (small[0] - 100 * unit) / 2, (small[1] - 100 * unit) / 2
    begin, end, ground = shadow
    mask = Image.new("L", small, 0)
    box = (left + begin * unit, top + (ground - 3) * unit, left + end * unit, top + (ground + 3) * unit)
    ImageDraw.Draw(mask).ellipse(box, fill=150)
    return mask.filter(ImageFilter.GaussianBlur(1.6 * unit)).resize(size, Image.Resampling.BILINEAR)
