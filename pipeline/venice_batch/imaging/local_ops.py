"""What can be done to a picture, as values without Pillow: the operations of local steps, and finished files.

Each operation sees an upright picture in sRGB: pixels are turned and converted as they are decoded, so `Orient` and
`ToSrgb` only say that this is wanted even where nothing else is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

from venice_batch.errors import ItemError
from venice_batch.imaging.facts import SENDABLE_MODES, Facts, Limits, fitted_size, needs
from venice_batch.imaging.geometry import NOTHING, Box, Length, Size, around, of_shape, placed, within

Rgb = tuple[int, int, int]
Format = Literal["JPEG", "PNG", "WEBP", "AVIF"]
ResizeMode = Literal["fit", "fill", "exact"]

#: What a job file may call a format: Pillow's name, and the extension of its files.
FORMATS: dict[Literal["jpeg", "png", "webp", "avif"], tuple[Format, str]] = {
    "jpeg": ("JPEG", "jpg"),
    "png": ("PNG", "png"),
    "webp": ("WEBP", "webp"),
    "avif": ("AVIF", "avif"),
}


class _Operation:
    """What most operations have in common: they keep the size, or change the file only where they change the size."""

    __slots__ = ()

    def size_after(self, size: Size) -> Size | None:
        """Return the size that comes out of an upright picture of `size`; None: only the pixels can tell."""
        return size

    def changes(self, facts: Facts) -> bool:
        """Tell whether a file with these facts would become another one; True where only the pixels can tell."""
        return self.size_after(facts.size) != facts.size


@dataclass(frozen=True, slots=True)
class Orient(_Operation):
    """Turn the picture upright by its EXIF orientation."""

    def changes(self, facts: Facts) -> bool:
        """Whether a file is not upright as stored."""
        return facts.orientation != 1


@dataclass(frozen=True, slots=True)
class ToSrgb(_Operation):
    """Convert the colours to sRGB; grey stays grey."""

    def changes(self, facts: Facts) -> bool:
        """Whether the mode is none that the web shows; a foreign profile is found when the file is opened."""
        return facts.mode not in SENDABLE_MODES


@dataclass(frozen=True, slots=True)
class Fit(_Operation):
    """Shrink into limits, and where they name bytes, encode until the file is below them."""

    limits: Limits

    def size_after(self, size: Size) -> Size | None:
        """Return the size within the limits on sides and pixels; bytes may shrink it further."""
        return fitted_size(size, self.limits)

    def changes(self, facts: Facts) -> bool:
        """Whether the file is outside the limits."""
        return bool(needs(facts, self.limits))


@dataclass(frozen=True, slots=True)
class Resize(_Operation):
    """Scale to a size.

    Attributes:
        width: pixels; None: whatever the shape asks for (``fit`` only).
        height: the same for rows.
        mode: ``fit`` inside the size, ``fill`` it and cut off what is outside, or ``exact``, whatever the shape.
        enlarge: whether more pixels may come out than went in.
        gravity: which part ``fill`` keeps.
    """

    width: int | None
    height: int | None
    mode: ResizeMode = "fit"
    enlarge: bool = False
    gravity: str = "center"

    def size_after(self, size: Size) -> Size | None:
        """Return the size that comes out; for ``exact`` the one asked for, which may be refused as an enlargement."""
        if self.width is None or self.height is None or self.mode == "fit":
            return within(size, self.width, self.height, enlarge=self.enlarge)
        box = (self.width, self.height)
        if self.mode == "exact" or self.enlarge:
            return box
        # The shape is what `fill` promises, so it is kept where the pixels do not suffice.
        part = of_shape(size, Fraction(*box))
        return part if part[0] < box[0] or part[1] < box[1] else box


@dataclass(frozen=True, slots=True)
class Trim(_Operation):
    """Cut off a border that is transparent or of nearly one colour.

    Attributes:
        tolerance: how far a channel may be from the border's colour and still belong to it, as a share of 255.
    """

    tolerance: float = 0.04

    def size_after(self, size: Size) -> Size | None:  # noqa: ARG002 - only the pixels know
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class Pad(_Operation):
    """Put the picture in the middle of a larger canvas.

    Attributes:
        size: the canvas, into which the picture is shrunk if need be; None: as large as the picture asks for.
        ratio: width / height of the canvas, instead of `size`.
        margin: left free on all four sides; a share counts from the canvas's shorter side.
        color: of the canvas, seen through transparent parts too; ``transparent``; or None: transparent where the
            picture is, otherwise white.
        enlarge: with `size`, enlarge a small picture until it reaches the margins.
    """

    size: Size | None = None
    ratio: Fraction | None = None
    margin: Length = NOTHING
    color: Rgb | Literal["transparent"] | None = None
    enlarge: bool = False

    def size_after(self, size: Size) -> Size | None:
        """Return the size of the canvas."""
        return self.size or around(size, self.ratio, self.margin)

    def inner(self, size: Size) -> Size:
        """Return the size of the picture on the canvas.

        Raises:
            ItemError: ``no-room``: the margins leave none.
        """
        if self.size is None:
            return size
        room = 2 * self.margin.of(min(self.size))
        if room >= min(self.size):
            raise ItemError("no-room", f"margins of {room // 2} px leave no room on {self.size[0]}x{self.size[1]}")
        return within(size, self.size[0] - room, self.size[1] - room, enlarge=self.enlarge)

    def changes(self, facts: Facts) -> bool:
        """Whether the canvas is larger, or its colour shows through."""
        colour_shows = isinstance(self.color, tuple) and facts.has_alpha
        return colour_shows or self.size_after(facts.size) != facts.size or self.inner(facts.size) != facts.size


@dataclass(frozen=True, slots=True)
class Flatten(_Operation):
    """Lay the picture on a colour, so that nothing of it is transparent."""

    color: Rgb = (255, 255, 255)

    def changes(self, facts: Facts) -> bool:
        """Whether there is anything transparent."""
        return facts.has_alpha


@dataclass(frozen=True, slots=True)
class Crop(_Operation):
    """Keep a part: a box, or the largest part of a shape.

    Attributes:
        width: of the part; None: up to the right edge, or the whole width.
        height: the same, downwards.
        left: distance from the left edge; None: by `gravity`.
        top: distance from the upper edge; None: by `gravity`.
        ratio: width / height of the part, instead of `width` and `height`.
        gravity: where the part lies.
    """

    width: Length | None = None
    height: Length | None = None
    left: Length | None = None
    top: Length | None = None
    ratio: Fraction | None = None
    gravity: str = "center"

    def box(self, size: Size) -> Box:
        """Return the part of a picture of `size` that is kept, in pixels.

        Raises:
            ItemError: ``too-small``: the part is not inside the picture, or has no pixel.
        """
        if self.ratio is not None:
            return placed(of_shape(size, self.ratio), size, self.gravity)
        part = (_extent(self.width, self.left, size[0]), _extent(self.height, self.top, size[1]))
        left, top, _, _ = placed(part, size, self.gravity)
        left = left if self.left is None else self.left.of(size[0])
        top = top if self.top is None else self.top.of(size[1])
        right, bottom = left + part[0], top + part[1]
        if min(part) < 1 or left < 0 or top < 0 or right > size[0] or bottom > size[1]:
            raise ItemError(
                "too-small",
                f"crop asks for {part[0]}x{part[1]} at {left},{top}, and the picture is {size[0]}x{size[1]}",
                remedy="give the box in %, or leave small pictures out with `when`",
            )
        return left, top, right, bottom

    def size_after(self, size: Size) -> Size | None:
        """Return the size of the part, or None where it is not inside the picture."""
        try:
            left, top, right, bottom = self.box(size)
        except ItemError:
            return None
        return right - left, bottom - top


def _extent(wanted: Length | None, start: Length | None, whole: int) -> int:
    if wanted is not None:
        return wanted.of(whole)
    return whole - (0 if start is None else start.of(whole))


@dataclass(frozen=True, slots=True)
class Overlay(_Operation):
    """Lay another picture, such as a logo, on top.

    Attributes:
        file: the other picture.
        position: where it lies, one of `GRAVITIES`.
        size: its width; a share counts from the picture's width. None: as it is. Always small enough for its margins.
        opacity: 0 to 1.
        margin: left free towards the edges; a share counts from the picture's shorter side.
        sha256: of the file, in hex: what it must still be when it is used. Empty: whatever it is.
    """

    file: Path
    position: str = "bottom-right"
    size: Length | None = None
    opacity: float = 1.0
    margin: Length = NOTHING
    sha256: str = ""

    def changes(self, facts: Facts) -> bool:  # noqa: ARG002 - it always does
        """Return True."""
        return True


@dataclass(frozen=True, slots=True)
class Convert(_Operation):
    """Encode as a format.

    Attributes:
        format: Pillow's name.
        quality: 1 to 100; None: without loss where the format can (PNG, WebP), else 95.
    """

    format: Format
    quality: int | None = None

    def changes(self, facts: Facts) -> bool:
        """Whether the file has another format, or a quality is asked for, which no file states."""
        return self.quality is not None or bool(needs(facts, Limits(formats=(self.format,))))


Operation: TypeAlias = Orient | ToSrgb | Fit | Resize | Trim | Pad | Flatten | Crop | Overlay | Convert


def encodes(operation: Operation) -> bool:
    """Whether an operation is about the file and not only its pixels, so that it must be written to be done."""
    return isinstance(operation, Convert) or (isinstance(operation, Fit) and operation.limits.max_bytes is not None)


def size_after(operations: Sequence[Operation], size: Size) -> Size | None:
    """Return the size in pixels that comes out of operations on an upright picture; None: only its pixels can tell."""
    after: Size | None = size
    for operation in operations:
        after = None if after is None else operation.size_after(after)
    return after


@dataclass(frozen=True, slots=True)
class Rendition:
    """How a finished file is encoded.

    Attributes:
        format: Pillow's name of the format.
        quality: 1 to 100; None: JPEG 90, WebP 85, AVIF 75. PNG has none.
        max_side: most pixels of the longer side; never enlarges.
        max_bytes: most bytes of the file, inclusive: met by lower quality first, then by fewer pixels.
        progressive: whether a JPEG is; None: those that are encoded are, one that is copied may be either.
        keep_metadata: keep EXIF and XMP, with the orientation that then holds. Otherwise nothing but the colour
            profile is kept.
        background: what shows through where the format has no alpha; None refuses pictures that are transparent.
        lossless: WebP without loss, and JPEG at 95 with full colour resolution: for a step's own answer in another
            container. Not together with `quality`.
    """

    format: Format
    quality: int | None = None
    max_side: int | None = None
    max_bytes: int | None = None
    progressive: bool | None = None
    keep_metadata: bool = False
    background: Rgb | None = None
    lossless: bool = False
