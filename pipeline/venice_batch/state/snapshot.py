"""The manifest as one file to load: a header line, then the gzipped SQLite file."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sqlite3
import zlib
from pathlib import Path

from venice_batch.state.journal import FORMAT, parsed_header
from venice_batch.state.schema import NEWEST

#: Level 1 takes a third of the time of level 6, for a file that is a tenth larger.
_LEVEL = 1
_CHUNK = 1 << 20


def write(connection: sqlite3.Connection, target: Path) -> int:
    """Write the manifest behind `connection`, outside of any transaction, to the new file `target`.

    Returns:
        Its size in bytes.

    Raises:
        OSError, sqlite3.Error: there is no room.
    """
    plain, packed = target.with_name(target.name + ".plain"), target.with_name(target.name + ".packed")
    try:
        # A copy without free pages; the file itself may hold half of its content in the write-ahead log.
        connection.execute("VACUUM INTO ?", (str(plain),))
        with plain.open("rb") as source, gzip.open(packed, "wb", _LEVEL) as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
        with packed.open("rb") as body:
            digest = hashlib.file_digest(body, "sha256").hexdigest()
        header = {"format": FORMAT, "schema": NEWEST, "sha256": digest}
        with target.open("xb") as file, packed.open("rb") as body:
            file.write(json.dumps(header).encode("ascii") + b"\n")
            shutil.copyfileobj(body, file, _CHUNK)
        return target.stat().st_size
    finally:
        plain.unlink(missing_ok=True)
        packed.unlink(missing_ok=True)


def unpack(snapshot: Path, target: Path) -> None:
    """Write the SQLite file in `snapshot` to the new file `target`.

    Raises:
        StateTooNew: a newer version wrote it.
        ValueError: it is not whole; `target` is not there then.
    """
    with snapshot.open("rb") as file:
        header = parsed_header(file.readline(_CHUNK), "the snapshot")
        start = file.tell()
        if hashlib.file_digest(file, "sha256").hexdigest() != header.get("sha256"):
            raise ValueError("the content does not fit the header")
        file.seek(start)
        try:
            with gzip.open(file) as source, target.open("xb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            target.unlink(missing_ok=True)
            raise ValueError("the content cannot be unpacked") from error
