"""A run's own folder: open_scratch, gone at the end, and a dead run's cleared away without touching a living one's."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from venice_batch.errors import Unavailable
from venice_batch.state import FolderResults, to_write
from venice_batch.state.file_cache import FileCache
from venice_batch.state.scratch import ARRIVED, open_scratch
from venice_batch.state.store_retry import StoreRetry
from venice_batch.storage import Access, S3Place

KEY = "ab" + "0" * 62
STATE = S3Place("bucket", "state/")


def family(temporary: Path) -> Path:
    [found] = temporary.iterdir()
    return found


def dead_run(temporary: Path, place: S3Place, *, answer: bool) -> Path:
    """Leave a folder as a killed run does."""
    with open_scratch(STATE, place, temporary) as scratch:
        folder = scratch.folder
    folder.mkdir(parents=True)
    (folder / "copy").write_bytes(b"half")
    if answer:
        results = FolderResults(folder / ARRIVED)
        file = results.incoming(KEY)
        file.write_bytes(b"picture")
        results.keep(KEY, file, {})
    return folder


def test_the_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with open_scratch(STATE, STATE, tmp_path) as scratch:
        for folder in (scratch.folder, scratch.folder.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (scratch.folder / "a").mkdir()
        (scratch.folder / "a" / "b").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_two_runs_have_two_folders_and_leave_each_other_alone(tmp_path: Path) -> None:
    with open_scratch(STATE, STATE, tmp_path) as one:
        with open_scratch(STATE, STATE, tmp_path) as two:
            assert one.folder != two.folder
            assert list(two.dead_runs()) == []
            assert one.folder.is_dir()
        assert one.folder.is_dir()


def test_what_a_dead_run_left_is_shown_once_and_removed(tmp_path: Path) -> None:
    left = dead_run(tmp_path, STATE, answer=False)
    (left.parent / "stray").write_bytes(b"")
    (left.parent / "link").symlink_to("/")
    with open_scratch(STATE, STATE, tmp_path) as scratch:
        assert list(scratch.dead_runs()) == [left]
        assert list(scratch.folder.parent.iterdir()) == [scratch.folder]
        assert list(scratch.dead_runs()) == []


def test_what_cannot_be_rescued_stays(tmp_path: Path) -> None:
    left = dead_run(tmp_path, STATE, answer=True)
    with open_scratch(STATE, STATE, tmp_path) as scratch:
        found = scratch.dead_runs()
        assert next(found) == left
        found.close()
    assert FolderResults(left / ARRIVED).find(KEY) is not None


def test_an_answer_of_another_part_waits_for_its_own_run(tmp_path: Path) -> None:
    answered = dead_run(tmp_path, STATE / "emulated", answer=True)
    empty = dead_run(tmp_path, STATE / "emulated", answer=False)
    with open_scratch(STATE, STATE, tmp_path) as scratch:
        assert list(scratch.dead_runs()) == []
        assert answered.is_dir()
        assert not empty.exists()
    with open_scratch(STATE, STATE / "emulated", tmp_path) as scratch:
        assert list(scratch.dead_runs()) == [answered]


def test_an_answer_that_was_not_delivered_outlives_its_run(tmp_path: Path) -> None:
    with open_scratch(STATE, STATE, tmp_path) as scratch:
        results = FolderResults(scratch.folder / ARRIVED)
        (scratch.folder / "cache").mkdir()
        file = results.incoming(KEY)
        file.write_bytes(b"picture")
        results.keep(KEY, file, {})
    assert [path.name for path in scratch.folder.iterdir()] == [ARRIVED]


def test_the_same_prefix_of_another_store_is_another_state(tmp_path: Path) -> None:
    other = S3Place("bucket", "state/", Access(endpoint_url="http://127.0.0.1:1"))
    with open_scratch(STATE, STATE, tmp_path) as one, open_scratch(other, other, tmp_path) as two:
        assert one.folder.parent != two.folder.parent


def test_a_place_that_is_taken_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with open_scratch(STATE, STATE, tmp_path) as scratch:
        name = scratch.folder.parent
    name.write_bytes(b"")
    with (
        pytest.raises(Unavailable, match="cannot make a folder for temporary files") as caught,
        open_scratch(STATE, STATE, tmp_path),
    ):
        pass
    assert "TMPDIR" in caught.value.remedy
    name.unlink()
    (tmp_path / "elsewhere").mkdir()
    name.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable), open_scratch(STATE, STATE, tmp_path):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_state_in_a_folder_clears_away_what_a_killed_run_left(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with to_write(tmp_path / "state", temporary=temporary) as state:
        left = state.scratch
    left.mkdir(parents=True)
    with to_write(tmp_path / "state", temporary=temporary) as state:
        assert not left.exists()
        assert state.scratch.is_dir()
    assert list(temporary.iterdir()) == []


# The cache of copies


def test_the_least_used_copies_are_dropped_first_and_lent_ones_stay_readable(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", most=25)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 10)
        cache.move_in(name, tmp_path / name)
        assert cache.link_to("a", tmp_path / f"a-after-{name}")
    assert not cache.link_to("b", tmp_path / "spare")
    assert cache.link_to("c", tmp_path / "spare")
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"a", "c"}
    cache.drop("a")
    cache.drop("a")
    assert not cache.link_to("a", tmp_path / "none")
    assert (tmp_path / "a-after-a").read_bytes() == b"a" * 10


def test_a_copy_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", most=5)
    (tmp_path / "a").write_bytes(b"x" * 10)
    cache.add("a", tmp_path / "a")
    assert not cache.link_to("a", tmp_path / "b")
    assert (tmp_path / "a").is_file()


# StoreRetry


class Clock:
    """Time that goes on by one second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_a_store_is_asked_again_until_the_time_is_over() -> None:
    tries = []

    def failing() -> None:
        tries.append(1)
        raise Unavailable("nobody answers")

    with pytest.raises(Unavailable):
        StoreRetry(seconds=5, pause=0, clock=Clock()).run(failing)
    assert len(tries) == 5


