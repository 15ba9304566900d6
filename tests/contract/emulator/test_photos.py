"""The catalogue of product photos: twelve files, ten good ones, and cut-outs that work on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from venice_batch.emulator.cutout import cut_out
from venice_batch.emulator.photos import draw_catalogue

GOOD = 10


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("photos")
    return folder, draw_catalogue(folder)


def test_twelve_files_are_drawn_and_the_last_two_are_bad(drawn: tuple[Path, list[Path]]) -> None:
    folder, paths = drawn
    assert len(paths) == 12
    assert {path for path in folder.rglob("*") if path.is_file()} == set(paths)
    for path in paths[:GOOD]:
        with Image.open(path) as picture:
            picture.load()
            assert 600 <= max(picture.size) <= 1800
    small, broken = paths[GOOD:]
    with Image.open(small) as picture:
        assert picture.size == (120, 90)
    with Image.open(broken) as picture, pytest.raises(OSError, match="truncated"):
        picture.load()


def test_the_catalogue_has_its_traps(drawn: tuple[Path, list[Path]]) -> None:
    _, paths = drawn
    formats, modes, turned = set(), set(), []
    for path in paths[:GOOD]:
        with Image.open(path) as picture:
            formats.add(picture.format)
            modes.add(picture.mode)
            turned += [path.name] if picture.getexif().get(0x0112) == 6 else []
    assert formats == {"JPEG", "PNG", "WEBP", "TIFF"}
    assert modes == {"RGB", "RGBA", "CMYK"}
    assert turned == ["watch-turned.jpg"]
    assert any(" " in path.name for path in paths)
    assert any(not path.name.isascii() for path in paths)


def test_the_turned_photo_stands_upright_once_exif_is_applied(drawn: tuple[Path, list[Path]]) -> None:
    folder, _ = drawn
    with Image.open(folder / "watch-turned.jpg") as stored:
        assert stored.size == (1200, 900)
        upright = ImageOps.exif_transpose(stored)
    assert upright.size == (900, 1200)
    red, _green, blue = upright.convert("RGB").resize((1, 1), box=(680, 585, 705, 615)).getpixel((0, 0))  # type: ignore[misc]  # RGB has three
    assert abs(red - 70) < 20, "the crown is on the right"
    assert abs(blue - 88) < 20, "the crown is on the right"


def test_two_drawings_are_the_same_to_the_byte(drawn: tuple[Path, list[Path]], tmp_path: Path) -> None:
    folder, paths = drawn
    for again in draw_catalogue(tmp_path):
        assert again.read_bytes() == (folder / again.relative_to(tmp_path)).read_bytes()
    assert len(paths) == 12


@pytest.mark.parametrize("number", range(GOOD))
def test_every_good_photo_can_be_cut_out(drawn: tuple[Path, list[Path]], number: int) -> None:
    with Image.open(drawn[1][number]) as picture:
        upright = ImageOps.exif_transpose(picture)
        upright = upright.convert("RGBA" if upright.mode == "RGBA" else "RGB")
    alpha = cut_out(upright).getchannel("A")
    levels = alpha.histogram()
    pixels = upright.width * upright.height
    assert 0.5 < levels[0] / pixels < 0.93
    assert 0.07 < levels[255] / pixels < 0.5
    corners = [(0, 0), (alpha.width - 1, 0), (0, alpha.height - 1), (alpha.width - 1, alpha.height - 1)]
    assert [alpha.getpixel(corner) for corner in corners] == [0] * 4


def test_the_hole_of_the_mugs_handle_is_open(drawn: tuple[Path, list[Path]]) -> None:
    folder, _ = drawn
    with Image.open(folder / "mug.jpg") as picture:
        alpha = cut_out(picture.convert("RGB")).getchannel("A")
    assert alpha.getpixel((round(1200 * 0.71), round(1200 * 0.51))) == 0
    assert alpha.getpixel((round(1200 * 0.44), round(1200 * 0.51))) == 255
