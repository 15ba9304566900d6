"""Checks of an answer by its header: the label, the size, the shape and the alpha channel that were promised."""

from __future__ import annotations

from venice_batch.imaging import Facts, oriented
from venice_batch.steps.answer_checks.expectations import Expect

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
#: Labels that claim nothing.
_UNSPECIFIC = frozenset({"", "application/octet-stream", "binary/octet-stream"})


def fact_flags(facts: Facts, label: str, expect: Expect) -> dict[str, bool]:
    """Return which flags an answer's header raises.

    Args:
        facts: of the answer.
        label: its media type, see `media_type`; empty claims nothing.
        expect: what was promised and asked for.
    """
    size = oriented(facts).size
    return {
        "wrong-type": not _label_fits(facts, label),
        "wrong-size": expect.size is not None and not _size_fits(size, expect.size),
        "too-small": _too_small(size, expect),
        "wrong-aspect": expect.aspect_ratio is not None and not _aspect_fits(size, expect.aspect_ratio, expect),
        "no-alpha": expect.alpha and not facts.has_alpha,
    }


def media_type(content_type: str | None) -> str:
    """Return a ``Content-Type`` header without its parameters, in lower case; empty where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def _label_fits(facts: Facts, label: str) -> bool:
    # MPO is a JPEG that carries a second one, and is labelled image/jpeg.
    in_bytes = "JPEG" if facts.format == "MPO" else facts.format
    return label in _UNSPECIFIC or _FORMAT_OF_TYPE.get(label) == in_bytes


def _size_fits(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    return all(abs(side - promised) <= _TOLERANCE for side, promised in zip(size, wanted, strict=True))


def _too_small(size: tuple[int, int], expect: Expect) -> bool:
    wanted = ((size[0], expect.min_width), (size[1], expect.min_height), (min(size), expect.min_side))
    return any(least is not None and side < least for side, least in wanted)


def _aspect_fits(size: tuple[int, int], ratio: float, expect: Expect) -> bool:
    """Compare shapes; a pixel more or less on the shorter side is rounding, whatever share it is."""
    return abs(size[0] / size[1] / ratio - 1) <= expect.aspect_within + 1 / min(size)
