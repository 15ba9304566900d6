"""The skeleton of PNG, JPEG and WebP files, walked without decoding.

Pillow stops reading once it has every pixel, so it accepts a file whose end is missing, and it does not check the
checksums of a PNG's pixel data. Both are how a damaged download looks, and a damaged picture must not be published.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_PNG_SIGNATURE_LENGTH = 8
_RIFF_HEADER_LENGTH = 12
_BLOCK = 1 << 20
#: Inside compressed JPEG data, FF is followed by 00 (a data byte), by D0..D7 (restart) or by more FF (fill); anything
#: else ends the data.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_EOI, _SOS = 0xD9, 0xDA


def is_complete(path: Path, file_format: str) -> bool:
    """Tell whether a file has the end that its format demands, and a PNG the right checksums on its pixels.

    Args:
        path: the file, already opened successfully by Pillow as `file_format`.
        file_format: Pillow's name of the format; formats other than JPEG, MPO, PNG and WEBP are taken to be whole.

    Raises:
        OSError: the file cannot be read.
    """
    check = {
        "PNG": _png_is_complete,
        "JPEG": _jpeg_is_complete,
        "MPO": _jpeg_is_complete,
        "WEBP": _webp_is_complete,
    }.get(file_format)
    if check is None:
        return True
    with path.open("rb") as stream:
        return check(stream)


def late_png_exif(path: Path) -> bytes | None:
    """Return the EXIF block of a PNG wherever it stands; Pillow sees one behind the pixels only by decoding them.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        for kind, length in png_chunks(stream):
            if kind == b"eXIf":
                return stream.read(length)
    return None


def webp_is_lossless(path: Path) -> bool:
    """Tell whether the first picture in a WebP file is stored without loss (a VP8L chunk before any VP8 chunk).

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        for kind, _ in riff_chunks(stream):
            if kind in {b"VP8L", b"VP8 "}:
                return kind == b"VP8L"
    return False


def riff_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield kind and length of each chunk of a WebP with the stream at its data, which the caller may read."""
    stream.seek(4)
    # What lies behind the declared end is none of it.
    end = int.from_bytes(stream.read(4), "little") + 8
    position = _RIFF_HEADER_LENGTH
    stream.seek(position)
    while position < end and len(header := stream.read(8)) == 8:  # noqa: PLR2004  # four letters, four bytes of length
        length = int.from_bytes(header[4:], "little")
        yield header[:4], length
        position += 8 + length + length % 2
        stream.seek(position)


def png_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield kind and length of each chunk with the stream at its data; the caller may read, but not past the data."""
    position = _PNG_SIGNATURE_LENGTH
    while True:
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:  # noqa: PLR2004  # four bytes of length and four letters
            return
        length, kind = struct.unpack(">I4s", header)
        yield kind, length
        position += 8 + length + 4


def _png_is_complete(stream: BinaryIO) -> bool:
    for kind, length in png_chunks(stream):
        # Damage in an optional chunk (lower case first letter) is common in the wild and costs no pixel.
        if kind[:1].isupper() and not _checksum_holds(stream, kind, length):
            return False
        if kind == b"IEND":
            return True
    return False


def _checksum_holds(stream: BinaryIO, kind: bytes, length: int) -> bool:
    checksum = zlib.crc32(kind)
    while length:
        block = stream.read(min(length, _BLOCK))
        if not block:
            return False
        checksum = zlib.crc32(block, checksum)
        length -= len(block)
    return stream.read(4) == checksum.to_bytes(4, "big")


def _jpeg_is_complete(stream: BinaryIO) -> bool:
    return jpeg_end(stream) is not None


def jpeg_end(stream: BinaryIO) -> int | None:
    """Return the position behind the first picture's end-of-image marker, None if the file ends before it.

    Phones append thumbnails, videos and more behind it.
    """
    stream.seek(2)
    while (marker := _read_marker(stream)) is not None:
        if marker == _EOI:
            return stream.tell()
        length = int.from_bytes(stream.read(2), "big")
        stream.seek(max(length - 2, 0), 1)
        if marker == _SOS and not _skip_compressed(stream):
            return None
    return None


def _read_marker(stream: BinaryIO) -> int | None:
    """Return the code of the next marker, stepping over fill and stray bytes; None at the end of the file."""
    while byte := stream.read(1):
        if byte != b"\xff":
            continue
        while (code := stream.read(1)) == b"\xff":
            pass
        if code and code != b"\x00":
            return code[0]
    return None


def _skip_compressed(stream: BinaryIO) -> bool:
    """Move to the marker that ends the compressed data; False when the file ends first."""
    position = stream.tell()
    while block := stream.read(_BLOCK):
        if found := _NEXT_MARKER.search(block):
            stream.seek(position + found.start())
            return True
        # A marker may be cut in two by the block's edge: its first half is read again with the next block.
        step = len(block) - 1 if block.endswith(b"\xff") and len(block) > 1 else len(block)
        position += step
        stream.seek(position)
    return False


def _webp_is_complete(stream: BinaryIO) -> bool:
    header = stream.read(8)
    return stream.seek(0, 2) >= int.from_bytes(header[4:8], "little") + 8
