"""Commits to a bucket whose network fails: recorded once, or refused for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.state.conftest import Home, Interposed, moved
from venice_batch.errors import LeaseLost, Unavailable
from venice_batch.state import FolderResults, State
from venice_batch.state.bucket_journal import BucketJournal
from venice_batch.state.store_retry import StoreRetry
from venice_batch.storage import Entry, open_store
from venice_batch.storage.s3.store import S3Store


class Flaky(Interposed):
    """A store that fails for a while: before it wrote, or, with `late`, after."""

    fails = 0
    late = False

    def before(self) -> None:
        if not self.late:
            self._fail()

    def after(self) -> None:
        if self.late:
            self._fail()

    def _fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise Unavailable("the answer was lost" if self.late else "nobody answers", remedy="look at the network")


@dataclass
class Opened:
    """A state with a journal in a bucket, without the lease that keeps others away."""

    state: State
    store: Flaky


@contextmanager
def opened(home: Home, work: Path, retry: StoreRetry) -> Iterator[Opened]:
    work.mkdir()
    store = Flaky(home.place / "journal")
    journal = BucketJournal(store, open_store(home.place / "snapshot"), work, retry=retry, writer=work.name)
    connection = journal.load(work / "manifest")
    state = State(home.place, connection, FolderResults(work), scratch=work, journal=journal, retry=retry)
    try:
        yield Opened(state, store)
    finally:
        connection.close()


@pytest.mark.parametrize("late", [False, True])
def test_a_commit_waits_for_a_store_that_comes_back_and_is_recorded_once(
    home: Home, tmp_path: Path, *, late: bool
) -> None:
    with opened(home, tmp_path / "a", StoreRetry(60, pause=0.01)) as run:
        run.store.late = late
        run.store.fails = 3
        run.state.commit([moved("a.png")])
        run.state.commit([moved("b.png")])
    assert home.names() == ["journal/0000000001", "journal/0000000002"]
    with home.reading() as state:
        assert state.counts("job") == {"done": 2}


@pytest.mark.parametrize("late", [False, True])
def test_after_a_commit_that_failed_nothing_more_is_recorded(home: Home, tmp_path: Path, *, late: bool) -> None:
    with opened(home, tmp_path / "a", StoreRetry(0)) as run:
        run.store.late = late
        run.store.fails = 1
        with pytest.raises(Unavailable):
            run.state.commit([moved("a.png")])
        assert run.state.counts("job") == {}
        # The store is back; but whether the first group is in it, this run cannot tell.
        with pytest.raises(Unavailable) as caught:
            run.state.commit([moved("b.png")])
        assert caught.value.remedy == "look at the network"
        run.state.finish()
        assert not run.state.fully_recorded
    assert home.names() == (["journal/0000000001"] if late else [])
    with home.reading() as state:
        assert state.counts("job") == ({"done": 1} if late else {})


def test_giving_up_ends_the_wait_of_a_commit(home: Home, tmp_path: Path) -> None:
    with opened(home, tmp_path / "a", StoreRetry(600, pause=600)) as run:
        run.store.fails = 100
        run.state.give_up()
        with pytest.raises(Unavailable):
            run.state.commit([moved("a.png")])
        assert run.store.fails == 99


def test_of_two_writers_the_second_to_take_a_number_is_out(either_home: Home, tmp_path: Path) -> None:
    with (
        opened(either_home, tmp_path / "a", StoreRetry(0)) as one,
        opened(either_home, tmp_path / "b", StoreRetry(0)) as two,
    ):
        one.state.commit([moved("a.png")])
        with pytest.raises(LeaseLost):
            two.state.commit([moved("a.png")])
        one.state.commit([moved("b.png")])
        with pytest.raises(LeaseLost):
            two.state.commit([moved("c.png")])
    assert either_home.names() == ["journal/0000000001", "journal/0000000002"]


def test_what_a_former_holder_recorded_late_is_read_before_the_fence(home: Home, tmp_path: Path) -> None:
    with opened(home, tmp_path / "old", StoreRetry(0)) as old:
        work = tmp_path / "new"
        work.mkdir()
        stores = open_store(home.place / "journal"), open_store(home.place / "snapshot")
        journal = BucketJournal(*stores, work, retry=StoreRetry(0), writer="new")
        connection = journal.load(work / "manifest")
        old.state.commit([moved("late.png")])
        journal.claim_next_number(connection)
        assert connection.execute("SELECT key FROM items").fetchall() == [("late.png",)]
        assert journal.number == 2
        with pytest.raises(LeaseLost):
            old.state.commit([moved("too-late.png")])
        connection.close()
    with home.reading() as state:
        assert state.counts("job") == {"done": 1}


def test_a_full_disk_is_told_with_the_remedy(home: Home, tmp_path: Path) -> None:
    home.commit([moved("a.png")])
    work = tmp_path / "work"
    work.mkdir()
    (work / "manifest").mkdir()
    stores = open_store(home.place / "journal"), open_store(home.place / "snapshot")
    with pytest.raises(Unavailable) as caught:
        BucketJournal(*stores, work, retry=StoreRetry(0), writer="w").load(work / "manifest")
    assert caught.value.remedy


def test_a_reader_beside_a_writer_that_folds_sees_a_whole_state(home: Home, tmp_path: Path) -> None:
    with home.writing() as writer:
        for number in range(5):
            writer.commit([moved(f"{number}.png")])
            home.temporary = tmp_path
            with home.reading() as reader:
                assert reader.counts("job") == {"done": number + 1}


class Folding(S3Store):
    """A journal out of which a run removes the oldest object right after it was listed for the first time."""

    listed = 0

    def list(self) -> Iterator[Entry]:
        found = list(super().list())
        self.listed += 1
        if self.listed == 1:
            self.delete(found[0].key)
        yield from found


def test_what_goes_while_it_is_read_is_read_anew(home: Home, tmp_path: Path) -> None:
    home.commit([moved("a.png")], [moved("b.png")])
    work = tmp_path / "work"
    work.mkdir()
    store = Folding(home.place / "journal")
    journal = BucketJournal(store, open_store(home.place / "snapshot"), work, retry=StoreRetry(0), writer="w")
    connection = journal.load(work / "manifest")
    # There is no snapshot here that would make up for it: what is missing must be seen.
    assert store.listed == 2
    assert not journal.whole
    assert connection.execute("SELECT count(*) FROM items").fetchone() == (2,)
    connection.close()
