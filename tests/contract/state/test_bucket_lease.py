"""The lease of a state in a bucket: one winner, a dead one taken over, and a holder that knows when to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.state.conftest import Home, Interposed
from tests.contract.state.contenders import compete
from tests.servers.bucket import Bucket
from venice_batch.errors import LeaseLost, Locked, Unavailable
from venice_batch.state import LeasePolicy
from venice_batch.state.bucket_lease import BucketLease, acquired
from venice_batch.storage import S3Place, open_store
from venice_batch.storage.s3.store import S3Store
from venice_batch.storage.state_store import Blob

ROOT = Path(__file__).parents[3]
SHORT = LeasePolicy(ttl=1.0)
#: Where it must hold: a busy machine may let a heartbeat wait for a second.
STEADY = LeasePolicy(ttl=2.5)


def store_of(home: Home) -> S3Store:
    return open_store(home.place)


def test_of_many_contenders_one_wins(seaweed: Bucket) -> None:
    assert compete(seaweed, contenders=16, rounds=3) == [1, 1, 1]


def test_a_lease_says_who_holds_it_and_is_given_back(either_home: Home) -> None:
    with acquired(store_of(either_home), LeasePolicy()):
        said = json.loads(either_home.get("lease"))
        assert said["owner"]["pid"] == os.getpid()
        assert said["released"] is False
        with pytest.raises(Locked, match=f'"pid": {os.getpid()}'), acquired(store_of(either_home), LeasePolicy()):
            pass
    assert json.loads(either_home.get("lease"))["released"] is True
    assert either_home.names() == ["lease"], "the probe is still there"
    with acquired(store_of(either_home), LeasePolicy()):
        pass


def test_a_dead_lease_is_taken_over_after_its_own_time_and_not_before(home: Home) -> None:
    home.put("lease", json.dumps({"ttl": 1.0, "released": False}).encode())
    with pytest.raises(Locked), acquired(store_of(home), LeasePolicy(ttl=0.1)):
        pass
    time.sleep(3.1)
    with acquired(store_of(home), LeasePolicy()) as lease:
        lease.check()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"ttl": "long", "owner": 7}'])
def test_a_lease_that_cannot_be_read_is_as_good_as_any_other(home: Home, content: bytes) -> None:
    home.put("lease", content)
    with pytest.raises(Locked), acquired(store_of(home), LeasePolicy()):
        pass


class OfAnotherYear(S3Store):
    """A store whose clock is far from ours, and whose objects are of a certain age."""

    age = 0.0

    def get(self, key: str) -> Blob | None:
        found = super().get(key)
        return None if found is None else replace(found, modified=1e9, now=1e9 + self.age)


def test_no_clock_of_ours_says_how_old_a_lease_is(home: Home) -> None:
    store = OfAnotherYear(home.place)
    home.put("lease", json.dumps({"ttl": 60.0, "released": False}).encode())
    store.age = 60.0
    with pytest.raises(Locked), acquired(store, LeasePolicy()):
        pass
    store.age = 61.1
    with acquired(store, LeasePolicy()) as lease:
        lease.check()


def test_a_holder_that_renews_keeps_it(home: Home) -> None:
    with acquired(store_of(home), STEADY) as lease:
        end = time.monotonic() + 2.2 * STEADY.ttl
        while time.monotonic() < end:
            lease.check()
            time.sleep(0.2)
        with pytest.raises(Locked), acquired(store_of(home), SHORT):
            pass


class Changeable(Interposed):
    """A store that can be told to fail."""

    down = False
    loses_answers = 0
    seconds = 0.0
    now = 1000.0

    def before(self) -> None:
        self.now += self.seconds
        if self.down:
            raise Unavailable("nobody answers", remedy="look at the network")

    def after(self) -> None:
        if self.loses_answers:
            self.loses_answers -= 1
            raise Unavailable("the answer was lost")


@contextmanager
def changeable(home: Home, policy: LeasePolicy) -> Iterator[tuple[Changeable, BucketLease]]:
    store = Changeable(home.place)
    with acquired(store, policy) as lease:
        yield store, lease


def test_a_lease_that_cannot_be_renewed_ends_with_the_stores_own_reason(home: Home) -> None:
    with changeable(home, SHORT) as (store, lease):
        store.down = True
        time.sleep(1.1)
        with pytest.raises(Unavailable, match="nobody answers") as caught:
            lease.check()
        assert caught.value.remedy == "look at the network"
        store.down = False
        time.sleep(0.5)
        with pytest.raises(Unavailable):
            lease.check()


def test_a_renewal_whose_answer_is_lost_does_not_lose_the_lease(home: Home) -> None:
    with changeable(home, STEADY) as (store, lease):
        store.loses_answers = 1
        time.sleep(1.2 * STEADY.ttl)
        assert store.loses_answers == 0
        lease.check()


def test_the_lease_counts_from_when_its_renewal_was_begun(home: Home) -> None:
    store = Changeable(home.place)
    # The probe takes four writes and the lease one, each of twenty seconds.
    store.seconds = 20.0
    lease = BucketLease(store, LeasePolicy(ttl=100.0), clock=lambda: store.now)
    lease.acquire()
    begun = store.now - 20.0
    store.now = begun + 79.0
    lease.check()
    store.now = begun + 81.0
    with pytest.raises(LeaseLost, match="stood still"):
        lease.check()
    lease.release()


class Paused(Interposed):
    """A store that takes half a second to be asked first for a renewal, and lets the third one wait until it may go."""

    def __init__(self, place: S3Place) -> None:
        super().__init__(place)
        self.now = 1000.0
        self.renewals = -5  # the probe, and the lease itself
        self.renewed_twice, self.let_go = threading.Event(), threading.Event()

    def before(self) -> None:
        self.renewals += 1
        if self.renewals == 1:
            self.now += 0.5
        if self.renewals == 3:
            self.renewed_twice.set()
            assert self.let_go.wait(20)


def test_a_renewed_lease_counts_from_when_that_renewal_was_begun(home: Home) -> None:
    store = Paused(home.place)
    lease = BucketLease(store, LeasePolicy(ttl=1.0), clock=lambda: store.now)
    lease.acquire()
    assert store.renewed_twice.wait(20), "the second time at 1000.5"
    store.now = 1001.29
    lease.check()
    store.now = 1001.31
    with pytest.raises((LeaseLost, Unavailable)):
        lease.check()
    store.let_go.set()
    lease.release()


def test_a_lease_that_was_removed_is_lost(home: Home) -> None:
    with acquired(store_of(home), STEADY) as lease:
        home.break_lease()
        with pytest.raises(LeaseLost, match=r"was removed|ran out"):
            _checked_for(lease, 2 * STEADY.ttl)
    assert home.names() == [], "a lost lease was written again"


def _checked_for(lease: BucketLease, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lease.check()
        time.sleep(0.05)


# Stores without conditions


class IgnoresAbsence(Interposed):
    """A store that takes If-None-Match for noise."""

    def heeded(self, *, if_absent: bool, if_match: str | None) -> tuple[bool, str | None]:  # noqa: ARG002 - the point
        return False, if_match


class IgnoresMatch(Interposed):
    """A store that takes If-Match for noise."""

    def heeded(self, *, if_absent: bool, if_match: str | None) -> tuple[bool, str | None]:  # noqa: ARG002 - the point
        return if_absent, None


class RefusesMatch(Interposed):
    """A store that finds that no etag matches."""

    def heeded(self, *, if_absent: bool, if_match: str | None) -> tuple[bool, str | None]:
        return if_absent, None if if_match is None else "f" * 32


class RefusesConditions(Interposed):
    """A store that does not know conditions at all."""

    def heeded(self, *, if_absent: bool, if_match: str | None) -> tuple[bool, str | None]:
        if if_absent or if_match:
            raise Unavailable("501 NotImplemented")
        return False, None


class MayNotBeWritten(S3Store):
    """A store that lets nobody write."""

    def write(self, key: str, *_: object, **__: object) -> str:
        raise Unavailable(f"access denied: {key}", remedy="give this user s3:PutObject")


@pytest.mark.parametrize("kind", [IgnoresAbsence, IgnoresMatch, RefusesMatch, RefusesConditions])
def test_a_store_without_conditional_writes_is_refused_unless_the_job_says_unsafe(
    home: Home, kind: type[S3Store]
) -> None:
    with pytest.raises(Unavailable, match="does not honour conditional writes") as caught:
        BucketLease(kind(home.place), LeasePolicy()).acquire()
    assert "lease: unsafe" in caught.value.remedy
    assert home.names() == []
    with acquired(kind(home.place), LeasePolicy(safe=False)) as lease:
        lease.check()
        with pytest.raises(Locked), acquired(kind(home.place), LeasePolicy(safe=False)):
            pass
    assert json.loads(home.get("lease"))["released"] is True


def test_a_place_that_may_not_be_written_is_told_in_the_stores_own_words(home: Home) -> None:
    with pytest.raises(Unavailable, match="access denied") as caught:
        BucketLease(MayNotBeWritten(home.place), LeasePolicy()).acquire()
    assert caught.value.remedy == "give this user s3:PutObject"


def test_a_state_works_without_conditions_and_still_tells_a_second_writer(home: Home) -> None:
    unsafe = LeasePolicy(safe=False)
    with home.writing(unsafe) as state:
        state.commit([])
        with pytest.raises(Locked), home.writing(unsafe):
            pass


# A holder that was frozen

_FROZEN = """
import sys
from pathlib import Path
from venice_batch.state import ItemId, ItemMoved, LeasePolicy, to_write
from venice_batch.storage import Access, S3Place
bucket, prefix, endpoint, temporary, ttl = sys.argv[1:]
place = S3Place(bucket, prefix, Access(endpoint_url=endpoint))
def told(work):
    try:
        work()
    except Exception as error:
        print(type(error).__name__, flush=True)
    else:
        print("fine", flush=True)
