"""Making pictures fit for the API's limits, and converting them to a format."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging.apply_ops import apply_operations
from venice_batch.imaging.containers import webp_is_lossless
from venice_batch.imaging.decode import decode, pillow_errors, probe
from venice_batch.imaging.encode import (
    MAX_SIDE,
    Encoding,
    check_sides,
    encode,
    encoding_of,
    encodings_to_try,
    removed_on_error,
    smaller_size,
)
from venice_batch.imaging.facts import Facts, Limits, check_size, needs, oriented
from venice_batch.imaging.local_ops import Fit, Operation, size_after
from venice_batch.imaging.pixels import resized, without_alpha

_LOSSY = frozenset({"JPEG", "MPO", "AVIF", "JPEG2000"})
#: Lossless WebP takes a fifth to a third off a PNG, for seconds of CPU: not tried where that would not be enough.
_WORTH_A_TRY = 1.5
_REMEDY = "choose png for the output, or make the picture smaller"


def prepare(
    path: Path, into: Path, *, limits: Limits, orient: bool = True, operations: Sequence[Operation] = ()
) -> Facts:
    """Write a new file that meets the limits: the first picture of `path`, 8-bit sRGB, only ever smaller.

    Whatever was stored without loss, or has alpha, stays lossless (PNG) while it fits; other pictures become JPEG at
    quality 95 without chroma subsampling. A file above `limits.max_bytes` steps down: PNG, lossless WebP, JPEG (or
    WebP with alpha) at 95, 90, 85, then fewer pixels. No metadata is kept: the EXIF orientation is applied, the
    colour profile is converted away, and camera data, GPS position and comments are dropped, because the file is sent
    away. An untagged file means sRGB.

    Args:
        path: the picture; never changed.
        into: the file to write; its name need not fit the format, which stands in the returned facts.
        limits: what the receiver takes.
        orient: apply the EXIF orientation; False keeps the pixels as stored.
        operations: carried out on the pixels first; what they say of the file (bytes, format) is not heeded.

    Returns:
        Facts of the new file; `needs` of them is empty.

    Raises:
        ItemError: as `verify`; ``too-small`` and ``too-large`` as `check_size`; ``too-heavy`` when the byte limit
            cannot be met above them; ``alpha-lost`` when the receiver takes no format with transparency.
        Unavailable: `into` cannot be written.
        ValueError: `into` is `path`.
    """
    _refuse_same_file(path, into)
    header, todo = probe(path), (*operations, Fit(limits))
    # Refused before a pixel is decoded where that can be predicted.
    if (predicted := size_after(todo, (oriented(header) if orient else header).size)) is not None:
        check_size(predicted, limits)
    image = apply_operations(path, header, todo, orient=orient)
    check_size(image.size, limits)
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
    Not copied where a quality is asked for: no file states its own.

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
        decode(path)
        with removed_on_error(into):
            shutil.copyfile(path, into)
        return header
    predicted = size_after(operations, oriented(header).size)
    if predicted is not None:
        check_sides(predicted, format, _REMEDY)
    image = apply_operations(path, header, operations)
    check_sides(image.size, format, _REMEDY)
    if format == "JPEG":
        image = without_alpha(image)
    with pillow_errors():
        encode(image, into, encoding_of(format, image.size, quality))
    return probe(into)


def _refuse_same_file(path: Path, into: Path) -> None:
    if into.exists() and into.samefile(path):
        raise ValueError(f"{into} would be written over itself")


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
        encodings = encodings_to_try(
            lossless=lossless, alpha=image.mode in {"LA", "RGBA"}, size=smaller.size, formats=limits.formats
        )
        size = _write_first_fitting(smaller, into, encodings, limits.max_bytes)
        if size is None:
            return
        aim = smaller_size(image.size, smaller.size, size, limits.max_bytes)
        if smaller.size == (1, 1) or aim[0] * aim[1] < floor or min(aim) < (limits.min_side or 1):
            into.unlink(missing_ok=True)
            text = f"it cannot be brought below {limits.max_bytes or 0:,} bytes with {floor:,} pixels or more"
            raise ItemError("too-heavy", text, remedy="use a simpler picture")
        with pillow_errors():
            smaller = resized(image, aim)


def _write_first_fitting(
    image: Image.Image, into: Path, encodings: tuple[Encoding, ...], max_bytes: int | None
) -> int | None:
    """Return None once a file fits, else the smallest size in bytes that was reached (0: no format can hold it)."""
    sizes: list[int] = []
    for encoding in encodings:
        if encoding.lossless and sizes and max_bytes is not None and sizes[-1] > _WORTH_A_TRY * max_bytes:
            continue
        with pillow_errors():
            sizes.append(encode(image, into, encoding))
        if max_bytes is None or sizes[-1] < max_bytes:
            return None
    return min(sizes, default=0)
