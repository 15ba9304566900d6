"""A run's private folder on this machine: copies, conversions, and answers on their way to a bucket.

``<TMPDIR>/venice-batch-<uid>-<digest of the state>/<random>-<digest of the part>/``. Its user holds a lock on it for as
long as it lives, so a folder that can be locked is a dead run's: its answers are rescued, the rest is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from venice_batch.errors import Unavailable
from venice_batch.state.folder_results import FolderResults
from venice_batch.storage import Place

#: Where answers lie that are paid for and not yet in the bucket; see `bucket_results`.
ARRIVED = "arrived"
_PREFIX = "venice-batch-"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder of this run's own.

    Attributes:
        folder: private, empty at first.
        part: which part of the state it serves: the real one, or the emulator's below it.
    """

    folder: Path
    part: str

    def dead_runs(self) -> Generator[Path, None, None]:
        """Yield folders of dead runs of the same part, each locked while it is looked at and removed then.

        Those of other parts and states are removed, too (of commands that only read, of a state that has moved), unless
        an answer lies there that only that part may rescue.
        """
        family = self.folder.parent
        for other in sorted(family.parent.glob(f"{_PREFIX}{os.getuid()}-*")):
            for found in _folders(other):
                if found != self.folder:
                    yield from self._dead(found, ours=other == family and found.name.endswith(f"-{self.part}"))
            with suppress(OSError):
                # Fails where a run has its folder.
                other.rmdir()

    def _dead(self, found: Path, *, ours: bool) -> Generator[Path, None, None]:
        if not found.is_dir() or found.is_symlink():
            found.unlink(missing_ok=True)
            return
        with _locked(found) as free:
            if free and ours:
                yield found
            if free and (ours or not _has_answers(found)):
                shutil.rmtree(found, ignore_errors=True)


@contextmanager
def open_scratch(state: Place, part: Place, temporary: Path | None = None) -> Iterator[Scratch]:
    """Give a private folder, gone at the end unless an answer in it never reached the bucket.

    Args:
        state: whose lease is held; the folders of its runs lie together.
        part: the place of manifest and results.
        temporary: where temporary files go; None is the system's own place.

    Raises:
        Unavailable: something of that name is there and not ours, or there is no room.
    """
    family = Path(temporary or tempfile.gettempdir(), f"{_PREFIX}{os.getuid()}-{_digest(state, 16)}")
    part_digest = _digest(part, 8)
    try:
        folder, lock = _create(family, part_digest)
    except OSError as error:
        raise Unavailable(
            f"cannot make a folder for temporary files in {family}: {error.strerror}",
            remedy="free some space, remove what is there, or set TMPDIR to another folder",
        ) from error
    try:
        yield Scratch(folder, part_digest)
    finally:
        _clear(folder)
        os.close(lock)


def _create(family: Path, part_digest: str) -> tuple[Path, int]:
    while True:
        with suppress(FileExistsError):  # `exist_ok` would raise it where the folder is removed at this very moment
            family.mkdir(mode=0o700)
        folder = family / f"{secrets.token_hex(8)}-{part_digest}"
        # Between its making and its locking a folder looks dead, and its family empty; if somebody took it for that,
        # make another.
        with suppress(FileNotFoundError, BlockingIOError):
            found = family.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise PermissionError(0, "it belongs to somebody else")
            family.chmod(0o700)
            folder.mkdir(mode=0o700)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if folder.stat().st_ino == os.fstat(lock).st_ino:
                    return folder, lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)


def _folders(family: Path) -> list[Path]:
    """Return what lies in a family of folders; nothing where it is not ours, or has just been removed by others."""
    try:
        status = family.lstat()
        return sorted(family.iterdir()) if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() else []
    except FileNotFoundError:
        return []


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder if nobody else has; say whether that worked."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


def _clear(folder: Path) -> None:
    for found in folder.iterdir():
        if found.name != ARRIVED:
            _remove(found)
    if _has_answers(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        # Fails while another run has its folder there, which is as it should be.
        folder.parent.rmdir()


def _remove(found: Path) -> None:
    if found.is_dir() and not found.is_symlink():
        # A call that is being left behind may tidy up its own folder at the same moment.
        shutil.rmtree(found, ignore_errors=True)
    else:
        found.unlink(missing_ok=True)


def _has_answers(folder: Path) -> bool:
    return next(FolderResults(folder / ARRIVED).keys(), None) is not None


def _digest(place: Place, digits: int) -> str:
    return hashlib.sha256(place.identity.encode("utf-8", "surrogateescape")).hexdigest()[:digits]