with to_write(place, policy=LeasePolicy(float(ttl)), temporary=Path(temporary)) as state:
    moved = ItemMoved(ItemId("job", "a.png"), "v", "f", "running", 1.0)
    told(lambda: state.commit([moved]))
    for line in sys.stdin:
        told(state.lease.check if line == "check\\n" else lambda: state.commit([moved]))
"""


@contextmanager
def holder(home: Home, ttl: float) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the state and does as it is told on its standard input."""
    place = home.place
    command = [sys.executable, "-c", _FROZEN, place.bucket, place.prefix, home.bucket.endpoint, str(home.temporary)]
    environment = {**os.environ, **home.bucket.environment}
    with subprocess.Popen(
        [*command, str(ttl)], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            assert said(process) == "fine"
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str], what: str) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{what}\n")
    process.stdin.flush()
    return said(process)


@pytest.mark.parametrize("pause", [0.0, 0.8])
def test_a_frozen_holder_may_not_begin_anything_after_waking(home: Home, pause: float) -> None:
    with holder(home, ttl=1.5) as process:
        assert ask(process, "check") == "fine"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(process.pid, signal.SIGCONT)
        # With a pause it is the heartbeat that wakes first; nobody has taken the lease, and yet it must not renew it.
        time.sleep(pause)
        # Frozen within a request of its own, it may as well blame the store.
        assert ask(process, "check") in {"LeaseLost", "Unavailable"}


def test_a_frozen_holder_that_was_replaced_records_nothing_more(home: Home, tmp_path: Path) -> None:
    with holder(home, ttl=1.5) as process:
        os.kill(process.pid, signal.SIGSTOP)
        home.temporary = tmp_path / "b"
        home.temporary.mkdir()
        end = time.monotonic() + 20
        while True:
            try:
                with home.writing() as state:
                    assert state.counts("job") == {"running": 1}
                    os.kill(process.pid, signal.SIGCONT)
                    assert ask(process, "check") in {"LeaseLost", "Unavailable"}
                    assert ask(process, "commit") == "LeaseLost"
                    state.lease.check()
                break
            except Locked:
                assert time.monotonic() < end
                time.sleep(0.1)


def test_a_killed_holder_is_replaced_once_its_lease_is_old(home: Home) -> None:
    with holder(home, ttl=1.0) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        end = time.monotonic() + 20
        while True:
            try:
                with home.writing() as state:
                    assert state.counts("job") == {"running": 1}
                break
            except Locked:
                assert time.monotonic() < end
                time.sleep(0.1)
    assert list(home.temporary.iterdir()) == [], "what the killed run left on this machine is still there"
