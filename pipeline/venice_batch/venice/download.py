"""Download of an answer to disk: into files that did not exist before, private, and never left half done."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from venice_batch.venice.disk_room import DISK_ROOM
from venice_batch.venice.failures import CallFailed, is_shortage
from venice_batch.venice.request_bodies import sniff_type


def create(path: Path) -> BinaryIO:
    """Create a file that must not exist yet, readable by its owner alone.

    Raises:
        FileExistsError: there is one already; following or replacing it could overwrite a user's file.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)


class Download:
    """The new file that an answer's body is streamed to; made before the request is sent.

    A disk that is full or read-only is then noticed while nothing has been paid for, and the answer has its room
    (see `DiskRoom`). When the body breaks off, what was received stays for the caller to keep; after any other
    failure no file is left.

    Args:
        path: must not exist.
        at_most: bytes.

    Raises:
        CallFailed: ``disk``, on entering: the file cannot be made, and nothing was sent.
    """

    def __init__(self, path: Path, at_most: int) -> None:
        self._path = path
        self._at_most = at_most
        self._stream: BinaryIO | None = None
        self._partial = False
        self.size = 0

    def __enter__(self) -> Self:
        try:
            self._stream = create(self._path)
            DISK_ROOM.take(self._stream.fileno(), self._at_most)
        except OSError as error:
            if self._stream is not None:
                self._stream.close()
                self._path.unlink(missing_ok=True)
            raise CallFailed("short-here" if is_shortage(error) else "disk", _reason(error)) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if self._stream is not None:
            DISK_ROOM.give_back(self._stream.fileno(), self.size)
            self._stream.close()
        if kind is not None and not self._partial:
            self._path.unlink(missing_ok=True)

    def receive(self, chunks: Iterable[bytes]) -> int:
        """Write the body, and return its number of bytes.

        Raises:
            CallFailed: ``answer-too-large`` or ``disk``.
            httpx2.HTTPError: the body broke off.
        """
        for chunk in chunks:
            if self.size + len(chunk) > self._at_most:
                self._partial = False
                raise CallFailed("answer-too-large", f"more than {self._at_most} bytes")
            self._write(chunk)
            self._partial = True
        return self.size

    def _write(self, chunk: bytes) -> None:
        assert self._stream is not None  # noqa: S101 - a caller that forgot `with` is a bug
        try:
            write_all(self._stream, chunk)
        except OSError as error:
            self._partial = False
            raise CallFailed("disk", _reason(error), billed=True) from error
        self.size += len(chunk)


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write every byte: an unbuffered file may take fewer than it is given, on a disk that fills up."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def unpack_generated(answer: Path, paths: Sequence[Path]) -> tuple[Path, ...] | None:
    """Write the base64 ``images`` of a ``generate`` answer to the given paths, one by one.

    Args:
        answer: the received JSON.
        paths: one per picture expected; none may exist.

    Returns:
        The paths written, fewer than asked for if the answer holds fewer pictures; None where the
        answer holds no picture that can be decoded, so that the caller keeps it as it is.

    Raises:
        CallFailed: ``disk``.
    """
    images = _images(answer)
    written: list[Path] = []
    try:
        for path, image in zip(paths, images, strict=False):
            with create(path) as stream:
                written.append(path)
                write_all(stream, _decode(image))
    except (binascii.Error, ValueError):
        _unlink(written)
        return None
    except OSError as error:
        _unlink(written)
        raise CallFailed("disk", _reason(error), billed=True) from error
    return tuple(written) or None


def type_of(path: Path) -> str:
    """Return the content type of a file by its first bytes; ``application/octet-stream`` if none."""
    with path.open("rb") as stream:
        return sniff_type(stream.read(12)) or "application/octet-stream"


def _images(answer: Path) -> list[str]:
    try:
        body = json.loads(answer.read_bytes())
    except (ValueError, RecursionError):
        return []
    images = body.get("images") if isinstance(body, dict) else None
    return images if isinstance(images, list) and all(isinstance(image, str) for image in images) else []


def _decode(image: str) -> bytes:
    plain = image.partition(",")[2] if image.startswith("data:") else image
    return base64.b64decode(plain, validate=True)


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
