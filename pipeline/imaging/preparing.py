"""Making pictures fit for the API, and turning results into the format that an output was promised in."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

from PIL import Image

from pipeline.errors import ItemError
from pipeline.imaging.colour import has_transparent_pixels, in_srgb, unpacked
from pipeline.imaging.containers import webp_is_lossless
from pipeline.imaging.encoding import MAX_SIDE, Encoding, jpeg, ladder, png, webp_lossless, whole_or_absent, write
from pipeline.imaging.facts import API_FORMATS, Facts, Limits, check_minimum, fitted_size, needs, oriented, shrunk
from pipeline.imaging.opening import decoded, guarded, pending_turn, probe

_LOSSY = frozenset({"JPEG", "MPO", "AVIF", "JPEG2000"})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = range(5, 9)
#: Each round of shrinking aims a little below the limit and by at least a tenth, so that few rounds are needed.
_AIM, _LEAST_SHRINK = 0.9, 0.9
#: Lossless WebP takes a fifth to a third off a PNG, for seconds of CPU: not tried where that would not be enough.
_WORTH_A_TRY = 1.5


def prepare(path: Path, into: Path, *, limits: Limits, orient: bool = True) -> Facts:
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

    Returns:
        Facts of the new file; `needs` of them is empty.

    Raises:
        ItemError: as `verify`; ``too-small`` below `limits.min_pixels`; ``too-heavy`` when the byte limit cannot be
            met above it; ``alpha-lost`` when the receiver takes no format with transparency.
        Unavailable: `into` cannot be written.
        ValueError: `into` is `path`.
    """
    _refuse_same_file(path, into)
    header = probe(path)
    target = fitted_size(_as_seen(header, orient=orient).size, limits)
    check_minimum(replace(header, width=target[0], height=target[1]), limits)
    image = _upright(path, header, target, orient=orient)
    if not _has_format_for(image, limits):
        image = _without_alpha(image)
    _write_within(image, into, limits=limits, lossless=_was_lossless(path, header))
    return probe(into)


def convert(path: Path, into: Path, format: str) -> Facts:  # noqa: A002  # the field's word, as in Pillow
    """Write a picture in the format that its output name promises, without loss where the format allows.

    A file that is already what is wanted is copied byte for byte, its metadata included: decoding and encoding a JPEG
    again would only wear it down. Otherwise as `prepare`: upright, 8-bit sRGB, first picture, no metadata.

    Args:
        path: the picture; never changed.
        into: the file to write.
        format: ``PNG`` or ``WEBP`` (both lossless), or ``JPEG`` (quality 95, no chroma subsampling).

    Returns:
        Facts of the new file.

    Raises:
        ItemError: as `verify`; ``alpha-lost`` when JPEG would drop real transparency; ``too-large`` when a side is
            longer than the format can hold.
        Unavailable: `into` cannot be written.
        ValueError: another format, or `into` is `path`.
    """
    if format not in API_FORMATS:
        raise ValueError(f"cannot convert to {format}: one of {', '.join(API_FORMATS)}")
    _refuse_same_file(path, into)
    header = probe(path)
    if not needs(header, Limits(formats=(format,))):
        decoded(path)
        with whole_or_absent(into):
            shutil.copyfile(path, into)
        return header
    _check_sides(oriented(header), format)
    image = _upright(path, header, oriented(header).size, orient=True)
    if format == "JPEG":
        image = _without_alpha(image)
    with guarded():
        write(image, into, _faithful(format, image.size))
    return probe(into)


def _refuse_same_file(path: Path, into: Path) -> None:
    if into.exists() and into.samefile(path):
        raise ValueError(f"{into} would be written over itself")


def _as_seen(facts: Facts, *, orient: bool) -> Facts:
    return oriented(facts) if orient else facts


def _upright(path: Path, header: Facts, target: tuple[int, int], *, orient: bool) -> Image.Image:
    """Decode a picture to plain sRGB pixels of the size `target`, which counts after turning."""
    sideways = orient and header.orientation in _SIDEWAYS
    _, image = decoded(path, draft=target[::-1] if sideways else target)
    turn = pending_turn(header, orient=orient)
    with guarded():
        profile = image.info.get("icc_profile")
        image = unpacked(image)
        # Shrinking first makes every later pass cheaper.
        image = _resized(image, target[::-1] if turn in _SIDEWAYS else target)
        image = in_srgb(image, profile)
        return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    # With alpha, Pillow weighs colours by it (RGBa), so that hidden colours do not bleed into the rim.
    return image.resize(size, Image.Resampling.LANCZOS)


def _was_lossless(path: Path, facts: Facts) -> bool:
    if facts.format == "WEBP":
        return webp_is_lossless(path)
    return facts.format not in _LOSSY


def _has_format_for(image: Image.Image, limits: Limits) -> bool:
    return image.mode not in {"LA", "RGBA"} or any(name != "JPEG" for name in limits.formats)


def _without_alpha(image: Image.Image) -> Image.Image:
    if has_transparent_pixels(image):
        raise ItemError(
            "alpha-lost",
            "the picture is transparent in places, and JPEG cannot keep that",
            remedy="choose png or webp for the output, or flatten it onto a colour first",
        )
    return image.convert({"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode))


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
            smaller = _resized(image, aim)


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


def _check_sides(facts: Facts, format: str) -> None:  # noqa: A002  # as in `convert`
    if facts.max_side > MAX_SIDE[format]:
        raise ItemError(
            "too-large",
            f"{facts.width}x{facts.height}: {format} holds {MAX_SIDE[format]:,} pixels per side at most",
            remedy="choose png for the output, or make the picture smaller",
        )


def _faithful(format: str, size: tuple[int, int]) -> Encoding:  # noqa: A002  # as in `convert`
    return {"PNG": png(size), "WEBP": webp_lossless(), "JPEG": jpeg(95)}[format]
