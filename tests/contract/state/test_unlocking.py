"""Breaking a lease: never that of a run that lives, unless somebody insists; and then that run stops."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.contract.state.conftest import Home, begun, key, moved
from venice_batch.errors import LeaseLost, Locked
from venice_batch.state import LeasePolicy, lease
from venice_batch.state.bucket_lease import BucketLease, acquired, break_lease, find
from venice_batch.storage import open_store

POLICY = LeasePolicy(3.0)


def test_nobody_holds_what_was_never_held_or_was_given_back(home: Home) -> None:
    store = open_store(home.place)
    assert find(store, POLICY) is None
    home.commit([moved("a.png")])
    assert find(store, POLICY) is None


def test_a_lease_that_is_held_names_its_holder_and_how_long_it_lasts(home: Home) -> None:
    store = open_store(home.place)
    with acquired(store, POLICY):
        held = find(store, POLICY)
    assert held is not None
    assert '"pid"' in held.owner
    assert 0 < held.left <= POLICY.ttl + 2
    assert held.silent <= POLICY.ttl


def test_who_lives_after_all_stops_and_the_next_one_gets_through(home: Home) -> None:
    store = open_store(home.place)
    living = BucketLease(store, POLICY)
    living.acquire()
    try:
        held = find(store, POLICY)
        assert held is not None
        break_lease(store, POLICY, held)
        with pytest.raises(LeaseLost):
            _checked_for(living, seconds=10)
        with acquired(store, POLICY):
            pass
    finally:
        living.release()


def _checked_for(living: BucketLease, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        living.check()
        time.sleep(0.05)


def test_a_lease_that_was_renewed_meanwhile_is_not_broken(home: Home) -> None:
    store = open_store(home.place)
    with acquired(store, POLICY) as living:
        held = find(store, POLICY)
        assert held is not None
        end = time.monotonic() + 10
        while (now := find(store, POLICY)) is not None and now.etag == held.etag:
            assert time.monotonic() < end, "it is renewed every second"
            time.sleep(0.05)
        with pytest.raises(Locked, match="renewed"):
            break_lease(store, POLICY, held)
        living.check()


def test_the_next_run_looks_for_answers_that_the_broken_one_did_not_record(home: Home) -> None:
    lost = key(1)
    home.commit([moved("a.png"), *begun(1)])
    store = open_store(home.place)
    dead = BucketLease(store, POLICY)
    dead.acquire()
    dead._stop.set()  # noqa: SLF001 - a killed process renews nothing
    home.put_result(lost)
    held = find(store, POLICY)
    assert held is not None
    break_lease(store, POLICY, held)
    with home.writing(POLICY) as state:
        state.recover(200.0)
        assert state.results.find(lost) is not None


def test_a_folder_tells_who_holds_it_and_nothing_is_made_by_asking(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert lease.holder(state) is None
    assert not state.exists()
    with lease.acquired(state):
        assert '"pid"' in (lease.holder(state) or "")
    assert lease.holder(state) is None
