"""What the manifest records and answers: items, inputs, outputs, runs and money."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.state.conftest import answer, item, moved, reserved, started
from venice_batch.errors import Unavailable
from venice_batch.state import (
    Begun,
    Event,
    ItemId,
    ItemMoved,
    OutputDropped,
    OutputPlanned,
    OutputWritten,
    Reserved,
    RunEnded,
    RunStarted,
    Settled,
    SourceRead,
    State,
)

ONE_OF_EACH: list[Event] = [
    started(),
    moved("1.png", "running"),
    SourceRead("job", "1.png", "v1", 7, "hash", "{}"),
    OutputPlanned(item("1.png"), "out/1.png"),
    reserved(1),
    Begun(1, "result", 101.0),
    Settled(1, "spent", "answered", 102.0, 200, 1, "ray", "model", "1.5", "0"),
    OutputWritten(item("1.png"), "out/1.png", "v", "sha"),
    OutputDropped("job", "out/2.png"),
    moved("1.png", "done"),
    RunEnded(1, 103.0, 0, closed=True),
]


def everything(state: State) -> list[object]:
    return [
        list(state.items("job")),
        state.source("job", "1.png"),
        list(state.outputs("job")),
        list(state.calls("job")),
        state.last_run("job"),
        state.spending("job"),
    ]


def test_a_group_becomes_durable_together_or_not_at_all(state: State) -> None:
    # The second event cannot be carried out: its micros are no number.
    broken = Reserved(2, 1, item(), "s", "/e", None, "much", 1.0)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(Unavailable):
        state.commit([started(), moved("a.png", "done"), broken])
    assert state.counts("job") == {}
    state.commit([started(), moved("a.png", "done")])
    assert state.counts("job") == {"done": 1}


def test_nothing_to_record_is_no_error(state: State) -> None:
    state.commit([])
    state.commit(iter(()))
    assert state.counts("job") == {}


def test_recording_everything_twice_changes_nothing(state: State) -> None:
    state.commit(ONE_OF_EACH)
    once = everything(state)
    state.commit(ONE_OF_EACH[:5])
    state.commit(ONE_OF_EACH)
    assert everything(state) == once


def test_items_are_told_by_key_and_variant_and_by_state(state: State) -> None:
    state.commit([moved("b.png", "done"), moved("a.png", "failed"), moved("c.png", "done", job="other")])
    state.commit([ItemMoved(ItemId("job", "a.png", 2), "v", "f", "waiting", 1.0, "budget", "no money", lasting=True)])
    assert [(row.key, row.variant, row.state) for row in state.items("job")] == [
        ("a.png", 0, "failed"),
        ("a.png", 2, "waiting"),
        ("b.png", 0, "done"),
    ]
    assert [row.key for row in state.items("job", "done")] == ["b.png"]
    (waiting,) = state.items("job", "waiting")
    assert (waiting.code, waiting.reason, bool(waiting.lasting)) == ("budget", "no money", True)
    assert state.counts("job") == {"done": 1, "failed": 1, "waiting": 1}
    assert state.counts("other") == {"done": 1}


def test_an_input_is_known_by_key_and_by_size_over_all_jobs(state: State) -> None:
    state.commit([SourceRead("job", "a.png", "v1", 700, "hash", '{"width": 1}')])
    row = state.source("job", "a.png")
    assert row is not None
    assert (row.version, row.size, row.sha256, row.facts) == ("v1", 700, "hash", '{"width": 1}')
    assert state.source("other", "a.png") is None
    assert state.knows_size(700)
    assert not state.knows_size(701)


def test_planning_a_file_again_keeps_what_is_known_of_it(state: State) -> None:
    state.commit([OutputWritten(item("a.png"), "o.png", "v", "sha"), OutputPlanned(item("b.png"), "o.png")])
    row = state.outputs_at("job", ["o.png"]).get("o.png")
    assert row is not None
    assert (row.key, row.version, row.sha256) == ("b.png", "v", "sha")


def test_a_planned_file_has_no_version_until_it_was_written(state: State) -> None:
    state.commit([OutputPlanned(item(), "o.png")])
    row = state.outputs_at("job", ["o.png"]).get("o.png")
    assert row is not None
    assert row.version is None
    state.commit([OutputDropped("job", "o.png")])
    assert state.outputs_at("job", ["o.png"]) == {}


# Runs


def test_the_first_run_has_the_number_one(state: State) -> None:
    assert state.run_to_continue("job") == (1, False)
    assert state.last_run("job") is None


@pytest.mark.parametrize("ending", [None, RunEnded(1, 9.0, 130, closed=False), RunEnded(1, 9.0, 6, closed=False)])
def test_a_run_that_was_broken_off_is_continued(state: State, ending: RunEnded | None) -> None:
    state.commit([started(), *([ending] if ending else [])])
    assert state.run_to_continue("job") == (1, True)


def test_a_run_that_ended_in_good_order_is_not_continued(state: State) -> None:
    state.commit([started(), RunEnded(1, 9.0, 3, closed=True)])
    assert state.run_to_continue("job") == (2, False)


def test_runs_of_several_jobs_have_numbers_of_their_own(state: State) -> None:
    state.commit([started(1, "a"), RunStarted(2, "b", 1.0)])
    assert state.run_to_continue("a") == (1, True)
    assert state.run_to_continue("b") == (2, True)
    assert state.run_to_continue("c") == (3, False)


def test_starting_again_keeps_the_first_start(state: State) -> None:
    state.commit([RunStarted(1, "job", 10.0), RunEnded(1, 11.0, 130, closed=False), RunStarted(1, "job", 20.0)])
    run = state.last_run("job")
    assert run is not None
    assert run.started_at == 10.0


# Money


def settled(call: int, fate: str) -> Settled:
    return Settled(call, fate, "x", 200.0)


def test_what_counts_is_reserved_begun_spent_and_uncertain(state: State) -> None:
    state.commit([started(), *(reserved(call, micros=10**call) for call in range(1, 6))])
    state.commit([Begun(2, "r2", 1.0), settled(3, "spent"), settled(4, "uncertain"), settled(5, "released")])
    assert state.counted_in_run(1) == 10 + 100 + 1_000 + 10_000
    assert state.counted_since(0) == 11_110
    assert state.next_call() == 6


def test_a_run_counts_its_own_calls_and_a_day_those_of_all_jobs(state: State) -> None:
    state.commit([started(1, "a"), started(2, "b")])
    state.commit([reserved(1, run=1, micros=1, at=99.9), reserved(2, run=1, micros=20, at=100.0, job="a")])
    state.commit([reserved(3, run=2, micros=300, at=100.1, job="b")])
    assert state.counted_in_run(1) == 21
    assert state.counted_in_run(2) == 300
    assert state.counted_in_run(9) == 0
    assert state.counted_since(100.0) == 320
    assert state.counted_since(200.0) == 0


def test_spending_is_told_by_step_and_by_the_model_that_served(state: State) -> None:
    state.commit([started(), *(reserved(call, micros=call) for call in range(1, 5))])
    served = Settled(2, "spent", "answered", 1.0, 200, 1, None, "other-model")
    state.commit([settled(1, "spent"), served, settled(3, "uncertain"), settled(4, "released")])
    told = [(row.step, row.model, row.spent, row.uncertain, row.calls) for row in state.spending("job")]
    assert told == [("upscale", "", 1, 3, 2), ("upscale", "other-model", 2, 0, 1)]
    assert state.spending("job", run=1) == state.spending("job")
    assert state.spending("job", run=2) == []
    assert state.spending("other") == []


def test_the_ledger_keeps_every_call_with_its_fate(state: State) -> None:
    state.commit([started(), reserved(1), reserved(2), Begun(1, "key", 101.0)])
    state.commit([Settled(1, "spent", "answered", 102.0, 200, 2, "ray", "m", "1.50", "3")])
    first, second = state.calls("job")
    assert (first.fate, first.result, first.begun_at, first.ended_at) == ("spent", "key", 101.0, 102.0)
    assert (first.status, first.attempts, first.request_id, first.model_served) == (200, 2, "ray", "m")
    assert (first.balance_usd, first.balance_diem) == ("1.50", "3")
    assert (second.fate, second.result, second.begun_at) == ("reserved", None, None)


def test_an_uncertain_call_is_open_until_its_result_is_there(state: State) -> None:
    state.commit([started(), reserved(1), reserved(2), Begun(1, "aa1", 1.0), Begun(2, "bb2", 1.0)])
    state.commit([settled(1, "uncertain"), settled(2, "uncertain")])
    assert state.uncertain_results() == {"aa1", "bb2"}
    answer(state, "aa1")
    assert state.uncertain_results() == {"bb2"}


def test_what_was_reserved_and_never_begun_can_be_left_out(state: State) -> None:
    state.commit([started(), reserved(1), reserved(2), Begun(1, "aa1", 1.0)])
    both = state.counted_in_run(1)
    assert state.counted_in_run(1, reserved=False) * 2 == both
    assert state.counted_since(0.0, reserved=False) * 2 == both


def test_the_ledger_tells_when_a_call_was_really_sent(state: State) -> None:
    state.commit([started(), reserved(1), reserved(2), Begun(1, "aa1", 5.0), Begun(2, "bb2", 5.0)])
    state.commit([replace(settled(1, "spent"), sent_at=9.0), settled(2, "spent")])
    assert [call.begun_at for call in state.calls("job")] == [9.0, 5.0]
