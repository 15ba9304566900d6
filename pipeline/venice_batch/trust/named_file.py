"""Reading a file that a job names: never one that secrets come from, nor one that holds a secret known here."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from venice_batch.trust import secrets
from venice_batch.trust.regular_file import Opened, open_regular

#: Of a list or table: ten million rows of a hundred letters.
MOST_LIST_BYTES = 1 << 30
#: Of a picture: more than any that is ever decoded.
MOST_PICTURE_BYTES = 1 << 29
#: Of one line of a list.
_MOST_LINE_BYTES = 1 << 20
_PIECE = 1 << 20


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a list with their ends, without holding the file; only line feeds end one.

    Raises:
        OSError: it cannot be read, or must not be; `strerror` says why and repeats nothing of it.
    """
    with _opened(path, MOST_LIST_BYTES) as opened:
        while line := opened.stream.readline(_MOST_LINE_BYTES + 1):
            if len(line) > _MOST_LINE_BYTES:
                raise OSError(errno.EINVAL, f"it has a line of more than {_MOST_LINE_BYTES:,} bytes", str(path))
            if secrets.holds_secret(line):
                raise _secret(path)
            yield line


def sha256(path: Path) -> str:
    """Return the SHA-256 of a picture's bytes, in hex.

    Raises:
        OSError: it cannot be read, or must not be; `strerror` says why and repeats nothing of it.
    """
    digest, before, overlap = hashlib.sha256(), b"", secrets.longest()
    with _opened(path, MOST_PICTURE_BYTES) as opened:
        while piece := opened.stream.read(_PIECE):
            if secrets.holds_secret(before + piece):
                raise _secret(path)
            digest.update(piece)
            before = piece[-overlap:] if overlap else b""
    return digest.hexdigest()


@contextmanager
def _opened(path: Path, at_most: int) -> Iterator[Opened]:
    with open_regular(path, at_most) as opened:
        if secrets.is_secret_file(opened.identity):
            raise _secret(path)
        yield opened


def _secret(path: Path) -> OSError:
    return OSError(errno.EACCES, "it holds a key or another secret, which no job may read", str(path))
