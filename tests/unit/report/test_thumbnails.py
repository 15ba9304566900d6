"""Small pictures of pictures of any kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.report.thumbnails import SIDE, Thumbnails, Wanted, shrunk, sweep


def saved(path: Path, size: tuple[int, int], mode: str = "RGB", exif: Image.Exif | None = None) -> Path:
    Image.new(mode, size).save(path, exif=exif or Image.Exif())
    return path


@pytest.mark.parametrize(
    ("size", "small"), [((2000, 1000), (480, 240)), ((1000, 2000), (240, 480)), ((100, 50), (100, 50))]
)
def test_a_thumbnail_keeps_the_shape_and_never_grows(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    picture, told = shrunk(saved(tmp_path / "a.jpg", size))
    assert picture.size == small
    assert told == size


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tiff"])
def test_a_picture_lying_on_its_side_is_shown_upright(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture, told = shrunk(saved(tmp_path / name, (800, 400), exif=exif))
    assert told == (400, 800)
    assert picture.size == (SIDE // 2, SIDE)


@pytest.mark.parametrize(("mode", "name"), [("CMYK", "a.jpg"), ("I;16", "a.png"), ("P", "a.gif"), ("1", "a.png")])
def test_any_kind_of_colour_can_be_shown(tmp_path: Path, mode: str, name: str) -> None:
    picture, _ = shrunk(saved(tmp_path / name, (600, 600), mode))
    assert picture.mode in {"L", "RGB", "RGBA"}


def test_what_is_transparent_stays_so(tmp_path: Path) -> None:
    picture, _ = shrunk(saved(tmp_path / "a.png", (600, 600), "RGBA"))
    assert picture.mode == "RGBA"
    assert picture.getpixel((5, 5)) == (0, 0, 0, 0)


@pytest.mark.slow
def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="pixels"):
        shrunk(saved(tmp_path / "bomb.png", (20_000, 20_000), "1"))


def test_the_same_bytes_are_opened_once_however_many_items_have_them(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", (50, 50))
    opened = []

    def opener(_: Path) -> Path:
        opened.append(file)
        return file

    thumbnails = Thumbnails(tmp_path / "report", scratch=tmp_path, clock=lambda: 0.0, seconds=1)
    made = thumbnails.make([Wanted("same", opener), Wanted("same", opener)])
    assert len(opened) == 1
    assert made["same"].file == f"{Wanted('same', opener).digest}-50x50.webp"


def test_a_name_for_bytes_that_no_encoding_knows_is_an_identity_like_any_other() -> None:
    assert Wanted("source \udcff.png", lambda _: None).digest != Wanted("source ?.png", lambda _: None).digest


def test_sweeping_where_nothing_was_ever_made_is_no_error(tmp_path: Path) -> None:
    assert sweep(tmp_path / "nothing", ()) == 0


def test_no_half_written_thumbnail_is_left_behind(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "report", scratch=tmp_path, clock=lambda: 0.0, seconds=1)
    file = saved(tmp_path / "a.png", (50, 50))
    broken = tmp_path / "b.png"
    broken.write_bytes(file.read_bytes()[:60])
    made = thumbnails.make([Wanted("a", lambda _: file), Wanted("b", lambda _: broken), Wanted("c", lambda _: None)])
    assert set(made) == {"a"}
    assert [path.name for path in (tmp_path / "report" / "thumbnails").iterdir()] == [made["a"].file]
    assert thumbnails.failures == []
