"""What an object's key alone says: hidden, unusable, content type."""

from __future__ import annotations

from venice_batch.errors import OutputError

_CONTENT_TYPES = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "csv": "text/csv",
    "gif": "image/gif",
    "gz": "application/gzip",
    "html": "text/html; charset=utf-8",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain; charset=utf-8",
    "webp": "image/webp",
}


def is_hidden(key: str) -> bool:
    """Whether a part of the key is the name of a hidden file or folder."""
    if not key.startswith(".") and "/." not in key:
        return False
    return any(part.startswith(".") and part not in {".", ".."} for part in key.split("/"))


def problem(key: str, size: int) -> str:
    """Return why an object cannot be used as a file below a folder, or nothing."""
    if key.startswith("/") or "//" in key or ((key.startswith(".") or "/." in key) and not is_relative(key)):
        return "has a key with an empty, `.` or `..` part: not a path below the folder"
    return f"ends in `/` like a folder, but holds {size} bytes" if key.endswith("/") else ""


def is_relative(key: str) -> bool:
    """Whether the key is a path that stays below a folder, written in the one way that there is."""
    return not any(part in {"", ".", ".."} for part in key.split("/"))


def refuse_leading_out(key: str, place: str) -> None:
    """Refuse to write a key that is no path below `place`.

    Raises:
        OutputError: it has empty, ``.`` or ``..`` parts.
    """
    if not is_relative(key):
        raise OutputError(f"{key!r} leads out of {place}", remedy="change `output.name`")


def content_type(key: str) -> str:
    """Return the content type by the extension of the key."""
    return _CONTENT_TYPES.get(key.rpartition(".")[2].lower(), "application/octet-stream")


def printable(text: str) -> str:
    """Return it with line breaks, escape codes and the like written out, as messages must not carry them."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
