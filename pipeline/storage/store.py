"""The contract that every store keeps; the conformance suite in tests/contract/storage walks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a store.

    Attributes:
        key: its path relative to the root, with ``/`` between the parts.
        size: bytes.
        version: changes whenever the content may have changed (size and mtime locally, the etag elsewhere).
        problem: why this object cannot be used, or empty; a listing reports such objects instead of hiding them.
    """

    key: str
    size: int
    version: str
    problem: str = ""


class Exists(Exception):
    """A put without ``replace`` found something at its key; nothing was changed."""


class Store(Protocol):
    """A place with files. Methods are safe to call from several threads."""

    def list(self) -> Iterator[Entry]:
        """Yield every object in key order of a folder walk, streamed; hidden ones are left out.

        Raises:
            SourceError: the root does not exist or may not be read.
        """

    def fetch(self, key: str, scratch: Path) -> Path:
        """Return a local path with the whole object; written to `scratch` unless the store is local.

        The caller never changes the file and must check the version again after reading.
        """

    def stat(self, key: str) -> Entry | None:
        """Return the object as it is now, or None where there is none."""

    def put(self, file: Path, key: str, *, replace: bool) -> Entry:
        """Store the whole of `file` under `key`, durably, all or nothing.

        When this returns the object survives a power cut; when it raises, what was there before is untouched.

        Raises:
            Exists: `replace` is false and there is an object at `key`.
            OutputError: `key` leads out of the store.
            Unavailable: no space, no right to write, or the store cannot be reached.
        """

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""
