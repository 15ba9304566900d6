"""What is known about a picture before its pixels are, and what the API asks of it: pure values, without Pillow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import get_type_hints

from venice_batch.errors import ItemError

#: Fewest pixels that upscale and the edit endpoints take (published API file, 2026-08-21).
API_MIN_PIXELS = 65_536
#: Shortest side that they take (facts of 2026-10-02).
API_MIN_SIDE = 64
#: Most pixels that edit and multi-edit take (published API file, 2026-08-21).
EDIT_MAX_PIXELS = 33_177_600
#: A file must be smaller than this. The API says "25 MB" without saying which; the smaller reading always fits.
MAX_FILE_BYTES = 25_000_000
#: Most pixels that upscale answers with; a larger enlargement is silently reduced to it.
UPSCALE_CAP = 16_777_216
#: Pictures above this are never decoded: 200 megapixels are 800 MB of RGBA, and a bomb is only a few KB on disk.
DECODE_MAX_PIXELS = 200_000_000
#: The formats that every endpoint takes as they are.
API_FORMATS = ("JPEG", "PNG", "WEBP")
#: Pillow modes in which those formats need no change of colour. CMYK, LAB, 16-bit grey and float are not among them.
SENDABLE_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})

#: Pillow formats that are opened, in the order they are tried. TGA comes last: it has no magic bytes to go by.
#: Left out on purpose: EPS, PS, PDF and WMF/EMF (run or embed programs), FITS, HDF5, GRIB, BUFR, MPEG and XVThumb
#: (measurements, film, or no decoder), icons, game textures and formats that are program text.
READ_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "AVIF",
    "GIF",
    "TIFF",
    "BMP",
    "DIB",
    "JPEG2000",
    "PSD",
    "QOI",
    "PPM",
    "SGI",
    "PCX",
    "TGA",
)

#: Lower-case extensions of those formats: what a source takes in when the job names no pattern.
# fmt: off
EXTENSIONS = frozenset({
    ".apng", ".avif", ".avifs", ".bmp", ".bw", ".dib", ".gif", ".icb", ".j2c",
    ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx",
    ".mpo", ".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".psd",
    ".qoi", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst",
    ".webp",
})
# fmt: on

#: EXIF orientations that lie on their side: the stored width is the height that is seen.
SIDEWAYS = range(5, 9)
#: Further pictures in these are previews or layers of the first, not something that would be missed.
_ONE_PICTURE = frozenset({"MPO", "PSD"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a picture's header says.

    Attributes:
        width: pixels per row as stored, before any EXIF orientation.
        height: rows as stored.
        format: Pillow's name of the format found in the bytes: ``JPEG``, ``PNG``, ``WEBP``, ``MPO``, …
        mode: Pillow's pixel mode: ``RGB``, ``RGBA``, ``CMYK``, ``I;16``, …
        has_alpha: an alpha channel, or a colour or palette entry declared transparent.
        orientation: EXIF orientation, 1 to 8; 1 means upright.
        frames: pictures in the file, at least 1.
        bytes: size of the file.
    """

    width: int
    height: int
    format: str
    mode: str
    has_alpha: bool
    orientation: int
    frames: int
    bytes: int

    @property
    def left_out(self) -> int:
        """How many pictures of the file are not looked at: all but the first of an animation or of several pages."""
        return 0 if self.format in _ONE_PICTURE else self.frames - 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored, in pixels."""
        return self.width, self.height

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def max_side(self) -> int:
        """The longer side in pixels."""
        return max(self.width, self.height)

    @property
    def min_side(self) -> int:
        """The shorter side in pixels."""
        return min(self.width, self.height)

    @property
    def aspect_ratio(self) -> float:
        """Width divided by height, as stored; use `oriented` first for what is seen."""
        return self.width / self.height

    def to_json(self) -> dict[str, str | int]:
        """Return the fields as a dict that `json.dumps` takes and `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Facts:
        """Read what `to_json` wrote; keys that a later version added are ignored.

        Raises:
            ValueError: a field is missing or has another type.
        """
        read = {name: data.get(name) for name in _JSON_TYPES}
        for name, value in read.items():
            # By exact type: True is an int to isinstance, and would pass for a width.
            if type(value) is not _JSON_TYPES[name]:
                raise ValueError(f"picture facts: {name} should be {_JSON_TYPES[name].__name__}, found {value!r}")
        return cls(**read)  # type: ignore[arg-type]  # compared with the types of the fields


_JSON_TYPES: Mapping[str, type] = get_type_hints(Facts)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a receiver takes; None means no such limit.

    Attributes:
        min_pixels: fewest pixels, inclusive. Never met by enlarging: see `check_size`.
        min_side: fewest pixels of the shorter side, likewise.
        max_pixels: most pixels, inclusive.
        max_side: longest side in pixels, inclusive.
        max_bytes: a file must be smaller than this many bytes.
        formats: Pillow names of the formats it takes.
        enlarged_within: most pixels of what it is enlarged to; a picture that cannot grow below that is refused: see
            `check_size`.
    """

    min_pixels: int | None = None
    max_pixels: int | None = None
    max_bytes: int | None = None
    formats: tuple[str, ...] = API_FORMATS
    max_side: int | None = None
    min_side: int | None = None
    enlarged_within: int | None = None


def oriented(facts: Facts) -> Facts:
    """Return the facts of the same picture turned upright: sides swapped for orientations 5 to 8, orientation 1."""
    if facts.orientation not in SIDEWAYS:
        return replace(facts, orientation=1)
    return replace(facts, width=facts.height, height=facts.width, orientation=1)


def needs(facts: Facts, limits: Limits) -> tuple[str, ...]:
    """Tell why a file could not be sent as it is.

    Args:
        facts: the file.
        limits: the receiver.

    Returns:
        Reasons in a fixed order, from ``format`` (another format, or an animation), ``colour`` (CMYK, 16-bit, …),
        ``pixels`` and ``bytes`` (too many), ``orientation`` (lies on its side or mirrored); empty when it can go as
        it is. Too few pixels are no reason to change a file, because no change would help: see `check_size`.
    """
    reasons = {
        "format": facts.format not in limits.formats or facts.frames > 1,
        "colour": facts.mode not in SENDABLE_MODES,
        "pixels": fitted_size(facts.size, limits) != facts.size,
        "bytes": limits.max_bytes is not None and facts.bytes >= limits.max_bytes,
        "orientation": facts.orientation != 1,
    }
    return tuple(reason for reason, holds in reasons.items() if holds)


def fitted_size(size: tuple[int, int], limits: Limits) -> tuple[int, int]:
    """Predict width and height after fitting into `max_pixels` and `max_side`; the byte limit may shrink it further.

    Args:
        size: width and height of the picture, upright when it will be.
        limits: only `max_pixels` and `max_side` count.

    Returns:
        Pixels; the same size when it fits. The aspect ratio is kept within a pixel.
    """
    if limits.max_side is not None and max(size) > limits.max_side:
        short = max(1, min(size) * limits.max_side // max(size))
        size = (limits.max_side, short) if size[0] >= size[1] else (short, limits.max_side)
    if limits.max_pixels is None or size[0] * size[1] <= limits.max_pixels:
        return size
    return shrunk(size, limits.max_pixels)


def shrunk(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """Return the largest size of the same shape with at most `max_pixels` pixels, each side at least 1."""
    long, short = max(size), min(size)
    # In integers: floats would lose a pixel whenever the exact answer is a whole number. A strip's short side cannot
    # go below one pixel, so its long side has to give way instead.
    new_short = max(1, min(short, math.isqrt(short * max_pixels // long)))
    new_long = max(1, min(long, math.isqrt(long * max_pixels // short), max_pixels // new_short))
    return (new_long, new_short) if size[0] >= size[1] else (new_short, new_long)


def check_size(size: tuple[int, int], limits: Limits, taker: str = "the API") -> None:
    """Refuse a picture that its receiver would refuse, and that fitting does not help.

    Args:
        size: width and height in pixels.
        limits: the receiver's.
        taker: what the receiver is called.

    Raises:
        ItemError: ``too-small`` or ``too-large``; to change it first would change what is bought, so that is left to
            the user.
    """
    pixels, shape = size[0] * size[1], f"{size[0]}x{size[1]}"
    if limits.min_pixels is not None and pixels < limits.min_pixels:
        text = f"{shape} has {pixels:,} pixels, and {taker} takes {limits.min_pixels:,} or more"
        raise ItemError("too-small", text, remedy="use a larger original")
    if limits.min_side is not None and min(size) < limits.min_side:
        text = f"{shape} is too narrow: {taker} takes {limits.min_side} pixels or more on each side"
        raise ItemError("too-small", text, remedy="use a larger original, or pad it first")
    most = limits.enlarged_within
    # An enlargement up to the limit leaves sides that were rounded: what cannot grow by two pixels is full grown.
    if most is not None and max(size) * math.sqrt(most / pixels) < max(size) + 2:
        text = f"{shape} is as large as {taker} makes pictures: no result has more than {most:,} pixels"
        remedy = f"leave it out with `when: {{pixels_below: {most}}}`, or shrink it first"
        raise ItemError("too-large", text, remedy=remedy)
