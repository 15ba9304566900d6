"""Bad input gets a clear word and loses nothing; the rest of the batch goes on."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import CUT, ENLARGE, FAST, Ended, Vendor, Work, draw, tree
from venice_batch.emulator import Settings, serve_in_thread

NEW_LINE = "new\nline.jpg"
NOT_UTF_8 = os.fsdecode(b"caf\xe9.jpg")


def _bomb() -> bytes:
    """A PNG whose header, checksum and all, promises 3.6 thousand million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, data)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + b"\0\0\0\0IEND\xaeB`\x82"


def _fill(photos: Path) -> None:
    """Everything that has ever been found in a folder of photos."""
    for name in ("good.jpg", "with space.jpg", "ünïcode-写真.jpg", "-dash.jpg", NEW_LINE, ".hidden.jpg", ".kept/x.jpg"):
        draw(photos / name)
    draw(photos / "A.jpg")
    draw(photos / "a.JPG")
    draw(photos / "twin.jpg")
    draw(photos / "twin.png")
    draw(photos / NOT_UTF_8)
    draw(photos / "deep/er/one.jpg")
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "cut.jpg").write_bytes((photos / "good.jpg").read_bytes()[:-800])
    (photos / "text.jpg").write_text("this is not a picture, it only says so\n" * 50, "utf-8")
    (photos / "notes.txt").write_text("no picture at all", "utf-8")
    (photos / "bomb.png").write_bytes(_bomb())
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    draw(photos.with_name("outside.jpg"))
    (photos / "escapes.jpg").symlink_to("../outside.jpg")
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    (photos / "folder-link").symlink_to("deep")


@dataclass(frozen=True)
class Zoo:
    """A folder full of bad input, how it looked before its first run, how that ended, and how many calls it made."""

    work: Work
    before: dict[str, tuple[int, int, str]]
    first: Ended
    sent: int


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """One run for the whole module: every test looks at another inmate."""
    with serve_in_thread(Settings(rpm=FAST)) as running:
        work = Work(tmp_path_factory.mktemp("zoo") / "work", Vendor(running))
        _fill(work.photos)
        # The background remover takes a picture of any size; it is the second step that does not.
        work.write(CUT, ENLARGE)
        before = tree(work.photos)
        return Zoo(work, before, work.run(), len(work.vendor.paid()))


GOOD = {
    "good.jpg": "good.png",
    "with space.jpg": "with space.png",
    "ünïcode-写真.jpg": "ünïcode-写真.png",
    "-dash.jpg": "-dash.png",
    "deep/er/one.jpg": "deep/er/one.png",
}


def test_the_good_ones_are_finished_under_their_own_names_whatever_lies_beside_them(zoo: Zoo) -> None:
    assert zoo.first.code == 3
    assert set(zoo.work.outputs()) == set(GOOD.values())
    assert {zoo.work.states()[key] for key in GOOD} == {"done"}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("empty.jpg", "the file has no bytes"),
        ("cut.jpg", "damaged"),
        ("text.jpg", "not a picture"),
        ("bomb.png", "pixels"),
        ("dot.png", "1x1 has 1 pixels"),
        (r"new\nline.jpg", "line break"),
        ("A.jpg", "another input would be written to"),
        ("a.JPG", "another input would be written to"),
        ("twin.jpg", "another input would be written to 'twin.png' too"),
        ("twin.png", "another input would be written to 'twin.png' too"),
        ("escapes.jpg", "a link that leads out of the source"),
        (r"caf\xe9.jpg", "not valid UTF-8"),
    ],
)
def test_a_bad_input_is_named_with_its_reason_in_one_line(zoo: Zoo, key: str, words: str) -> None:
    lines = [line for line in zoo.first.text.splitlines() if line.startswith(f"invalid: {key}: ")]
    assert len(lines) == 1, zoo.first.text
    assert words in lines[0]


def test_no_paid_call_was_made_for_a_bad_input(zoo: Zoo) -> None:
    assert zoo.sent == 2 * len(GOOD)


def test_hidden_files_and_files_that_are_no_pictures_by_name_are_not_listed(zoo: Zoo) -> None:
    keys = zoo.work.states()
    assert not [key for key in keys if "hidden" in key or "kept" in key or "notes" in key or "folder-link" in key]


def test_a_bad_input_is_kept_as_invalid_with_a_short_code(zoo: Zoo) -> None:
    assert zoo.work.states()[NEW_LINE] == "invalid"
    codes = zoo.work.codes()
    assert codes["empty.jpg"] == "empty"
    assert codes["text.jpg"] == "not-a-picture"
    assert codes["bomb.png"] == "too-large"
    assert codes["dot.png"] == "too-small"
    assert codes["A.jpg"] == codes["a.JPG"] == codes["twin.jpg"] == codes["twin.png"] == "collision"


def test_the_source_is_as_it_was(zoo: Zoo) -> None:
    assert tree(zoo.work.photos) == zoo.before


