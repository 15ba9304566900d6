from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter

from venice_batch.errors import ItemError
from venice_batch.imaging import probe
from venice_batch.steps.answer_checks.expectations import Expect
from venice_batch.steps.answer_checks.fact_checks import fact_flags
from venice_batch.steps.answer_checks.pixel_checks import pixel_flags, sharpness
from venice_batch.steps.answer_checks.verdict import FLAGS, Verdict, check_answer

Save = Callable[..., Path]
ANYTHING = Expect()


def verdict(path: Path, content_type: str | None, expect: Expect = ANYTHING) -> Verdict:
    stored = {"content_type": content_type, "expect": expect.to_json(), "blurred": False, "violation": False}
    return check_answer(path, stored)


def flags(path: Path, content_type: str | None, expect: Expect = ANYTHING) -> tuple[str, ...]:
    return verdict(path, content_type, expect).flags


def reason(path: Path, content_type: str | None) -> str:
    found = verdict(path, content_type)
    assert found.facts is None
    assert found.reason.isprintable()
    return found.reason


@pytest.fixture
def cut_out(picture: Image.Image) -> Image.Image:
    image = picture.convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 96, 10))
    return image


def test_a_whole_picture_as_promised_is_accepted(save: Save, cut_out: Image.Image) -> None:
    path = save(cut_out, "a.png")
    assert verdict(path, "image/png", Expect(size=(96, 64), alpha=True)) == Verdict(probe(path))


@pytest.mark.parametrize(
    ("name", "label"),
    [("a.png", "image/PNG; charset=binary"), ("a.jpg", "image/jpeg"), ("a.jpg", "image/jpg"), ("a.webp", "image/webp")],
)
def test_a_label_that_names_the_format_is_believed(save: Save, picture: Image.Image, name: str, label: str) -> None:
    assert flags(save(picture, name), label) == ()


@pytest.mark.parametrize("label", [None, "", "application/octet-stream"])
def test_a_label_that_claims_nothing_is_no_contradiction(save: Save, picture: Image.Image, label: str | None) -> None:
    assert flags(save(picture, "a.png"), label) == ()


@pytest.mark.parametrize("label", ["image/jpeg", "image/webp", "image/heic", "text/html"])
def test_a_picture_labelled_as_something_else_is_flagged(save: Save, picture: Image.Image, label: str) -> None:
    assert flags(save(picture, "a.png"), label) == ("wrong-type",)


def test_a_jpeg_with_a_second_picture_inside_is_a_jpeg(save: Save, picture: Image.Image) -> None:
    path = save(picture, "a.mpo", save_all=True, append_images=[picture])
    assert flags(path, "image/jpeg") == ()


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (b"<!doctype html><title>\x1b[31m502 Bad Gateway</title>", "text/html"),
        (b'{"error": "Inference failed"}', "application/json"),
        (b"<html>", "image/png"),
        (b"\x00" * 500, "image/png"),
    ],
)
def test_what_is_no_picture_is_refused_whatever_its_label(tmp_path: Path, body: bytes, label: str) -> None:
    (tmp_path / "answer").write_bytes(body)
    assert label in reason(tmp_path / "answer", label)


