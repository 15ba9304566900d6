"""What a folder as a store must do beyond the contract: links, rights, full disks, leftovers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from venice_batch.errors import OutputError, SourceError, Unavailable
from venice_batch.storage import DISK, Changed, Exists, LocalStore, sweep_stale, temporary_beside

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def parcel(root: Path, content: bytes = b"new") -> Path:
    file = root.parent / "parcel"
    file.write_bytes(content)
    return file


def problems(root: Path) -> dict[str, str]:
    return {entry.key: entry.problem for entry in LocalStore(root).list()}


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


# Listing


def test_a_missing_folder_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder") as caught:
        list(LocalStore(tmp_path / "gone").list())
    assert str(tmp_path / "gone") in caught.value.message
    assert caught.value.remedy


def test_a_file_is_no_folder_to_list(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a folder"):
        list(LocalStore(parcel(tmp_path / "x")).list())


def test_a_link_to_a_file_inside_is_listed_as_that_file(root: Path) -> None:
    (root / "a.png").write_bytes(b"12345")
    (root / "b.png").symlink_to("a.png")
    assert [(entry.key, entry.size, entry.problem) for entry in LocalStore(root).list()] == [
        ("a.png", 5, ""),
        ("b.png", 5, ""),
    ]


def test_a_link_that_leads_out_is_reported_and_not_read(root: Path) -> None:
    secret = root.parent / "secret.png"
    secret.write_bytes(b"12345")
    (root / "a.png").symlink_to(secret)
    (root / "b.png").symlink_to("../secret.png")
    entries = list(LocalStore(root).list())
    assert [(entry.key, entry.size) for entry in entries] == [("a.png", 0), ("b.png", 0)]
    assert all("leads out" in entry.problem for entry in entries)


def test_a_linked_folder_is_not_entered(root: Path) -> None:
    (root.parent / "other").mkdir()
    (root.parent / "other" / "x.png").write_bytes(b"x")
    (root / "out").symlink_to("../other")
    (root / "self").symlink_to(".")
    assert problems(root) == {}


def test_dangling_links_and_loops_are_reported_and_the_listing_goes_on(root: Path) -> None:
    (root / "dangling.png").symlink_to("nothing.png")
    (root / "loop.png").symlink_to("loop.png")
    (root / "whole.png").write_bytes(b"x")
    found = problems(root)
    assert found["whole.png"] == ""
    assert found["dangling.png"].startswith("cannot be looked at")
    assert found["loop.png"].startswith("cannot be looked at")


def test_pipes_and_sockets_are_no_files(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "s.png"))
        assert problems(root) == {}


def test_a_name_that_is_no_text_is_reported_in_letters_that_can_be_shown(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.png")).write_bytes(b"x")
    found = problems(root)
    assert found == {"caf\\xe9.png": "has a name that is not valid UTF-8"}


def test_a_root_that_is_itself_a_link_is_followed(root: Path) -> None:
    (root / "a.png").write_bytes(b"x")
    (root.parent / "link").symlink_to(root)
    assert problems(root.parent / "link") == {"a.png": ""}


def test_the_listing_is_a_sorted_walk_of_the_folders(root: Path) -> None:
    for key in ["b.png", "a/z.png", "a/b/c.png", "A.png", "a/a.png", "a-b.png", "é.png"]:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"x")
    # By folder and name, so that "a-b.png" comes after what is in "a", and capitals first.
    assert list(problems(root)) == ["A.png", "a/a.png", "a/b/c.png", "a/z.png", "a-b.png", "b.png", "é.png"]


def test_a_folder_that_was_not_reached_yet_is_read_only_when_its_turn_comes(root: Path) -> None:
    for number in range(3):
        (root / str(number)).mkdir()
        (root / str(number) / "x.png").write_bytes(b"x")
    listing = LocalStore(root).list()
    assert next(listing).key == "0/x.png"
    (root / "2" / "x.png").unlink()
    assert [entry.key for entry in listing] == ["1/x.png"]


# Reading


def test_a_peek_looks_at_the_file_where_it_lies(root: Path, tmp_path: Path) -> None:
    (root / "a.png").write_bytes(b"x")
    assert LocalStore(root).peek("a.png", tmp_path / "unused", 10) == root / "a.png"
    assert not (tmp_path / "unused").exists()


def test_a_file_that_is_written_while_it_is_copied_has_changed(root: Path, tmp_path: Path) -> None:
    theirs = root / "a.png"
    theirs.write_bytes(b"x" * 10)
    entry = LocalStore(root).stat("a.png")
    assert entry is not None
    os.utime(theirs, ns=(0, theirs.stat().st_mtime_ns + 1))
    with pytest.raises(Changed):
        LocalStore(root).read("a.png", tmp_path / "copy", entry.version)
    assert not (tmp_path / "copy").exists()


_READ_AS_NOBODY = """
import os, sys
from pathlib import Path
from venice_batch.errors import ItemError
from venice_batch.storage import LocalStore
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    LocalStore(Path(sys.argv[1])).read("a.png", Path(sys.argv[2]))
except ItemError as error:
    print(error.code, "|", error.message, "|", error.lasting)
