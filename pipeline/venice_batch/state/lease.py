"""The lease: at most one run at a time works on a state.

For a folder it is an OS lock on ``<state>/lease``, and one on the folder itself: the file may be removed by whoever
tidies up, and the next start would lock another one. The kernel drops both with the process, so a crash frees them at
once and no clock or heartbeat is involved. The text in the file only tells people who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from venice_batch.errors import LeaseLost, Locked, Unavailable

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


class NoLease:
    """Of a state that is only read, or that nobody else can reach."""

    def check(self) -> None:
        """Do nothing (see `Lease.check`)."""


class FolderLease:
    """The lease of a folder: the system keeps it for as long as the process lives and nobody removes what is locked."""

    def __init__(self, held: Mapping[Path, int]) -> None:
        """Take over what is locked, each path with its open descriptor."""
        self._held = held

    def check(self) -> None:
        """Look whether what is locked still lies where others look for it (see `Lease.check`)."""
        for path, descriptor in self._held.items():
            try:
                same = os.path.samestat(path.stat(), os.fstat(descriptor))
            except OSError:
                same = False
            if not same:
                raise LeaseLost(
                    f"{path}, which this run had locked, was removed or replaced",
                    remedy="leave that folder alone while a run works; run it again: it goes on",
                )


@contextmanager
def acquired(state: Path) -> Iterator[FolderLease]:
    """Hold the lease of the state folder `state` while the block runs.

    Raises:
        Locked: another process holds it; the message names that process.
        Unavailable: the folder cannot be written, or lies on a network file system.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        refuse_network_file_system(state)
        folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unwritable(state, error) from error
    with ExitStack() as stack:
        stack.callback(os.close, folder)
        try:
            file = os.open(state / "lease", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unwritable(state, error) from error
        stack.callback(os.close, file)
        # The file first: its text says who holds it.
        _lock(file, state, file)
        _lock(folder, state, file)
        _sign(file, state)
        lease = FolderLease({state / "lease": file, state: folder})
        lease.check()
        yield lease


def holder(state: Path) -> str | None:
    """Return what the holder of the lease wrote about itself, or None where nobody holds it; changes nothing.

    Raises:
        Unavailable: the lease may not be read.
    """
    for path in (state / "lease", state):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise Unavailable(
                f"cannot look at {path}: {error.strerror}", remedy="give this user the right to read it"
            ) from error
        try:
            # Shared, so that two readers do not take each other for a holder.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return "unknown" if path == state else _owner(descriptor)
        finally:
            os.close(descriptor)
    return None


def _owner(file: int) -> str:
    return os.pread(file, 1000, 0).decode("utf-8", "replace").strip() or "unknown"


def _lock(descriptor: int, state: Path, file: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Locked(
            f"another run holds {state} ({_owner(file)})",
            remedy="wait until it ends; the lease is freed by itself even if that run is killed",
        ) from None


def _sign(descriptor: int, state: Path) -> None:
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
