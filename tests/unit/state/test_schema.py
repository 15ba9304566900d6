"""The manifest's file: made, migrated, refused, and only looked at."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.state.conftest import moved, started
from venice_batch.errors import StateTooNew, Unavailable
from venice_batch.state import schema, to_read, to_write

ROOT = Path(__file__).parents[3]


def version_of(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def tables_of(file: Path) -> set[str]:
    connection = sqlite3.connect(file)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return what lies below `folder`; the shared memory beside a manifest that is open is scratch of SQLite's own."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_new_state_has_the_newest_schema(tmp_path: Path) -> None:
    with to_write(tmp_path) as state:
        assert dict(state.counts("job")) == {}
    assert version_of(tmp_path / "manifest.sqlite3") == schema.NEWEST == len(schema.MIGRATIONS)
    assert tables_of(tmp_path / "manifest.sqlite3") == {
        "runs",
        "items",
        "sources",
        "outputs",
        "calls",
        "results",
        "bad_answers",
        "released",
        "former_sources",
        "item_results",
        "result_uses",
    }


def test_the_manifest_is_written_so_that_a_power_cut_loses_nothing(tmp_path: Path) -> None:
    connection = schema.open_to_write(tmp_path / "m")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    with to_write(tmp_path) as state:
        state.commit([started(), moved("a.png", "done")])
    with to_write(tmp_path) as state:
        assert state.counts("job") == {"done": 1}


def as_version_1_left_it(folder: Path) -> Path:
    """Make the manifest of a state that an older program wrote."""
    file = folder / "manifest.sqlite3"
    connection = sqlite3.connect(file)
    connection.executescript(f"{schema.MIGRATIONS[0]} PRAGMA user_version = 1;")
    connection.execute("INSERT INTO items VALUES ('job', 'a.png', 0, 'v1', 'f1', 'done', '', '', 0, 5.0)")
    connection.commit()
    connection.close()
    return file


def test_an_older_file_is_migrated_and_keeps_what_it_knows(tmp_path: Path) -> None:
    file = as_version_1_left_it(tmp_path)
    with to_read(tmp_path) as state:
        assert state.counts("job") == {"done": 1}
    assert version_of(file) == 1
    with to_write(tmp_path) as state:
        assert state.counts("job") == {"done": 1}
    assert version_of(file) == schema.NEWEST
    assert "results" in tables_of(file)


def test_a_migration_that_fails_half_way_leaves_the_old_version_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = as_version_1_left_it(tmp_path)
    broken = "CREATE TABLE extra (a INTEGER) STRICT; CREATE TABLE items (a INTEGER);"
    monkeypatch.setattr(schema, "MIGRATIONS", (schema.MIGRATIONS[0], broken))
    with pytest.raises(Unavailable), to_write(tmp_path):
        pass
    monkeypatch.undo()
    assert version_of(file) == 1
    assert "extra" not in tables_of(file)
    with to_write(tmp_path) as state:
        assert state.counts("job") == {"done": 1}


@pytest.mark.parametrize("opened", [to_write, to_read])
def test_a_state_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path, opened: type) -> None:
    with to_write(tmp_path) as state:
        state.commit([moved("a.png", "done")])
    connection = sqlite3.connect(tmp_path / "manifest.sqlite3")
    connection.execute(f"PRAGMA user_version = {schema.NEWEST + 1}")
    connection.close()
    before = (tmp_path / "manifest.sqlite3").read_bytes()
    with pytest.raises(StateTooNew, match="newer version") as caught, opened(tmp_path):
        pass
    assert "upgrade" in caught.value.remedy
    assert (tmp_path / "manifest.sqlite3").read_bytes() == before


@pytest.mark.parametrize("opened", [to_write, to_read])
def test_a_file_that_is_no_manifest_is_refused_with_a_remedy(tmp_path: Path, opened: type) -> None:
    (tmp_path / "manifest.sqlite3").write_bytes(b"this is not a database, and it is long enough" * 50)
    with pytest.raises(Unavailable, match="cannot use the manifest") as caught, opened(tmp_path):
        pass
    assert "move that file away" in caught.value.remedy


def test_a_state_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable) as caught, to_write(tmp_path / "file" / "state"):
        pass
    assert caught.value.remedy


# Looking only


def test_reading_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with to_read(tmp_path / "state") as state:
        assert list(state.items("job")) == []
        assert state.run_to_continue("job") == (1, False)
        assert state.next_call() == 1
        assert state.uncertain_results() == set()
    assert not (tmp_path / "state").exists()


def test_reading_a_state_at_rest_changes_nothing(tmp_path: Path) -> None:
    with to_write(tmp_path) as state:
        state.commit([started(), moved("a.png", "done")])
    before, names = snapshot(tmp_path), sorted(tmp_path.iterdir())
    with to_read(tmp_path) as state:
        assert state.counts("job") == {"done": 1}
        assert sorted(tmp_path.iterdir()) == names
    assert snapshot(tmp_path) == before
    assert sorted(tmp_path.iterdir()) == names


def test_reading_beside_a_writer_sees_what_was_committed(tmp_path: Path) -> None:
    with to_write(tmp_path) as writer:
        writer.commit([moved("a.png", "running")])
        before = snapshot(tmp_path)
        with to_read(tmp_path) as reader:
            assert reader.counts("job") == {"running": 1}
            assert snapshot(tmp_path) == before
            writer.commit([moved("a.png", "done")])
            assert reader.counts("job") == {"done": 1}


_KILLED_WRITER = """
import os, sys
from pathlib import Path
from venice_batch.state import ItemId, ItemMoved, to_write
with to_write(Path(sys.argv[1]), temporary=Path(sys.argv[2])) as state:
    state.commit([ItemMoved(ItemId("job", "a.png"), "v", "f", "running", 1.0)])
    os.kill(os.getpid(), 9)
"""


def test_reading_after_a_kill_sees_everything_and_changes_nothing(tmp_path: Path) -> None:
    # The killed process cannot remove its private folder: it must not lie where nobody ever looks again.
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "state"
    command = [sys.executable, "-c", _KILLED_WRITER, str(folder), str(tmp_path / "tmp")]
    subprocess.run(command, cwd=ROOT, check=False)
    assert (folder / "manifest.sqlite3-wal").exists()
    before, names = snapshot(folder), sorted(folder.iterdir())
    with to_read(folder) as state:
        assert state.counts("job") == {"running": 1}
    assert snapshot(folder) == before
    assert sorted(folder.iterdir()) == names


def test_what_is_open_for_reading_cannot_write(tmp_path: Path) -> None:
    with to_write(tmp_path):
        pass
    with to_read(tmp_path) as state, pytest.raises(Unavailable):
        state.commit([moved("a.png", "done")])
