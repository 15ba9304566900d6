"""A state in a folder is for its owner alone, and what lies in it is really there and not at the end of a link."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from venice_batch.errors import Unavailable

#: What is written below the root of a state; results lie in folders of two letters.
_OURS = ("lease", "manifest.sqlite3", "manifest.sqlite3-wal", "manifest.sqlite3-shm", "results", "report")
_BELOW = {"results": "??", "report": "*"}
#: The folder that states lie in by default: inside the output, where others may have put something before.
_DEFAULT = ".venice-batch"
_OTHERS = 0o077


def refuse_links(root: Path) -> None:
    """Refuse a state with a link where its own files or folders belong: whoever planted it chose what is overwritten.

    Raises:
        Unavailable: naming the link.
    """
    for path in _places(root):
        if path.is_symlink():
            raise Unavailable(
                f"{path} is a link, and a state is never read or written through one",
                remedy="find out who put it there; then remove it, or give the state another folder",
            )


def make_private(root: Path) -> None:
    """Make the folder if need be, and take it from everybody but its owner; what cannot be done is found out later."""
    with contextlib.suppress(OSError):
        root.mkdir(0o700, parents=True, exist_ok=True)
        found = root.stat()
        if found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
            root.chmod(found.st_mode & 0o777 & ~_OTHERS)


def _places(root: Path) -> Iterator[Path]:
    if _DEFAULT in root.parts:
        above = len(root.parts) - root.parts.index(_DEFAULT) - 1
        yield from (root, *root.parents[:above])
    for name in _OURS:
        yield root / name
        yield from (root / name).glob(_BELOW[name]) if name in _BELOW else ()
