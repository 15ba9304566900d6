"""The contract that every store keeps; the conformance suite in tests/contract/storage walks it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a store.

    Attributes:
        key: its path relative to the root, with ``/`` between the parts.
        size: bytes.
        version: changes whenever the content may have changed (size and mtime locally, etag and size on S3).
        problem: why this object cannot be used, or empty; a listing reports such objects instead of hiding them.
        modified: when it was last written, Unix seconds; 0 where unknown. What it is, `version` says alone.
    """

    key: str
    size: int
    version: str
    problem: str = ""
    modified: float = field(default=0.0, compare=False)


class Exists(Exception):
    """A put without ``replace`` found something at its key; nothing was changed."""


class Changed(Exception):
    """The object is not, or no longer, of the version that was asked for; or it is gone."""


class Store(ABC):
    """A place with files. Methods are safe to call from several threads.

    Every method that meets a place which cannot be reached or written raises `Unavailable` (exit 6), with the remedy.

    Attributes:
        is_remote: every question is a request, so that several at once, or one listing for many, save time.
    """

    is_remote: ClassVar[bool] = False

    @abstractmethod
    def list(self) -> Iterator[Entry]:
        """Yield every object in a stable order, streamed; hidden ones are left out.

        Raises:
            SourceError: the root does not exist, or is a folder that may not be read.
        """

    @abstractmethod
    def stat(self, key: str) -> Entry | None:
        """Return the object as it is now, or None where there is none."""

    @abstractmethod
    def read(self, key: str, into: Path, version: str | None = None) -> str:
        """Copy the whole object to the new file `into`; return the SHA-256, in hex, of exactly the bytes copied.

        Args:
            key: the object.
            into: a file that does not exist yet; gone again when this raises.
            version: the copy must be of this version.

        Raises:
            Changed: the object is gone, or not of that version from the first byte to the last.
        """

    @abstractmethod
    def peek(self, key: str, into: Path, count: int) -> Path:
        """Return a local file with at least the first `count` bytes, or all: the object itself, or `into`.

        The caller never changes the file.

        Raises:
            Changed: the object is gone.
        """

    @abstractmethod
    def put(self, file: Path, key: str, *, replace: bool) -> Entry:
        """Store the whole of `file` under `key`, durably, all or nothing.

        When this returns the object survives a power cut; when it raises, what was there before is untouched.

        Raises:
            Exists: `replace` is false and there is an object at `key`.
            OutputError: `key` leads out of the store.
            Unavailable: no space, no right to write, or the store cannot be reached.
        """

    def check_target(self, key: str) -> None:  # noqa: B027 - most have nothing in the way that a stat would not show
        """Find out whether an object can be put at `key`, as far as that shows before; nothing is changed.

        Raises:
            OutputError: it cannot.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""

    def can_copy_from(self, source: Store) -> bool:  # noqa: ARG002 - most reach into no other
        """Whether this store reaches into `source` by itself."""
        return False

    def copy(self, source: Store, there: Entry, key: str) -> Entry:
        """Have the store copy an object of a `source` that it reaches, its bytes unseen; what is at `key` is replaced.

        Args:
            source: where the object lies.
            there: the object as it was seen.
            key: of the copy.

        Raises:
            Changed: the object is gone, or not as it was seen.
        """
        raise NotImplementedError

    def remove_stale(self) -> None:  # noqa: B027 - a store whose puts are atomic has none
        """Remove what killed runs left half-written; only for the holder of the lease."""
