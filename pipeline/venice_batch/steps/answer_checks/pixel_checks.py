"""Checks of an answer by its pixels: HTTP 200 only says that something came back."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageFilter, ImageStat

from venice_batch.imaging import Facts
from venice_batch.imaging.colour import alpha_range, in_srgb, unpacked
from venice_batch.imaging.decode import decode, pillow_errors
from venice_batch.imaging.pixels import reduced
from venice_batch.steps.answer_checks.expectations import Expect

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


def pixel_flags(path: Path, expect: Expect) -> tuple[Facts, dict[str, bool]]:
    """Decode an answer, once, and return its facts and which flags its pixels raise.

    Raises:
        ItemError: as `imaging.verify`.
    """
    facts, image = decode(path)
    with pillow_errors():
        image = in_srgb(unpacked(image), None)
        least, most = expect.opaque_between or (0.0, 1.0)
        covered = _opaque_share(image) if expect.opaque_between else 0.5
        empty = covered < least
        return facts, {
            "empty-cutout": empty,
            "full-cutout": covered > most,
            # An empty cut-out is blank, which is no news.
            "blank": expect.not_blank and not empty and _is_blank(image),
            "soft": expect.min_sharpness is not None and sharpness(image) < expect.min_sharpness,
        }


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


def _opaque_share(image: Image.Image) -> float:
    if image.mode not in {"LA", "RGBA"}:
        return 1.0
    return float(ImageStat.Stat(image.getchannel("A")).mean[0]) / _OPAQUE


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
