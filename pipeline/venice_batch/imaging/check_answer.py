"""Judging an answer of the API by its pixels: HTTP 200 only says that something came back."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageFilter, ImageStat

from venice_batch.errors import ItemError
from venice_batch.imaging.answer_verdict import AnswerVerdict, Expect, NotAPicture
from venice_batch.imaging.colour import alpha_range, in_srgb, unpacked
from venice_batch.imaging.decode import decoded, guarded
from venice_batch.imaging.facts import Facts, oriented
from venice_batch.imaging.pixels import reduced

#: The API rounds sizes; more than this per side is another size.
_TOLERANCE = 2
_FORMAT_OF_TYPE = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/pjpeg": "JPEG",
    "image/png": "PNG",
    "image/x-png": "PNG",
    "image/apng": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
#: What is measured is a copy whose longer side has so many pixels, up to twice as many.
_LOOKED_AT, _SHARPNESS_AT = 256, 1024
#: Levels, of 255, that the copy of a blank picture may span: compression alone makes that many.
_UNIFORM = 4
_OPAQUE = 255
#: A pixel that is so far from being fully opaque is no part of the subject; its colour says nothing.
_SOLID = 250
#: The share of pixels that the hardest edges take up at least, where there are any.
_HARDEST = 1 / 200
#: Second derivative in both directions. Offset to the middle, since bytes cannot be negative.
_MIDDLE = 128
_LAPLACE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=_MIDDLE)
#: Labels that claim nothing.
_UNSPECIFIC = frozenset({"", "application/octet-stream", "binary/octet-stream"})


def judge(path: Path, *, content_type: str | None, expect: Expect) -> AnswerVerdict:
    """Judge a downloaded answer; its pixels are decoded once.

    Args:
        path: the answer's body.
        content_type: its ``Content-Type`` header, parameters allowed; None or a generic type claims nothing.
        expect: what was promised.

    Returns:
        The facts, and the flags: see `verdict.FLAGS`.

    Raises:
        NotAPicture: empty, cut short, damaged, or no picture at all (an error page, JSON).
        ItemError: ``unreadable``: the local file cannot be read, which says nothing about the answer.
    """
    try:
        facts, image = decoded(path)
        with guarded():
            image = in_srgb(unpacked(image), None)
            seen = _flags_of_pixels(image, expect)
    except ItemError as error:
        if error.code == "unreadable":
            raise
        raise NotAPicture(_reason(error, content_type)) from error
    size = oriented(facts).size
    found = {
        "wrong-type": not _label_fits(facts, content_type),
        "wrong-size": expect.size is not None and not _size_fits(size, expect.size),
        "too-small": _too_small(size, expect),
        "wrong-aspect": expect.aspect_ratio is not None and not _aspect_fits(size, expect),
        "no-alpha": expect.alpha and not facts.has_alpha,
        **seen,
    }
    return AnswerVerdict(facts, tuple(flag for flag, holds in found.items() if holds))


def sharpness(image: Image.Image) -> float:
    """Measure how hard the hardest edges of a picture are.

    That is the second derivative of the brightness that one pixel in 200 exceeds, so that the plain ground of a
    product photo does not count. Taken on a copy with 1024 to 2047 pixels on the longer side (less where the picture
    is smaller), and only where the picture and its neighbours are opaque: the rim of a cut-out is no detail.

    Args:
        image: a decoded picture, mode ``L``, ``LA``, ``RGB`` or ``RGBA``.

    Returns:
        0 to 127 levels; 0 for one colour, and where nothing is opaque. Photos in focus have 15 to 100, blurred ones
        less than 10. Subjects differ: compare with your own.
    """
    small = _copy(image, _SHARPNESS_AT)
    if min(small.size) < 3:  # noqa: PLR2004  # the filter looks at one neighbour on each side
        return 0.0
    # The filter copies the outermost pixels instead of measuring them.
    inner = (1, 1, small.width - 1, small.height - 1)
    edges = small.convert("L").filter(_LAPLACE).crop(inner)
    counts = edges.histogram(None if (solid := _solid(small)) is None else solid.crop(inner))
    hardest = sum(counts) * _HARDEST
    for level in range(_MIDDLE - 1, 0, -1):
        hardest -= counts[_MIDDLE + level] + counts[_MIDDLE - level]
        if hardest < 0:
            return float(level)
    return 0.0


def _solid(image: Image.Image) -> Image.Image | None:
    """Return a mask of the pixels that are opaque and have only such neighbours; None: all of them."""
    if image.mode not in {"LA", "RGBA"}:
        return None
    alpha = image.getchannel("A").point([0] * _SOLID + [_OPAQUE] * (_OPAQUE + 1 - _SOLID))
    return alpha.filter(ImageFilter.MinFilter(3))


def _flags_of_pixels(image: Image.Image, expect: Expect) -> dict[str, bool]:
    least, most = expect.opaque_between or (0.0, 1.0)
    covered = _opaque_share(image) if expect.opaque_between else 0.5
    empty = covered < least
    return {
        "empty-cutout": empty,
        "full-cutout": covered > most,
        # An empty cut-out is blank, which is no news.
        "blank": expect.not_blank and not empty and _is_blank(image),
        "soft": expect.min_sharpness is not None and sharpness(image) < expect.min_sharpness,
    }


def _opaque_share(image: Image.Image) -> float:
    if image.mode not in {"LA", "RGBA"}:
        return 1.0
    return float(ImageStat.Stat(image.getchannel("A")).mean[0]) / _OPAQUE


def _too_small(size: tuple[int, int], expect: Expect) -> bool:
    wanted = ((size[0], expect.min_width), (size[1], expect.min_height), (min(size), expect.min_side))
    return any(least is not None and side < least for side, least in wanted)


def _aspect_fits(size: tuple[int, int], expect: Expect) -> bool:
    """Compare shapes; a pixel more or less on the shorter side is rounding, whatever share it is."""
    if expect.aspect_ratio is None:
        return True
    off = abs(size[0] / size[1] / expect.aspect_ratio - 1)
    return off <= expect.aspect_within + 1 / min(size)


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _label_fits(facts: Facts, content_type: str | None) -> bool:
    label = _media_type(content_type)
    # MPO is a JPEG that carries a second one, and is labelled image/jpeg.
    in_bytes = "JPEG" if facts.format == "MPO" else facts.format
    return label in _UNSPECIFIC or _FORMAT_OF_TYPE.get(label) == in_bytes


def _size_fits(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    return all(abs(side - promised) <= _TOLERANCE for side, promised in zip(size, wanted, strict=True))


def _is_blank(image: Image.Image) -> bool:
    """Tell whether nothing can be seen: all transparent, or nearly one colour and one transparency throughout."""
    small = _copy(image, _LOOKED_AT)
    if small.mode in {"LA", "RGBA"} and alpha_range(small)[1] == 0:
        return True
    extrema = small.getextrema()
    ranges = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(high - low <= _UNIFORM for low, high in ranges)


def _copy(image: Image.Image, side: int) -> Image.Image:
    """Return the picture at a whole fraction of its size, pixels averaged, with at least `side` on its longer side."""
    return reduced(image, max(image.size) // side)


def _reason(error: ItemError, content_type: str | None) -> str:
    label = _media_type(content_type)
    return f"{error.message} (labelled {label[:60]!a})" if label else error.message
