"""The manifest's knowledge of stored answers, for any thread, beside the one that writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Index:
    """Point questions to the working copy of a manifest, over a connection of its own.

    It sees what was committed: the writer's open transaction may still be taken back.
    """

    def __init__(self, manifest: Path) -> None:
        uri = f"{manifest.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def facts(self, key: str) -> str | None:
        """Return the facts of a result (JSON), or None where none is known."""
        row = self._one("SELECT facts FROM results WHERE key = ?", key)
        return None if row is None else str(row[0])

    def last_bad(self, key: str) -> int:
        """Return the highest number under which an answer for `key` was set aside; 0 for never."""
        row = self._one("SELECT coalesce(max(number), 0) FROM bad_answers WHERE key = ?", key)
        return int(row[0]) if row else 0

    def __iter__(self) -> Iterator[str]:
        """Yield the key of every result that is known."""
        with self._lock:
            found = self._connection.execute("SELECT key FROM results ORDER BY key").fetchall()
        yield from (key for (key,) in found)

    def _one(self, sql: str, key: str) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._connection.execute(sql, (key,)).fetchone()
        return row
