"""The output folder: files that are not ours stay, and ours are whole and replaced only by us."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.e2e.conftest import CUT, Work

STRANGER = b"somebody else's work"


@pytest.fixture
def taken(work: Work) -> Work:
    """Somebody put a file of their own where a.png goes."""
    work.draw("a.jpg", "b.jpg")
    work.finished.mkdir()
    (work.finished / "a.png").write_bytes(STRANGER)
    return work


def test_by_default_a_strangers_file_is_left_alone_and_its_item_fails(taken: Work) -> None:
    taken.write(CUT)
    ended = taken.run()
    assert ended.code == 3
    assert "a.png is in the output already and is not this job's file" in ended.err
    assert taken.outputs()["a.png"] == STRANGER
    assert taken.states() == {"a.jpg": "failed", "b.jpg": "done"}


def test_a_strangers_file_that_was_moved_away_needs_no_second_purchase(taken: Work) -> None:
    taken.write(CUT)
    taken.run()
    (taken.finished / "a.png").unlink()
    assert taken.run().code == 0
    assert len(taken.vendor.paid()) == 2
    assert taken.outputs()["a.png"].startswith(b"\x89PNG")


def test_with_replace_a_strangers_file_is_replaced(taken: Work) -> None:
    taken.write(CUT, output={"path": "finished", "existing": "replace"})
    assert taken.run().code == 0
    assert taken.outputs()["a.png"].startswith(b"\x89PNG")


def test_with_skip_a_strangers_file_stays_and_counts_as_done(taken: Work) -> None:
    taken.write(CUT, output={"path": "finished", "existing": "skip"})
    assert taken.run().code == 0
    assert taken.outputs()["a.png"] == STRANGER


def test_a_finished_file_that_somebody_changed_is_not_replaced_by_a_changed_recipe(work: Work) -> None:
    work.draw("a.jpg")
    work.write({"upscale": {"scale": 2}})
    assert work.run().code == 0
    (work.finished / "a.png").write_bytes(STRANGER)
    work.write({"upscale": {"scale": 4}})
    assert work.run().code == 3
    assert work.outputs()["a.png"] == STRANGER


def test_our_own_finished_file_is_replaced_when_the_recipe_changes(work: Work) -> None:
    work.draw("a.jpg")
    work.write({"upscale": {"scale": 2}})
    assert work.run().code == 0
    work.write({"upscale": {"scale": 4}})
    assert work.run().code == 0
    with Image.open(io.BytesIO(work.outputs()["a.png"])) as finished:
        assert finished.size == (1280, 960)


def test_another_job_may_not_write_into_the_same_output(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    assert work.run().code == 0
    work.write(CUT, name="other")
    ended = work.run()
    assert ended.code == 2
    assert "written by another state" in ended.err


def test_a_name_template_puts_files_where_it_says(work: Work) -> None:
    work.draw("shoes/a.jpg", "b.jpg")
    work.write(CUT, output={"path": "finished", "name": "web/{dir}/{stem}-cut.{ext}"})
    assert work.run().code == 0
    assert sorted(work.outputs()) == ["web/b-cut.png", "web/shoes/a-cut.png"]
