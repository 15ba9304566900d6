"""How files on this machine become durable: written whole beside their target, synced, renamed, the folder synced.

A kill loses no page cache, a power cut does: then a rename may be on the disk before the bytes, or not at all although
something else was done because of it. So nothing here returns before both the file and the name are on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path
from typing import Final

from venice_batch.storage.store import Exists
from venice_batch.trust.secrets import scrub

#: Ours, and what the client unpacks beside it (`<name>.answer`).
_TEMPORARY = re.compile(r"^\.vb-[0-9a-f]{16}(\.answer)?$")
CHUNK: Final = 1 << 20
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Disk:
    """Durable writes. The four system calls are methods of their own, so that a test can record or fail them."""

    def write(self, descriptor: int, content: memoryview) -> int:
        """Write some of `content`; return how many bytes."""
        return os.write(descriptor, content)

    def fsync(self, descriptor: int) -> None:
        """Wait until a file's bytes, or a folder's names, are on the disk."""
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name; what had that name before is gone."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name that is not taken."""
        os.link(source, target)

    def sync(self, path: Path) -> None:
        """Make the bytes of a file, or the names in a folder, durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Rename within one folder, durably; the bytes are durable already.

        Without the sync a power cut can undo a rename that was already acted upon.
        """
        self.rename(source, target)
        self.sync(target.parent)

    def write_whole(self, target: Path, text: str) -> None:
        """Write a small file in one step, durably: readers and a kill at any instant find the old text or the new one.

        The last scrub before reports, metrics and facts of answers: no secret gets into a text.

        Raises:
            OSError: it could not be written; what was there before is untouched.
        """
        temporary = temporary_beside(target)
        try:
            with temporary.open("xb") as file:
                content = scrub(text).encode("utf-8")
                self._write_all(file.fileno(), content)
                self._ensure_whole(file.fileno(), len(content))
            self.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def copy_whole(self, file: Path, target: Path, *, replace: bool) -> None:
        """Copy `file` to `target`, durably, all or nothing.

        Raises:
            Exists: `replace` is false and there is something at `target`.
            OSError: it could not be written; what was there before is untouched.
        """
        temporary = temporary_beside(target)
        try:
            self._copy(file, temporary)
            if replace:
                self.rename(temporary, target)
            else:
                self._name_once(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        self.sync(target.parent)

    def make_folder(self, folder: Path) -> None:
        """Make `folder` and what is missing above it, each name durable before anything is put below it."""
        if folder.is_dir():
            return
        self.make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self.sync(folder.parent)

    def _copy(self, file: Path, temporary: Path) -> None:
        with file.open("rb") as source, temporary.open("xb") as copy:
            while chunk := source.read(CHUNK):
                self._write_all(copy.fileno(), chunk)
            self._ensure_whole(copy.fileno(), file.stat().st_size)

    def _write_all(self, descriptor: int, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[self.write(descriptor, rest) :]

    def _ensure_whole(self, descriptor: int, size: int) -> None:
        self.fsync(descriptor)
        if (written := os.fstat(descriptor).st_size) != size:
            raise OSError(errno.EIO, f"{written} of {size} bytes were written")

    def _name_once(self, temporary: Path, target: Path) -> None:
        try:
            # A hard link refuses an existing name in one step; a look before a rename would leave a gap.
            self.link(temporary, target)
        except FileExistsError:
            raise Exists(str(target)) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with contextlib.suppress(FileNotFoundError):
                target.lstat()
                raise Exists(str(target)) from None
            self.rename(temporary, target)


#: The real one. It has no state.
DISK: Final = Disk()


def temporary_beside(target: Path) -> Path:
    """Return an unused name in the folder of `target`, so that a rename onto it never crosses file systems."""
    return target.with_name(f".vb-{secrets.token_hex(8)}")


def sweep_stale(root: Path) -> int:
    """Remove temporary files that a killed run left anywhere below `root`; return how many.

    Only for the holder of the lease: a running job's temporary files carry the same kind of name.
    """
    removed = 0
    for folder, _, names in os.walk(root):
        for name in names:
            if _TEMPORARY.match(name):
                Path(folder, name).unlink(missing_ok=True)
                removed += 1
    return removed
