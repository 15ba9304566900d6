"""What a state needs of a store beyond reading and writing files: small objects, conditions, metadata.

A state in a store is made of three things: a *lease* (one object, replaced under conditions), a *journal* (numbered
objects, each created once, and listed) and *results* (files with their facts as metadata). All of it is written
against `StateStore`, and nothing of it knows what kind of store it is.

A new kind of store is two files. One holds the place and the store: a `Place` (see `place`) whose `store()` and
`state_store()` give a class with the methods of `Store` and `StateStore`; `parse` learns how it is written. The
other is a test server with a parameter in the fixtures of tests/contract/storage/conftest.py: test_store.py and
test_state_store.py are the whole contract, and a store that passes them can hold states.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from venice_batch.storage.place import Place
from venice_batch.storage.store import Store


@dataclass(frozen=True, slots=True)
class Blob:
    """A small object, read whole.

    Attributes:
        content: its bytes.
        etag: without quotes.
        modified: when it was written, Unix seconds by the server's clock.
        now: when it was read, Unix seconds by the same clock.
        metadata: what is kept with it.
    """

    content: bytes
    etag: str
    modified: float
    now: float
    metadata: Mapping[str, str]


class StateStore(Store):
    """A store that a state can live in. Every write is durable when it returns, and whole or not there at all.

    Attributes:
        place: for messages, and to open parts of it.
    """

    place: Place

    @abstractmethod
    def get(self, key: str) -> Blob | None:
        """Return a small object whole, or None where there is none."""

    @abstractmethod
    def write(
        self,
        key: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Store a small object; return its etag, without quotes.

        A condition is decided by the store in one step: of many writers at the same moment one gets through. A write
        whose answer was lost, and that is repeated, knows its own object.

        Args:
            key: where.
            content: all of it.
            metadata: names and values to keep with it, ASCII, 2 KB at most together.
            if_absent: only where there is no object yet.
            if_match: only where there is the object with this etag.

        Raises:
            Exists: `if_absent`, and there is one.
            Changed: `if_match`, and there is none or another.
            OutputError: `key` leads out of the store.
        """

    @abstractmethod
    def keep(self, file: Path, key: str, metadata: Mapping[str, str], *, if_absent: bool) -> str:
        """Store a file together with its metadata in one step, streamed; return the etag, without quotes.

        Raises:
            Exists: `if_absent`, and there is an object already.
        """

    @abstractmethod
    def metadata(self, key: str) -> Mapping[str, str] | None:
        """Return what is kept with an object, or None where there is none; its bytes are not read."""
