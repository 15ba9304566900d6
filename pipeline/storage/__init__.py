"""Where items come from and where finished files go: one contract, `Store`, for every kind of place."""

from pipeline.storage.local import LocalStore, fsync_folder, make_folder, sweep_stale, temporary_beside, write_whole
from pipeline.storage.store import Entry, Exists, Store

__all__ = [
    "Entry",
    "Exists",
    "LocalStore",
    "Store",
    "fsync_folder",
    "make_folder",
    "sweep_stale",
    "temporary_beside",
    "write_whole",
]
