"""Pixels as everything works on them: decoded once, upright, 8-bit sRGB."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging.colour import has_transparent_pixels, in_srgb, unpacked
from venice_batch.imaging.decode import decode, pending_turn, pillow_errors
from venice_batch.imaging.facts import SIDEWAYS, Facts, oriented
from venice_batch.imaging.geometry import Size

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OPAQUE = {"LA": "L", "RGBA": "RGB"}
#: Rows of a reduced picture that are made at a time.
_STRIP = 8


def upright(
    path: Path,
    header: Facts,
    target: Size | None = None,
    *,
    enough: Size | None = None,
    orient: bool = True,
    rough: bool = False,
) -> Image.Image:
    """Decode the first picture of a file to plain sRGB pixels.

    Args:
        path: the file.
        header: its facts.
        target: the size that is wanted, counted after turning; None: the picture's own.
        enough: instead of `target`, a size that the caller will shrink it to: a JPEG may then come out smaller than
            it is, though never smaller than this, for a fraction of time and memory.
        orient: apply the EXIF orientation; False keeps the pixels as stored.
        rough: average whole blocks on the way to a much smaller `target`: for looking at, in a third of the memory.

    Returns:
        Mode ``L``, ``LA``, ``RGB`` or ``RGBA``.

    Raises:
        ItemError: as `decode.verify`.
    """
    sideways = orient and header.orientation in SIDEWAYS
    draft = target or enough or (oriented(header) if orient else header).size
    _, image = decode(path, draft=draft[::-1] if sideways else draft)
    turn = pending_turn(header, orient=orient)
    with pillow_errors():
        profile = image.info.get("icc_profile")
        image = unpacked(image)
        if target is not None:
            # Shrinking first makes every later pass cheaper.
            wanted = target[::-1] if turn in SIDEWAYS else target
            if rough:
                image = reduced(image, min(image.width // wanted[0], image.height // wanted[1]) // 2)
            image = resized(image, wanted)
        image = in_srgb(image, profile)
        return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def resized(image: Image.Image, size: Size, box: tuple[float, float, float, float] | None = None) -> Image.Image:
    """Scale a picture, or the part of it in `box` (left, top, right, bottom, in fractions of pixels), to `size`."""
    if image.size == size and box is None:
        return image
    # With alpha, Pillow weighs colours by it (RGBa), so that hidden colours do not bleed into the rim.
    return image.resize(size, Image.Resampling.LANCZOS, box)


def reduced(image: Image.Image, factor: int) -> Image.Image:
    """Return the picture at one part in `factor` of its size, pixels averaged; itself where `factor` is 1 or less."""
    if factor <= 1:
        return image
    across, down = min(factor, image.width), min(factor, image.height)
    if image.mode not in _OPAQUE:
        return image.reduce((across, down))
    # Pillow weighs colours by alpha in a second copy of what it is given: of a whole 16 megapixels that would be 64 MB.
    rows = down * _STRIP
    parts = [(0, top, image.width, min(top + rows, image.height)) for top in range(0, image.height, rows)]
    strips = [image.crop(part).reduce((across, down)) for part in parts]
    small = Image.new(image.mode, (strips[0].width, sum(strip.height for strip in strips)))
    for number, strip in enumerate(strips):
        small.paste(strip, (0, number * _STRIP))
    return small


def on_colour(image: Image.Image, color: tuple[int, int, int]) -> Image.Image:
    """Lay a picture on a colour; what has no alpha is returned as it is, and grey stays grey where the colour is."""
    if image.mode not in _OPAQUE:
        return image
    alpha = image.getchannel("A")
    grey = image.mode == "LA" and len(set(color)) == 1
    result = Image.new("L" if grey else "RGB", image.size, color[0] if grey else color)
    result.paste(image.convert(result.mode), (0, 0), alpha)
    return result


def without_alpha(image: Image.Image) -> Image.Image:
    """Drop an alpha channel that hides nothing.

    Raises:
        ItemError: ``alpha-lost``: it does hide something, and nobody asked for that to be lost.
    """
    if has_transparent_pixels(image):
        raise ItemError(
            "alpha-lost",
            "the picture is transparent in places, and JPEG cannot keep that",
            remedy="choose png or webp for the output, or flatten it onto a colour first",
        )
    return image.convert(_OPAQUE.get(image.mode, image.mode))
