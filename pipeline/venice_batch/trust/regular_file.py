"""Opening a file that somebody else named: a regular one of limited size, or an error at once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

#: Device and inode: the same for every name of a file.
Identity: TypeAlias = tuple[int, int]

#: File systems whose regular files are the kernel's answers: they have no size and tell of processes and hardware.
_KERNEL = ("/proc", "/sys")


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is open for reading."""

    stream: BinaryIO
    identity: Identity
    size: int


@contextmanager
def open_regular(path: Path, at_most: int) -> Iterator[Opened]:
    """Open a file for reading, without waiting for whoever holds the other end of a pipe.

    Raises:
        OSError: it cannot be opened, is no regular file (pipe, device, folder, /proc), or is larger than `at_most`.
    """
    _refuse(path, path.stat(), at_most)
    # Between the look and this it may have become a pipe: such a one is opened at once, too, and refused below.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb") as stream:
        found = os.fstat(stream.fileno())
        _refuse(path, found, at_most)
        yield Opened(stream, (found.st_dev, found.st_ino), found.st_size)


def _refuse(path: Path, found: os.stat_result, at_most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, socket or device, not a regular file", str(path))
    if _is_kernel(found):
        raise OSError(errno.EINVAL, "it belongs to the kernel and is not a file on a disk", str(path))
    if found.st_size > at_most:
        raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, more than {at_most:,}", str(path))


def _is_kernel(found: os.stat_result) -> bool:
    root = Path("/").stat().st_dev
    devices = {Path(name).stat().st_dev for name in _KERNEL if Path(name).is_dir()}
    return found.st_dev in devices - {root}