def test_a_file_name_cannot_break_the_line_or_the_terminal(zoo: Zoo) -> None:
    assert "new\nline" not in zoo.first.text
    assert "new\nline" not in zoo.work.venice("items", zoo.work.job).out


def test_a_renamed_collision_is_finished_in_the_next_run(work: Work) -> None:
    work.draw("twin.jpg", "twin.png", "other.jpg")
    work.write(CUT)
    assert work.run().code == 3
    assert sorted(work.outputs()) == ["other.png"]
    (work.photos / "twin.png").rename(work.photos / "sister.png")
    assert work.run().code == 0
    assert sorted(work.outputs()) == ["other.png", "sister.png", "twin.png"]


def test_a_picture_of_40_megapixels_goes_through_edit_and_upscale(work: Work) -> None:
    picture = Image.new("RGB", (8000, 5000), (240, 240, 235))
    picture.paste((160, 40, 40), (2000, 1200, 6000, 3800))
    picture.save(work.photos / "wall.png", compress_level=1)
    work.write({"edit": {"prompt": "on marble"}}, ENLARGE, {"convert": {"format": "jpg"}})
    ended = work.run()
    assert ended.code == 0, ended.text
    with Image.open(work.finished / "wall.jpg") as finished:
        assert max(finished.size) == 2048
        assert abs(finished.width / finished.height - 1.6) < 0.01


def test_a_plan_says_that_a_picture_beyond_an_edits_limit_will_be_shrunk_first(work: Work) -> None:
    Image.new("RGB", (8000, 5000), (240, 240, 235)).save(work.photos / "wall.png", compress_level=1)
    work.write({"edit": {"prompt": "on marble", "output_format": "jpeg"}})
    plan = work.asked("plan")
    assert "fitted" in [warning["code"] for warning in plan["warnings"]]


# Folders


def test_a_missing_source_ends_with_2_and_names_it(work: Work) -> None:
    work.write(CUT, source={"path": "nowhere"})
    ended = work.run()
    assert ended.code == 2
    assert "no such folder" in ended.err
    assert "nowhere" in ended.err


def test_a_source_that_is_a_file_ends_with_2(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT, source={"path": "photos/a.jpg"})
    assert work.run().code == 2


def test_an_empty_source_ends_with_0_and_nothing_to_do(work: Work) -> None:
    work.write(CUT)
    ended = work.run()
    assert ended.code == 0
    assert "0 items" in ended.out
    assert work.vendor.paid() == []


@pytest.mark.parametrize("output", ["photos/finished", "photos", "photos/../photos/x", "."])
def test_an_output_inside_the_source_or_around_it_ends_with_2(work: Work, output: str) -> None:
    work.draw("a.jpg")
    work.write(CUT, output={"path": output})
    before = tree(work.root)
    ended = work.run()
    assert ended.code == 2, ended.text
    assert "inside" in ended.err
    assert tree(work.root) == before
    assert work.vendor.paid() == []


def test_an_output_inside_the_source_is_seen_through_a_link(work: Work) -> None:
    work.draw("a.jpg")
    (work.root / "elsewhere").symlink_to("photos")
    work.write(CUT, output={"path": "elsewhere/finished"})
    assert work.run().code == 2


def test_the_state_may_not_lie_in_the_source_either(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT, state="photos/state")
    assert work.run().code == 2


@pytest.mark.parametrize("name", ["../{stem}.{ext}", "/{stem}.{ext}", "{dir}/../../{stem}.{ext}"])
def test_an_output_name_that_leaves_the_output_is_refused(work: Work, name: str) -> None:
    work.draw("a.jpg")
    work.write(CUT, output={"path": "finished", "name": name})
    ended = work.run()
    assert ended.code == 2
    assert "job.yaml:" in ended.err
    assert work.vendor.paid() == []


def test_all_problems_of_a_job_file_are_named_at_once_with_their_places(work: Work) -> None:
    work.job.write_text("version: 1\nname: Bad Name\nsource: photos\nsteps:\n  - upscal: {}\noutputs: x\n", "utf-8")
    ended = work.run()
    assert ended.code == 2
    for place in (":2:", ":5:", ":6:"):
        assert f"job.yaml{place}" in ended.err
    assert "upscale" in ended.err


def test_a_job_file_that_is_not_there_ends_with_2(work: Work) -> None:
    ended = work.venice("run", "nothing.yaml")
    assert ended.code == 2
    assert "nothing.yaml" in ended.err


def test_a_model_that_the_api_lacks_ends_with_2_and_its_replacement(work: Work) -> None:
    work.draw("a.jpg")
    work.write({"edit": {"prompt": "on marble", "model": "painter-of-old"}})
    ended = work.run()
    assert ended.code == 2
    assert "firered-image-edit" in ended.err
    assert "the key's privacy setting may hide" in ended.err
    assert work.vendor.paid() == []
