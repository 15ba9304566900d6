"""A store to try the contract on. Another kind of store joins by a parameter and a way to fill it from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.bucket import Bucket
from venice_batch.storage import Entry, LocalStore, StateStore, Store, open_store, temporary_beside


@dataclass(frozen=True)
class Shop:
    """A store under test, and a way round it.

    Attributes:
        store: what is tested.
        desk: a local folder for files that are to be put.
        fill: puts objects into the store without using it.
        cannot: keys that this server cannot keep, whatever is asked of it.
        races: how many short races its time allows: a server may put contenders to sleep for a second.
    """

    store: Store
    desk: Path
    fill: Callable[[Mapping[str, bytes]], None]
    cannot: Collection[str] = ()
    races: int = 40

    def put(self, key: str, content: bytes, *, replace: bool = False) -> Entry:
        file = self.desk / "parcel"
        file.write_bytes(content)
        return self.store.put(file, key, replace=replace)

    def read(self, key: str, version: str | None = None) -> bytes:
        copy = temporary_beside(self.desk / "copy")
        sha256 = self.store.read(key, copy, version)
        content = copy.read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
        copy.unlink()
        return content

    def leftovers(self) -> list[Path]:
        """Copies that are still on the desk."""
        return [path for path in self.desk.iterdir() if path.name.startswith(".vb-")]

    def keys(self) -> list[str]:
        return [entry.key for entry in self.store.list()]


def _local(tmp_path: Path) -> Shop:
    root = tmp_path / "store"
    root.mkdir()

    def fill(objects: Mapping[str, bytes]) -> None:
        for key, content in objects.items():
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(content)

    return Shop(LocalStore(root), tmp_path, fill)


#: The one's router knows no line breaks, the other takes backslashes for slashes.
_CANNOT = {"moto": ("line\nbreak.png",), "seaweed": ("back\\slash.png",)}


def _bucket(bucket: Bucket, tmp_path: Path, cannot: Collection[str]) -> Shop:
    place = bucket.fresh()
    return Shop(open_store(place), tmp_path, lambda objects: bucket.fill(place, objects), cannot, races=3)


def _open(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    if kind == "local":
        return _local(tmp_path)
    return _bucket(request.getfixturevalue(kind), tmp_path, _CANNOT[kind])


@pytest.fixture(params=["local", "moto", "seaweed"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return _open(request.param, request, tmp_path)


@pytest.fixture(params=["local", "seaweed"])
def racing_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """Not moto's: it looks before it writes, and so lets two win."""
    return _open(request.param, request, tmp_path)


@pytest.fixture(params=["moto", "seaweed"])
def state_store(request: pytest.FixtureRequest) -> StateStore:
    """A store that a state can live in."""
    bucket: Bucket = request.getfixturevalue(request.param)
    return bucket.fresh().state_store()


@pytest.fixture
def racing_state_store(seaweed: Bucket) -> StateStore:
    return seaweed.fresh().state_store()


@pytest.fixture
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients that are made from now on ask once, and not wait for half a minute in all."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
