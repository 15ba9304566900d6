"""The lease: at most one run at a time works on a state.

For a folder it is an OS lock on ``<state>/lease``. The kernel drops it with the process, so a crash frees it at once
and no clock or heartbeat is involved. The text in the file only tells people who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from venice_batch.errors import Locked, Unavailable

#: File systems on which flock is emulated, absent or not seen by other hosts: two runs could both hold the lease.
_NETWORK = """nfs nfs4 cifs smb3 smbfs ceph glusterfs fuse.glusterfs lustre afs beegfs fuse.sshfs fuse.s3fs fuse.rclone
    fuse.gcsfuse fuse.goofys fuse.davfs davfs"""
NETWORK_FILE_SYSTEMS = frozenset(_NETWORK.split())

_OCTAL = re.compile(r"\\([0-7]{3})")


class Lease(Protocol):
    """What a run asks of the lease that it holds."""

    def check(self) -> None:
        """Make sure that no other run can hold the lease now; cheap enough for the moment before each payment.

        Raises:
            LeaseLost: it ran out, or was taken over.
            Unavailable: it ran out because the store could not be reached.
        """


class NeverExpires:
    """The lease of a folder: the system keeps it for as long as the process lives."""

    def check(self) -> None:
        """Do nothing (see `Lease.check`)."""


@contextmanager
def acquired(state: Path) -> Iterator[None]:
    """Hold the lease of the state folder `state` while the block runs.

    Raises:
        Locked: another process holds it; the message names that process.
        Unavailable: the folder cannot be written, or lies on a network file system.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        refuse_network_file_system(state)
        descriptor = os.open(state / "lease", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(state, error) from error
    try:
        _lock(descriptor, state)
        yield
    finally:
        os.close(descriptor)


def holder(state: Path) -> str | None:
    """Return what the holder of the lease wrote about itself, or None where nobody holds it; changes nothing.

    Raises:
        Unavailable: the lease may not be read.
    """
    try:
        descriptor = os.open(state / "lease", os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(
            f"cannot look at {state / 'lease'}: {error.strerror}", remedy="give this user the right to read it"
        ) from error
    try:
        # Shared, so that two readers do not take each other for a holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 1000).decode("utf-8", "replace").strip() or "unknown"
    else:
        return None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, state: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 1000).decode("utf-8", "replace").strip() or "unknown"
        raise Locked(
            f"another run holds {state} ({owner})",
            remedy="wait until it ends; the lease is freed by itself even if that run is killed",
        ) from None
    owner_text = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat("T", "seconds"),
    }
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner_text).encode(), 0)
    except OSError as error:
        # On a full disk the empty file could still be made and locked; nothing else could be written either.
        raise _unwritable(state, error) from error


def _unwritable(state: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"cannot write the state folder {state}: {error.strerror}",
        remedy="give this user the right to write there, free some space, or set `state:` to another folder",
    )


def refuse_network_file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Refuse a state on a file system whose locks other hosts do not see.

    Raises:
        Unavailable: `folder` lies on one of `NETWORK_FILE_SYSTEMS`.
    """
    if not mounts.exists():
        return
    real = folder.resolve()
    best, kind = Path("/"), ""
    for line in mounts.read_text("utf-8", "surrogateescape").splitlines():
        _, point, found, *_ = line.split(" ")
        # Only \040 and its like are escapes (proc(5)); `unicode_escape` would also take UTF-8 letters apart.
        at = Path(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), point))
        if real.is_relative_to(at) and len(at.parts) >= len(best.parts):
            best, kind = at, found
    if kind in NETWORK_FILE_SYSTEMS:
        raise Unavailable(
            f"the state folder {folder} lies on a network file system ({kind}), where locks cannot be trusted",
            remedy="set `state:` to a folder on a local disk",
        )
