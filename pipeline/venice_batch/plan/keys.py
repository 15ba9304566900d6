"""A file of keys, one a line: what `source.keys` names instead of having the source listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from venice_batch.errors import SourceError


@dataclass(frozen=True, slots=True)
class Listed:
    """One key and the line it stands on, from 1."""

    key: str
    line: int


def listed(text: str, path: Path) -> Iterator[Listed]:
    """Yield the keys that `text`, the content of the file `path`, lists; blank lines and ``#`` comments are skipped.

    Raises:
        SourceError: a key stands there twice, or leads out of the source; with the line.
    """
    seen: dict[str, int] = {}
    # Not `splitlines`: a key may hold U+2028 and its like. Spaces at a key's ends belong to it, too.
    for line, written in enumerate(text.split("\n"), 1):
        key = written.removesuffix("\r")
        if not key.strip() or key.startswith("#"):
            continue
        if key in seen:
            raise SourceError(
                f"{path}:{line}: {key!r} stands there twice, first in line {seen[key]}", remedy="remove one of them"
            )
        seen[key] = line
        _refuse_unsafe(key, f"{path}:{line}")
        yield Listed(key, line)


def _refuse_unsafe(key: str, place: str) -> None:
    parts = key.split("/")
    if "\0" in key or {"", ".", ".."} & set(parts):
        raise SourceError(
            f"{place}: {key!r} is no key of the source",
            remedy="write keys relative to `source.path`, such as shoes/red.jpg",
        )
    if any(part.startswith(".") for part in parts):
        raise SourceError(f"{place}: {key!r} is hidden, and hidden files are left out", remedy="rename or remove it")
