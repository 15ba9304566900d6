"""Room for answers on a disk that is nearly full: taken before a call, awaited while others hold some."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from venice_batch.venice.disk_room import DiskRoom


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk with room for two answers, as far as allocations go: a real one would need root."""
    free = [2]

    def allocate(_: int, __: int, size: int) -> None:
        if not free[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        assert size > 0
        free[0] -= 1

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    return free


def _file(folder: Path, name: str) -> int:
    return os.open(folder / name, os.O_CREAT | os.O_RDWR)


def test_a_call_waits_for_the_room_of_another_and_a_finished_file_is_as_large_as_its_answer(
    tmp_path: Path, small_disk: list[int]
) -> None:
    room = DiskRoom()
    first, second, third = (_file(tmp_path, name) for name in "abc")
    room.take(first, 1 << 30)
    room.take(second, 1 << 30)
    had_room = threading.Event()

    def wait() -> None:
        room.take(third, 1 << 30)
        had_room.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert not had_room.wait(0.05)
    os.write(first, b"answer")
    small_disk[0] = 1
    room.give_back(first, 6)
    assert had_room.wait(10)
    assert (tmp_path / "a").stat().st_size == 6


def test_with_no_call_in_flight_a_full_disk_is_an_error(tmp_path: Path, small_disk: list[int]) -> None:
    small_disk[0] = 0
    with pytest.raises(OSError, match="No space left"):
        DiskRoom().take(_file(tmp_path, "a"), 1 << 30)


def test_a_file_system_that_cannot_allocate_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    DiskRoom().take(_file(tmp_path, "a"), 1 << 30)