def test_an_empty_answer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "answer").touch()
    assert "no bytes" in reason(tmp_path / "answer", "image/png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("missing", [1, 2, 5, 100])
def test_a_truncated_picture_is_refused(save: Save, picture: Image.Image, name: str, missing: int) -> None:
    path = save(picture, name)
    path.write_bytes(path.read_bytes()[:-missing])
    assert "damaged" in reason(path, None)


def test_a_hostile_label_cannot_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(b"no")
    assert "\\x1b" in reason(tmp_path / "answer", "text/\x1b[2Jhtml")


@pytest.mark.parametrize(("off", "expected"), [(0, ()), (2, ()), (-2, ()), (3, ("wrong-size",)), (-3, ("wrong-size",))])
def test_a_size_may_be_off_by_two_pixels_and_no_more(
    save: Save, picture: Image.Image, off: int, expected: tuple[str, ...]
) -> None:
    path = save(picture, "a.png")
    assert flags(path, None, Expect(size=(96 + off, 64))) == expected
    assert flags(path, None, Expect(size=(96, 64 + off))) == expected


def test_the_size_is_compared_as_the_picture_is_seen(save: Save, picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert flags(save(picture, "a.jpg", exif=exif), None, Expect(size=(64, 96))) == ()


def test_a_missing_alpha_channel_is_flagged_where_one_is_promised(save: Save, picture: Image.Image) -> None:
    assert flags(save(picture, "a.png"), None, Expect(alpha=True)) == ("no-alpha",)


@pytest.mark.parametrize(
    ("mode", "colour"),
    [
        ("RGB", "white"),
        ("L", 0),
        ("RGBA", (1, 2, 3, 255)),
        ("RGBA", (1, 2, 3, 90)),
        ("LA", (5, 0)),
        ("P", 0),
        ("I;16", 9),
    ],
)
def test_one_colour_throughout_is_blank(save: Save, mode: str, colour: str | int | tuple[int, ...]) -> None:
    assert flags(save(Image.new(mode, (80, 60), colour), "a.png"), None) == ("blank",)


def test_a_picture_hidden_by_full_transparency_is_blank(save: Save, picture: Image.Image) -> None:
    hidden = picture.convert("RGBA")
    hidden.putalpha(0)
    assert flags(save(hidden, "a.png"), None) == ("blank",)


def test_a_palette_of_equal_colours_is_blank(save: Save) -> None:
    image = Image.new("P", (80, 60), 0)
    image.putpalette([7, 7, 7, 7, 7, 7, 9, 9, 9])
    image.paste(1, (0, 0, 10, 10))
    assert flags(save(image, "a.png"), None) == ("blank",)


def test_what_is_nearly_one_colour_is_blank_too(save: Save) -> None:
    grain = Image.effect_noise((800, 600), 1).convert("RGB")
    assert flags(save(grain, "a.jpg", quality=60), None) == ("blank",)
    assert flags(save(grain, "a.jpg", quality=60), None, Expect(not_blank=False)) == ()
    for mode, colour, other in (("RGB", (5, 5, 5), (5, 5, 6)), ("RGBA", (5, 5, 5, 255), (5, 5, 5, 254)), ("L", 9, 10)):
        image = Image.new(mode, (800, 600), colour)
        image.putpixel((501, 299), other)
        assert flags(save(image, "a.png"), None) == ("blank",)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
def test_a_small_thing_on_a_plain_ground_is_not_blank(save: Save, mode: str) -> None:
    image = Image.new("RGB", (2000, 1500), (246, 246, 244))
    image.paste((225, 225, 222), (1000, 700, 1024, 724))
    assert flags(save(image.convert(mode), "a.tif"), None) == ()


def test_one_colour_is_not_blank_where_its_outline_shows(save: Save) -> None:
    shirt = Image.new("RGBA", (400, 400), (255, 255, 255, 0))
    shirt.paste((255, 255, 255, 255), (100, 100, 300, 300))
    assert flags(save(shirt, "a.png"), None) == ()


def test_every_flag_is_raised_at_once(save: Save) -> None:
    path = save(Image.new("RGB", (50, 50)), "a.png")
    assert flags(path, "image/jpeg", Expect(size=(60, 50), alpha=True)) == (
        "wrong-type",
        "wrong-size",
        "no-alpha",
        "blank",
    )


def test_a_file_that_is_not_there_says_nothing_about_the_answer(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        verdict(tmp_path / "gone", "image/png")
    assert caught.value.code == "unreadable"


# What the user asks for


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Expect(min_width=96, min_height=64, min_side=64), ()),
        (Expect(min_width=97), ("too-small",)),
        (Expect(min_height=65), ("too-small",)),
        (Expect(min_side=65), ("too-small",)),
        (Expect(aspect_ratio=1.5), ()),
        (Expect(aspect_ratio=1.5 * 1.03, aspect_within=0.05), ()),
        (Expect(aspect_ratio=1.5 * 1.08, aspect_within=0.05), ("wrong-aspect",)),
        (Expect(aspect_ratio=2 / 3, aspect_within=0.05), ("wrong-aspect",)),
    ],
)
def test_size_and_shape_are_held_against_what_was_asked_for(
    save: Save, picture: Image.Image, asked: Expect, expected: tuple[str, ...]
) -> None:
    assert flags(save(picture, "a.png"), None, asked) == expected


