"""The manifest's tables, and how an older file becomes a newer one.

The version number stands in the file itself (``PRAGMA user_version``) and moves in the same transaction as the change
it counts, so a crash between the two cannot happen.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from venice_batch.errors import StateTooNew, Unavailable

#: One script for each version; new ones are appended, old ones never edited.
MIGRATIONS = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        job TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        exit_code INTEGER,
        closed INTEGER NOT NULL DEFAULT 0      -- 1: the next start is a new run, with a fresh max_usd
    ) STRICT;

    CREATE TABLE items (
        job TEXT NOT NULL,
        key TEXT NOT NULL,
        variant INTEGER NOT NULL,
        version TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        state TEXT NOT NULL,
        code TEXT NOT NULL,                    -- a short word for the reason
        reason TEXT NOT NULL,
        lasting INTEGER NOT NULL,              -- 1: trying again without a change is pointless
        updated_at REAL NOT NULL,
        PRIMARY KEY (job, key, variant)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX items_open ON items (job, state) WHERE state <> 'done';

    CREATE TABLE sources (                     -- what is known of an input without reading it again
        job TEXT NOT NULL,
        key TEXT NOT NULL,
        version TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        facts TEXT NOT NULL,                   -- JSON: the picture's header
        PRIMARY KEY (job, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sources_size ON sources (size);

    CREATE TABLE outputs (
        job TEXT NOT NULL,
        key TEXT NOT NULL,
        variant INTEGER NOT NULL,
        path TEXT NOT NULL,                    -- relative to the output, as planned before it was written
        version TEXT,                          -- of the file as it was written; NULL until then
        sha256 TEXT,
        PRIMARY KEY (job, path)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX outputs_item ON outputs (job, key, variant);

    CREATE TABLE calls (                       -- the ledger: one row a reservation
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (id),
        job TEXT NOT NULL,
        key TEXT NOT NULL,
        variant INTEGER NOT NULL,
        step TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        model TEXT,                            -- as the user wrote it; NULL: the vendor's default
        micros INTEGER NOT NULL,               -- the most it may cost, in millionths of a US dollar
        fate TEXT NOT NULL,                    -- reserved, begun, spent, uncertain, released
        outcome TEXT NOT NULL DEFAULT '',
        result TEXT,                           -- the key of what is being bought
        reserved_at REAL NOT NULL,
        begun_at REAL,
        ended_at REAL,
        status INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0,
        request_id TEXT,
        model_served TEXT,
        balance_usd TEXT,                      -- before the call
        balance_diem TEXT
    ) STRICT;
    CREATE INDEX calls_open ON calls (fate) WHERE fate IN ('reserved', 'begun');
    CREATE INDEX calls_time ON calls (reserved_at);
    CREATE INDEX calls_run ON calls (run);
    CREATE INDEX calls_uncertain ON calls (result) WHERE fate = 'uncertain';
    """,
    """
    CREATE TABLE results (                     -- the index of stored answers; a folder itself knows better
        key TEXT PRIMARY KEY,
        facts TEXT NOT NULL                    -- JSON, with the verdict once there is one
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE bad_answers (                 -- what lies beside the results as <key>.bad-<number>
        key TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (key, number)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE items ADD COLUMN result TEXT NOT NULL DEFAULT '';    -- the answer that is held back
    CREATE INDEX items_held ON items (result) WHERE result <> '';

    CREATE TABLE released (                    -- flagged answers that a person has accepted
        key TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL,                  -- of the bytes that were accepted
        at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE runs ADD COLUMN cause TEXT NOT NULL DEFAULT '';      -- what ended its last start, or refused it
    ALTER TABLE runs ADD COLUMN unproduced TEXT NOT NULL DEFAULT ''; -- JSON: finished files that no item produces
    """,
    """
    CREATE TABLE former_sources (              -- what a key held before: it may come back under any key
        size INTEGER NOT NULL,
        version TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        facts TEXT NOT NULL,
        PRIMARY KEY (size, version, sha256)
    ) STRICT, WITHOUT ROWID;
    CREATE VIEW known_sources AS
        SELECT key, version, size, sha256, facts FROM sources
        UNION ALL SELECT '', version, size, sha256, facts FROM former_sources;

    CREATE TABLE item_results (                -- what the finished files of an item are made from, or will be
        job TEXT NOT NULL,
        key TEXT NOT NULL,
        variant INTEGER NOT NULL,
        result TEXT NOT NULL,                  -- '': the item is recorded, whether it has results or none
        PRIMARY KEY (job, key, variant, result)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE result_uses (                 -- of every result that an item used; those in `item_results` still are
        result TEXT NOT NULL,
        source TEXT NOT NULL,                  -- the bytes it was used for, by SHA-256 or etag; '': none, or not known
        at REAL NOT NULL,                      -- the last time that an item began or ceased to use it
        PRIMARY KEY (result, source)
    ) STRICT, WITHOUT ROWID;
    -- When a result was last used was not recorded before; it may have been today.
    INSERT INTO result_uses
        SELECT DISTINCT result, coalesce(sha256, ''), CAST(strftime('%s', 'now') AS REAL)
        FROM calls LEFT JOIN sources USING (job, key) WHERE result IS NOT NULL;
    """,
)

