"""The demo job: twelve photos through upscale, background-remove and edit, judged by decoded pixels."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from tests.e2e.conftest import Demo

#: Finished file by input, and which input is not turned into a JPEG of the same stem.
GOOD = {
    "mug.jpg": "mug.jpg",
    "water bottle.jpg": "water bottle.png",
    "lamp.jpg": "lamp.webp",
    "shoes/chaussure-été.jpg": "shoes/chaussure-été.jpg",
    "watch-turned.jpg": "watch-turned.jpg",
    "bags/handbag.jpg": "bags/handbag.tiff",
    "chair-cmyk.jpg": "chair-cmyk.jpg",
    "vase-alpha.jpg": "vase-alpha.png",
    "headphones.jpg": "headphones.webp",
    "kettle.jpg": "kettle.jpg",
}
LONG_SIDE = 2048


def _upright(demo: Demo, name: str) -> Image.Image:
    with Image.open(demo.photos / name) as picture:
        return ImageOps.exif_transpose(picture).convert("RGB")


def _finished(demo: Demo, name: str) -> Image.Image:
    with Image.open(demo.finished / name) as picture:
        picture.load()
        return picture


def _corner(picture: Image.Image) -> list[float]:
    """Mean colour of the top left corner, where no product stands."""
    side = max(4, min(picture.size) // 20)
    return ImageStat.Stat(picture.convert("RGB").crop((0, 0, side, side))).mean


def test_the_demo_ends_with_exit_code_3_and_names_exactly_its_two_bad_photos_a_line_each(demo: Demo) -> None:
    assert demo.first.code == 3, demo.first.text
    lines = [line for line in demo.first.text.splitlines() if line.startswith(("invalid:", "failed:", "flagged:"))]
    assert len(lines) == 2, lines
    assert any("camera-broken.jpg" in line and "truncated" in line for line in lines)
    assert any("ring-thumbnail.jpg" in line and "65,536" in line for line in lines)
    assert "10 done, 2 invalid" in demo.first.out
    assert "spent: 2.80 USD" in demo.first.out


def test_the_demo_finishes_every_good_photo_and_nothing_else(demo: Demo) -> None:
    found = {str(path.relative_to(demo.finished)) for path in demo.finished.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".")} == GOOD.keys()


@pytest.mark.parametrize(("finished", "photo"), GOOD.items())
def test_a_finished_picture_is_2048_pixels_long_and_keeps_the_upright_aspect(
    demo: Demo, finished: str, photo: str
) -> None:
    source, result = _upright(demo, photo), _finished(demo, finished)
    assert max(result.size) == LONG_SIDE
    assert abs(result.width / result.height - source.width / source.height) < 0.005
    assert result.format == "JPEG"
    assert result.mode == "RGB"


@pytest.mark.parametrize(("finished", "photo"), GOOD.items())
def test_the_edit_can_be_seen_a_new_backdrop_where_the_old_one_was(demo: Demo, finished: str, photo: str) -> None:
    before, after = _corner(_upright(demo, photo)), _corner(_finished(demo, finished))
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) > 12


def test_the_turned_watch_stands_upright(demo: Demo) -> None:
    with Image.open(demo.photos / "watch-turned.jpg") as stored:
        assert stored.width > stored.height, "the photo is stored lying"
    assert _finished(demo, "watch-turned.jpg").getexif().get(0x0112, 1) == 1
    # Brought to one size, what was bought is the upright original, and not the same turned any other way.
    size = (90, 120)
    source = _upright(demo, "watch-turned.jpg")
    with Image.open(io.BytesIO(demo.results["upscale"]["watch-turned.jpg"])) as picture:
        bought = picture.convert("L").resize(size)

    def difference(degrees: int) -> float:
        turned = source.rotate(degrees, expand=True).resize(size).convert("L")
        return ImageStat.Stat(ImageChops.difference(turned, bought)).mean[0]

    assert difference(0) < 3 < min(difference(degrees) for degrees in (90, 180, 270))


def test_the_cut_outs_in_the_results_have_a_sensible_share_of_transparency(demo: Demo) -> None:
    cut_outs = demo.results["background-remove"]
    assert len(cut_outs) == 10
    for data in cut_outs.values():
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.mode == "RGBA"
            alpha = picture.getchannel("A").histogram()
        share = sum(alpha[:128]) / sum(alpha)
        assert 0.05 < share < 0.95


def test_the_enlargements_in_the_results_are_twice_as_large(demo: Demo) -> None:
    sizes = sorted(Image.open(io.BytesIO(data)).size for data in demo.results["upscale"].values())
    assert sizes == sorted((2 * w, 2 * h) for w, h in (_upright(demo, photo).size for photo in GOOD.values()))
