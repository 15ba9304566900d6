"""States in a bucket of both servers, and ways to damage them that a real bucket suffers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from venice_batch.state import (
    Begun,
    Event,
    ItemId,
    ItemMoved,
    LeasePolicy,
    Reserved,
    RunStarted,
    State,
    to_read,
    to_write,
)
from venice_batch.storage import S3Place
from venice_batch.storage.s3.store import S3Store

if TYPE_CHECKING:
    from tests.servers.bucket import Bucket

FACTS = {"content_type": "image/png", "price_usd": "0.02", "at": 100.0, "model_served": "m"}
_USUAL = LeasePolicy()


def key(number: int) -> str:
    """Return the key of a result."""
    return f"{number:02x}" + "0" * 62


def moved(name: str, state: str = "done") -> ItemMoved:
    return ItemMoved(ItemId("job", name), "v1", "f1", state, 5.0)


def begun(call: int) -> list[Event]:
    """A call whose request may have been sent."""
    item = ItemId("job", f"{call}.png")
    return [
        Reserved(call, 1, item, "upscale", "/image/upscale", None, 20_000, 100.0),
        Begun(call, key(call), 101.0),
    ]


STARTED = RunStarted(1, "job", 50.0)


class Interposed(S3Store):
    """A store with something between it and its writes: each double overrides what it is about."""

    def heeded(self, *, if_absent: bool, if_match: str | None) -> tuple[bool, str | None]:
        """Return the conditions that the store gets to see."""
        return if_absent, if_match

    def before(self) -> None:
        """Called when nothing was written yet."""

    def after(self) -> None:
        """Called when it was written, and the writer does not know yet."""

    def write(
        self,
        key: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Write as the store does, with what is between."""
        if_absent, if_match = self.heeded(if_absent=if_absent, if_match=if_match)
        self.before()
        etag = super().write(key, content, metadata=metadata, if_absent=if_absent, if_match=if_match)
        self.after()
        return etag


@dataclass
class Home:
    """A state in a bucket, and this machine's temporary folder, which may be another one at each start."""

    bucket: Bucket
    place: S3Place
    temporary: Path

    @contextmanager
    def writing(self, policy: LeasePolicy = _USUAL) -> Iterator[State]:
        with to_write(self.place, policy=policy, temporary=self.temporary) as state:
            yield state

    @contextmanager
    def failing(self) -> Iterator[State]:
        """A run that ends with an error once the block is through."""
        with suppress(ZeroDivisionError), self.writing() as state:
            yield state
            raise ZeroDivisionError

    @contextmanager
    def reading(self) -> Iterator[State]:
        with to_read(self.place, temporary=self.temporary) as state:
            yield state

    def commit(self, *groups: Iterable[Event]) -> None:
        """Open the state, commit the groups, and close it in good order."""
        with self.writing() as state:
            for group in groups:
                state.commit(group)

    def names(self, below: str = "") -> list[str]:
        return sorted(name for name in self.bucket.keys(self.place) if name.startswith(below))

    def delete(self, *names: str) -> None:
        client = self.bucket.client()
        for name in names:
            client.delete_object(Bucket=self.bucket.name, Key=self.place.prefix + name)
        client.close()

    def put(self, name: str, content: bytes) -> None:
        self.bucket.fill(self.place, {name: content})

    def put_result(self, name: str, content: bytes = b"picture") -> None:
        """Put a stored answer there without the state's knowledge."""
        facts = json.dumps({**FACTS, "bytes": len(content)})
        client = self.bucket.client()
        where = f"{self.place.prefix}results/{name[:2]}/{name}"
        client.put_object(Bucket=self.bucket.name, Key=where, Body=content, Metadata={"facts": facts})
        client.close()

    def get(self, name: str) -> bytes:
        return self.bucket.content(self.place, name)

    def break_lease(self) -> None:
        """Have the state look as a killed run leaves it once its lease is old: nobody gave it back."""
        self.delete("lease")


def keep(state: State, name: str, content: bytes = b"picture") -> None:
    """Keep an answer."""
    file = state.results.incoming(name)
    file.write_bytes(content)
    state.results.keep(name, file, FACTS)


@pytest.fixture(params=["moto", "seaweed"])
def either_home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """An empty place for a state, on each server."""
    bucket: Bucket = request.getfixturevalue(request.param)
    return Home(bucket, bucket.fresh(), tmp_path)


@pytest.fixture
def home(seaweed: Bucket, tmp_path: Path) -> Home:
    """An empty place for a state, on the real server."""
    return Home(seaweed, seaweed.fresh(), tmp_path)