NEWEST = len(MIGRATIONS)


def open_to_write(file: Path, *, durable: bool = True) -> sqlite3.Connection:
    """Open the manifest for the holder of the lease, creating or migrating it.

    Args:
        file: the manifest.
        durable: whether a commit must survive a power cut; not for a working copy of what is durable elsewhere.

    Raises:
        StateTooNew: a newer version wrote it.
        Unavailable: the disk is full, read-only or broken, or the file is not a manifest.
    """
    try:
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        try:
            check_version(connection, file)
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: a reservation must survive a power cut before its request is sent (rule 2).
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
            _migrate(connection)
        except BaseException:
            # Left open, it would keep a lock on the file for as long as anybody looks at the error.
            connection.close()
            raise
    except sqlite3.Error as error:
        raise unusable(file, error) from error
    return connection


def open_to_read(file: Path) -> sqlite3.Connection:
    """Open the manifest so that asking cannot change it; a missing file reads as an empty manifest."""
    if not file.exists():
        connection = sqlite3.connect(":memory:", isolation_level=None)
        _migrate(connection)
        return connection
    try:
        # A read-only connection to a manifest at rest would leave -wal and -shm files behind; immutable leaves none.
        at_rest = not file.with_name(file.name + "-wal").exists()
        mode = "immutable=1" if at_rest else "mode=ro"
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
        if check_version(connection, file) < NEWEST:
            return _migrated_copy(connection)
    except sqlite3.Error as error:
        raise unusable(file, error) from error
    return connection


def _migrated_copy(old: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None)
    old.backup(copy)
    old.close()
    _migrate(copy)
    return copy


def check_version(connection: sqlite3.Connection, file: Path) -> int:
    """Return the file's schema version.

    Raises:
        StateTooNew: it is above `NEWEST`.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > NEWEST:
        raise StateTooNew(
            f"{file} was written by a newer version of venice-batch (schema {version}, this one knows {NEWEST})",
            remedy="upgrade venice-batch; nothing was changed",
        )
    return version


def _migrate(connection: sqlite3.Connection) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    for number in range(version, NEWEST):
        connection.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")


def unusable(file: Path | str, error: sqlite3.Error) -> Unavailable:
    """Translate an SQLite error on `file` into ours, with the remedy."""
    if type(error) is sqlite3.DatabaseError:  # damaged; what has to do with disks and rights is a subclass
        remedy = (
            "restore it from a backup, or move that file away: results are kept beside it and will not be bought again,"
            " and one run with `--set output.existing=replace` takes the finished files over"
        )
    else:
        remedy = "free some space or give this user the right to write there, then run the job again"
    return Unavailable(f"cannot use the manifest {file}: {error}", remedy=remedy)
