"""Encoding a picture: what this Pillow can write, which encodings to try, and writing one file whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from PIL import Image, ImageFile, features

from venice_batch.errors import ItemError, Unavailable
from venice_batch.imaging.containers import is_complete
from venice_batch.imaging.facts import UPSCALE_CAP, shrunk
from venice_batch.imaging.geometry import Size

#: Longest side each format can store (libwebp; libjpeg-turbo; libavif; PNG: more than is ever decoded).
MAX_SIDE = {"WEBP": 16_383, "JPEG": 65_500, "AVIF": 65_536, "PNG": 2**31 - 1}
_QUALITIES = (95, 90, 85)
#: Level 6 costs five times the CPU of level 1 for 10..20 % fewer bytes: worth it until a picture is large.
_PNG_CAREFUL_PIXELS, _PNG_CAREFUL, _PNG_QUICK = 4_000_000, 6, 2

_FULL_COLOUR_FROM = 90
#: No JPEG has more: noise at quality 100 takes half of it.
_MOST_BYTES_A_PIXEL = 8
_roomy = threading.Lock()

#: libwebp needs some 36 bytes per pixel to write without loss: 600 MB and 5 s for what upscale answers with at most.
_WEBP_LOSSLESS_PIXELS = UPSCALE_CAP
#: Each round of shrinking aims a little below the limit and by at least a tenth, so that few rounds are needed.
_AIM, _LEAST_SHRINK = 0.9, 0.9

#: Pillow's names of its parts by ours.
_PARTS = {
    "JPEG": "jpg",
    "PNG": "zlib",
    "WEBP": "webp",
    "AVIF": "avif",
    "colour management": "littlecms2",
    "fonts": "freetype2",
}


def codecs() -> Mapping[str, str | None]:
    """Return the version of each part of this Pillow: formats, colour management, fonts; None where it is missing."""
    return {
        ours: (features.version(name) or "present") if features.check(name) else None for ours, name in _PARTS.items()
    }


def writable_formats() -> tuple[str, ...]:
    """Return the formats that this machine's Pillow can write, by Pillow's names: not every build has AVIF."""
    return tuple(name for name in MAX_SIDE if name not in {"AVIF", "WEBP"} or features.check(name.lower()))


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to write a picture: Pillow's format name and the options of its writer."""

    format: str
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def lossless(self) -> bool:
        """Whether every pixel comes back as it was."""
        return self.format == "PNG" or bool(self.options.get("lossless"))


def png(size: tuple[int, int]) -> Encoding:
    """Return PNG with a compression effort that suits the size in pixels."""
    careful = size[0] * size[1] <= _PNG_CAREFUL_PIXELS
    return Encoding("PNG", MappingProxyType({"compress_level": _PNG_CAREFUL if careful else _PNG_QUICK}))


def png_quick() -> Encoding:
    """Return PNG for a file that is read again soon and then thrown away."""
    return Encoding("PNG", MappingProxyType({"compress_level": 1}))


def jpeg(quality: int) -> Encoding:
    """Return JPEG without chroma subsampling: text and edges keep their colour through the next step."""
    return Encoding("JPEG", MappingProxyType({"quality": quality, "subsampling": 0}))


def webp(quality: int) -> Encoding:
    """Return lossy WebP; its alpha channel stays lossless."""
    return Encoding("WEBP", MappingProxyType({"quality": quality, "method": 4}))


def webp_lossless() -> Encoding:
    """Return lossless WebP that keeps the colours under transparent pixels too. `quality` is effort here."""
    return Encoding("WEBP", MappingProxyType({"lossless": True, "exact": True, "quality": 50, "method": 2}))


def avif(quality: int) -> Encoding:
    """Return AVIF; speed 8 of 10 costs a tenth of speed 4's time for some 5 % more bytes.

    One thread a picture: pictures are worked on side by side, and the bytes must not depend on the machine.
    """
    return Encoding("AVIF", MappingProxyType({"quality": quality, "speed": 8, "max_threads": 1}))


def web_jpeg(quality: int, *, progressive: bool) -> Encoding:
    """Return JPEG as the web shows it: below quality 90 with a quarter of the colour samples, as is usual."""
    subsampling = 0 if quality >= _FULL_COLOUR_FROM else 2
    options = {"quality": quality, "subsampling": subsampling, "progressive": progressive, "optimize": True}
    return Encoding("JPEG", MappingProxyType(options))


def encoding_of(format: str, size: Size, quality: int | None) -> Encoding:  # noqa: A002 - the field's word, as in Pillow
    """Return how to write a format at a quality; None: without loss where the format can, else at 95."""
    if format == "WEBP":
        return webp_lossless() if quality is None else webp(quality)
    return png(size) if format == "PNG" else {"JPEG": jpeg, "AVIF": avif}[format](quality or 95)