def test_a_cut_out_is_checked_by_how_much_of_it_is_opaque(save: Save) -> None:
    expect = Expect(alpha=True, opaque_between=(0.25, 0.75))
    for share, expected in ((0, ("empty-cutout",)), (60, ("empty-cutout",)), (130, ()), (200, ("full-cutout",))):
        image = Image.effect_noise((100, 100), 80).convert("RGBA")
        image.putalpha(share)
        assert flags(save(image, "a.png"), None, expect) == expected
    opaque = save(Image.effect_noise((100, 100), 80), "b.png")
    assert flags(opaque, None, expect) == ("no-alpha", "full-cutout")


def photo(side: int = 1400) -> Image.Image:
    """Draw shapes with hard edges and some grain."""
    image = Image.effect_noise((side, side), 12).convert("RGB")
    draw = ImageDraw.Draw(image)
    for step in range(0, side, side // 12):
        draw.line((step, 0, side - step, side), fill=(20, 20, 30), width=side // 150)
        draw.ellipse((step, step // 2, step + side // 5, step // 2 + side // 5), outline=(240, 240, 250), width=4)
    return image


@pytest.mark.slow
def test_a_blurred_picture_is_less_sharp_whatever_its_size(save: Save) -> None:
    for side in (400, 1400, 3000):
        sharp = photo(side)
        measured = [sharpness(sharp.filter(ImageFilter.GaussianBlur(side * radius))) for radius in (0, 0.002, 0.008)]
        assert measured == sorted(measured, reverse=True)
        assert measured[0] > 30
        assert measured[-1] < 10
    assert flags(save(photo(), "a.png"), None, Expect(min_sharpness=30)) == ()
    soft = photo().filter(ImageFilter.GaussianBlur(11))
    assert flags(save(soft, "b.png"), None, Expect(min_sharpness=10)) == ("soft",)


def test_a_plain_ground_does_not_make_a_product_soft() -> None:
    alone = Image.new("RGB", (1400, 1400), "white")
    alone.paste(photo(200), (600, 600))
    assert sharpness(alone) > 30


def test_the_rim_of_a_cut_out_is_no_sharpness() -> None:
    soft = photo().filter(ImageFilter.GaussianBlur(11)).convert("RGBA")
    alpha = Image.new("L", soft.size, 0)
    ImageDraw.Draw(alpha).ellipse((500, 500, 800, 800), fill=255)
    hidden = Image.new("RGBA", soft.size, (255, 255, 255, 0))
    hidden.paste(soft, (0, 0), alpha)
    hidden.putalpha(alpha)
    assert 0 < sharpness(hidden) < 10
    assert sharpness(Image.new("RGBA", (90, 90), (1, 2, 3, 0))) == 0
    assert sharpness(Image.new("RGB", (2, 2), "red")) == 0


def test_every_flag_is_explained_in_the_order_of_the_checks(save: Save, picture: Image.Image) -> None:
    facts, in_pixels = pixel_flags(save(picture, "a.png"), ANYTHING)
    assert ["blocked", "blurred", *fact_flags(facts, "", ANYTHING), *in_pixels] == list(FLAGS)


def test_the_checks_are_imported_without_pillow() -> None:
    code = "import sys, venice_batch.steps.answer_checks.verdict; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
