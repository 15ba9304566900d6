"""What items use and when they last did, as the manifest records it: what `gc` stands on, whoever bought a result."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import pytest

from tests.contract.run.test_gc import CUT, DAY, FOUR_TIMES, TWICE, Home, as_an_older_version_left_it, counted, home
from tests.servers.bucket import Bucket
from venice_batch.emulator import Running
from venice_batch.job import Job
from venice_batch.plan.reading.probe import file_hash
from venice_batch.state import ItemId, to_read
from venice_batch.storage import LocalPlace

__all__ = ["home"]


def on_day(home: Home, day: float, job: Job) -> None:
    """Run the job at noon of a day; day 0 is today."""
    at = time.time() + day * DAY
    with patch("time.time", lambda: at):
        home.run(job)


def sources(home: Home, job: str = "work") -> dict[str, str | None]:
    """The hash that the manifest has of each input."""
    with to_read(home.memory) as state:
        found = {key: state.source(job, key) for key, _ in state.keys(job)}
    return {key: None if source is None else source.sha256 for key, source in found.items()}


def files(home: Home) -> dict[str, str]:
    return {str(path.relative_to(home.photos)): file_hash(path) for path in sorted(home.photos.rglob("*.png"))}


def renamed(home: Home) -> None:
    (home.photos / "a.png").rename(home.photos / "b.png")


def moved(home: Home) -> None:
    (home.photos / "deep").mkdir()
    (home.photos / "a.png").rename(home.photos / "deep" / "a.png")


def copied(home: Home) -> None:
    shutil.copyfile(home.photos / "a.png", home.photos / "b.png")


def brought_back(home: Home) -> None:
    (home.photos / "a.png").rename(home.folder / "b.png")
    home.draw("a.png")
    home.run(home.job(CUT))
    (home.folder / "b.png").rename(home.photos / "b.png")


@pytest.mark.parametrize("change", [renamed, moved, copied, brought_back])
def test_what_bought_nothing_is_known_by_its_bytes_and_keeps_its_results(
    home: Home, change: Callable[[Home], None]
) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    change(home)
    home.run(job)
    assert sources(home) == files(home)
    home.draw("a.png")
    home.run(job)
    assert sources(home) == files(home)
    calls = home.calls()
    home.freed(job)
    shutil.rmtree(home.folder / "finished-work")
    home.run(job)
    assert home.calls() == calls


def test_two_inputs_that_were_alike_from_the_start_are_both_known(home: Home) -> None:
    home.draw("a.png")
    copied(home)
    home.run(job := home.job(CUT))
    assert home.calls() == 1
    assert sources(home) == files(home)
    (home.photos / "a.png").unlink()
    home.draw("a.png")
    home.run(job)
    assert counted(home.garbage(job)) == (0, 2, 0, 0)


# Age


def test_an_age_counts_from_the_last_use_under_whatever_name(home: Home) -> None:
    home.draw("a.png", "c.png")
    on_day(home, 0, job := home.job(CUT))
    renamed(home)
    on_day(home, 2, job)
    on_day(home, 29, job)
    (home.photos / "b.png").rename(home.folder / "b.png")
    on_day(home, 30, job)
    assert counted(home.garbage(job, days=30.1, older_than=7 * DAY)) == (0, 1, 1, 0)
    assert counted(home.garbage(job, days=36.9, older_than=7 * DAY)) == (0, 1, 1, 0)
    assert counted(home.garbage(job, days=37.1, older_than=7 * DAY)) == (1, 1, 0, 0)


def test_what_becomes_of_the_buyer_does_not_restart_the_time_of_what_it_ceased_to_use(home: Home) -> None:
    home.draw("a.png")
    on_day(home, 0, home.job(TWICE))
    on_day(home, 1, job := home.job(FOUR_TIMES))
    home.draw("a.png")
    on_day(home, 9, job)
    (home.photos / "a.png").unlink()
    on_day(home, 10, job)
    assert [each.item for each in home.garbage(job, days=10.1, older_than=9 * DAY).unused] == ["a.png"]
    assert len(home.garbage(job, days=18.1, older_than=9 * DAY).unused) == 2
    assert len(home.garbage(job, days=19.1, older_than=9 * DAY).unused) == 3


def test_a_use_by_another_job_counts_too(home: Home) -> None:
    home.draw("a.png")
    on_day(home, 0, home.job(CUT))
    on_day(home, 1, other := home.job(CUT, name="other"))
    on_day(home, 2, job := home.job(TWICE))
    on_day(home, 20, other := home.job(FOUR_TIMES, name="other"))
    assert home.calls() == 3
    assert len(home.garbage(job, other, days=26, older_than=7 * DAY).unused) == 0
    assert len(home.garbage(job, other, days=28, older_than=7 * DAY).unused) == 1


# What is not known, and what is not at hand


def test_a_renamed_picture_whose_row_of_metadata_is_not_renamed_yet_is_spared(home: Home) -> None:
    home.draw("a.png", "c.png")
    words = home.folder / "words.csv"
    words.write_text("key,title\na.png,a red shoe\nc.png,a hat\n", "utf-8")
    home.run(job := home.job({"edit": {"prompt": "put {title} on marble"}}, metadata="words.csv"))
    renamed(home)
    assert counted(home.garbage(job)) == (0, 2, 0, 2), "under its old name, and under the new one"
    home.run(job)
    assert counted(home.garbage(job)) == (0, 2, 0, 1)
    words.write_text("key,title\nb.png,a red shoe\nc.png,a hat\n", "utf-8")
    home.run(job)
    assert home.calls() == 2
    assert counted(home.garbage(job)) == (0, 2, 0, 0)


def test_a_file_that_cannot_be_read_right_now_keeps_what_it_uses(home: Home) -> None:
    home.draw("a.png", "c.png")
    home.run(job := home.job(CUT))
    renamed(home)
    home.run(job)
    copied_again = home.photos / "d.png"
    shutil.copyfile(home.photos / "b.png", copied_again)
    # A link to nowhere is listed by no run, and what is no file cannot be read, whoever asks.
    (home.photos / "b.png").unlink()
    assert counted(home.garbage(job)) == (0, 2, 0, 1)


def test_what_a_job_of_prompts_uses_is_recorded_and_blocks_nobody(home: Home) -> None:
    (home.folder / "prompts.csv").write_text("id,prompt\nshoe,a red shoe\n", "utf-8")
    file = home.folder / "drawn.yaml"
    file.write_text(
        "version: 1\nname: drawn\nsource: {prompts: prompts.csv}\noutput: {path: finished-drawn}\nstate: memory\n"
        "steps:\n  - generate: {model: venice-sd35}\n",
        "utf-8",
    )
    home.run(home.loaded(file))
    home.draw("a.png")
    home.run(home.job(CUT))
    (home.photos / "a.png").unlink()
    home.run(job := home.job(CUT))
    garbage = home.garbage(job)
    assert (len(garbage.unused), garbage.needed, garbage.unknown) == (1, 1, 0)


# States of older versions


def test_an_older_state_is_completed_by_the_next_run_without_a_call(home: Home) -> None:
    home.draw("a.png", "c.png")
    home.run(home.job(CUT, TWICE))
    home.run(job := home.job(CUT, FOUR_TIMES))
    renamed(home)
    home.run(job)
    as_an_older_version_left_it(home)
    assert sources(home)["b.png"] is None
    calls = home.calls()
    home.run(job)
    assert home.calls() == calls
    assert sources(home) == files(home)
    with to_read(home.memory) as state:
        assert list(state.unrecorded("work", read=True)) == []
        assert all(state.knows_results(ItemId("work", key)) for key in files(home))
    home.draw("a.png")
    home.run(job)
    assert counted(home.garbage(job)) == (2, 6, 0, 0), "two were enlarged twofold"


def test_what_an_older_version_bought_counts_as_used_until_it_is_opened_by_this_one(home: Home) -> None:
    home.draw("a.png")
    home.run(job := home.job(CUT))
    (home.photos / "a.png").unlink()
    home.run(job)
    assert isinstance(home.memory, LocalPlace)
    connection = sqlite3.connect(home.memory.folder / "manifest.sqlite3")
    connection.executescript("""
        DROP TABLE item_results; DROP TABLE result_uses; DROP VIEW known_sources; DROP TABLE former_sources;
        PRAGMA user_version = 4;
    """)
    connection.close()
    assert counted(home.garbage(job, days=29, older_than=30 * DAY)) == (0, 0, 1, 0)
    assert counted(home.garbage(job, days=31, older_than=30 * DAY)) == (1, 0, 0, 0)


def test_an_object_that_no_run_of_an_older_version_read_is_read_once(
    tmp_path: Path, emulator: Running, moto: Bucket
) -> None:
    httpx2.post(f"{emulator.control}/reset", trust_env=False)
    home = Home(tmp_path, emulator, LocalPlace(tmp_path / "memory"))
    home.draw("a.png")
    content, place = (home.photos / "a.png").read_bytes(), moto.fresh()
    moto.fill(place, {"a.png": content, "b.png": content})
    where: dict[str, Any] = {"path": str(place), "s3": {"endpoint_url": moto.endpoint}}
    home.run(job := home.job(CUT, **where))
    assert home.calls() == 1
    assert len(set(sources(home).values())) == 1
    as_an_older_version_left_it(home)
    assert isinstance(home.memory, LocalPlace)
    connection = sqlite3.connect(home.memory.folder / "manifest.sqlite3")
    with connection:
        connection.execute("DELETE FROM sources")
    connection.close()
    assert counted(home.garbage(job)) == (0, 1, 0, 2), "nothing is known of what is there"
    home.run(job)
    assert home.calls() == 1
    assert set(sources(home).values()) == {file_hash(home.photos / "a.png")}
    assert counted(home.garbage(job)) == (0, 1, 0, 0)
