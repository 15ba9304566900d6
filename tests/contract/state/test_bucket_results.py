"""Paid answers in a bucket: stored once, found without asking, and never lost on the way there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.state.conftest import FACTS, STARTED, Home, keep, key, moved
from venice_batch.errors import ItemError, ResultLost, Unavailable
from venice_batch.state import AnswerSetAside, Result, State, schema
from venice_batch.state.bucket_results import BucketResults
from venice_batch.state.index import Index
from venice_batch.state.store_retry import StoreRetry
from venice_batch.storage import open_store
from venice_batch.storage.s3.store import S3Store

ROOT = Path(__file__).parents[3]
KEY = key(1)
NAME = f"results/01/{KEY}"


class Flaky(S3Store):
    """A store that does not take files for a while, or for ever."""

    fails = 0
    kept = 0

    def keep(self, file: Path, key: str, metadata: Mapping[str, str], *, if_absent: bool) -> str:
        if self.fails:
            self.fails -= 1
            raise Unavailable("nobody answers")
        self.kept += 1
        return super().keep(file, key, metadata, if_absent=if_absent)


@contextmanager
def results_at(home: Home, work: Path, retry: StoreRetry | None = None) -> Iterator[tuple[BucketResults, Flaky]]:
    """Results with an empty manifest, as a run on a new machine has them before it looks for any."""
    work.mkdir(exist_ok=True)
    manifest = work / "manifest"
    connection = schema.open_to_write(manifest, durable=False)
    index = Index(manifest)
    store = Flaky(home.place / "results")
    try:
        yield BucketResults(store, index, work, retry or StoreRetry(0), conditional=True), store
    finally:
        index.close()
        connection.close()


def offer(results: BucketResults, content: bytes = b"picture", name: str = KEY, **facts: object) -> Result:
    file = results.incoming(name)
    file.write_bytes(content)
    return results.keep(name, file, {**FACTS, **facts})


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith("manifest"))


def test_a_kept_answer_carries_its_facts_in_the_bucket(either_home: Home) -> None:
    with either_home.writing() as state:
        keep(state, KEY)
        found = state.results.find(KEY)
        state.commit([STARTED])
    client = either_home.bucket.client()
    head = client.head_object(Bucket=either_home.bucket.name, Key=either_home.place.prefix + NAME)
    assert found == Result(KEY, {**FACTS, "bytes": 7, "etag": head["ETag"].strip('"')})
    assert json.loads(head["Metadata"]["facts"]) == {**FACTS, "bytes": 7}
    assert either_home.get(NAME) == b"picture"
    client.close()


def test_facts_of_any_size_and_language_fit(home: Home, tmp_path: Path) -> None:
    nested = {"list": ["日本" * 300, 1, None, True]}
    with results_at(home, tmp_path / "a") as (results, _):
        offer(results, headers={"x": "y" * 4000}, request_id="ü" * 5000, nested=nested)
    with results_at(home, tmp_path / "b") as (results, _):
        [found] = results.find_unrecorded([KEY], everything=False)
        assert found.facts["price_usd"] == "0.02"
        assert found.facts["request_id"].startswith("üüü")
        assert "headers" not in found.facts


def test_finding_asks_nothing_of_the_bucket(home: Home) -> None:
    with home.writing() as state:
        keep(state, KEY)
        state.commit([STARTED])
    with home.writing() as state:
        home.delete(NAME)
        assert state.results.find(KEY) is not None
        assert state.results.find(key(2)) is None
        assert not state.results.was_set_aside(KEY)


def test_the_bytes_come_from_the_bucket_once_and_then_from_here(home: Home) -> None:
    with home.writing() as state:
        keep(state, KEY)
    with home.writing() as state:
        first = state.results.bytes(KEY, state.scratch / "1")
        home.delete(NAME)
        second = state.results.bytes(KEY, state.scratch / "2")
        assert first.read_bytes() == second.read_bytes() == b"picture"
        first.unlink()
        assert second.read_bytes() == b"picture"


def test_a_verdict_is_known_to_the_next_run_and_the_object_stays_as_it_was(home: Home) -> None:
    with home.writing() as state:
        keep(state, KEY)
        found = state.results.find(KEY)
        assert found is not None
        assert not found.judged
        event = state.results.note_verdict(found, {"facts": {"width": 3}, "flags": ["blank"]})
        assert state.results.find(KEY) == Result(KEY, json.loads(event.facts))
        state.commit([STARTED, event])
    with home.reading() as state:
        found = state.results.find(KEY)
        assert found is not None
        assert found.judged
        assert found.flags == ("blank",)
    client = home.bucket.client()
    head = client.head_object(Bucket=home.bucket.name, Key=home.place.prefix + NAME)
    assert "verdict" not in json.loads(head["Metadata"]["facts"])
    client.close()


def test_a_verdict_that_nobody_noted_is_recorded_at_the_end(home: Home) -> None:
    with home.writing() as state:
        keep(state, KEY)
        found = state.results.find(KEY)
        assert found is not None
        state.results.note_verdict(found, {"flags": []})
        state.commit([STARTED])
    with home.reading() as state:
        found = state.results.find(KEY)
        assert found is not None
        assert found.judged


def test_each_answer_is_recorded_once(home: Home) -> None:
    with home.writing() as state:
        keep(state, KEY)
        state.commit([STARTED])
        state.commit([moved("a.png")])
    lines = b"".join(home.get(name) for name in home.names("journal/")).decode()
    assert lines.count("ResultStored") == 1


def test_what_was_kept_first_stays(home: Home, tmp_path: Path) -> None:
    with results_at(home, tmp_path / "a") as (results, _):
        offer(results, b"first")
        assert offer(results, b"second", price_usd="9").facts["price_usd"] == "0.02"
    with results_at(home, tmp_path / "b") as (results, _):
        # Not known here, and met only when it is put.
        assert offer(results, b"third", price_usd="9").facts == {**FACTS, "bytes": 5}
        assert results.bytes(KEY, tmp_path / "spare").read_bytes() == b"first"
        assert files(tmp_path / "b" / "arrived") == []
    assert home.get(NAME) == b"first"


# Answers that are no pictures


def test_an_answer_that_is_no_picture_is_set_aside_and_remembered(home: Home) -> None:
    with home.writing() as state:
        for number, content in enumerate((b"first", b"second"), 1):
            keep(state, KEY, content)
            found = state.results.find(KEY)
            assert found is not None
            event = state.results.set_aside(found)
            assert event == AnswerSetAside(KEY, number)
            assert state.results.find(KEY) is None
            assert state.results.was_set_aside(KEY)
            state.commit([STARTED, event])
    assert home.names("results/") == [f"{NAME}.bad-1", f"{NAME}.bad-2"]
    assert home.get(f"{NAME}.bad-2") == b"second"
    with home.writing() as state:
        assert state.results.find(KEY) is None
        assert state.results.was_set_aside(KEY)
        assert list(state.results.keys()) == []
        keep(state, KEY, b"third")
        assert list(state.results.keys()) == [KEY]


def test_bad_answers_are_remembered_without_a_manifest(home: Home, tmp_path: Path) -> None:
    home.put_result(f"{KEY}.bad-3")
    with results_at(home, tmp_path / "a") as (results, _):
        assert results.find_unrecorded([], everything=True) == []
        assert results.was_set_aside(KEY)
        assert results.set_aside(offer(results)).number == 4


# A store that is out of reach


def test_an_answer_waits_for_a_store_that_comes_back(home: Home, tmp_path: Path) -> None:
    with results_at(home, tmp_path / "a", StoreRetry(60, pause=0.01)) as (results, store):
        store.fails = 3
        assert offer(results) == results.find(KEY)
    assert home.get(NAME) == b"picture"


def test_an_answer_that_the_store_never_took_is_delivered_by_the_next_start(home: Home, tmp_path: Path) -> None:
    with results_at(home, tmp_path / "a") as (results, store):
        store.fails = 1
        with pytest.raises(Unavailable, match="nobody answers"):
            offer(results)
        assert results.find(KEY) is None
        assert files(tmp_path / "a" / "arrived") == [KEY, f"{KEY}.json"]
    with results_at(home, tmp_path / "b") as (results, store):
        store.fails = 1
        with pytest.raises(Unavailable):
            results.rescue(tmp_path / "a")
        assert results.rescue(tmp_path / "a") == 1
        found = results.find(KEY)
        assert found is not None
        assert found.facts.items() >= {**FACTS, "bytes": 7}.items()
        assert files(tmp_path / "a" / "arrived") == []
    assert home.get(NAME) == b"picture"


def test_a_second_purchase_of_an_undelivered_answer_delivers_the_first(home: Home, tmp_path: Path) -> None:
    with results_at(home, tmp_path / "a") as (results, store):
        store.fails = 1
        with pytest.raises(Unavailable):
            offer(results, b"first")
        offer(results, b"second")
    assert home.get(NAME) == b"first"


def test_giving_up_ends_the_wait_at_once(home: Home, tmp_path: Path) -> None:
    retry = StoreRetry(600, pause=600)
    with results_at(home, tmp_path / "a", retry) as (results, store):
        store.fails = 100
        threading.Timer(0.1, retry.cancelled.set).start()
        with pytest.raises(Unavailable):
            offer(results)
        assert store.fails == 99


_KILLED = """
import os, sys
from pathlib import Path
from venice_batch.state import Begun, ItemId, LeasePolicy, Reserved, RunStarted, to_write
from venice_batch.storage import Access, S3Place
from venice_batch.storage.s3.store import S3Store
bucket, prefix, endpoint, temporary, key, after = sys.argv[1:]
place = S3Place(bucket, prefix, Access(endpoint_url=endpoint))
class Dying(S3Store):
    def keep(self, *args, **kwargs):
        if after == "after":
            super().keep(*args, **kwargs)
        os.kill(os.getpid(), 9)
