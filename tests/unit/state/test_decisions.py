"""What the manifest knows of answers that are held back, and of those that a person has accepted."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from tests.unit.state.conftest import moved
from venice_batch.state import AnswerSetAside, Released, Result, ResultGone, State, schema, to_read, to_write
from venice_batch.state.event_json import from_json, to_json

RESULT = Result("key", {"sha256": "abc"})
RELEASED = Released("key", "abc", 7.0)


def test_a_release_holds_for_the_bytes_that_were_accepted(state: State) -> None:
    assert not state.released(RESULT)
    state.commit([RELEASED])
    assert state.released(RESULT)
    assert not state.released(Result("key", {"sha256": "bought anew"}))
    assert not state.released(Result("another", {"sha256": "abc"}))
    state.commit([RELEASED])
    assert state.released(RESULT)


def test_a_release_ends_with_its_answer(state: State) -> None:
    for gone in (AnswerSetAside("key", 1), ResultGone("key")):
        state.commit([RELEASED])
        state.commit([gone])
        assert not state.released(RESULT), gone


def test_twins_of_all_jobs_are_found_by_the_answer_that_they_wait_for(state: State) -> None:
    held = [replace(moved(key, "flagged", job), result="key") for job in ("two", "one") for key in ("b.png", "a.png")]
    state.commit([*held, moved("c.png", "flagged"), replace(moved("d.png", "flagged"), result="other")])
    found = [(item.job, row.key, row.result) for item, row in state.items_held_by("key")]
    assert found == [(job, key, "key") for job in ("one", "two") for key in ("a.png", "b.png")]
    assert state.items_held_by("") == []
    state.commit([moved("a.png", "done", "one")])
    assert len(state.items_held_by("key")) == 3


def test_the_events_of_a_decision_go_through_a_journal() -> None:
    for event in (RELEASED, replace(moved("a.png", "flagged"), result="key")):
        assert from_json(to_json(event)) == event
    assert "result" not in to_json(moved("a.png", "done"))


def test_a_state_of_version_2_learns_to_hold(tmp_path: Path) -> None:
    file = tmp_path / "manifest.sqlite3"
    connection = sqlite3.connect(file)
    connection.executescript(f"{''.join(schema.MIGRATIONS[:2])} PRAGMA user_version = 2;")
    connection.execute("INSERT INTO items VALUES ('job', 'a.png', 0, 'v1', 'f1', 'flagged', 'blank', 'why', 1, 5.0)")
    connection.commit()
    connection.close()
    with to_read(tmp_path) as state:
        (row,) = state.items("job")
        assert (row.state, row.code, row.result) == ("flagged", "blank", "")
    with to_write(tmp_path) as state:
        state.commit([replace(moved("a.png", "flagged"), result="key"), RELEASED])
        assert [row.result for row in state.rows_of("job", ["a.png"])] == ["key"]
        assert state.released(RESULT)