def encodings_to_try(
    *, lossless: bool, alpha: bool, size: tuple[int, int], formats: tuple[str, ...]
) -> tuple[Encoding, ...]:
    """List the encodings to try, best first, each next one smaller.

    Args:
        lossless: whether the input had been stored without loss.
        alpha: whether there is an alpha channel to keep.
        size: width and height in pixels; formats that cannot hold them are left out.
        formats: formats that the receiver takes.

    Returns:
        Empty when no format of the receiver can hold the picture.
    """
    usable = tuple(name for name in formats if max(size) <= MAX_SIDE.get(name, 0) and not (alpha and name == "JPEG"))
    lossy_format = "JPEG" if "JPEG" in usable else "WEBP"
    lossy = tuple((jpeg if lossy_format == "JPEG" else webp)(quality) for quality in _QUALITIES)
    small = size[0] * size[1] <= _WEBP_LOSSLESS_PIXELS
    exact = (png(size), webp_lossless()) if small else (png(size),)
    wanted = exact + lossy if lossless or alpha or lossy_format not in usable else lossy
    return tuple(encoding for encoding in wanted if encoding.format in usable)


def check_sides(size: Size, format: str, remedy: str) -> None:  # noqa: A002 - as in `encoding_of`
    """Refuse a size that a format cannot hold.

    Raises:
        ItemError: ``too-large``.
    """
    if max(size) > MAX_SIDE[format]:
        text = f"{size[0]}x{size[1]}: {format} holds {MAX_SIDE[format]:,} pixels per side at most"
        raise ItemError("too-large", text, remedy=remedy)


def smaller_size(size: Size, last: Size, written: int, max_bytes: int | None) -> Size:
    """Return the size to try next, guessed from the bytes of the last try.

    Args:
        size: of the whole picture, which gives the shape.
        last: what was tried.
        written: bytes of it; 0: no format could hold it.
        max_bytes: to be met.
    """
    ratio = _AIM * max_bytes / written if written and max_bytes is not None else _LEAST_SHRINK
    return shrunk(size, max(1, int(last[0] * last[1] * min(ratio, _LEAST_SHRINK))))


def encode(image: Image.Image, into: Path, encoding: Encoding) -> int:
    """Write a picture without any metadata and return the size of the file in bytes.

    Goes straight to a file: written to memory first, Pillow would hold the interpreter's lock while it compresses.

    Args:
        image: mode ``L``, ``LA``, ``RGB`` or ``RGBA``; its `info` is emptied.
        into: the file to write; replaced if there, removed again when writing fails.
        encoding: how.

    Raises:
        Unavailable: the disk is full or cannot be written.
        OSError, ValueError: the encoder refuses the picture.
    """
    # Writers copy profile, comment, EXIF and more from here; GPS positions must not be published by accident.
    image.info.clear()
    with removed_on_error(into):
        _save(image, into, encoding)
        if not is_complete(into, encoding.format):
            # The JPEG writer takes a write that was cut short by a full disk for success.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(into))
    return into.stat().st_size


def _save(image: Image.Image, into: Path, encoding: Encoding) -> None:
    try:
        image.save(into, format=encoding.format, **encoding.options)
    except OSError as error:
        if encoding.format != "JPEG" or error.errno is not None:
            raise
        # An optimized or progressive JPEG is written in one go, into a buffer whose size Pillow guesses by the number
        # of pixels: fine grain at high quality needs more. Its guess is at least `MAXBLOCK`, which is all of Pillow's,
        # hence the lock; who opens a file meanwhile reads it in larger blocks.
        with _roomy:
            usual = ImageFile.MAXBLOCK
            ImageFile.MAXBLOCK = max(usual, _MOST_BYTES_A_PIXEL * image.width * image.height)
            try:
                image.save(into, format=encoding.format, **encoding.options)
            finally:
                ImageFile.MAXBLOCK = usual


@contextmanager
def removed_on_error(into: Path) -> Iterator[None]:
    """Remove the file again when the block that writes it fails.

    Raises:
        Unavailable: the system refused to write it.
    """
    try:
        yield
    except BaseException as error:
        # What cannot be removed was never written; the first error is the one to raise.
        with suppress(OSError):
            into.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            # With an error number it came from the system, not from the encoder.
            raise Unavailable(
                f"cannot write {into}: {os.strerror(error.errno)}",
                remedy="free space, or set TMPDIR to a writable folder",
            ) from error
        raise
