"""After a kill: what was begun is spent or uncertain, what was not is given back, and items may go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.state.conftest import answer, moved, reserved, started
from venice_batch.state import Begun, Settled, State, to_write


def fates(state: State) -> dict[int, str]:
    return {call.id: call.fate for call in state.calls("job")}


def test_every_open_call_is_settled_by_what_is_durable(state: State) -> None:
    state.commit([started(), *(reserved(call) for call in range(1, 6))])
    state.commit([Begun(2, "aa2", 1.0), Begun(3, "bb3", 1.0), Begun(4, "cc4", 1.0), Begun(5, "dd5", 1.0)])
    state.commit([Settled(4, "spent", "answered", 2.0), Settled(5, "released", "refused", 2.0)])
    answer(state, "aa2")
    assert state.recover(10.0) == 1
    assert fates(state) == {1: "released", 2: "spent", 3: "uncertain", 4: "spent", 5: "released"}
    assert state.counted_in_run(1) == 3 * 20_000


def test_running_items_of_every_job_are_pending_again(state: State) -> None:
    state.commit([moved("a.png", "running"), moved("b.png", "done"), moved("c.png", "running", job="other")])
    assert state.recover(10.0) == 0
    assert state.counts("job") == {"pending": 1, "done": 1}
    assert state.counts("other") == {"pending": 1}
    (row,) = state.items("job", "pending")
    assert (row.version, row.fingerprint, row.code) == ("v1", "f1", "interrupted")


def test_recovering_twice_finds_nothing_more(state: State) -> None:
    state.commit([started(), reserved(1), Begun(1, "aa", 1.0)])
    assert state.recover(10.0) == 1
    before = list(state.calls("job"))
    answer(state, "aa")
    assert state.recover(20.0) == 0
    assert list(state.calls("job")) == before


def test_a_fresh_state_has_nothing_to_recover(state: State) -> None:
    assert state.recover(1.0) == 0


def test_an_answer_set_aside_is_no_answer(state: State) -> None:
    state.commit([started(), reserved(1), Begun(1, "aa", 1.0)])
    answer(state, "aa")
    found = state.results.find("aa")
    assert found is not None
    state.results.set_aside(found)
    assert state.recover(10.0) == 1


@pytest.mark.parametrize("name", [".vb-0123456789abcdef", ".vb-0123456789abcdef.answer"])
def test_half_written_answers_are_cleared_by_the_next_writer(tmp_path: Path, name: str) -> None:
    half = tmp_path / "results" / "aa" / name
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    with to_write(tmp_path):
        assert not half.exists()
