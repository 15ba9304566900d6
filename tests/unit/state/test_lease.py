"""One run at a time: who comes second is told at once, and a killed holder is no hindrance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from venice_batch.errors import LeaseLost, Locked, Unavailable
from venice_batch.state import to_read, to_write
from venice_batch.state.lease import NETWORK_FILE_SYSTEMS, acquired, refuse_network_file_system
from venice_batch.state.lease import holder as lease_holder

ROOT = Path(__file__).parents[3]

_HOLDER = """
import sys
from pathlib import Path
from venice_batch.state.lease import acquired
with acquired(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lease of `folder` while the block runs."""
    command = [sys.executable, "-c", _HOLDER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_at_once_and_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        begun = time.monotonic()
        with pytest.raises(Locked, match="another run holds") as caught, acquired(tmp_path):
            pass
        assert time.monotonic() - begun < 10
        assert f'"pid": {process.pid}' in caught.value.message
        assert caught.value.remedy


def test_a_state_is_held_while_it_is_open_for_writing(tmp_path: Path) -> None:
    with to_write(tmp_path):
        with pytest.raises(Locked), acquired(tmp_path):
            pass
        with to_read(tmp_path) as state:
            assert state.counts("job") == {}
    with acquired(tmp_path):
        pass


def test_a_killed_holder_frees_the_lease(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with acquired(tmp_path):
            pass


def test_the_lease_is_freed_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), acquired(tmp_path):
        raise ZeroDivisionError
    with acquired(tmp_path):
        pass


def test_a_refused_process_leaves_the_holders_name(tmp_path: Path) -> None:
    with acquired(tmp_path):
        before = (tmp_path / "lease").read_text()
        with pytest.raises(Locked), acquired(tmp_path):
            pass
        assert (tmp_path / "lease").read_text() == before


def test_a_longer_name_of_an_earlier_holder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "lease").write_text("x" * 5000)
    with acquired(tmp_path):
        owner = json.loads((tmp_path / "lease").read_text())
        assert owner["pid"] == os.getpid()


def test_an_emulated_run_takes_the_lease_of_the_real_state(tmp_path: Path) -> None:
    with to_write(tmp_path / "emulated", lease_place=tmp_path), pytest.raises(Locked), to_write(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot write the state folder") as caught, acquired(tmp_path / "file" / "x"):
        pass
    assert caught.value.remedy


def mounts(tmp_path: Path, *lines: tuple[str, str]) -> Path:
    file = tmp_path / "mounts"
    text = "".join(f"device {point} {kind} rw,relatime 0 0\n" for point, kind in (("/", "ext4"), *lines))
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    table = mounts(tmp_path, ("/mnt/share", kind))
    with pytest.raises(Unavailable, match="network file system") as caught:
        refuse_network_file_system(Path("/mnt/share/state"), table)
    assert kind in caught.value.message
    assert "local disk" in caught.value.remedy


@pytest.mark.parametrize(
    ("point", "folder"),
    [
        ("/mnt/two\\040words", "/mnt/two words/state"),
        ("/mnt/tab\\011here", "/mnt/tab\there"),
        ("/mnt/back\\134slash", "/mnt/back\\slash/a/b"),
        ("/mnt/bücher", "/mnt/bücher/state"),
        ("/mnt/日本\\0401", "/mnt/日本 1/state"),
    ],
)
def test_a_mount_point_is_known_by_any_name(tmp_path: Path, point: str, folder: str) -> None:
    with pytest.raises(Unavailable):
        refuse_network_file_system(Path(folder), mounts(tmp_path, (point, "nfs4")))


def test_the_innermost_mount_counts(tmp_path: Path) -> None:
    table = mounts(tmp_path, ("/mnt", "nfs4"), ("/mnt/local", "xfs"), ("/mnt/local/share", "cifs"))
    refuse_network_file_system(Path("/mnt/local/state"), table)
    refuse_network_file_system(Path("/mntx"), table)
    for folder in ("/mnt/x", "/mnt/local/share/x"):
        with pytest.raises(Unavailable):
            refuse_network_file_system(Path(folder), table)


def test_a_later_mount_over_the_same_point_hides_the_earlier(tmp_path: Path) -> None:
    refuse_network_file_system(Path("/mnt/x"), mounts(tmp_path, ("/mnt", "nfs"), ("/mnt", "ext4")))
    with pytest.raises(Unavailable):
        refuse_network_file_system(Path("/mnt/x"), mounts(tmp_path, ("/mnt", "ext4"), ("/mnt", "nfs")))


def test_a_link_is_followed_to_where_the_state_really_lies(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to("share")
    with pytest.raises(Unavailable):
        refuse_network_file_system(tmp_path / "link" / "state", mounts(tmp_path, (str(tmp_path / "share"), "nfs")))


def test_without_a_table_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    refuse_network_file_system(tmp_path, tmp_path / "nothing")


def _moved_away(state: Path) -> None:
    state.rename(state.with_name("elsewhere"))
    state.mkdir()


def _replaced(state: Path) -> None:
    (state / "lease").unlink()
    (state / "lease").touch()


REMOVALS: dict[str, Callable[[Path], object]] = {
    "removed": lambda state: (state / "lease").unlink(),
    "replaced": _replaced,
    "renamed": lambda state: (state / "lease").rename(state / "lease.old"),
    "folder moved away": _moved_away,
}


@pytest.mark.parametrize("how", REMOVALS)
def test_what_was_locked_and_is_not_there_any_more_is_a_lost_lease(tmp_path: Path, how: str) -> None:
    state = tmp_path / "state"
    with acquired(state) as lease:
        lease.check()
        REMOVALS[how](state)
        with pytest.raises(LeaseLost, match="removed or replaced"):
            lease.check()


@pytest.mark.parametrize("how", ["removed", "replaced", "renamed"])
def test_a_second_start_is_refused_though_the_lock_file_is_gone(tmp_path: Path, how: str) -> None:
    with holder(tmp_path):
        REMOVALS[how](tmp_path)
        assert lease_holder(tmp_path) is not None
        with pytest.raises(Locked, match="another run holds"), acquired(tmp_path):
            pass
    assert lease_holder(tmp_path) is None
    with acquired(tmp_path):
        pass
