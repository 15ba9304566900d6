"""Copies of a bucket's objects on this machine, the least used ones dropped first."""

from __future__ import annotations

import os
import shutil
import threading
from collections import OrderedDict
from pathlib import Path

from venice_batch.storage import DISK

_MOST = 256 << 20


class FileCache:
    """Files by key, together of at most so many bytes. Safe for several threads.

    A caller gets a hard link: dropping a file here takes nothing from who is reading it.
    """

    def __init__(self, folder: Path, most: int = _MOST) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def link_to(self, key: str, spare: Path) -> bool:
        """Make `spare` the file of `key`, if it is here."""
        with self._lock:
            if key not in self._sizes:
                return False
            self._sizes.move_to_end(key)
            _link(self._folder / key, spare)
            return True

    def add(self, key: str, file: Path) -> None:
        """Remember the content of `file`, which stays the caller's."""
        with self._lock:
            if key not in self._sizes:
                DISK.make_folder(self._folder)
                _link(file, self._folder / key)
                self._count(key)

    def move_in(self, key: str, file: Path) -> None:
        """Remember `file`, which is no longer the caller's."""
        self.add(key, file)
        file.unlink()

    def drop(self, key: str) -> None:
        """Forget one file."""
        with self._lock:
            if self._sizes.pop(key, None) is not None:
                (self._folder / key).unlink()

    def _count(self, key: str) -> None:
        self._sizes[key] = (self._folder / key).stat().st_size
        while sum(self._sizes.values()) > self._most:
            oldest, _ = self._sizes.popitem(last=False)
            (self._folder / oldest).unlink()


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except FileExistsError:
        raise
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(file, target)
