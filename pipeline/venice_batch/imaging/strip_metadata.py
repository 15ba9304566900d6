"""Taking metadata out of a file without touching its pixels: a JPEG that is encoded again only wears down.

What stays is what the pixels cannot be shown without: size, tables, colour profile, transparency, animation.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from venice_batch.imaging.containers import jpeg_end, png_chunks, riff_chunks
from venice_batch.imaging.encode import removed_on_error

_PNG_KEPT = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"pHYs"}
)
_RIFF_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
#: The bits of a VP8X header that announce EXIF and XMP.
_VP8X_METADATA = 0b00001100
_MARKER, _SOS = 0xFF, 0xDA
#: JFIF (APP0: density), ICC profile (APP2) and Adobe (APP14: how colours are coded); of other applications nothing.
_APP0, _APP2, _APP14, _APPS, _COMMENT = 0xE0, 0xE2, 0xEE, range(0xE0, 0xF0), 0xFE
_ICC_MARK = b"ICC_PROFILE\0"


def strip(path: Path, into: Path, file_format: str) -> bool:
    """Copy a file without its metadata, pixels and colour profile byte for byte.

    Args:
        path: a whole file of `file_format`, decoded before without complaint.
        into: the file to write.
        file_format: Pillow's name of the format.

    Returns:
        False, with nothing written, for formats and oddly built files whose metadata cannot be taken out like this.

    Raises:
        Unavailable: `into` cannot be written.
        OSError: `path` cannot be read.
    """
    kept = _KEPT.get(file_format)
    if kept is None:
        return False
    with path.open("rb") as stream:
        parts = kept(stream)
    if parts is None:
        return False
    with removed_on_error(into):
        into.write_bytes(b"".join(parts))
    return True


def _png(stream: BinaryIO) -> list[bytes] | None:
    parts = [stream.read(8)]
    for kind, length in png_chunks(stream):
        if kind in _PNG_KEPT:
            data = stream.read(length)
            parts.append(struct.pack(">I4s", length, kind) + data + struct.pack(">I", zlib.crc32(kind + data)))
        if kind == b"IEND":
            return parts
    return None


def _jpeg(stream: BinaryIO) -> list[bytes] | None:
    """Return the segments up to the pixels without metadata, then everything up to the end of the first picture."""
    end = jpeg_end(stream)
    stream.seek(0)
    parts = [stream.read(2)]
    while (head := stream.read(4)) and head[0] == _MARKER and head[1] != _SOS:
        data = stream.read(int.from_bytes(head[2:], "big") - 2)
        if _jpeg_keeps(head[1], data):
            parts.append(head + data)
    if end is None or len(head) < len(b"FF.."):
        return None
    # Fill and stray bytes between segments are legal but so rare that such files may be encoded again.
    return [*parts, head, stream.read(end - stream.tell())] if (head[0], head[1]) == (_MARKER, _SOS) else None


def _jpeg_keeps(marker: int, data: bytes) -> bool:
    if marker == _APP2:
        return data.startswith(_ICC_MARK)
    return marker in {_APP0, _APP14} or not (marker in _APPS or marker == _COMMENT)


def _webp(stream: BinaryIO) -> list[bytes] | None:
    chunks: list[bytes] = []
    for kind, length in riff_chunks(stream):
        data = stream.read(length + length % 2)
        if kind == b"VP8X":
            data = bytes([data[0] & ~_VP8X_METADATA]) + data[1:]
        if kind in _RIFF_KEPT:
            chunks.append(kind + length.to_bytes(4, "little") + data)
    size = sum(len(chunk) for chunk in chunks) + len(b"WEBP")
    return [b"RIFF" + size.to_bytes(4, "little") + b"WEBP", *chunks]


_KEPT: dict[str, Callable[[BinaryIO], list[bytes] | None]] = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}
