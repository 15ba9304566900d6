"""Request bodies of known length, streamed from open files: multipart, and JSON with base64.

Nothing is held in memory but one chunk. Field values are sent exactly as given and nothing is added:
the API refuses unknown fields. In JSON, numbers stay numbers; in multipart everything is text.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from venice_batch.venice.failures import CallFailed, is_shortage
from venice_batch.venice.fields import Fields, Image, JsonValue, Url

#: A multiple of 3, so that base64 chunks join without padding between them.
_CHUNK = 3 * 16384
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"GIF8", "gif", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class _File:
    """One file within a body: its size when the body was made, and whether it goes as base64."""

    path: Path
    size: int
    encoded: bool

    @property
    def length(self) -> int:
        return (self.size + 2) // 3 * 4 if self.encoded else self.size


@dataclass(frozen=True)
class Body(httpx2.SyncByteStream):
    """A request body that can be sent again: every iteration opens its files again.

    Attributes:
        content_type: for the header.
        parts: bytes, and files in between.
        is_multipart: which of the two forms it is.
    """

    content_type: str
    parts: tuple[bytes | _File, ...]
    is_multipart: bool

    @property
    def length(self) -> int:
        """Total bytes, for Content-Length."""
        return sum(len(part) if isinstance(part, bytes) else part.length for part in self.parts)

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from _read(part)


def multipart(fields: Fields, name: str, images: Sequence[Path]) -> Body:
    """Build a multipart form: text fields first, then one part per image, all under one name.

    File names are fixed by content ("image.png"), never the user's, which may hold anything.

    Args:
        fields: sent as text; booleans in lower case, structures as JSON, lists as repeated fields.
        name: the parts' name, ``image`` or ``images``.
        images: in order, base first.

    Raises:
        CallFailed: ``input-unreadable``: a file cannot be opened.
    """
    boundary = f"venice-batch-{secrets.token_hex(16)}"
    parts: list[bytes | _File] = []
    for key, value in _text_fields(fields):
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(key)}"\r\n\r\n'
        parts.append(f"{head}{value}\r\n".encode())
    for path in images:
        extension, content_type = _sniff(path)
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="image.{extension}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n".encode()
        )
        parts += [_File(path, _size(path), encoded=False), b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return Body(f"multipart/form-data; boundary={boundary}", tuple(parts), is_multipart=True)


def json_object(fields: Fields, images: Mapping[str, Image | Sequence[Image]]) -> Body:
    """Build a JSON object: the fields as given, then the images as plain base64 or as addresses.

    Never a ``data:`` prefix: edit and upscale refuse it.

    Args:
        fields: sent as given.
        images: by field name; a sequence becomes a list.

    Raises:
        CallFailed: ``input-unreadable``: a file cannot be opened.
    """
    parts: list[bytes | _File] = []
    comma = b"{"
    for key, value in fields.items():
        parts += [comma + _dumps(key) + b":", *_json_value(value)]
        comma = b","
    for key, image in images.items():
        parts.append(comma + _dumps(key) + b":")
        parts += _image_list(image) if isinstance(image, Sequence) else _image_value(image)
        comma = b","
    parts.append(b"}" if len(parts) else b"{}")
    return Body("application/json", tuple(parts), is_multipart=False)


def sniff_type(head: bytes) -> str | None:
    """Return the content type of a picture by its first 12 bytes, or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, _, kind in _MAGIC if head.startswith(magic)), None)


def _json_value(value: JsonValue) -> list[bytes | _File]:
    """Return a value as JSON; a path in it, however deep, as its file in base64."""
    if isinstance(value, Path):
        return _image_value(value)
    if isinstance(value, Mapping):
        parts: list[bytes | _File] = []
        for key, each in value.items():
            parts += [b"," if parts else b"{", _dumps(key) + b":", *_json_value(each)]
        return [*parts, b"}"] if parts else [b"{}"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = []
        for each in value:
            parts += [b"," if parts else b"[", *_json_value(each)]
        return [*parts, b"]"] if parts else [b"[]"]
    return [_dumps(value)]


def _image_list(images: Sequence[Image]) -> list[bytes | _File]:
    parts: list[bytes | _File] = []
    for index, image in enumerate(images):
        parts += [b"," if index else b"[", *_image_value(image)]
    return [*parts, b"]"] if parts else [b"[]"]


def _image_value(image: Image) -> list[bytes | _File]:
    if isinstance(image, Url):
        return [_dumps(image.url)]
    return [b'"', _File(image, _size(image), encoded=True), b'"']


def _read(file: _File) -> Iterator[bytes]:
    """Yield exactly the announced bytes; a file that changed meanwhile must not be bought as if whole."""
    try:
        with file.path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != file.size:
                raise CallFailed("input-changed", "its size is another")
            for start in range(0, file.size, _CHUNK):
                chunk = stream.read(_CHUNK)
                if len(chunk) != min(_CHUNK, file.size - start):
                    raise CallFailed("input-changed", "it became shorter or longer")
                yield base64.b64encode(chunk) if file.encoded else chunk
    except OSError as error:
        raise _unreadable(error) from error


def _text_fields(fields: Fields) -> Iterator[tuple[str, str]]:
    for key, value in fields.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            yield from ((key, _as_text(each)) for each in value)
        else:
            yield key, _as_text(value)


def _as_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _dumps(value: JsonValue) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _quoted(name: str) -> str:
    return name.replace("%", "%25").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(error) from error


def _sniff(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError as error:
        raise _unreadable(error) from error
    kind = sniff_type(head)
    extensions = {"image/webp": "webp"} | {content_type: name for _, name, content_type in _MAGIC}
    return (extensions[kind], kind) if kind else ("bin", "application/octet-stream")


def _unreadable(error: OSError) -> CallFailed:
    return CallFailed("short-here" if is_shortage(error) else "input-unreadable", error.strerror or "")
