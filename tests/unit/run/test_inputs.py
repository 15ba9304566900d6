"""Copies of inputs: bounded, shared by content, and read again where they are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from venice_batch.errors import ItemError
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run.inputs import Inputs
from venice_batch.run.tasks import InputRef
from venice_batch.storage import LocalStore
from venice_batch.venice import Api, Client, Secret


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Inputs of a folder, two copies at most."""
    for name in ("in", "copies", "task"):
        (tmp_path / name).mkdir()
    with Client.alone(Api("http://127.0.0.1:9", Secret("key"))) as client:
        return Inputs(client, LocalStore(tmp_path / "in"), tmp_path / "copies", most=2)


def listed(folder: Path, name: str, content: bytes) -> InputRef:
    path = folder / "in" / name
    path.write_bytes(content)
    found = path.stat()
    return InputRef(name, f"{found.st_size}-{found.st_mtime_ns}", sha256=file_hash(path))


def copies(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in (folder / "copies").iterdir()}


def test_the_copy_that_was_used_longest_ago_goes_when_there_are_too_many(inputs: Inputs, tmp_path: Path) -> None:
    one, two, three = (listed(tmp_path, f"{number}.png", bytes([number])) for number in (1, 2, 3))
    for number, ref in enumerate((one, two, one, three)):
        inputs.copy(ref, tmp_path / "task" / f"{number}")
    assert copies(tmp_path) == {b"\1", b"\3"}
    assert inputs.copy(two, tmp_path / "task" / "again").read_bytes() == b"\2"
    assert copies(tmp_path) == {b"\2", b"\3"}


def test_a_task_keeps_what_it_works_on_when_the_copy_goes(inputs: Inputs, tmp_path: Path) -> None:
    ref = listed(tmp_path, "a.png", b"picture")
    mine = [inputs.copy(ref, tmp_path / "task" / f"{number}") for number in range(2)]
    inputs.release(ref)
    assert copies(tmp_path) == set()
    assert [path.read_bytes() for path in mine] == [b"picture"] * 2


def test_an_input_that_nobody_has_read_is_never_taken_for_another(inputs: Inputs, tmp_path: Path) -> None:
    ref = listed(tmp_path, "a.png", b"picture")
    unread = InputRef(ref.key, ref.version)
    with pytest.raises(ItemError, match="changed or vanished"):
        inputs.copy(unread, tmp_path / "task" / "1")
    assert copies(tmp_path) == set()
    inputs.release(unread)


def test_where_files_cannot_be_linked_they_are_copied(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    ref = listed(tmp_path, "a.png", b"picture")
    for number in range(2):
        assert inputs.copy(ref, tmp_path / "task" / f"{number}").read_bytes() == b"picture"
    assert copies(tmp_path) == {b"picture"}