"""


def _open_to_all(root: Path) -> None:
    """Let every user reach `root` through pytest's own folders, which only their owner may enter."""
    for folder in root.parents:
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)


def test_a_file_that_may_not_be_read_is_that_items_trouble_alone(root: Path) -> None:
    (root / "a.png").write_bytes(b"x")
    (root / "a.png").chmod(0)
    _open_to_all(root)
    root.parent.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", _READ_AS_NOBODY, str(root), str(root.parent / "copy")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.stdout == "unreadable | cannot be read: Permission denied | False\n", done.stderr


# Putting


@pytest.mark.parametrize("key", ["link/x.png", "link/deeper/x.png", "a/link/x.png"])
def test_a_put_through_a_linked_folder_is_refused_and_makes_nothing_there(root: Path, key: str) -> None:
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (root / "a").mkdir()
    (root / "link").symlink_to(elsewhere)
    (root / "a" / "link").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="leads out"):
        LocalStore(root).put(parcel(root), key, replace=True)
    assert everything(elsewhere) == set()


def test_a_put_cannot_climb_out_of_the_root(root: Path) -> None:
    before = everything(root.parent)
    with pytest.raises(OutputError, match="leads out"):
        LocalStore(root).put(parcel(root), "../x/y.png", replace=True)
    assert everything(root.parent) == before | {"parcel"}


def test_a_link_within_the_root_may_be_used(root: Path) -> None:
    (root / "real").mkdir()
    (root / "link").symlink_to("real")
    LocalStore(root).put(parcel(root), "link/x.png", replace=False)
    assert (root / "real" / "x.png").read_bytes() == b"new"


def test_a_put_replaces_a_link_and_not_what_it_leads_to(root: Path) -> None:
    theirs = root.parent / "theirs.png"
    theirs.write_bytes(b"theirs")
    (root / "a.png").symlink_to(theirs)
    with pytest.raises(Exists):
        LocalStore(root).put(parcel(root), "a.png", replace=False)
    LocalStore(root).put(parcel(root), "a.png", replace=True)
    assert theirs.read_bytes() == b"theirs"
    assert not (root / "a.png").is_symlink()
    assert (root / "a.png").read_bytes() == b"new"


def test_a_folder_in_the_way_is_an_error_of_that_name_only(root: Path) -> None:
    (root / "a.png").mkdir()
    (root / "file").write_bytes(b"theirs")
    with pytest.raises(OutputError, match="is a folder"):
        LocalStore(root).put(parcel(root), "a.png", replace=True)
    with pytest.raises(OutputError, match="needs a folder where there is a file"):
        LocalStore(root).put(parcel(root), "file/b.png", replace=True)
    with pytest.raises(OutputError, match="needs a folder where there is a file"):
        LocalStore(root).put(parcel(root), "file/b/c.png", replace=True)
    assert (root / "file").read_bytes() == b"theirs"


def test_a_file_that_cannot_be_read_leaves_nothing_behind(root: Path) -> None:
    with pytest.raises(Unavailable, match="cannot write"):
        LocalStore(root).put(root.parent / "gone", "a.png", replace=True)
    assert everything(root) == set()


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from venice_batch.errors import Unavailable
from venice_batch.storage import LocalStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    LocalStore(Path(sys.argv[1])).put(Path(sys.argv[2]), "a/b.png", replace=True)
except Unavailable as error:
    print(error.message, "|", error.remedy)
