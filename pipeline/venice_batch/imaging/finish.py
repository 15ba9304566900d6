"""Finished files: format, size and weight as a shop asks for them."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging.apply_ops import apply_operations
from venice_batch.imaging.colour import is_foreign
from venice_batch.imaging.containers import is_complete
from venice_batch.imaging.decode import open_image, pillow_errors, probe
from venice_batch.imaging.encode import (
    Encoding,
    check_sides,
    encode,
    encoding_of,
    removed_on_error,
    smaller_size,
    web_jpeg,
    writable_formats,
)
from venice_batch.imaging.facts import Facts, Limits, needs
from venice_batch.imaging.geometry import within
from venice_batch.imaging.local_ops import Operation, Rendition, Resize
from venice_batch.imaging.metadata import Metadata, metadata_of
from venice_batch.imaging.pixels import on_colour, resized, without_alpha
from venice_batch.imaging.reshape_file import apply_file_operations, is_noop
from venice_batch.imaging.strip_metadata import strip

#: Qualities where nobody asks for one, and below which `max_bytes` is met by fewer pixels instead.
QUALITY: Mapping[str, int] = MappingProxyType({"JPEG": 90, "WEBP": 85, "AVIF": 75})
_FLOOR: Mapping[str, int] = MappingProxyType({"JPEG": 50, "WEBP": 45, "AVIF": 35})
#: A picture is never made smaller than this share of its sides to meet `max_bytes`: a quarter, a 16th of its pixels.
_SMALLEST = 4
#: The search ends within so many steps of quality, which look the same.
_CLOSE = 2
#: Formats whose files may lack alpha however the pixels are.
_NO_ALPHA = frozenset({"JPEG"})


#: Writes one finished file and returns its facts.
WriteRendition = Callable[[Path, Rendition], Facts]


@contextmanager
def rendition_writer(
    path: Path, beside: Path, operations: Sequence[Operation] = (), *, several: bool = False
) -> Iterator[WriteRendition]:
    """Give a function that writes finished files of one picture: upright 8-bit sRGB of the first picture in `path`.

    A file that already is what is asked for keeps its bytes; only metadata is taken out, without encoding again. A
    JPEG counts as such, too, when its quality is no better than the one asked for, which would add weight and no
    detail.

    Args:
        path: the picture, known to decode; never changed.
        beside: names the temporary files, which are gone when the block ends.
        operations: local steps to carry out first.
        several: more than one file will be written, so the picture is decoded once at its full size and kept until the
            block ends. Otherwise it is decoded as small as the one file allows.

    Raises:
        ItemError: as `reshape`; of a file: as `verify`; ``alpha-lost``: transparent, and neither the format nor a
            background takes that; ``too-large``: a side is longer than the format holds; ``too-heavy``: `max_bytes`
            cannot be met with a quarter of its sides or more.
        Unavailable: a file cannot be written.
        ValueError: this machine cannot write the format.
    """
    with apply_file_operations(path, beside, operations) as (file, rest):
        header = probe(file)
        unchanged = is_noop(file, header, rest)
        whole = functools.cache(lambda: apply_operations(file, header, rest))

        def sized(side: int | None) -> Image.Image:
            if several:
                # Each file is scaled from the whole picture, never from another file.
                return whole() if side is None else resized(whole(), within(whole().size, side, side, enlarge=False))
            return apply_operations(file, header, rest if side is None else (*rest, Resize(side, side)))

        def written(into: Path, rendition: Rendition) -> Facts:
            if rendition.format not in writable_formats():
                raise ValueError(f"{rendition.format} cannot be written here: Pillow was built without it")
            if not (unchanged and _reuse_file(file, header, into, rendition)):
                _encode_rendition(file, into, rendition, sized(rendition.max_side))
            return probe(into)

        yield written


# Files that already are what is asked for


def _reuse_file(path: Path, header: Facts, into: Path, rendition: Rendition) -> bool:
    if not _is_as_asked(path, header, rendition):
        return False
    if rendition.keep_metadata or not strip(path, into, header.format):
        if not rendition.keep_metadata and _has_other_metadata(path):
            return False
        with removed_on_error(into):
            shutil.copyfile(path, into)
    return rendition.max_bytes is None or into.stat().st_size <= rendition.max_bytes


def _is_as_asked(path: Path, header: Facts, rendition: Rendition) -> bool:
    limits = Limits(formats=(rendition.format,), max_side=rendition.max_side)
    if needs(header, limits) or not is_complete(path, header.format):
        return False
    with open_image(path) as image:
        if is_foreign(image.info.get("icc_profile")):
            return False
        if rendition.progressive not in {None, bool(image.info.get("progressive"))} and header.format == "JPEG":
            return False
        return _quality_suffices(image, rendition)


def _quality_suffices(image: Image.Image, rendition: Rendition) -> bool:
    if rendition.quality is None or rendition.format == "PNG":
        return True
    tables: Mapping[int, Sequence[int]] = getattr(image, "quantization", {})
    return 0 in tables and sum(tables[0]) >= _coarseness(rendition.quality)


@functools.cache
def _coarseness(quality: int) -> int:
    """Return the sum of the brightness divisors that a quality stands for, as the JPEG writer itself makes them."""
    with io.BytesIO() as file:
        Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            tables: Mapping[int, Sequence[int]] = getattr(image, "quantization", {})
            return sum(tables[0])


def _has_other_metadata(path: Path) -> bool:
    """Whether there may be metadata in a file that `strip` cannot take apart."""
    with open_image(path) as image:
        return bool(set(image.info) - _HARMLESS)


#: What Pillow finds in files that say nothing but how to show their pixels.
_HARMLESS = frozenset(
    {"jfif", "jfif_version", "jfif_unit", "jfif_density", "adobe", "adobe_transform", "progressive", "progression"}
    | {"icc_profile", "transparency", "gamma", "srgb", "chromaticity", "interlace", "background", "loop", "duration"}
    | {"timestamp", "default_image", "dpi"}
)


# Encoding


def _encode_rendition(path: Path, into: Path, rendition: Rendition, image: Image.Image) -> None:
    if rendition.format in _NO_ALPHA:
        image = without_alpha(image if rendition.background is None else on_colour(image, rendition.background))
    check_sides(image.size, rendition.format, "set max_side, or choose png")
    with open_image(path) as original:
        metadata = metadata_of(original, keep=rendition.keep_metadata)
    with pillow_errors():
        _write(image, into, rendition, metadata)


def _write(image: Image.Image, into: Path, rendition: Rendition, metadata: Metadata) -> None:
    """Write the picture; where that is too heavy, search the quality, then the size."""
    extra = metadata.options(rendition.format)
    best = rendition.quality or QUALITY.get(rendition.format, 0)

    def written(picture: Image.Image, quality: int) -> int:
        encoding = _encoding(rendition, quality, picture)
        return encode(picture, into, Encoding(encoding.format, {**encoding.options, **extra}))

    size, smaller = written(image, best), image
    if rendition.max_bytes is None or size <= rendition.max_bytes:
        return
    floor = min(best, _FLOOR.get(rendition.format, best))
    size = written(image, floor) if floor < best else size
    while size > rendition.max_bytes:
        smaller = _shrunk(image, smaller, size, into, rendition.max_bytes)
        size = written(smaller, floor)
    _raise_quality(lambda quality: written(smaller, quality), floor, best, rendition.max_bytes)


def _raise_quality(written: Callable[[int], int], fits: int, best: int, max_bytes: int) -> None:
    """Leave the file at the best quality that fits; it lies there at the quality `fits`."""
    heavy, lying = best + 1, fits
    while heavy - fits > _CLOSE:
        lying = (fits + heavy) // 2
        if written(lying) <= max_bytes:
            fits = lying
        else:
            heavy = lying
    if lying != fits:
        written(fits)


def _shrunk(image: Image.Image, last: Image.Image, written: int, into: Path, max_bytes: int) -> Image.Image:
    """Return the picture with so few pixels that it should fit; always scaled from the original, never twice."""
    size = smaller_size(image.size, last.size, written, max_bytes)
    if max(size) * _SMALLEST < max(image.size) or size == last.size:
        into.unlink(missing_ok=True)
        raise ItemError(
            "too-heavy",
            f"it cannot be brought to {max_bytes:,} bytes with a quarter of its sides ({image.width}x{image.height})",
            remedy="raise max_bytes, choose jpeg or webp, or use a simpler picture",
        )
    return resized(image, size)


def _encoding(rendition: Rendition, quality: int, image: Image.Image) -> Encoding:
    lossless = rendition.lossless and rendition.max_bytes is None and rendition.format != "AVIF"
    if rendition.format == "JPEG" and not lossless:
        return web_jpeg(quality, progressive=rendition.progressive is not False)
    return encoding_of(rendition.format, image.size, None if lossless else quality)
