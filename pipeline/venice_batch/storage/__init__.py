"""Where items come from and where finished files go: one contract, `Store`, for every kind of place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, overload

from venice_batch.storage.disk import DISK, Disk, sweep_stale, temporary_beside
from venice_batch.storage.local import LocalPlace, LocalStore
from venice_batch.storage.place import Place
from venice_batch.storage.s3.place import Access, S3Place, parse
from venice_batch.storage.state_store import Blob, StateStore
from venice_batch.storage.store import Changed, Entry, Exists, Store

if TYPE_CHECKING:
    from venice_batch.storage.s3.store import S3Store

__all__ = [
    "DISK",
    "Access",
    "Blob",
    "Changed",
    "Disk",
    "Entry",
    "Exists",
    "LocalPlace",
    "LocalStore",
    "Place",
    "S3Place",
    "StateStore",
    "Store",
    "as_place",
    "open_store",
    "parse",
    "sweep_stale",
    "temporary_beside",
]


def as_place(place: Place | Path) -> Place:
    """Return a folder as a place; a place is returned as it is."""
    return LocalPlace(place) if isinstance(place, Path) else place


@overload
def open_store(place: Path) -> LocalStore: ...
@overload
def open_store(place: S3Place) -> S3Store: ...
@overload
def open_store(place: Place) -> Store: ...
def open_store(place: Place | Path) -> Store:
    """Return the store at `place`; nothing is touched before its first method is called."""
    return as_place(place).store()
