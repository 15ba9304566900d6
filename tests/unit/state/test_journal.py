"""The objects of a journal and the snapshots: whole, or refused."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.errors import StateTooNew
from venice_batch.state import ResultGone, journal, schema, snapshot

EVENTS = tuple(ResultGone(f"{number}") for number in range(3))
CONTENT = journal.encode(7, "writer", EVENTS)


def test_an_object_gives_back_what_was_put_into_it() -> None:
    assert journal.decode(CONTENT, 7) == journal.Record(7, "writer", EVENTS)
    assert journal.decode(journal.encode(1, "w", []), 1).events == ()


@given(st.integers(0, len(CONTENT) - 1))
def test_an_object_that_was_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        journal.decode(CONTENT[:length], 7)


@given(st.integers(CONTENT.index(b"\n"), len(CONTENT) - 1), st.integers(1, 255))
def test_an_object_with_a_changed_byte_is_refused(place: int, change: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] ^= change
    with pytest.raises(ValueError, match=r"."):
        journal.decode(bytes(changed), 7)


@given(st.binary())
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        journal.decode(noise, 7)


def test_an_object_under_another_number_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        journal.decode(CONTENT, 8)


def test_names_sort_like_numbers_and_nothing_else_is_one() -> None:
    names = [journal.name(number) for number in (1, 9, 10, 123, 9_999_999_999)]
    assert names == sorted(names)
    assert [journal.number_of(name) for name in names] == [1, 9, 10, 123, 9_999_999_999]
    for other in ("", "1", "00000000001", "000000000a", "\u0660" * 10, "a/0000000001", "-000000001"):
        assert journal.number_of(other) is None


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A snapshot of a manifest with something in it."""
    connection = schema.open_to_write(tmp_path / "manifest", durable=False)
    connection.execute("INSERT INTO results VALUES ('key', 'facts')")
    size = snapshot.write(connection, tmp_path / "packed")
    connection.close()
    assert size == (tmp_path / "packed").stat().st_size
    assert not list(tmp_path.glob("packed.*"))
    return tmp_path / "packed"


def test_a_snapshot_is_the_manifest(packed: Path, tmp_path: Path) -> None:
    snapshot.unpack(packed, tmp_path / "again")
    connection = sqlite3.connect(tmp_path / "again")
    assert connection.execute("SELECT * FROM results").fetchall() == [("key", "facts")]
    connection.close()


def test_a_damaged_snapshot_is_refused_and_leaves_nothing(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    header, _, body = whole.partition(b"\n")
    of_no_gzip = {**json.loads(header), "sha256": hashlib.sha256(b"plain").hexdigest()}
    of_half = {**json.loads(header), "sha256": hashlib.sha256(body[:-9]).hexdigest()}
    for damaged in (
        b"",
        header,
        whole[:-1],
        whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        b"{}\n" + body,
        json.dumps(of_no_gzip).encode() + b"\nplain",
        json.dumps(of_half).encode() + b"\n" + body[:-9],
    ):
        packed.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"."):
            snapshot.unpack(packed, tmp_path / "again")
        assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("field", ["format", "schema"])
def test_what_a_newer_version_wrote_is_told_from_damage(packed: Path, tmp_path: Path, field: str) -> None:
    for content in (CONTENT, packed.read_bytes()):
        header, _, body = content.partition(b"\n")
        packed.write_bytes(json.dumps({**json.loads(header), field: 99}).encode() + b"\n" + body)
        with pytest.raises(StateTooNew):
            journal.decode(packed.read_bytes(), 7) if content is CONTENT else snapshot.unpack(
                packed, tmp_path / "again"
            )
