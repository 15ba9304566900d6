"""Pixels of any kind to 8-bit sRGB, which is all that the API and the web are sure to understand."""

from __future__ import annotations

import functools
import io
import re

from PIL import Image, ImageCms, ImageColor

#: Grey levels of a 16-bit picture per level of an 8-bit one: 65535 / 255.
_SIXTEEN_BIT_STEP = 257
_EIGHT_BIT_MAX, _SIXTEEN_BIT_MAX = 255, 65_535
_DEEP = ("I", "F")
_PLAIN = frozenset({"L", "LA", "RGB", "RGBA"})
#: The creation date within an ICC profile.
_MADE_AT = slice(24, 36)


def rgb(text: str) -> tuple[int, int, int]:
    """Read a colour: one of Pillow's names (those of CSS), ``#rgb`` or ``#rrggbb``, in any case.

    Raises:
        ValueError: it is none of them.
    """
    if not re.fullmatch("[a-zA-Z]+|#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6}", text):
        raise ValueError(f"not a colour: {text!r}")
    red, green, blue, *_ = ImageColor.getrgb(text)
    return red, green, blue


@functools.cache
def srgb_profile() -> bytes:
    """Return an sRGB profile of some 600 bytes, always the same: the library would put the time into it."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[_MADE_AT] = b"\x07\xd0\0\x01\0\x01\0\0\0\0\0\0"  # the year 2000, January the 1st
    return bytes(made)


def is_foreign(profile: bytes | None) -> bool:
    """Tell whether an embedded profile asks for a conversion; one that is damaged does not, nor does none."""
    if not profile:
        return False
    try:
        return not _is_srgb(ImageCms.getOpenProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return False


def unpacked(image: Image.Image) -> Image.Image:
    """Turn pixels into values that can be averaged: 8 bits per channel, no palette, transparency as a channel.

    Args:
        image: a loaded picture of any mode.

    Returns:
        Mode ``L``, ``LA``, ``RGB`` or ``RGBA``, or a colour model such as ``CMYK`` or ``LAB`` unchanged. Still in the
        colours of its own profile: see `in_srgb`.

    Raises:
        ValueError: a mode that Pillow cannot convert.
    """
    if image.mode.startswith(_DEEP):
        image = _eight_bit(image)
    if image.has_transparency_data and image.mode not in {"LA", "RGBA"}:
        return image.convert("LA" if image.mode in {"1", "L", "La"} else "RGBA")
    simpler = {"1": "L", "P": "RGB", "RGBX": "RGB"}.get(image.mode)
    return image.convert(simpler) if simpler else image


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Bring an `unpacked` picture into sRGB.

    Args:
        image: the picture.
        profile: its embedded ICC profile; None or a damaged one means a plain conversion.

    Returns:
        Mode ``L``, ``LA``, ``RGB`` or ``RGBA``; grey stays grey, alpha is untouched.

    Raises:
        ValueError: a mode that Pillow cannot convert.
    """
    if profile:
        image = _through_profile(image, profile)
    return image if image.mode in _PLAIN else image.convert("RGB")


def has_transparent_pixels(image: Image.Image) -> bool:
    """Tell whether any pixel of a picture in mode ``LA`` or ``RGBA`` is less than fully opaque; False without alpha."""
    if image.mode not in {"LA", "RGBA"}:
        return False
    lowest, _ = alpha_range(image)
    return lowest < _EIGHT_BIT_MAX


def alpha_range(image: Image.Image) -> tuple[float, float]:
    """Return the lowest and highest alpha, 0 to 255, of a picture in mode ``LA`` or ``RGBA``."""
    low, high = image.getchannel("A").getextrema()
    if isinstance(low, tuple) or isinstance(high, tuple):
        raise TypeError("one channel has one range")
    return low, high


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale deep grey to 8 bits. Pillow's own conversion clips: everything above level 255 would turn white."""
    divisor = _divisor(image)
    deep = image if image.mode in _DEEP else image.convert("I")
    grey = deep.convert("F").point(lambda value: value * (1 / divisor) + 0.5).convert("L")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.info["transparency"] = min(_EIGHT_BIT_MAX, round(transparent / divisor))
    return grey


def _divisor(image: Image.Image) -> float:
    """Return what one 8-bit level is worth. 32-bit and float files do not say their range, so the pixels tell."""
    if image.mode.startswith("I;16"):
        return _SIXTEEN_BIT_STEP
    extrema = image.getextrema()
    highest = max(value for value in extrema if not isinstance(value, tuple))
    if image.mode == "F" and highest <= 1:
        return 1 / _EIGHT_BIT_MAX
    if highest <= _EIGHT_BIT_MAX:
        return 1
    return _SIXTEEN_BIT_STEP if highest <= _SIXTEEN_BIT_MAX else highest / _EIGHT_BIT_MAX


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if _is_srgb(source):
            return image
        return _transformed(image, source)
    except (ImageCms.PyCMSError, OSError):
        # Profiles that are damaged or made for other channels are common, and viewers ignore them too.
        return image


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    name = ImageCms.getProfileDescription(profile).strip().lower()
    return name.startswith("srgb") and "linear" not in name


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    grey = image.mode in {"L", "LA"}
    opaque = image if alpha is None else image.convert("L" if grey else "RGB")
    result = ImageCms.profileToProfile(opaque, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    if result is None:
        raise TypeError("a transform that is not in place returns a picture")
    if grey:
        result = result.convert("L")
    if alpha is not None:
        result.putalpha(alpha)
    return result
