"""Where the report lies: in the state's folder or bucket, with pictures of the versions that it tells of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.bucket import Bucket
from tests.unit.report.state_builder import draw
from venice_batch.job import Job, loads
from venice_batch.report.report_files import last_summary, page_of, save_report
from venice_batch.state import ItemId, ItemMoved, OutputWritten, RunStarted, SourceRead, State, to_write
from venice_batch.storage import LocalPlace, LocalStore, Place, S3Place
from venice_batch.storage.s3.store import S3Store


@dataclass
class Shop:
    """A job called shop with one folder of photos, whose state lies anywhere."""

    folder: Path
    place: Place
    state: State

    @property
    def job(self) -> Job:
        text = "version: 1\nname: shop\nsource: photos\noutput: finished\nsteps: [background-remove]\nstate: state\n"
        return loads(text, self.folder / "job.yaml", environ={})

    def done(self, key: str) -> None:
        """Let an item be done, from its photo to its finished file."""
        draw(self.folder / "photos" / key, key, "photo")
        draw(self.folder / "finished" / key, key, "cut-out")
        before, after = self.version("photos", key), self.version("finished", key)
        identity, sha256 = ItemId("shop", key), hashlib.sha256(key.encode()).hexdigest()
        self.state.commit(
            [
                RunStarted(1, "shop", 1.0),
                SourceRead("shop", key, before, 1000, sha256, json.dumps({})),
                OutputWritten(identity, key, after, sha256[::-1]),
                ItemMoved(identity, before, "f", "done", 2.0),
            ]
        )

    def version(self, folder: str, key: str) -> str:
        found = LocalStore(self.folder / folder).stat(key)
        assert found is not None
        return found.version

    def thumbnails(self) -> set[str]:
        return {path.name for path in (self.folder / "state" / "report" / "thumbnails").glob("*.webp")}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    place = LocalPlace(tmp_path / "state")
    with to_write(place) as state:
        yield Shop(tmp_path, place, state)


@pytest.fixture
def remote(tmp_path: Path, moto: Bucket) -> Iterator[Shop]:
    place = moto.fresh()
    with to_write(place) as state:
        yield Shop(tmp_path, place, state)


def test_the_report_lies_in_the_folder_of_the_state_with_a_picture_before_and_after(shop: Shop) -> None:
    shop.done("a.png")
    filed = save_report(shop.state, shop.job)
    assert filed.page == page_of(shop.place) == str(shop.folder / "state" / "report" / "index.html")
    assert "../../finished/a.png" in Path(filed.page).read_text("utf-8")
    assert len(shop.thumbnails()) == 2


@pytest.mark.parametrize("folder", ["photos", "finished"])
def test_a_file_that_is_another_one_by_now_is_not_shown_as_what_was_worked_on(shop: Shop, folder: str) -> None:
    shop.done("a.png")
    draw(shop.folder / folder / "a.png", "something else", "staged")
    save_report(shop.state, shop.job)
    assert len(shop.thumbnails()) == 1


@pytest.mark.parametrize("folder", ["photos", "finished"])
def test_a_file_that_is_gone_is_no_error(shop: Shop, folder: str) -> None:
    shop.done("a.png")
    (shop.folder / folder / "a.png").unlink()
    filed = save_report(shop.state, shop.job)
    assert len(shop.thumbnails()) == 1
    assert not [note for note in filed.notes if "could not be read" in note]


def test_there_is_a_report_only_of_the_job_that_it_is_of_and_as_long_as_it_is_whole(shop: Shop) -> None:
    assert last_summary(shop.place, "shop") is None
    page = Path(save_report(shop.state, shop.job).page)
    assert last_summary(shop.place, "shop") is not None
    assert last_summary(shop.place, "another job of the same state") is None
    page.unlink()
    assert last_summary(shop.place, "shop") is None


def test_a_report_of_the_emulator_says_so(tmp_path: Path) -> None:
    place = LocalPlace(tmp_path / "state" / "emulated")
    with to_write(place) as state:
        shop = Shop(tmp_path, place, state)
        shop.done("a.png")
        assert any("not real" in note for note in save_report(state, shop.job).notes)


def test_a_report_of_money_that_was_real_does_not_speak_of_the_emulator(shop: Shop) -> None:
    shop.done("a.png")
    assert save_report(shop.state, shop.job).notes == ()


def test_a_bucket_keeps_what_is_shown_and_strangers_files_and_gets_only_what_is_new(remote: Shop) -> None:
    assert isinstance(remote.place, S3Place)
    store = S3Store(remote.place / "report")
    remote.done("a.png")
    assert save_report(remote.state, remote.job).page == f"{remote.place}report/index.html"
    first = {entry.key: entry.modified for entry in store.list()}
    assert len(first) == 5
    stale, stranger = f"thumbnails/{'0' * 24}-10x10.webp", "thumbnails/notes.txt"
    for name in (stale, stranger):
        store.put(remote.folder / "photos" / "a.png", name, replace=True)
    assert last_summary(remote.place, "shop") is not None
    (remote.folder / "photos" / "a.png").unlink()
    remote.done("b.png")
    save_report(remote.state, remote.job)
    second = {entry.key: entry.modified for entry in store.list()}
    assert second.keys() - first.keys() == {stranger, *(key for key in second if key not in first and "-640x" in key)}
    assert stale not in second
    assert len(second) == 8
    assert not (remote.folder / "state").exists(), "nothing is left on this machine"
