"""Header probe from the first bytes of a picture: enough for a plan, without reading objects whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from venice_batch.errors import ItemError
from venice_batch.imaging.decode import probe
from venice_batch.imaging.facts import Facts

#: Formats whose header lies anywhere in the file, so that half of it may be missing without a sign.
_ANYWHERE = frozenset({"TIFF"})
#: Bytes up to the end of the sizes in each of the three kinds of WebP header.
_WEBP_HEAD = 30
_ALPHA, _EXIF, _ANIMATED = 0x10, 0x08, 0x02


def probe_head(path: Path, size: int) -> Facts | None:
    """Read what the header says, from a file that may hold only the first bytes.

    Args:
        path: a local file with the first bytes, or all of them.
        size: bytes of the whole picture, for the facts.

    Returns:
        The facts; None where these bytes do not hold the whole header, or are damaged.

    Raises:
        ItemError: as `probe`, where the first bytes are enough to say so.
    """
    if path.stat().st_size >= size:
        return probe(path)
    with path.open("rb") as file:
        head = file.read(_WEBP_HEAD)
    if (head[:4], head[8:12]) == (b"RIFF", b"WEBP"):
        return _webp(head, size) if len(head) == _WEBP_HEAD else None
    try:
        facts = probe(path)
    except ItemError as error:
        if error.code == "broken":
            return None
        raise
    return None if facts.format in _ANYWHERE else replace(facts, bytes=size)


def _webp(head: bytes, size: int) -> Facts | None:
    """Read a WebP header, which Pillow does only with the whole file at hand (RFC 9649).

    An extended one with EXIF says nothing for sure: the orientation stands at the end of the file.
    """
    kind, body = head[12:16], head[20:]
    width, height, frames, alpha = 0, 0, 1, False
    if kind == b"VP8X":
        if body[0] & _EXIF:
            return None
        width, height = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        alpha, frames = bool(body[0] & _ALPHA), 2 if body[0] & _ANIMATED else 1
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height, alpha = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
    elif kind == b"VP8 ":
        width, height = int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if not width or not height:
        return None
    mode = "RGBA" if alpha else "RGB"
    return Facts(width, height, "WEBP", mode, has_alpha=alpha, orientation=1, frames=frames, bytes=size)
