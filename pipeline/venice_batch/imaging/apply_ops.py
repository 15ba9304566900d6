"""Carrying out operations on pixels: decoded once, changed in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging.colour import has_transparent_pixels
from venice_batch.imaging.decode import pillow_errors, printable, probe
from venice_batch.imaging.facts import DECODE_MAX_PIXELS, Facts, oriented
from venice_batch.imaging.geometry import GRAVITIES, Size, of_shape, placed, within
from venice_batch.imaging.local_ops import (
    Convert,
    Crop,
    Fit,
    Flatten,
    Operation,
    Orient,
    Overlay,
    Pad,
    Resize,
    Rgb,
    ToSrgb,
    Trim,
)
from venice_batch.imaging.pixels import on_colour, resized, upright

_WHITE: Rgb = (255, 255, 255)
_OPAQUE = 255
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}


def apply_operations(path: Path, header: Facts, operations: Sequence[Operation], *, orient: bool = True) -> Image.Image:
    """Decode the first picture of a file and carry out operations on its pixels.

    Args:
        path: the file.
        header: its facts.
        operations: in order. What is about the file only (bytes, format) is left to whoever writes it.
        orient: apply the EXIF orientation; False keeps the pixels as stored.

    Returns:
        Upright 8-bit sRGB: mode ``L``, ``LA``, ``RGB`` or ``RGBA``.

    Raises:
        ItemError: as `decode.verify`; ``too-small``, ``too-large``, ``no-room`` or ``blank`` where an operation
            cannot be carried out on this picture.
    """
    seen = (oriented(header) if orient else header).size
    todo = [operation for operation in operations if not isinstance(operation, Orient | ToSrgb | Convert)]
    target, enough = _decoding_size(todo, seen)
    image = upright(path, header, target, enough=enough, orient=orient)
    for operation in todo:
        _refuse_huge(operation.size_after(image.size))
        with pillow_errors():
            image = _applied(operation, image)
    return image


def _decoding_size(todo: Sequence[Operation], size: Size) -> tuple[Size | None, Size | None]:
    """Return the exact size to decode to, or one that is enough, where the first operation shrinks the picture."""
    match todo[0] if todo else None:
        case Fit() | Resize(mode="fit") as first:
            target = first.size_after(size)
        case Pad(size=tuple()) as first:
            target = first.inner(size)
        case Resize(mode="fill", width=int(width), height=int(height)):
            factor = min(Fraction(1), max(Fraction(width, size[0]), Fraction(height, size[1])))
            # A whole pixel more, so that rounding leaves nothing short.
            return None, (int(size[0] * factor) + 1, int(size[1] * factor) + 1)
        case _:
            return None, None
    # An enlargement waits: it is cheaper to convert colours before it, and it may be refused.
    return (target, None) if target is not None and target[0] <= size[0] and target[1] <= size[1] else (None, None)


def _refuse_huge(size: Size | None) -> None:
    if size is not None and size[0] * size[1] > DECODE_MAX_PIXELS:
        raise ItemError(
            "too-large",
            f"it would become {size[0]}x{size[1]}, more than {DECODE_MAX_PIXELS:,} pixels are never made",
            remedy="resize it first",
        )


def _applied(operation: Operation, image: Image.Image) -> Image.Image:
    match operation:
        case Fit() | Resize():
            return _scaled(operation, image)
        case Trim():
            return _trimmed(image, round(operation.tolerance * _OPAQUE))
        case Pad():
            return _padded(operation, image)
        case Crop():
            return image.crop(operation.box(image.size))
        case Flatten():
            return on_colour(image, operation.color)
        case Overlay():
            return _overlaid(operation, image)
        case _:
            raise TypeError(f"{operation} is not about pixels")


def _scaled(operation: Fit | Resize, image: Image.Image) -> Image.Image:
    size = operation.size_after(image.size) or image.size
    match operation:
        case Resize(mode="exact", enlarge=False):
            _refuse_enlargement(image.size, size)
        case Resize(mode="fill"):
            return _filled(operation, image, size)
    return resized(image, size)


def _refuse_enlargement(size: Size, wanted: Size) -> None:
    if wanted[0] > size[0] or wanted[1] > size[1]:
        raise ItemError(
            "too-small",
            f"{size[0]}x{size[1]} is smaller than the {wanted[0]}x{wanted[1]} that resize asks for",
            remedy="add enlarge: true, or use a larger original",
        )


def _filled(operation: Resize, image: Image.Image, size: Size) -> Image.Image:
    """Scale the part that has the wanted shape; in fractions of pixels, so that it lies where it should."""
    if size != (operation.width, operation.height):
        return image.crop(placed(of_shape(image.size, Fraction(*size)), image.size, operation.gravity))
    factor = max(Fraction(size[0], image.width), Fraction(size[1], image.height))
    part = (size[0] / factor, size[1] / factor)
    across, down = GRAVITIES[operation.gravity]
    left, top = (image.width - part[0]) * across, (image.height - part[1]) * down
    whole = image.size == size
    return image if whole else resized(image, size, _floats(left, top, left + part[0], top + part[1]))


def _floats(left: Fraction, top: Fraction, right: Fraction, bottom: Fraction) -> tuple[float, float, float, float]:
    return float(left), float(top), float(right), float(bottom)


def _trimmed(image: Image.Image, level: int) -> Image.Image:
    """Cut off what is transparent; where nothing is, what has the colour of most corners."""
    whole = (0, 0, *image.size)
    if image.mode in {"LA", "RGBA"}:
        box = image.getchannel("A").point([0] * (level + 1) + [1] * (_OPAQUE - level)).getbbox()
        if box != whole:
            return image.crop(_not_nothing(box))
        if has_transparent_pixels(image):
            # It touches all four edges. What lies under its transparent corners is the colour of no border.
            return image
    opaque = image if image.mode in {"L", "RGB"} else image.convert("L" if image.mode == "LA" else "RGB")
    tables = [int(abs(value - middle) > level) for middle in _corner_colour(opaque) for value in range(_OPAQUE + 1)]
    box = _not_nothing(opaque.point(tables).getbbox())
    return image if box == whole else image.crop(box)


def _not_nothing(box: tuple[int, int, int, int] | None) -> tuple[int, int, int, int]:
    if box is None:
        raise ItemError(
            "blank",
            "there is nothing but border, so trim would leave nothing",
            remedy="look at the picture, or lower the tolerance of trim",
        )
    return box


def _corner_colour(image: Image.Image) -> tuple[int, ...]:
    """Return the lower middle of the four corners, channel by channel: one odd corner does not count."""
    right, bottom = image.width - 1, image.height - 1
    corners = [image.getpixel(at) for at in ((0, 0), (right, 0), (0, bottom), (right, bottom))]
    channels = zip(*(corner if isinstance(corner, tuple) else (corner,) for corner in corners), strict=True)
    return tuple(int(sorted(channel)[1]) for channel in channels)


def _padded(operation: Pad, image: Image.Image) -> Image.Image:
    image = resized(image, operation.inner(image.size))
    color = operation.color
    if color is None:
        color = "transparent" if has_transparent_pixels(image) else _WHITE
    if isinstance(color, tuple):
        image = on_colour(image, color)
        grey = image.mode == "L" and len(set(color)) == 1
        image = image if grey else image.convert("RGB")
        canvas: float | tuple[int, ...] = color[0] if grey else color
    else:
        image = image.convert(_WITH_ALPHA.get(image.mode, image.mode))
        canvas = (0,) * len(image.getbands())
    size = operation.size_after(image.size) or image.size
    result = Image.new(image.mode, size, canvas)
    result.paste(image, placed(image.size, size))
    return result


def _overlaid(operation: Overlay, image: Image.Image) -> Image.Image:
    margin = operation.margin.of(min(image.size))
    room = (image.width - 2 * margin, image.height - 2 * margin)
    if min(room) < 1:
        raise ItemError("no-room", f"margins of {margin} px leave no room on {image.width}x{image.height}")
    logo = _logo(operation.file, operation.sha256)
    width = logo.width if operation.size is None else max(1, operation.size.of(image.width))
    size = within(within(logo.size, width, None, enlarge=True), *room, enlarge=False)
    logo = resized(logo, size)
    if operation.opacity < 1:
        logo.putalpha(logo.getchannel("A").point([round(value * operation.opacity) for value in range(_OPAQUE + 1)]))
    return _composed(image, logo, placed(size, image.size, operation.position, margin)[:2])


def _logo(file: Path, sha256: str) -> Image.Image:
    try:
        # Twice, since it may be replaced while it is decoded: the answer would be kept as if made with the old one.
        _refuse_another(file, sha256)
        logo = upright(file, probe(file))
        _refuse_another(file, sha256)
    except ItemError as error:
        name = printable(file.name)
        raise ItemError(error.code, f"{name}: {error.message}", remedy=error.remedy, lasting=error.lasting) from error
    return logo.convert({"L": "LA", "RGB": "RGBA"}.get(logo.mode, logo.mode))


def _refuse_another(file: Path, sha256: str) -> None:
    if not sha256:
        return
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        found = ""
    if found != sha256:
        raise ItemError("changed", "it changed or vanished after the plan", remedy="run the job again", lasting=False)


def _composed(image: Image.Image, logo: Image.Image, at: tuple[int, int]) -> Image.Image:
    grey = image.mode in {"L", "LA"} and logo.mode == "LA"
    if image.mode in {"L", "RGB"}:
        base = image if grey or image.mode == "RGB" else image.convert("RGB")
        base.paste(logo.convert(base.mode), at, logo.getchannel("A"))
        return base
    base = image.convert("RGBA")
    base.alpha_composite(logo.convert("RGBA"), at)
    return base.convert("LA") if grey else base
