"""A folder as a store."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import IO

from venice_batch.errors import ItemError, OutputError, SourceError, Unavailable
from venice_batch.storage.disk import CHUNK, DISK, Disk, sweep_stale
from venice_batch.storage.place import Place
from venice_batch.storage.store import Changed, Entry, Store


class LocalPlace(PosixPath, Place):
    """A folder as a place (see `Place`); it is a path, too."""

    __slots__ = ()

    @property
    def folder(self) -> Path:
        """The folder itself (see `Place.folder`)."""
        return self

    @property
    def identity(self) -> str:
        """Where it really is (see `Place.identity`)."""
        return str(self.resolve())

    def holds(self, other: Place) -> bool:
        """Whether `other` is a folder below this one, links followed (see `Place.holds`)."""
        return other.folder is not None and other.folder.resolve().is_relative_to(self.resolve())

    def store(self) -> LocalStore:
        """Return the store there (see `Place.store`)."""
        return LocalStore(self)


class LocalStore(Store):
    """The files below one folder; hidden files and folders do not count, linked folders are not entered."""

    def __init__(self, root: Path, disk: Disk = DISK) -> None:
        self.root = root
        self._disk = disk

    def list(self) -> Iterator[Entry]:
        """Yield every file below the root in the order of a sorted folder walk (see `Store.list`)."""
        try:
            real_root = self.root.resolve(strict=True)
            if not real_root.is_dir():
                raise SourceError(f"{self.root} is not a folder", remedy="give the folder that holds the pictures")
            yield from self._walk(real_root, real_root, "")
        except FileNotFoundError:
            raise SourceError(f"no such folder: {self.root}", remedy="check `source.path`") from None
        except PermissionError as error:
            raise SourceError(
                f"may not read {error.filename}", remedy="give this user the right to read and enter it"
            ) from None

    def _walk(self, real_root: Path, folder: Path, prefix: str) -> Iterator[Entry]:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            key = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(real_root, Path(entry.path), key + "/")
            else:
                described = _describe(entry, key, real_root)
                if described is not None:
                    yield described

    def stat(self, key: str) -> Entry | None:
        """Return the file as it is now, or None where there is no regular file."""
        path = self._inside(key)
        if path is None:
            return None
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unavailable(f"cannot look at {path}: {error.strerror}", remedy=_remedy(error)) from error
        if not stat.S_ISREG(found.st_mode):
            return None
        return Entry(key, found.st_size, _version(found), modified=found.st_mtime)

    def read(self, key: str, into: Path, version: str | None = None) -> str:
        """Copy the file and return the hash of exactly the bytes copied (see `Store.read`).

        Raises:
            ItemError: this one file may not be read.
        """
        if (path := self._inside(key)) is None:
            raise Changed(key)
        with into.open("xb") as copy:
            try:
                sha256 = _copied(path, copy)
                # A file may be written in place while it is read: look after the last byte, not before the first.
                self._expect(key, version)
            except BaseException:
                into.unlink(missing_ok=True)
                raise
        return sha256

    def _inside(self, key: str) -> Path | None:
        # Keys also come from a file of the user's, which may not be used to read what lies beside the source.
        return None if key.startswith("/") or ".." in key.split("/") else self.root / key

    def _expect(self, key: str, version: str | None) -> None:
        now = None if version is None else self.stat(key)
        if version is not None and (now is None or now.version != version):
            raise Changed(key)

    def peek(self, key: str, into: Path, count: int) -> Path:  # noqa: ARG002 - a local file is looked at where it lies
        """Return the file itself (see `Store.peek`)."""
        path = self._inside(key)
        if path is None or not path.is_file():
            raise Changed(key)
        return path

    def put(self, file: Path, key: str, *, replace: bool) -> Entry:
        """Write through a temporary file in the target's own folder (see `Store.put`)."""
        target = self.root / key
        try:
            self.check_target(key)
            self._prepare_folder(target)
            self._disk.copy_whole(file, target, replace=replace)
            found = target.stat()
            return Entry(key, found.st_size, _version(found), modified=found.st_mtime)
        except OSError as error:
            raise Unavailable(f"cannot write {target}: {error.strerror}", remedy=_remedy(error)) from error

    def check_target(self, key: str) -> None:
        """See that no link, file or folder stands in the way (see `Store.check_target`)."""
        target, root = self.root / key, _real(self.root)
        # A folder in the output may be a link that leads elsewhere: what counts is where it really ends. Checked
        # before anything is made, or folders would appear at the other end.
        if self._inside(key) is None:
            raise OutputError(f"{target} leads out of {self.root}", remedy="change `output.name`")
        if not (parent := _real(target.parent)).is_relative_to(root):
            raise OutputError(f"{target} leads out of {self.root} through a link", remedy="remove the linked folder")
        while not parent.exists() and parent != root:
            parent = parent.parent
        if parent.exists() and not parent.is_dir():
            raise _no_folder(target)
        if target.is_dir():
            raise OutputError(f"{target} is a folder", remedy="rename the folder or change `output.name`")

    def _prepare_folder(self, target: Path) -> None:
        try:
            self._disk.make_folder(target.parent)
        except (FileExistsError, NotADirectoryError):
            raise _no_folder(target) from None

    def remove_stale(self) -> None:
        """Remove temporary files of killed runs (see `Store.remove_stale`)."""
        sweep_stale(self.root)

    def delete(self, key: str) -> None:
        """Remove the file, if there is one.

        Raises:
            OutputError: this one cannot be removed.
        """
        try:
            (self.root / key).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot remove {self.root / key}: {error.strerror}", remedy="look at its rights, and what it is"
            ) from error


def _describe(entry: os.DirEntry[str], key: str, real_root: Path) -> Entry | None:
    """Describe one file of the listing; None for what is no file at all (sockets, pipes, linked folders)."""
    shown = key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if entry.is_symlink():
        if Path(entry.path).is_dir():
            return None
        if not _real(Path(entry.path)).is_relative_to(real_root):
            return Entry(shown, 0, "", "is a link that leads out of the source")
    try:
        found = entry.stat()
    except OSError as error:
        return Entry(shown, 0, "", f"cannot be looked at: {error.strerror}")
    if not entry.is_file():
        return None
    problem = "" if shown == key else "has a name that is not valid UTF-8"
    return Entry(shown, found.st_size, _version(found), problem, found.st_mtime)


def _no_folder(target: Path) -> OutputError:
    remedy = "move that file away or change `output.name`"
    return OutputError(f"{target} needs a folder where there is a file", remedy=remedy)


def _real(path: Path) -> Path:
    """Return where a path really ends; unlike `Path.resolve`, a link that leads to itself is no error here."""
    return Path(os.path.realpath(path))


def _version(found: os.stat_result) -> str:
    return f"{found.st_size}-{found.st_mtime_ns}"


def _copied(file: Path, copy: IO[bytes]) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as original:
            while chunk := original.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Changed(file.name) from error
    except PermissionError as error:
        raise ItemError("unreadable", f"cannot be read: {error.strerror}", lasting=False) from error
    return digest.hexdigest()


def _remedy(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "free some space and run the job again: it goes on where it stopped"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "give this user the right to write there, or choose another output"
    return "see whether the disk is in order, then run the job again"