with to_write(place, policy=LeasePolicy(ttl=0.1), temporary=Path(temporary)) as state:
    item = ItemId("job", "1.png")
    state.commit([RunStarted(1, "job", 1.0), Reserved(1, 1, item, "s", "/e", None, 20_000, 1.0), Begun(1, key, 1.0)])
    file = state.results.incoming(key)
    file.write_bytes(b"picture")
    state.results._store.__class__ = Dying
    state.results.keep(key, file, {"price_usd": "0.02"})
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("disk", ["same", "wiped"])
def test_a_run_killed_while_it_stores_an_answer_loses_it_with_the_disk_alone(
    home: Home, tmp_path: Path, moment: str, disk: str
) -> None:
    command = [sys.executable, "-c", _KILLED, home.place.bucket, home.place.prefix, home.bucket.endpoint]
    environment = {**os.environ, **home.bucket.environment}
    done = subprocess.run(
        [*command, str(tmp_path), KEY, moment], cwd=ROOT, env=environment, check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr
    home.break_lease()
    if disk == "wiped":
        home.temporary = tmp_path / "another machine"
        home.temporary.mkdir()
    with home.writing() as state:
        lost = (moment, disk) == ("before", "wiped")
        assert state.recover(10.0) == lost
        assert (state.results.find(KEY) is None) == lost
    if disk == "same":
        assert list(tmp_path.iterdir()) == []


# What somebody else did to the bucket


def closed_with_one(home: Home) -> None:
    with home.writing() as state:
        keep(state, KEY)


def refused(state: State) -> ItemError:
    with pytest.raises(ItemError, match="was removed") as caught:
        state.results.bytes(KEY, state.scratch / "spare")
    assert not (state.scratch / "spare").exists()
    return caught.value


def refused_as_damaged(state: State) -> None:
    with pytest.raises(ResultLost, match="is damaged") as caught:
        state.results.bytes(KEY, state.scratch / "spare")
    assert (caught.value.code, caught.value.key, caught.value.lasting) == ("result-damaged", KEY, False)
    assert not (state.scratch / "spare").exists()


def test_a_result_that_somebody_removed_is_forgotten_when_it_is_missed(home: Home) -> None:
    closed_with_one(home)
    home.delete(NAME)
    with home.writing() as state:
        error = refused(state)
        assert (error.code, error.lasting) == ("result-gone", False)
        assert state.results.find(KEY) is None
        state.commit([STARTED])
    with home.writing() as state:
        assert state.results.find(KEY) is None
        keep(state, KEY, b"bought anew")
        assert state.results.find(KEY) is not None


@pytest.mark.parametrize("content", [b"other", b"pictures", b""])
def test_a_result_that_was_changed_is_neither_taken_for_whole_nor_for_absent(home: Home, content: bytes) -> None:
    closed_with_one(home)
    home.put(NAME, content)
    with home.writing() as state:
        refused_as_damaged(state)
        assert state.results.find(KEY) is not None, "a question changes nothing"


def test_a_damaged_result_that_was_discarded_can_be_bought_again_and_its_bytes_are_kept(home: Home) -> None:
    closed_with_one(home)
    home.put(NAME, b"damaged")
    with home.writing() as state:
        state.results.discard(KEY)
        assert state.results.find(KEY) is None
        state.commit([])
    with home.writing() as state:
        assert state.results.find(KEY) is None
        assert state.results.was_set_aside(KEY)
        keep(state, KEY, b"bought anew")
        state.results.discard(KEY)
    assert home.get(f"{NAME}.bad-1") == b"damaged"
    assert home.get(f"{NAME}.bad-2") == b"bought anew"


def test_a_result_of_the_same_size_but_other_bytes_is_seen_by_its_hash(home: Home) -> None:
    with home.writing() as state:
        file = state.results.incoming(KEY)
        file.write_bytes(b"picture")
        state.results.keep(KEY, file, {**FACTS, "sha256": hashlib.sha256(b"picture").hexdigest()})
    home.put(NAME, b"pictuse")
    with home.writing() as state:
        refused_as_damaged(state)


def test_an_object_without_facts_is_no_result_to_be_guessed_at(home: Home) -> None:
    home.put(NAME, b"picture")
    with home.writing() as state:
        state.recover(1.0)
        refused_as_damaged(state)


@pytest.mark.parametrize("name", ["results/readme.txt", "results/01/notes", "results/01/.hidden", "journal/old/1"])
def test_files_of_others_do_no_harm(home: Home, name: str) -> None:
    home.put(name, b"hello")
    with home.writing() as state:
        assert state.recover(1.0) == 0
        assert list(state.results.keys()) == []


# Copies inside the store


def test_a_finished_file_is_copied_within_the_store(either_home: Home, tmp_path: Path) -> None:
    output = either_home.bucket.fresh()
    with either_home.writing() as state:
        keep(state, KEY)
        copied = state.results.copy_to(open_store(output), KEY, "a/b.png")
        assert copied is not None
        assert copied.size == 7
        assert state.results.copy_to(open_store(tmp_path), KEY, "b.png") is None
    assert either_home.bucket.content(output, "a/b.png") == b"picture"


def test_copying_a_result_that_is_gone_forgets_it(home: Home) -> None:
    closed_with_one(home)
    home.delete(NAME)
    with home.writing() as state:
        with pytest.raises(ItemError, match="was removed"):
            state.results.copy_to(open_store(home.bucket.fresh()), KEY, "b.png")
        assert state.results.find(KEY) is None


@pytest.mark.parametrize("content", [b"pictur", b"pictura"])
def test_a_result_that_was_replaced_is_not_copied_to_the_output(home: Home, content: bytes) -> None:
    closed_with_one(home)
    home.put(NAME, content)
    output = home.bucket.fresh()
    with home.writing() as state:
        assert state.results.copy_to(open_store(output), KEY, "b.png") is None
    assert home.bucket.keys(output) == []
