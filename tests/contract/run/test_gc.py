"""Freeing results: what any item needs stays, whatever was renamed, shared or changed; the rest may go."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from PIL import Image

from tests.servers.bucket import Bucket
from venice_batch.emulator import Running
from venice_batch.errors import SourceError
from venice_batch.job import Job, load
from venice_batch.plan.model import PlannedItem
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.reading.sources import candidates
from venice_batch.plan.selection import ItemFilter
from venice_batch.run.gc.sweep import Garbage, find_garbage, sweep
from venice_batch.run.session import session
from venice_batch.state import State, to_read, to_write
from venice_batch.state.results import Stored
from venice_batch.storage import LocalPlace, Place
from venice_batch.venice import Api, Secret

CUT = "background-remove"
TWICE, FOUR_TIMES = {"upscale": {"scale": 2}}, {"upscale": {"scale": 4}}
DAY = 86_400


class Silent:
    """An observer that does not look."""

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        pass

    def money(self, spent: int, uncertain: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def warning(self, code: str, text: str) -> None:
        pass


@dataclass
class Home:
    """A folder with pictures and jobs, whose state may be in a bucket."""

    folder: Path
    running: Running
    memory: Place
    _colours: Iterator[int] = field(default_factory=lambda: iter(range(40, 250, 7)))

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    def draw(self, *names: str) -> None:
        self.photos.mkdir(exist_ok=True)
        for name in names:
            picture = Image.new("RGB", (300, 260), "white")
            picture.paste((next(self._colours), 30, 40), (75, 65, 150, 130))
            picture.save(self.photos / name)

    def job(self, *steps: object, name: str = "work", **source: Any) -> Job:
        local = isinstance(self.memory, Path)
        document: dict[str, Any] = {
            "version": 1,
            "name": name,
            "source": {"path": "photos", **source},
            "steps": list(steps),
            "output": {"path": f"finished-{name}"},
            "state": "memory" if local else str(self.memory),
        }
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document), "utf-8")
        return self.loaded(file)

    def loaded(self, file: Path) -> Job:
        local = isinstance(self.memory, Path)
        job = load(file, environ={})
        # The server's address is the test's, not the job's.
        return job if local else replace(job, state=self.memory)

    def run(self, job: Job) -> None:
        with session(job, Api(self.running.url, Secret(self.running.key)), ItemFilter()) as begun:
            summary = begun.execute(Silent(), partial=False)
            assert summary.cause is None, summary.cause

    def calls(self) -> int:
        return sum(entry.method == "POST" for entry in self.running.state.log)

    def garbage(self, *jobs: Job, days: float = 1, host: str = "loopback", **limits: int) -> Garbage:
        """What can go, so many days from now."""
        with to_read(self.memory) as state:
            return self._found(state, jobs, days, host, **limits)

    def freed(self, job: Job, *, days: float = 1) -> Garbage:
        with to_write(self.memory) as state:
            garbage = self._found(state, [job], days, "loopback")
            sweep(state, garbage.unused)
        return garbage

    def _found(
        self, state: State, jobs: Sequence[Job], days: float, host: str, *, older_than: int = 0, larger_than: int = 0
    ) -> Garbage:
        listed = [(make_pipeline(job, host), candidates(job)) for job in jobs]
        return find_garbage(state, listed, time.time() + days * DAY, older_than=older_than, larger_than=larger_than)

    def stored(self) -> int:
        with to_read(self.memory) as state:
            return sum(1 for _ in state.results.stored())


@pytest.fixture
def home(tmp_path: Path, emulator: Running) -> Home:
    httpx2.post(f"{emulator.control}/reset", trust_env=False)
    return Home(tmp_path, emulator, LocalPlace(tmp_path / "memory"))


def counted(garbage: Garbage) -> tuple[int, int, int, int]:
    return len(garbage.unused), garbage.needed, garbage.spared, garbage.unclear


def test_nothing_of_a_finished_job_can_go(home: Home) -> None:
    home.draw("a.png", "b.png")
    home.run(job := home.job(CUT, TWICE))
    assert counted(home.garbage(job)) == (0, 4, 0, 0)


def test_what_was_bought_for_a_vanished_picture_can_go_once_it_is_old_enough(home: Home) -> None:
    home.draw("a.png", "b.png")
    home.run(job := home.job(CUT))
    (home.photos / "b.png").unlink()
    assert counted(home.garbage(job)) == (0, 2, 0, 1), "no run has found it gone: perhaps a disk is not mounted"
    home.run(job)
    assert counted(home.garbage(job, older_than=30 * DAY, days=29)) == (0, 1, 1, 0)
    garbage = home.garbage(job, older_than=30 * DAY, days=31)
    assert counted(garbage) == (1, 1, 0, 0)
    assert (garbage.unused[0].item, str(garbage.usd)) == ("b.png", "0.03")
    assert garbage.bytes == garbage.unused[0].stored.bytes > 0


def test_an_empty_source_frees_nothing_and_a_missing_one_is_an_error(home: Home) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    (home.photos / "a.png").unlink()
    assert counted(home.garbage(job)) == (0, 1, 0, 1)
    home.photos.rmdir()
    with pytest.raises(SourceError):
        home.garbage(job)


def test_a_renamed_picture_keeps_what_was_bought_under_its_old_name(home: Home) -> None:
    home.draw("a.png", "b.png")
    home.run(job := home.job(CUT))
    (home.photos / "a.png").rename(home.photos / "c.png")
    home.run(job)
    assert home.calls() == 2
    assert counted(home.garbage(job)) == (0, 2, 0, 0)


def test_a_touched_picture_keeps_its_results(home: Home) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    content = (home.photos / "a.png").read_bytes()
    (home.photos / "a.png").unlink()
    (home.photos / "a.png").write_bytes(content)
    assert counted(home.garbage(job)) == (0, 1, 0, 0)


def test_results_of_an_earlier_pipeline_can_go_only_after_the_new_one_was_run(home: Home) -> None:
    home.draw("a.png")
    home.run(home.job(CUT, TWICE))
    assert counted(home.garbage(home.job(CUT))) == (0, 2, 0, 1)
    job = home.job(CUT, FOUR_TIMES)
    assert counted(home.garbage(job)) == (0, 2, 0, 1)
    home.run(job)
    garbage = home.garbage(job)
    assert counted(garbage) == (1, 2, 0, 0)
    assert str(garbage.usd) == "0.02"


def test_seen_from_another_api_address_nothing_can_go(home: Home) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    (home.photos / "a.png").rename(home.photos / "b.png")
    home.run(job)
    assert counted(home.garbage(job, host="api.venice.ai")) == (0, 1, 0, 1)


def test_what_another_job_of_the_state_got_for_nothing_stays(home: Home) -> None:
    home.draw("a.png")
    home.run(home.job(CUT, TWICE, name="other"))
    home.run(home.job(CUT, TWICE))
    assert home.calls() == 2, "the second one buys nothing"
    home.run(changed := home.job(CUT, FOUR_TIMES, name="other"))
    assert counted(home.garbage(changed)) == (0, 3, 0, 1)


def test_an_items_own_words_and_the_mask_beside_it_are_part_of_its_way(home: Home) -> None:
    home.draw("a.png", "a_mask.png")
    (home.folder / "words.csv").write_text("key,title\na.png,a red shoe\n", "utf-8")
    images = ["current", {"beside": "{stem}_mask.png"}]
    step = {"multi-edit": {"prompt": "put {title} on marble", "images": images}}
    home.run(job := home.job(step, metadata="words.csv", exclude=["*_mask.png"]))
    assert home.calls() == 1
    assert counted(home.garbage(job)) == (0, 1, 0, 0)


def test_small_files_stay_where_only_large_ones_may_go(home: Home) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    (home.photos / "a.png").unlink()
    home.run(job)
    size = home.garbage(job).unused[0].stored.bytes
    assert counted(home.garbage(job, larger_than=size)) == (1, 0, 0, 0)
    assert counted(home.garbage(job, larger_than=size + 1)) == (0, 0, 1, 0)


def test_an_answer_that_was_set_aside_can_go_and_costs_nothing_to_lose(home: Home) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    with to_write(home.memory) as state:
        (key,) = state.results.keys()
        result = state.results.find(key)
        assert result is not None
        state.commit([state.results.set_aside(result)])
    garbage = home.freed(job)
    assert [(each.stored.key, each.stored.bad) for each in garbage.unused] == [(key, 1)]
    assert garbage.usd == 0
    assert home.stored() == 0


def test_after_it_a_deleted_output_is_written_again_without_a_call(home: Home) -> None:
    home.draw("a.png", "b.png")
    home.run(home.job(CUT, TWICE))
    (home.photos / "b.png").unlink()
    home.run(job := home.job(CUT, FOUR_TIMES))
    calls = home.calls()
    assert len(home.freed(job).unused) == 3
    assert home.stored() == 2
    finished = next((home.folder / "finished-work").glob("*.png"))
    content = finished.read_bytes()
    finished.unlink()
    home.run(job)
    assert home.calls() == calls
    assert finished.read_bytes() == content
    assert counted(home.garbage(job)) == (0, 2, 0, 0)


def test_where_a_condition_is_open_both_ways_are_kept(home: Home) -> None:
    home.draw("a.png")
    conditional = {**TWICE, "when": {"max_side_below": 2000}}
    home.run(job := home.job(conditional, CUT))
    home.run(plain := home.job(CUT, name="plain"))
    assert home.stored() == 3
    # A renamed picture is not read again, so nothing is known of its header.
    (home.photos / "a.png").rename(home.photos / "b.png")
    home.run(job)
    home.run(plain)
    assert home.calls() == 3
    assert counted(home.garbage(job, plain)) == (0, 3, 0, 0)


def as_an_older_version_left_it(home: Home) -> None:
    """Take out of the manifest what was not recorded before: what items of reused results are made from."""
    assert isinstance(home.memory, LocalPlace)
    connection = sqlite3.connect(home.memory.folder / "manifest.sqlite3")
    connection.executescript("""
        DELETE FROM item_results; DELETE FROM former_sources; UPDATE result_uses SET at = 0;
        DELETE FROM sources WHERE (job, key) NOT IN (SELECT job, key FROM calls);
    """)
    connection.close()


@pytest.mark.parametrize("older", [True, False])
def test_an_item_of_unknown_bytes_keeps_everything_until_its_job_is_at_hand(home: Home, *, older: bool) -> None:
    home.draw("a.png")
    home.run(home.job(CUT, name="other"))
    (home.photos / "a.png").rename(home.photos / "b.png")
    home.run(other := home.job(CUT, name="other"))
    home.draw("c.png")
    home.run(job := home.job(TWICE))
    for name in ("b.png", "c.png"):
        (home.photos / name).rename(home.folder / name)
    home.run(job)
    (home.folder / "b.png").rename(home.photos / "b.png")
    if older:
        as_an_older_version_left_it(home)
    garbage = home.garbage(job)
    # What the other job made of a renamed file is known since it is recorded.
    assert (len(garbage.unused), garbage.unknown) == ((0, 1) if older else (1, 0))
    assert counted(home.garbage(job, other)) == (1, 2, 0, 0)


def test_a_lost_result_has_everything_of_its_picture_spared(home: Home) -> None:
    home.draw("a.png")
    home.run(home.job(CUT, TWICE))
    home.run(job := home.job(CUT, FOUR_TIMES))
    with to_write(home.memory) as state:
        cut = next(result for result, _ in state.bought_for() if result in _needed(home, job, state))
        state.results.remove(Stored(cut, None, 0, 0))
    assert counted(home.garbage(job)) == (0, 2, 0, 1)


def _needed(home: Home, job: Job, state: State) -> set[str]:
    waste = {each.stored.key for each in home.garbage(job).unused}
    return set(state.results.keys()) - waste


def test_in_a_bucket_the_manifest_forgets_and_the_object_is_gone(
    tmp_path: Path, emulator: Running, seaweed: Bucket
) -> None:
    httpx2.post(f"{emulator.control}/reset", trust_env=False)
    place = seaweed.fresh()
    home = Home(tmp_path, emulator, place)
    home.draw("a.png", "b.png")
    home.run(job := home.job(CUT))
    (home.photos / "b.png").unlink()
    home.run(job)
    garbage = home.freed(job)
    assert counted(garbage) == (1, 1, 0, 0)
    with to_read(place) as state:
        assert len(list(state.results.keys())) == 1
        assert state.results.find(garbage.unused[0].stored.key) is None
    assert len([key for key in seaweed.keys(place) if key.startswith("results/")]) == 1


def test_a_file_that_could_not_be_removed_is_found_again(home: Home, tmp_path: Path) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    (home.photos / "a.png").unlink()
    home.run(job)
    (unused,) = home.garbage(job).unused
    file = tmp_path / "memory" / "results" / unused.stored.key[:2] / unused.stored.key
    content = file.read_bytes()
    file.unlink()
    file.mkdir()  # what is no file cannot be unlinked, whoever asks
    with pytest.raises(OSError, match=unused.stored.key), to_write(home.memory) as state:
        sweep(state, [unused])
    file.rmdir()
    file.write_bytes(content)
    assert len(home.freed(job).unused) == 1
    assert home.stored() == 0
