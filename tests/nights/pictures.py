"""Pictures that tell by their pixels which source they were made from and which prompt edited them.

A source is a row of coloured stripes between black bars on a plain backdrop, which stays readable through a cut-out, an
enlargement, an edit of the emulator and a lossy rendition. The colours are the digits of the picture's number.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE = (320, 240)
BACKDROP = (242, 242, 238)
_BLACK = (8, 8, 8)
#: The digits, far apart from each other, from black, and from the pale backdrops.
_COLOURS = ((215, 25, 25), (20, 160, 30), (25, 40, 215), (235, 215, 20), (215, 25, 200), (20, 205, 215))
_DIGITS = 4
#: A band of this height, as a share of the picture's, holds the stripes.
_BAND = (0.3, 0.7)
_DARK, _NEAR = 70, 110
#: JPEG and a resize move a colour by a few levels.
_TOLERANCE = 14
NUMBERS = len(_COLOURS) ** _DIGITS


@dataclass(frozen=True)
class Seen:
    """What a finished file shows.

    Attributes:
        number: of the source, None where it cannot be read.
        size: in pixels.
        ground: the colour of its upper left corner, where an edit shows its prompt.
    """

    number: int | None
    size: tuple[int, int]
    ground: tuple[int, int, int]


def draw(number: int, suffix: str) -> bytes:
    """Return the bytes of source `number`, encoded as its file's suffix says."""
    picture = Image.new("RGB", SIZE, BACKDROP)
    canvas = ImageDraw.Draw(picture)
    top, bottom = (round(SIZE[1] * share) for share in _BAND)
    units = 2 * _DIGITS + 1
    wide = SIZE[0] * 3 // 5 // units
    left = (SIZE[0] - wide * units) // 2
    for unit in range(units):
        colour = _BLACK if unit % 2 == 0 else _COLOURS[number // len(_COLOURS) ** (unit // 2) % len(_COLOURS)]
        canvas.rectangle((left + unit * wide, top, left + (unit + 1) * wide - 1, bottom), fill=colour)
    held = io.BytesIO()
    picture.save(held, "PNG" if suffix == ".png" else "JPEG", quality=90)
    return held.getvalue()


def read(content: bytes) -> Seen:
    """Return what the pixels of a finished file tell.

    Raises:
        OSError: it is no whole picture.
    """
    with Image.open(io.BytesIO(content)) as opened:
        opened.load()
        picture = _on_white(opened)
    # An edit of the emulator sets its subject a little above the middle.
    line = [_pixel(picture, column, round(picture.height * 0.48)) for column in range(picture.width)]
    return Seen(_number(line), picture.size, _pixel(picture, 2, 2))


def shows_prompt(seen: Seen, prompt: str) -> bool:
    """Whether the backdrop is the one that the emulator draws for `prompt`."""
    digest = hashlib.sha256(prompt.encode()).digest()
    wanted = tuple(128 + level * 3 // 8 for level in digest[:3])
    return all(abs(one - other) <= _TOLERANCE for one, other in zip(seen.ground, wanted, strict=True))


def _on_white(opened: Image.Image) -> Image.Image:
    cut = opened.convert("RGBA")
    ground = Image.new("RGB", cut.size, (255, 255, 255))
    ground.paste(cut, (0, 0), cut)
    return ground


def _pixel(picture: Image.Image, column: int, line: int) -> tuple[int, int, int]:
    found = picture.getpixel((column, line))
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def _number(line: list[tuple[int, int, int]]) -> int | None:
    """Read the stripes between the black bars, each by its middle pixel."""
    bars = _bars(line)
    if len(bars) != _DIGITS + 1:
        return None
    number = 0
    for place, (left, right) in enumerate(itertools.pairwise(bars)):
        digit = _digit(line[(left[1] + right[0]) // 2])
        if digit is None:
            return None
        number += digit * len(_COLOURS) ** place
    return number


def _bars(line: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return first and last column of every black bar."""
    bars: list[tuple[int, int]] = []
    for column, pixel in enumerate(line):
        if max(pixel) >= _DARK:
            continue
        if bars and bars[-1][1] == column - 1:
            bars[-1] = (bars[-1][0], column)
        else:
            bars.append((column, column))
    return [bar for bar in bars if bar[1] > bar[0]]


def _digit(pixel: tuple[int, int, int]) -> int | None:
    distances = [sum(abs(a - b) for a, b in zip(pixel, colour, strict=True)) for colour in _COLOURS]
    nearest = min(range(len(_COLOURS)), key=distances.__getitem__)
    return nearest if distances[nearest] <= _NEAR else None
