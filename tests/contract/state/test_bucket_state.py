"""A manifest that lives in a bucket: every commit durable, any disk empty, any part of the prefix missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.state.conftest import STARTED, Home, begun, keep, key, moved
from venice_batch.errors import LeaseLost, Locked, StateTooNew, Unavailable
from venice_batch.state import Begun, ItemId, ItemMoved, Reserved, RunEnded, Settled, to_write
from venice_batch.state.bucket_journal import AT_REST
from venice_batch.storage import S3Place


def test_what_was_committed_is_there_on_an_empty_disk(either_home: Home, tmp_path: Path) -> None:
    either_home.commit([STARTED, moved("a.png")], [moved("b.png", "failed")])
    either_home.temporary = tmp_path / "another machine"
    either_home.temporary.mkdir()
    with either_home.writing() as state:
        assert state.counts("job") == {"done": 1, "failed": 1}
        assert state.run_to_continue("job") == (1, True)


def test_each_commit_is_one_object_that_is_durable_when_it_returns(either_home: Home) -> None:
    with either_home.writing() as state:
        before = set(either_home.names("journal/"))
        state.commit([STARTED, moved("a.png")])
        state.commit([])
        added = sorted(set(either_home.names("journal/")) - before)
        assert len(added) == 1
        header, *lines = either_home.get(added[0]).decode().splitlines()
        assert json.loads(header)["count"] == len(lines) == 2
        with either_home.reading() as reader:
            assert reader.counts("job") == {"done": 1}


def test_nothing_is_left_on_this_machine(home: Home) -> None:
    home.commit([moved("a.png")])
    with home.reading() as state:
        assert state.counts("job") == {"done": 1}
    assert list(home.temporary.iterdir()) == []


def test_a_state_that_is_not_there_reads_as_empty_and_stays_away(home: Home) -> None:
    with home.reading() as state:
        assert state.run_to_continue("job") == (1, False)
        assert list(state.results.keys()) == []
    assert home.names() == []


def test_what_is_open_for_reading_cannot_write(home: Home) -> None:
    home.commit([moved("a.png")])
    before = home.names()
    with home.reading() as state, pytest.raises(Unavailable):
        state.commit([moved("b.png")])
    assert home.names() == before


def test_a_run_with_nothing_to_do_writes_no_snapshot(home: Home) -> None:
    for _ in range(3):
        home.commit([STARTED], [RunEnded(1, 60.0, 0, closed=True)])
    assert home.names("snapshot/") == []


def test_a_second_run_is_refused_at_once_and_told_when_it_can_take_over(either_home: Home) -> None:
    with either_home.writing(), pytest.raises(Locked, match="another run holds") as caught, either_home.writing():
        pass
    assert " s" in caught.value.remedy
    with either_home.writing():
        pass


# Snapshots


def grow(home: Home, name: str) -> None:
    """Commit so much that a snapshot is due at the end."""
    with home.writing() as state:
        for part in ("1", "2"):
            long = ItemMoved(ItemId("job", f"{name}-{part}"), "v", "f", "failed", 1.0, "code", "why " * AT_REST.size)
            state.commit([replace(long, reason=long.reason[: AT_REST.size // 2])])


def test_many_small_commits_are_folded_at_the_next_rest(home: Home) -> None:
    with home.writing() as state:
        for number in range(AT_REST.objects):
            state.commit([moved(f"{number}.png")])
    assert len(home.names("snapshot/")) == 1
    with home.reading() as state:
        assert state.counts("job") == {"done": AT_REST.objects}


def test_a_journal_that_grew_is_folded_and_the_snapshot_before_it_kept(either_home: Home) -> None:
    for round_number in range(3):
        grow(either_home, f"{round_number}")
    snapshots = [int(name.rpartition("/")[2]) for name in either_home.names("snapshot/")]
    journal = [int(name.rpartition("/")[2]) for name in either_home.names("journal/")]
    assert len(snapshots) == 2
    assert min(journal) == snapshots[0] + 1
    assert journal == list(range(journal[0], journal[-1] + 1))
    with either_home.reading() as state:
        assert state.counts("job") == {"failed": 6}


def test_a_damaged_snapshot_costs_nothing_while_its_journal_is_there(home: Home) -> None:
    for round_number in range(2):
        grow(home, f"{round_number}")
    first, last = home.names("snapshot/")
    whole = home.get(last)
    for damaged in (whole[:-20], whole.replace(b"sha256", b"sha257"), b"", whole[:300] + b"x" + whole[301:]):
        home.put(last, damaged)
        with home.reading() as state:
            assert state.counts("job") == {"failed": 4}
    home.commit([moved("more.png")])
    with home.reading() as state:
        assert state.counts("job") == {"failed": 4, "done": 1}
    assert first in home.names()


def test_a_snapshot_that_is_written_over_a_damaged_one_stays(home: Home) -> None:
    for round_number in range(2):
        grow(home, f"{round_number}")
    last = home.names("snapshot/")[-1]
    home.put(last, b"damaged")
    with home.writing():
        pass
    assert last in home.names("snapshot/")
    assert home.get(last) != b"damaged"
    with home.reading() as state:
        assert state.counts("job") == {"failed": 4}


# What is torn or missing


def cut(home: Home, name: str) -> None:
    home.put(name, home.get(name)[:-7])


def emptied(home: Home, name: str) -> None:
    home.put(name, b"")


def garbled(home: Home, name: str) -> None:
    home.put(name, home.get(name).replace(b'"spent"', b'"spend"'))


def removed(home: Home, name: str) -> None:
    home.delete(name)


@pytest.mark.parametrize("damage", [cut, emptied, garbled, removed])
@pytest.mark.parametrize("clean", [True, False], ids=["given-back", "killed"])
def test_a_torn_or_missing_tail_is_repaired_from_the_results(
    home: Home, damage: Callable[[Home, str], None], *, clean: bool
) -> None:
    with home.writing() as state:
        state.commit([STARTED])
        state.commit(begun(1))
        keep(state, key(1))
        state.commit([Settled(1, "spent", "answered", 102.0)])
    damage(home, home.names("journal/")[-1])
    if not clean:
        home.break_lease()
    with home.writing() as state:
        assert state.recover(200.0) == 0
        found = state.results.find(key(1))
        assert found is not None
        assert found.facts["price_usd"] == "0.02"
        assert [(call.fate, call.micros) for call in state.calls("job")] == [("spent", 20_000)]
    # Once recorded, it is known without looking.
    with home.reading() as state:
        assert state.results.find(key(1)) is not None


def test_without_any_journal_a_stored_result_is_found_and_its_price_counted(either_home: Home) -> None:
    with either_home.writing() as state:
        state.commit([STARTED, *begun(1)])
        keep(state, key(1))
        keep(state, f"{key(2)}.0")
        keep(state, f"{key(2)}.1")
        state.commit([Settled(1, "spent", "answered", 102.0)])
    either_home.delete(*either_home.names("journal/"), "lease")
    assert either_home.names() == sorted(
        f"results/{name[:2]}/{name}" for name in (key(1), f"{key(2)}.0", f"{key(2)}.1")
    )
    with either_home.reading() as state:
        assert state.results.find(key(1)) is not None
    with either_home.writing() as state:
        state.recover(200.0)
        assert sorted(state.results.keys()) == [key(1), f"{key(2)}.0", f"{key(2)}.1"]
        assert state.counted_since(100.0) == 60_000
        assert state.results.bytes(key(1), state.scratch / "copy").read_bytes() == b"picture"
    with either_home.writing() as state:
        state.recover(300.0)
        assert state.counted_since(100.0) == 60_000


def test_a_hole_in_the_middle_loses_only_what_was_in_it(home: Home) -> None:
    home.commit([STARTED, *begun(1)], [moved("a.png")], [moved("b.png")])
    home.delete(home.names("journal/")[-2])
    with home.writing() as state:
        state.recover(200.0)
        assert state.counts("job") == {"done": 1}
        assert [call.fate for call in state.calls("job")] == ["uncertain"]


def test_a_result_that_only_a_hole_knew_of_is_found(home: Home) -> None:
    with home.writing() as state:
        state.commit([STARTED])
        keep(state, key(1))
        state.commit([*begun(1), Settled(1, "spent", "answered", 102.0)])
        state.commit([moved("a.png")])
    home.delete(home.names("journal/")[-2])
    with home.writing() as state:
        state.recover(200.0)
        assert state.results.find(key(1)) is not None
        assert state.counted_since(100.0) == 20_000


def test_a_journal_that_goes_on_after_damage_is_whole_for_the_next_start(home: Home) -> None:
    home.commit([moved("a.png")], [moved("b.png")])
    home.put(home.names("journal/")[-1], b"torn")
    home.commit([moved("c.png")])
    with home.reading() as state:
        assert {row.key for row in state.items("job")} == {"a.png", "c.png"}


def test_a_call_that_had_begun_is_looked_up_in_the_bucket(either_home: Home) -> None:
    with either_home.failing() as state:
        state.commit([STARTED, *begun(1), *begun(2)])
        keep(state, key(1))
    with either_home.writing() as state:
        assert state.recover(200.0) == 1
        assert {call.id: call.fate for call in state.calls("job")} == {1: "spent", 2: "uncertain"}
        assert state.uncertain_results() == {key(2)}


def test_a_begun_call_is_looked_up_even_after_an_end_in_good_order(home: Home) -> None:
    home.commit([STARTED, *begun(1)])
    home.put_result(key(1))
    home.put_result(key(2))
    with home.writing() as state:
        assert state.recover(200.0) == 0
        assert list(state.results.keys()) == [key(1)], "the whole of results/ was listed without need"


def test_an_answer_that_landed_after_the_run_was_left_is_found(home: Home) -> None:
    home.commit([STARTED, *begun(1)], [Settled(1, "uncertain", "left", 102.0)])
    home.put_result(key(1))
    with home.writing() as state:
        assert state.recover(200.0) == 0
        assert state.results.find(key(1)) is not None
        assert state.uncertain_results() == set()


def test_all_pictures_of_an_answer_that_was_stored_in_part_are_found(home: Home) -> None:
    item = ItemId("job", "a")
    home.commit([STARTED, Reserved(1, 1, item, "s", "/e", None, 1, 1.0), Begun(1, f"{key(1)}.0", 1.0)])
    home.put_result(f"{key(1)}.2")
    with home.writing() as state:
        assert state.recover(200.0) == 1
        assert list(state.results.keys()) == [f"{key(1)}.2"]


def test_what_was_kept_and_never_settled_is_recorded_at_the_end(home: Home) -> None:
    with home.writing() as state:
        state.commit([STARTED])
        keep(state, key(1))
    with home.reading() as state:
        assert list(state.results.keys()) == [key(1)]


# Versions


@pytest.mark.parametrize("what", ["journal", "snapshot"])
@pytest.mark.parametrize("field", ["format", "schema"])
def test_a_state_of_a_newer_version_is_refused_and_left_as_it_is(home: Home, what: str, field: str) -> None:
    grow(home, "a")
    if what == "journal":
        home.commit([moved("last.png")])
    name = home.names(f"{what}/")[-1]
    header, _, rest = home.get(name).partition(b"\n")
    home.put(name, json.dumps({**json.loads(header), field: 99}).encode() + b"\n" + rest)
    before = home.names()
    for opened in (home.reading, home.writing):
        with pytest.raises(StateTooNew, match="newer version") as caught, opened():
            pass
        assert "upgrade" in caught.value.remedy
    assert home.names() == before


# Two writers


def test_a_holder_whose_state_was_taken_over_records_nothing_more(either_home: Home, tmp_path: Path) -> None:
    with either_home.writing() as old:
        old.commit([STARTED, moved("a.png")])
        either_home.break_lease()
        (tmp_path / "b").mkdir()
        with to_write(either_home.place, temporary=tmp_path / "b") as new:
            with pytest.raises(LeaseLost, match="another run"):
                old.commit([moved("b.png")])
            new.commit([moved("c.png")])
            with pytest.raises(LeaseLost):
                old.commit([moved("d.png")])
            assert {row.key for row in old.items("job")} == {"a.png"}
    with either_home.reading() as state:
        assert {row.key for row in state.items("job")} == {"a.png", "c.png"}


def test_an_emulated_run_shares_the_lease_and_nothing_else(home: Home) -> None:
    home.commit([STARTED])
    with to_write(home.place / "emulated", lease_place=home.place, temporary=home.temporary) as trial:
        trial.commit([moved("a.png")])
        with pytest.raises(Locked), home.writing():
            pass
    with home.writing() as state:
        assert state.counts("job") == {}
        assert state.run_to_continue("job") == (1, True)


def test_the_objects_of_a_state_are_not_stored_as_finished_files_are(home: Home) -> None:
    dressed = replace(home.place.access, cache_control="public", metadata=(("a", "b"),))
    with to_write(S3Place(home.place.bucket, home.place.prefix, dressed), temporary=home.temporary) as state:
        keep(state, key(1))
        state.commit([STARTED])
    client = home.bucket.client()
    head = client.head_object(Bucket=home.place.bucket, Key=f"{home.place.prefix}results/01/{key(1)}")
    assert set(head["Metadata"]) == {"facts"}
    assert "CacheControl" not in set(map(str, head))
    client.close()
