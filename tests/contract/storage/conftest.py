"""A store to try the contract on. Another kind of store joins by a parameter and a way to fill it from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.storage import Entry, LocalStore, Store


@dataclass(frozen=True)
class Shop:
    """A store under test, and a way round it.

    Attributes:
        store: what is tested.
        desk: a local folder for files that are to be put.
        fill: puts objects into the store without using it.
    """

    store: Store
    desk: Path
    fill: Callable[[Mapping[str, bytes]], None]

    def put(self, key: str, content: bytes, *, replace: bool = False) -> Entry:
        file = self.desk / "parcel"
        file.write_bytes(content)
        return self.store.put(file, key, replace=replace)

    def read(self, key: str) -> bytes:
        return self.store.fetch(key, self.desk).read_bytes()

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


OPENERS: dict[str, Callable[[Path], Shop]] = {"local": _local}


@pytest.fixture(params=sorted(OPENERS))
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return OPENERS[request.param](tmp_path)
