"""Judging an answer of the API by its pixels: HTTP 200 only says that something came back."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pipeline.errors import ItemError
from pipeline.imaging.colour import alpha_range, unpacked
from pipeline.imaging.facts import Facts, oriented
from pipeline.imaging.opening import decoded, guarded
from pipeline.imaging.verdict import Expect, NotAPicture, Verdict

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
#: Pixels per side that are looked at first for whether anything can be seen.
_SAMPLED = 64
#: Labels that claim nothing.
_UNSPECIFIC = frozenset({"", "application/octet-stream", "binary/octet-stream"})


def judge(path: Path, *, content_type: str | None, expect: Expect) -> Verdict:
    """Judge a downloaded answer; its pixels are decoded once.

    Args:
        path: the answer's body.
        content_type: its ``Content-Type`` header, parameters allowed; None or a generic type claims nothing.
        expect: what was promised.

    Returns:
        The facts, and the flags: ``wrong-type`` (a picture, but labelled as something else), ``wrong-size``,
        ``no-alpha``, ``blank`` (one colour throughout, or nothing but transparency).

    Raises:
        NotAPicture: empty, cut short, damaged, or no picture at all (an error page, JSON).
        ItemError: ``unreadable``: the local file cannot be read, which says nothing about the answer.
    """
    try:
        facts, image = decoded(path)
        with guarded():
            blank = _is_blank(image)
    except ItemError as error:
        if error.code == "unreadable":
            raise
        raise NotAPicture(_reason(error, content_type)) from error
    found = {
        "wrong-type": not _label_fits(facts, content_type),
        "wrong-size": expect.size is not None and not _size_fits(oriented(facts).size, expect.size),
        "no-alpha": expect.alpha and not facts.has_alpha,
        "blank": blank,
    }
    return Verdict(facts, tuple(flag for flag, holds in found.items() if holds))


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
    """Tell whether nothing can be seen. Palettes are resolved first: two entries may be the same colour."""
    if image.mode == "P" or (image.has_transparency_data and image.mode not in {"LA", "RGBA"}):
        image = unpacked(image)
    # A few of its pixels clear nearly every picture: going through all of them costs a quarter of the decoding again.
    few = image.resize((min(image.width, _SAMPLED), min(image.height, _SAMPLED)), Image.Resampling.NEAREST)
    return _shows_nothing(few) and _shows_nothing(image)


def _shows_nothing(image: Image.Image) -> bool:
    if image.mode in {"LA", "RGBA"} and alpha_range(image)[1] == 0:
        return True
    extrema = image.getextrema()
    ranges = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in ranges)


def _reason(error: ItemError, content_type: str | None) -> str:
    label = _media_type(content_type)
    return f"{error.message} (labelled {label[:60]!a})" if label else error.message
