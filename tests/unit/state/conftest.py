"""States in a temporary folder, and short ways to write events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from venice_batch.state import Event, ItemId, ItemMoved, Reserved, RunStarted, State, to_write

FACTS = {"content_type": "image/png", "price_usd": "0.02"}


def item(key: str = "a.png", job: str = "job") -> ItemId:
    return ItemId(job, key)


def moved(key: str, state: str, job: str = "job") -> ItemMoved:
    return ItemMoved(item(key, job), "v1", "f1", state, 5.0)


def reserved(call: int, run: int = 1, micros: int = 20_000, at: float = 100.0, job: str = "job") -> Reserved:
    return Reserved(call, run, item(f"{call}.png", job), "upscale", "/image/upscale", None, micros, at)


def started(run: int = 1, job: str = "job") -> Event:
    return RunStarted(run, job, 50.0)


def answer(state: State, key: str, content: bytes = b"picture") -> None:
    """Keep an answer under `key`."""
    file = state.results.incoming(key)
    file.write_bytes(content)
    state.results.keep(key, file, FACTS)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """An empty state, open for writing."""
    with ExitStack() as stack:
        yield stack.enter_context(to_write(tmp_path / "state"))
