"""What a state needs of a store, whatever kind it is: conditions, metadata, the store's clock (see `StateStore`)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from venice_batch.errors import OutputError
from venice_batch.state.conditional_writes import check_conditional_writes
from venice_batch.storage import Changed, Exists, StateStore


@pytest.fixture
def parcel(tmp_path: Path) -> Path:
    file = tmp_path / "parcel"
    file.write_bytes(b"content" * 1000)
    return file


@pytest.fixture
def store(state_store: StateStore) -> StateStore:
    return state_store


def test_the_probe_of_a_lease_accepts_it_and_leaves_nothing(store: StateStore) -> None:
    check_conditional_writes(store)
    assert list(store.list()) == []


def test_what_was_written_is_listed_at_once_with_its_size_and_etag(store: StateStore) -> None:
    etags = {f"journal/{number:010}": store.write(f"journal/{number:010}", b"x" * number) for number in range(1, 5)}
    assert {entry.key: entry.version for entry in store.list()} == {
        key: f"{etag}-{size}" for size, (key, etag) in enumerate(etags.items(), 1)
    }


def test_its_place_opens_it_again_and_names_it(store: StateStore) -> None:
    store.write("a", b"one")
    again = store.place.state_store()
    assert again is not None
    blob = again.get("a")
    assert blob is not None
    assert blob.content == b"one"
    below = (store.place / "journal").state_store()
    assert below is not None
    below.write("1", b"two")
    assert [entry.key for entry in store.list()] == ["a", "journal/1"]
    assert str(below.place).startswith(str(store.place))
    assert store.place.folder is None


def test_writing_only_where_there_is_nothing_yet(store: StateStore) -> None:
    etag = store.write("a", b"one", if_absent=True)
    with pytest.raises(Exists):
        store.write("a", b"two", if_absent=True)
    blob = store.get("a")
    assert blob is not None
    assert (blob.content, blob.etag) == (b"one", etag)


def test_writing_only_over_what_was_seen(store: StateStore) -> None:
    first = store.write("a", b"one")
    second = store.write("a", b"two", if_match=first)
    assert second != first
    with pytest.raises(Changed):
        store.write("a", b"three", if_match=first)
    blob = store.get("a")
    assert blob is not None
    assert blob.content == b"two"


def test_writing_over_what_is_gone_is_a_change(store: StateStore) -> None:
    etag = store.write("a", b"one")
    store.delete("a")
    with pytest.raises(Changed):
        store.write("a", b"two", if_match=etag)
    assert store.get("a") is None


def test_a_counter_kept_by_conditions_loses_no_count(racing_state_store: StateStore) -> None:
    store = racing_state_store
    store.write("n", b"0")

    def count() -> None:
        done = 0
        while done < 3:
            blob = store.get("n")
            assert blob is not None
            try:
                store.write("n", str(int(blob.content) + 1).encode(), if_match=blob.etag)
            except Changed:
                continue
            done += 1

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blob = store.get("n")
    assert blob is not None
    assert blob.content == b"9"


def test_metadata_is_kept_with_the_bytes(store: StateStore, parcel: Path) -> None:
    etag = store.keep(parcel, "a/b", {"facts": '{"price": "0.02"}', "x": "1"}, if_absent=True)
    assert store.metadata("a/b") == {"facts": '{"price": "0.02"}', "x": "1"}
    blob = store.get("a/b")
    assert blob is not None
    assert (blob.content, blob.etag, blob.metadata) == (parcel.read_bytes(), etag, store.metadata("a/b"))
    with pytest.raises(Exists):
        store.keep(parcel, "a/b", {}, if_absent=True)
    assert store.metadata("a/b") == {"facts": '{"price": "0.02"}', "x": "1"}


def test_what_is_not_there_has_no_content_and_no_metadata(store: StateStore) -> None:
    assert store.get("a") is None
    assert store.metadata("a") is None
    assert store.get("../a") is None


def test_a_read_tells_the_servers_clock(store: StateStore) -> None:
    store.write("a", b"x")
    blob = store.get("a")
    assert blob is not None
    assert 0 <= blob.now - blob.modified < 5


def test_an_object_that_is_replaced_between_two_looks_is_not_read(store: StateStore, tmp_path: Path) -> None:
    store.write("a.png", b"one")
    version = store.stat("a.png")
    assert version is not None
    store.write("a.png", b"two")
    with pytest.raises(Changed):
        store.read("a.png", tmp_path / "copy", version.version)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("key", ["../a", "a/../b", "a//b", "/a", ""])
def test_nothing_is_written_or_deleted_outside(store: StateStore, parcel: Path, key: str) -> None:
    for attempt in (
        lambda: store.put(parcel, key, replace=True),
        lambda: store.write(key, b"x"),
        lambda: store.keep(parcel, key, {}, if_absent=False),
        lambda: store.delete(key),
    ):
        with pytest.raises(OutputError, match="leads out"):
            attempt()