@pytest.mark.parametrize("answer", [False, True])
def test_folders_of_other_states_are_swept_too_unless_an_answer_waits_there(tmp_path: Path, *, answer: bool) -> None:
    """A command that only reads, or a state that has moved since, has no next run to tidy up after it."""
    elsewhere = S3Place("bucket", "state/emulated/")
    with open_scratch(elsewhere, elsewhere, tmp_path) as scratch:
        left = scratch.folder
    left.mkdir(parents=True)
    if answer:
        results = FolderResults(left / ARRIVED)
        file = results.incoming(KEY)
        file.write_bytes(b"picture")
        results.keep(KEY, file, {})
    with (
        open_scratch(STATE, STATE, tmp_path) as ours,
        open_scratch(S3Place("bucket", "living/"), STATE, tmp_path) as living,
    ):
        assert list(ours.dead_runs()) == []
        assert living.folder.is_dir()
        assert left.exists() == answer
    assert [path for path in tmp_path.iterdir() if path != left.parent] == []


def test_folders_that_come_and_go_while_others_are_swept_are_in_nobodys_way(tmp_path: Path) -> None:
    other, ended = replace(STATE, prefix="other/"), threading.Event()

    def sweep() -> None:
        while not ended.is_set():
            with open_scratch(other, other, tmp_path) as scratch:
                list(scratch.dead_runs())

    with ThreadPoolExecutor(2) as pool:
        sweeping = [pool.submit(sweep) for _ in range(2)]
        try:
            for number in range(600):
                with open_scratch(replace(STATE, prefix=f"{number % 3}/"), STATE, tmp_path) as scratch:
                    assert scratch.folder.is_dir()
        finally:
            ended.set()
        for each in sweeping:
            each.result()
