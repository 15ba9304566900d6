"""The output folder: files that are not ours stay, and ours are whole and replaced only by us."""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image

from tests.e2e.conftest import CUT, Work
from venice_batch.state import to_read

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


# Whose a finished file is


def test_a_conflict_is_found_before_paying_with_how_many_and_the_remedy(taken: Work) -> None:
    taken.write(CUT)
    plan = taken.venice("plan", taken.job, "--json")
    assert plan.code == 0, plan.text
    assert (plan.json["calls"], plan.json["items"]["invalid"]) == (1, 1)
    (warning,) = [each for each in plan.json["warnings"] if each["code"] == "output-exists"]
    assert "1 item" in warning["text"]
    assert "output.existing" in warning["text"]
    assert taken.run().code == 3
    assert len(taken.vendor.paid()) == 1
    taken.write({"upscale": {"scale": 2}})
    assert taken.run().code == 3
    assert len(taken.vendor.paid()) == 2, "nor after a change of the job"
    assert taken.codes() == {"a.jpg": "exists", "b.jpg": ""}


def test_with_skip_nothing_is_bought_for_a_name_that_is_taken(taken: Work) -> None:
    taken.write(CUT, output={"path": "finished", "existing": "skip"})
    assert taken.run().code == 0
    assert len(taken.vendor.paid()) == 1
    assert taken.states() == {"a.jpg": "done", "b.jpg": "done"}
    (taken.finished / "a.png").unlink()
    assert taken.run().code == 0
    assert len(taken.vendor.paid()) == 2
    assert taken.outputs()["a.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("in_the_way", ["link", "file"])
def test_a_folder_of_the_output_that_cannot_be_written_is_found_before_paying(work: Work, in_the_way: str) -> None:
    work.draw("shoes/a.jpg", "b.jpg")
    work.finished.mkdir()
    if in_the_way == "link":
        (work.root / "elsewhere").mkdir()
        (work.finished / "shoes").symlink_to(work.root / "elsewhere")
    else:
        (work.finished / "shoes").write_bytes(STRANGER)
    work.write(CUT)
    ended = work.run()
    assert ended.code == 3
    assert "output-output" in str(work.venice("plan", work.job, "--json").json["warnings"])
    assert work.states() == {"shoes/a.jpg": "failed", "b.jpg": "done"}
    assert len(work.vendor.paid()) == 1
    (work.finished / "shoes").unlink()
    assert work.run().code == 0, "once it is out of the way, nobody has to say so"


@pytest.mark.parametrize("brought_back", ["copied", "touched", "one only"])
def test_a_finished_file_with_our_bytes_is_ours_whatever_its_time(work: Work, brought_back: str) -> None:
    work.draw("a.jpg", "b.jpg")
    work.write({"upscale": {"scale": 2}})
    assert work.run().code == 0
    for name in work.outputs():
        if brought_back != "one only" or name == "a.png":
            content = (work.finished / name).read_bytes()
            if brought_back == "copied":
                (work.finished / name).unlink()
            (work.finished / name).write_bytes(content)
            os.utime(work.finished / name, (1, 1))
    quiet = work.run()
    assert (quiet.code, quiet.err.count("changed by")) == (0, 0), quiet.text
    with to_read(work.state) as state:
        versions = {row.path: row.version for row in state.outputs("work")}
    assert versions == {
        name: f"{(work.finished / name).stat().st_size}-{(work.finished / name).stat().st_mtime_ns}"
        for name in work.outputs()
    }
    work.write({"upscale": {"scale": 4}})
    assert work.run().code == 0, "and is replaced by a changed job"
    assert len(work.vendor.paid()) == 4


def test_a_finished_file_that_was_edited_is_named_at_once_and_nothing_is_bought_for_it(work: Work) -> None:
    work.draw("a.jpg", "b.jpg")
    work.write({"upscale": {"scale": 2}})
    assert work.run().code == 0
    ours = (work.finished / "a.png").read_bytes()
    (work.finished / "a.png").write_bytes(STRANGER)
    ended = work.run()
    assert ended.code == 3
    assert "a.png was changed by somebody since it was written" in ended.err
    assert work.codes() == {"a.jpg": "edited", "b.jpg": ""}
    assert work.asked("status")["items"]["failed"] == 1
    assert "a.png was changed" in (work.state / "report" / "failures.csv").read_text("utf-8")
    work.write({"upscale": {"scale": 4}})
    assert work.run().code == 3
    assert len(work.vendor.paid()) == 3, "a call for b alone"
    (work.finished / "a.png").write_bytes(ours)
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 4


@pytest.mark.parametrize(("existing", "left"), [("replace", b"\x89PNG"), ("skip", STRANGER[:4])])
def test_an_edited_file_is_written_again_or_left_as_the_job_says(work: Work, existing: str, left: bytes) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    assert work.run().code == 0
    (work.finished / "a.png").write_bytes(STRANGER)
    work.write(CUT, output={"path": "finished", "existing": existing})
    ended = work.run()
    assert ended.code == 0, ended.text
    assert "changed by somebody" in ended.text
    assert work.outputs()["a.png"][:4] == left
    again = work.run()
    assert (again.code, "changed by somebody" in again.text) == (0, False)
    assert len(work.vendor.paid()) == 1
