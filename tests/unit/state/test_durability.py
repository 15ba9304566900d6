"""A power cut: in which order bytes, names and folders reach the disk. No kill shows it: that loses no page cache."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.unit.state.conftest import FACTS
from venice_batch.errors import Unavailable
from venice_batch.run.ownership import claim_output
from venice_batch.state import FolderResults
from venice_batch.storage import Disk, Exists, LocalPlace, LocalStore

KEY = "ab" + "0" * 62
#: A file that is made durable under the name that is written in place of the %s.
WHOLE = ["write temporary", "fsync temporary", "rename temporary to %s", "fsync folder"]


class RecordingDisk(Disk):
    """Carries everything out, and records it: temporary names, and folders, as what they are."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def write(self, descriptor: int, content: memoryview) -> int:
        self._record("write", descriptor)
        return super().write(descriptor, content)

    def fsync(self, descriptor: int) -> None:
        self._record("fsync", descriptor)
        super().fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self.calls.append(f"rename {_shown(source)} to {_shown(target)}")
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self.calls.append(f"link {_shown(source)} to {_shown(target)}")
        super().link(source, target)

    def _record(self, call: str, descriptor: int) -> None:
        self.calls.append(f"{call} {_shown(Path(f'/proc/self/fd/{descriptor}').readlink())}")


def _shown(path: Path) -> str:
    return "folder" if path.is_dir() else "temporary" if path.name.startswith(".vb-") else path.name


def whole(name: str) -> list[str]:
    return [call.replace("%s", name) for call in WHOLE]


@pytest.fixture
def disk() -> RecordingDisk:
    return RecordingDisk()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.write_bytes(b"picture")
    return made


def test_an_output_is_synced_before_it_is_named_and_its_folder_after(
    disk: RecordingDisk, tmp_path: Path, file: Path
) -> None:
    out = LocalStore(tmp_path, disk)
    out.put(file, "a.png", replace=True)
    assert disk.calls == whole("a.png")
    disk.calls.clear()
    out.put(file, "b.png", replace=False)
    assert disk.calls == [call.replace("rename", "link") for call in whole("b.png")]


def test_new_folders_are_durable_before_anything_is_put_into_them(
    disk: RecordingDisk, tmp_path: Path, file: Path
) -> None:
    LocalStore(tmp_path, disk).put(file, "x/y/a.png", replace=True)
    assert disk.calls == ["fsync folder", "fsync folder", *whole("a.png")]


def test_an_answer_is_named_once_its_bytes_and_its_facts_are_durable(disk: RecordingDisk, tmp_path: Path) -> None:
    results = FolderResults(tmp_path, disk)
    answer = results.incoming(KEY)
    assert disk.calls == ["fsync folder"]
    answer.write_bytes(b"picture")
    disk.calls.clear()
    results.keep(KEY, answer, FACTS)
    assert disk.calls == [
        "fsync temporary",
        *whole(f"{KEY}.json"),
        f"rename temporary to {KEY}",
        "fsync folder",
    ]


def test_a_verdict_and_an_answer_that_is_put_aside_are_durable(disk: RecordingDisk, tmp_path: Path) -> None:
    results = FolderResults(tmp_path, disk)
    answer = results.incoming(KEY)
    answer.write_bytes(b"picture")
    kept = results.keep(KEY, answer, FACTS)
    disk.calls.clear()
    results.note_verdict(kept, {"flags": []})
    assert disk.calls == whole(f"{KEY}.json")
    disk.calls.clear()
    results.set_aside(kept)
    assert disk.calls == [f"rename {KEY} to {KEY}.bad-1", "fsync folder"]


def test_the_mark_of_an_output_is_durable_before_anything_is_written_there(disk: RecordingDisk, tmp_path: Path) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    claim_output(LocalStore(out, disk), LocalPlace(out), LocalPlace(tmp_path / "state"), scratch)
    assert disk.calls == ["fsync folder", *(call.replace("rename", "link") for call in whole("owner"))]


def test_a_small_file_that_is_replaced_is_synced_before_and_after_its_rename(
    disk: RecordingDisk, tmp_path: Path
) -> None:
    disk.write_whole(tmp_path / "summary.json", "{}")
    assert disk.calls == whole("summary.json")


class ShortDisk(Disk):
    """Writes less than it is given: `honest`, it says so and takes the rest later, or it says that all is written."""

    def __init__(self, *, honest: bool) -> None:
        self._honest = honest

    def write(self, descriptor: int, content: memoryview) -> int:
        written = super().write(descriptor, content[: max(1, len(content) // 2)])
        return written if self._honest else len(content)


def test_a_write_that_takes_only_part_is_gone_on_with(tmp_path: Path, file: Path) -> None:
    short = ShortDisk(honest=True)
    LocalStore(tmp_path, short).put(file, "a.png", replace=True)
    assert (tmp_path / "a.png").read_bytes() == b"picture"
    short.write_whole(tmp_path / "summary.json", '{"a": 1}')
    assert (tmp_path / "summary.json").read_text("utf-8") == '{"a": 1}'


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_that_was_written_short_is_not_published(tmp_path: Path, file: Path, *, replace: bool) -> None:
    before = b"what was there"
    if replace:
        (tmp_path / "a.png").write_bytes(before)
    with pytest.raises(Unavailable, match="3 of 7 bytes were written"):
        LocalStore(tmp_path, ShortDisk(honest=False)).put(file, "a.png", replace=replace)
    assert {path.name for path in tmp_path.iterdir()} == ({"a.png", "made"} if replace else {"made"})
    assert not replace or (tmp_path / "a.png").read_bytes() == before


def test_a_small_file_that_was_written_short_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(OSError, match="4 of 8 bytes were written"):
        ShortDisk(honest=False).write_whole(tmp_path / "summary.json", '{"a": 1}')
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("summary.json", "{}")]


class DiskWithoutLinks(Disk):
    """A file system that knows no hard links."""

    def link(self, source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))


def test_without_hard_links_a_file_is_put_all_the_same_and_none_is_replaced(tmp_path: Path, file: Path) -> None:
    out = LocalStore(tmp_path, DiskWithoutLinks())
    out.put(file, "a.png", replace=False)
    assert (tmp_path / "a.png").read_bytes() == b"picture"
    file.write_bytes(b"other")
    with pytest.raises(Exists):
        out.put(file, "a.png", replace=False)
    assert (tmp_path / "a.png").read_bytes() == b"picture"
