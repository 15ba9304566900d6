"""Where items come from and where finished files go: one contract, `Store`, for every kind of place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, overload

from venice_batch.storage.disk import DISK, Disk, sweep_stale, temporary_beside
from venice_batch.storage.local import LocalStore
from venice_batch.storage.place import SCHEME, Access, Place, S3Place, parse
from venice_batch.storage.store import Changed, Entry, Exists, Store

if TYPE_CHECKING:
    from venice_batch.storage.s3 import S3Store

__all__ = [
    "DISK",
    "SCHEME",
    "Access",
    "Changed",
    "Disk",
    "Entry",
    "Exists",
    "LocalStore",
    "Place",
    "S3Place",
    "Store",
    "open_store",
    "parse",
    "sweep_stale",
    "temporary_beside",
]


@overload
def open_store(place: Path) -> LocalStore: ...
@overload
def open_store(place: S3Place) -> S3Store: ...
def open_store(place: Place) -> LocalStore | S3Store:
    """Return the store at `place`; nothing is touched before its first method is called."""
    if isinstance(place, Path):
        return LocalStore(place)
    from venice_batch.storage.s3 import S3Store  # noqa: PLC0415 - boto3 takes 0.2 s that local jobs need not spend

    return S3Store(place)
