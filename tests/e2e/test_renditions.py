"""Several finished files of every item, and presets, with the installed command."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from tests.e2e.conftest import CUT, Work

FILES = [
    {"format": "jpeg", "quality": 88, "max_bytes": "50KB", "background": "white"},
    {"suffix": "-thumb", "format": "webp", "max_side": 64},
]


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_every_item_gets_all_its_files_and_no_call_is_made_for_another_one(work: Work) -> None:
    work.draw("x/a.jpg", "b.jpg")
    work.write(CUT, output={"path": "finished", "renditions": FILES})
    assert work.run().code == 0
    first = work.outputs()
    assert sorted(first) == ["b-thumb.webp", "b.jpg", "x/a-thumb.webp", "x/a.jpg"]
    assert opened(first["b.jpg"]).getpixel((0, 0)) == (255, 255, 255)
    assert opened(first["b-thumb.webp"]).size == (64, 48)
    # One that is gone, a changed one, and one more: all of it from what was bought.
    (work.finished / "x" / "a-thumb.webp").unlink()
    assert work.run().code == 0
    assert work.outputs() == first
    more = [FILES[0], {**FILES[1], "max_side": 32}, {"suffix": "-raw", "format": "png"}]
    work.write(CUT, output={"path": "finished", "renditions": more})
    assert work.run().code == 0
    last = work.outputs()
    assert sorted(last) == ["b-raw.png", "b-thumb.webp", "b.jpg", "x/a-raw.png", "x/a-thumb.webp", "x/a.jpg"]
    assert opened(last["b-thumb.webp"]).size == (32, 24)
    assert last["b.jpg"] == first["b.jpg"]
    assert len(work.vendor.paid()) == 2


def test_a_strangers_file_fails_its_item_and_what_was_put_before_it_stays_ours(work: Work) -> None:
    work.draw("a.jpg")
    work.finished.mkdir()
    (work.finished / "a-thumb.webp").write_bytes(b"theirs")
    work.write(CUT, output={"path": "finished", "renditions": FILES})
    ended = work.run()
    assert ended.code == 3
    assert "a-thumb.webp is in the output already" in ended.err
    (work.finished / "a-thumb.webp").unlink()
    work.write(CUT, output={"path": "finished", "renditions": [{**FILES[0], "quality": 60}, FILES[1]]})
    assert work.run().code == 0, "the JPEG of the first run is replaced, as it is this job's own"
    assert sorted(work.outputs()) == ["a-thumb.webp", "a.jpg"]
    assert len(work.vendor.paid()) == 1


def test_a_preset_is_shown_and_makes_what_the_shop_asks_for(work: Work) -> None:
    shown = work.venice("presets", "amazon-main")
    assert shown.code == 0
    assert "- pad: {aspect_ratio: '1:1', margin: 5%, color: white}" in shown.out
    listed = work.venice("presets", "--json").json
    assert [preset["name"] for preset in listed] == ["amazon-main", "shopify-product", "ebay", "etsy"]
    assert "did you mean ebay?" in work.venice("presets", "eBay").err
    work.draw("a.jpg")
    work.write(CUT, preset="amazon-main")
    assert work.run().code == 0
    (name,) = work.outputs()
    finished = opened(work.outputs()[name])
    assert (Path(name).suffix, finished.format, finished.mode) == (".jpg", "JPEG", "RGB")
    assert finished.width == finished.height
    corners = [finished.getpixel((x, y)) for x in (0, finished.width - 1) for y in (0, finished.height - 1)]
    assert set(corners) == {(255, 255, 255)}
