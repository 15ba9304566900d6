"""Making pictures fit for the API, and turning results into the format that an output was promised in."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging.apply_ops import shaped
from venice_batch.imaging.containers import webp_is_lossless
from venice_batch.imaging.decode import decoded, guarded, probe
from venice_batch.imaging.encode import (
    MAX_SIDE,
    Encoding,
    avif,
    jpeg,
    ladder,
    png,
    webp,
    webp_lossless,
    whole_or_absent,
    write,
)
from venice_batch.imaging.facts import Facts, Limits, check_minimum, needs, oriented, shrunk
from venice_batch.imaging.geometry import Size
from venice_batch.imaging.local_ops import Fit, Operation, size_after
from venice_batch.imaging.pixels import resized, without_alpha

_LOSSY = frozenset({"JPEG", "MPO", "AVIF", "JPEG2000"})
#: Each round of shrinking aims a little below the limit and by at least a tenth, so that few rounds are needed.
_AIM, _LEAST_SHRINK = 0.9, 0.9
#: Lossless WebP takes a fifth to a third off a PNG, for seconds of CPU: not tried where that would not be enough.
_WORTH_A_TRY = 1.5


def prepare(
    path: Path, into: Path, *, limits: Limits, orient: bool = True, operations: Sequence[Operation] = ()
) -> Facts:
    """Write a new file that meets the limits: the first picture of `path`, 8-bit sRGB, only ever smaller.

    Whatever was stored without loss, or has alpha, stays lossless (PNG) while it fits; other pictures become JPEG at
    quality 95 without chroma subsampling. A file above `limits.max_bytes` steps down: PNG, lossless WebP, JPEG (or
    WebP with alpha) at 95, 90, 85, then fewer pixels. No metadata is kept: the EXIF orientation is applied, the
    colour profile is converted away, and camera data, GPS position and comments are dropped, because the file leaves
    the house. An untagged file means sRGB.

    Args:
        path: the picture; never changed.
        into: the file to write; its name need not fit the format, which the returned facts tell.
        limits: what the receiver takes.
        orient: apply the EXIF orientation; False keeps the pixels as stored.
        operations: carried out on the pixels first; what they say of the file (bytes, format) is not heeded.

    Returns:
        Facts of the new file; `needs` of them is empty.

    Raises:
        ItemError: as `verify`; ``too-small`` below `limits.min_pixels`; ``too-heavy`` when the byte limit cannot be
            met above it; ``alpha-lost`` when the receiver takes no format with transparency.
        Unavailable: `into` cannot be written.
        ValueError: `into` is `path`.
    """
    _refuse_same_file(path, into)
    header, todo = probe(path), (*operations, Fit(limits))
    # Refused before a pixel is decoded where that can be foretold.
    _check_size(header, size_after(todo, _as_seen(header, orient=orient).size), limits)
    image = shaped(path, header, todo, orient=orient)
    _check_size(header, image.size, limits)
    if not _has_format_for(image, limits):
        image = without_alpha(image)
    _write_within(image, into, limits=limits, lossless=_was_lossless(path, header))
    return probe(into)


def convert(
    path: Path,
    into: Path,
    format: str,  # noqa: A002  # the field's word, as in Pillow
    *,
    quality: int | None = None,
    operations: Sequence[Operation] = (),
) -> Facts:
    """Write a picture in the format that its output name promises, without loss where the format allows.

    A file that is already what is wanted is copied byte for byte, its metadata included: decoding and encoding a JPEG
    again would only wear it down. Otherwise as `prepare`: upright, 8-bit sRGB, first picture, no metadata.
    Not copied where a quality is asked for: no file tells its own.

    Args:
        path: the picture; never changed.
        into: the file to write.
        format: ``PNG``, ``WEBP``, ``JPEG`` or ``AVIF``.
        quality: 1 to 100, of no effect on PNG; None: WebP without loss, JPEG and AVIF at 95. JPEG keeps every sample
            of colour.
        operations: carried out on the pixels first.

    Returns:
        Facts of the new file.

    Raises:
        ItemError: as `verify`; ``alpha-lost`` when JPEG would drop real transparency; ``too-large`` when a side is
            longer than the format can hold.
        Unavailable: `into` cannot be written.
        ValueError: another format, or `into` is `path`.
    """
    if format not in MAX_SIDE:
        raise ValueError(f"cannot convert to {format}: one of {', '.join(MAX_SIDE)}")
    _refuse_same_file(path, into)
    header = probe(path)
    if quality is None and not operations and not needs(header, Limits(formats=(format,))):
        decoded(path)
        with whole_or_absent(into):
            shutil.copyfile(path, into)
        return header
    _check_sides(size_after(operations, oriented(header).size), format)
    image = shaped(path, header, operations)
    _check_sides(image.size, format)
    if format == "JPEG":
        image = without_alpha(image)
    with guarded():
        write(
            image, into, _faithful(format, image.size) if quality is None else _of_quality(format, quality, image.size)
        )
    return probe(into)


def _refuse_same_file(path: Path, into: Path) -> None:
    if into.exists() and into.samefile(path):
        raise ValueError(f"{into} would be written over itself")


def _as_seen(facts: Facts, *, orient: bool) -> Facts:
    return oriented(facts) if orient else facts


def _was_lossless(path: Path, facts: Facts) -> bool:
    if facts.format == "WEBP":
        return webp_is_lossless(path)
    return facts.format not in _LOSSY


def _has_format_for(image: Image.Image, limits: Limits) -> bool:
    return image.mode not in {"LA", "RGBA"} or any(name != "JPEG" for name in limits.formats)


def _write_within(image: Image.Image, into: Path, *, limits: Limits, lossless: bool) -> None:
    """Write the best encoding that stays below the byte limit, with fewer pixels when none does."""
    smaller, floor = image, limits.min_pixels or 1
    while True:
        encodings = ladder(
            lossless=lossless, alpha=image.mode in {"LA", "RGBA"}, size=smaller.size, formats=limits.formats
        )
        size = _write_first_fitting(smaller, into, encodings, limits.max_bytes)
        if size is None:
            return
        pixels = smaller.width * smaller.height
        aim = shrunk(image.size, _fewer_pixels(pixels, size, limits.max_bytes))
        if pixels == 1 or aim[0] * aim[1] < floor:
            into.unlink(missing_ok=True)
            raise _too_heavy(limits)
        with guarded():
            smaller = resized(image, aim)


def _write_first_fitting(
    image: Image.Image, into: Path, encodings: tuple[Encoding, ...], max_bytes: int | None
) -> int | None:
    """Return None once a file fits, else the smallest size in bytes that was reached (0: no format can hold it)."""
    sizes: list[int] = []
    for encoding in encodings:
        if encoding.lossless and sizes and max_bytes is not None and sizes[-1] > _WORTH_A_TRY * max_bytes:
            continue
        with guarded():
            sizes.append(write(image, into, encoding))
        if max_bytes is None or sizes[-1] < max_bytes:
            return None
    return min(sizes, default=0)


def _fewer_pixels(pixels: int, size: int, max_bytes: int | None) -> int:
    """Guess how many pixels will fit, from how many bytes these took."""
    ratio = _AIM * max_bytes / size if size and max_bytes is not None else _LEAST_SHRINK
    return max(1, math.floor(pixels * min(ratio, _LEAST_SHRINK)))


def _too_heavy(limits: Limits) -> ItemError:
    return ItemError(
        "too-heavy",
        f"it cannot be brought below {limits.max_bytes or 0:,} bytes with {limits.min_pixels or 1:,} pixels or more",
        remedy="use a simpler picture",
    )


def _check_size(header: Facts, size: Size | None, limits: Limits) -> None:
    if size is not None:
        check_minimum(replace(header, width=size[0], height=size[1]), limits)


def _check_sides(size: Size | None, format: str) -> None:  # noqa: A002  # as in `convert`
    if size is not None and max(size) > MAX_SIDE[format]:
        raise ItemError(
            "too-large",
            f"{size[0]}x{size[1]}: {format} holds {MAX_SIDE[format]:,} pixels per side at most",
            remedy="choose png for the output, or make the picture smaller",
        )


def _faithful(format: str, size: Size) -> Encoding:  # noqa: A002  # as in `convert`
    return {"PNG": png(size), "WEBP": webp_lossless(), "JPEG": jpeg(95), "AVIF": avif(95)}[format]


def _of_quality(format: str, quality: int, size: Size) -> Encoding:  # noqa: A002  # as in `convert`
    return {"PNG": png(size), "WEBP": webp(quality), "JPEG": jpeg(quality), "AVIF": avif(quality)}[format]
