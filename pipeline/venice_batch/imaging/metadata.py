"""What a picture says about itself besides its pixels, for finished files that keep it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image, PngImagePlugin

from venice_batch.imaging.colour import srgb_profile

_EXIF_MARK = b"Exif\0\0"
#: EXIF's first directory: the tag of the orientation, and the sizes of its parts in bytes.
_ORIENTATION, _HEADER, _COUNT, _ENTRY, _VALUE_AT = 0x0112, 8, 2, 12, 8
#: More does not fit into the one segment that a JPEG has for it; other formats have no such limit.
_JPEG_SEGMENT = 65_000
_XMP_KEY = "XML:com.adobe.xmp"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Colour profile, EXIF and XMP of an upright picture in sRGB; empty where there is none.

    Attributes:
        profile: an ICC profile.
        exif: the EXIF block with its six-byte mark.
        xmp: the XMP packet.
    """

    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""

    def options(self, file_format: str) -> dict[str, object]:
        """Return the options of Pillow's writer for a format; what the format cannot hold is left out."""
        options: dict[str, object] = {}
        if self.profile:
            options["icc_profile"] = self.profile
        if self.exif and (file_format != "JPEG" or len(self.exif) < _JPEG_SEGMENT):
            options["exif"] = self.exif
        if not self.xmp:
            return options
        if file_format == "PNG":
            chunks = PngImagePlugin.PngInfo()
            chunks.add_itxt(_XMP_KEY, self.xmp.decode("utf-8", "replace"))
            options["pnginfo"] = chunks
        elif file_format != "JPEG" or len(self.xmp) < _JPEG_SEGMENT:
            options["xmp"] = self.xmp
        return options


def metadata_of(image: Image.Image, *, keep: bool) -> Metadata:
    """Return the metadata of an opened picture that a finished file gets.

    Args:
        image: opened; its pixels need not be decoded. What a PNG says behind its pixels is not looked for.
        keep: EXIF and XMP too, saying that the picture is upright; otherwise the colour profile alone. That becomes
            sRGB, as the pixels do. A picture without a profile means sRGB to everybody, and stays without.
    """
    profile = srgb_profile() if image.info.get("icc_profile") else b""
    if not keep:
        return Metadata(profile)
    return Metadata(profile, _upright_exif(image.info), _upright_xmp(image.info))


def _upright_exif(info: Mapping[str | tuple[int, int], object]) -> bytes:
    """Return the block as it stands, camera makers' notes included, with the orientation overwritten in its place."""
    found = info.get("exif")
    block = bytearray(found.removeprefix(_EXIF_MARK) if isinstance(found, bytes) else b"")
    if len(block) < _HEADER:
        return b""
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    start = int.from_bytes(block[4:8], order)
    entries = int.from_bytes(block[start : start + _COUNT], order)
    for at in range(start + _COUNT, min(start + _COUNT + entries * _ENTRY, len(block) - _ENTRY + 1), _ENTRY):
        if int.from_bytes(block[at : at + 2], order) == _ORIENTATION:
            block[at + _VALUE_AT : at + _VALUE_AT + 2] = (1).to_bytes(2, order)
    return _EXIF_MARK + bytes(block)


def _upright_xmp(info: Mapping[str | tuple[int, int], object]) -> bytes:
    found = info.get("xmp")
    if not isinstance(found, bytes):
        return b""
    return re.sub(rb'(tiff:Orientation(?:="|>))[1-8]', rb"\g<1>1", found)