"""


def test_a_disk_that_takes_no_more_leaves_what_was_there(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "b.png").write_bytes(b"before")
    large = parcel(root, b"x" * 300_000)
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(root), str(large)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "cannot write" in done.stdout
    assert "File too large" in done.stdout
    assert (root / "a" / "b.png").read_bytes() == b"before"
    assert everything(root) == {"a", "a/b.png"}


_AS_NOBODY = """
import os, sys
from pathlib import Path
from venice_batch.errors import SourceError, Unavailable
from venice_batch.storage import LocalStore
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
store = LocalStore(Path(sys.argv[1]))
try:
    store.put(Path(sys.argv[2]), "ours.png", replace=True)
except Unavailable as error:
    print(error.message, "|", error.remedy)
try:
    list(store.list())
except SourceError as error:
    print(error.message, "|", error.remedy)
"""


def test_missing_rights_are_named_with_a_remedy(root: Path) -> None:
    (root / "locked").mkdir()
    _open_to_all(root)
    (root / "locked").chmod(0)
    root.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(root), str(parcel(root))],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
    finally:
        root.chmod(0o755)
        (root / "locked").chmod(0o755)
    put, listed = done.stdout.splitlines()
    assert put.startswith("cannot write")
    assert "give this user the right" in put
    assert "may not read" in listed
    assert "locked" in listed


_KILLED = """
import os, sys
from pathlib import Path
from venice_batch.storage import LocalStore
countdown, calls = int(sys.argv[3]), 0
def dying(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == countdown:
            os.kill(os.getpid(), 9)
        return real(*args, **kwargs)
    return call
for name in ("fsync", "replace", "link", "rename", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
LocalStore(Path(sys.argv[1])).put(Path(sys.argv[2]), "a/b.png", replace=sys.argv[4] == "replace")
print("done")
"""


@pytest.mark.parametrize("mode", ["replace", "keep"])
def test_a_kill_at_any_write_leaves_the_old_or_the_new_file_whole(root: Path, mode: str) -> None:
    (root / "a").mkdir()
    target, states = root / "a" / "b.png", set[bytes]()
    for countdown in range(1, 20):
        if mode == "replace":
            target.write_bytes(b"old")
        else:
            target.unlink(missing_ok=True)
        command = [sys.executable, "-c", _KILLED, str(root), str(parcel(root, b"new" * 1000)), str(countdown), mode]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        states.add(target.read_bytes() if target.exists() else b"")
        assert [entry.key for entry in LocalStore(root).list()] == (["a/b.png"] if target.exists() else [])
        if done.stdout == "done\n":
            break
        assert done.returncode == -9, done.stderr
    else:
        pytest.fail("the writer was never left alive")
    assert countdown >= 4
    assert states == {b"old" if mode == "replace" else b"", b"new" * 1000}
    sweep_stale(root)
    assert everything(root) == {"a", "a/b.png"}


# Leftovers


def test_temporary_files_are_never_listed(root: Path) -> None:
    temporary_beside(root / "a.png").write_bytes(b"half")
    assert problems(root) == {}


def test_sweeping_removes_only_our_temporary_files(root: Path) -> None:
    (root / "a").mkdir()
    ours = [temporary_beside(root / "x"), temporary_beside(root / "a" / "x"), root / ".vb-0123456789abcdef.answer"]
    theirs = [".vb-", ".vb-notes", ".vb-0123456789abcde", ".vb-0123456789abcdef0", ".vb-0123456789ABCDEF", "x.png"]
    theirs += ["a/.vb-0123456789abcdef.png", "vb-0123456789abcdef"]
    for file in [*ours, *(root / name for name in theirs)]:
        file.write_bytes(b"x")
    assert sweep_stale(root) == 3
    assert everything(root) == {"a", *theirs}


def test_sweeping_does_not_follow_links(root: Path) -> None:
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    temporary_beside(elsewhere / "x").write_bytes(b"x")
    (root / "link").symlink_to(elsewhere)
    assert sweep_stale(root) == 0


def test_a_temporary_name_is_new_each_time_and_in_the_same_folder(root: Path) -> None:
    names = {temporary_beside(root / "a" / "b.png") for _ in range(100)}
    assert len(names) == 100
    assert {name.parent for name in names} == {root / "a"}


def test_making_a_folder_that_is_there_is_no_error(root: Path) -> None:
    DISK.make_folder(root / "a" / "b" / "c")
    DISK.make_folder(root / "a" / "b" / "c")
    assert (root / "a" / "b" / "c").is_dir()
