from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import ItemError
from pipeline.imaging import Expect, NotAPicture, judge, probe

Save = Callable[..., Path]
ANYTHING = Expect()


def flags(path: Path, content_type: str | None, expect: Expect = ANYTHING) -> tuple[str, ...]:
    return judge(path, content_type=content_type, expect=expect).flags


def reason(path: Path, content_type: str | None) -> str:
    with pytest.raises(NotAPicture) as caught:
        judge(path, content_type=content_type, expect=ANYTHING)
    assert caught.value.reason.isprintable()
    return caught.value.reason


@pytest.fixture
def cut_out(picture: Image.Image) -> Image.Image:
    image = picture.convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 96, 10))
    return image


def test_a_whole_picture_as_promised_is_accepted(save: Save, cut_out: Image.Image) -> None:
    path = save(cut_out, "a.png")
    verdict = judge(path, content_type="image/png", expect=Expect(size=(96, 64), alpha=True))
    assert (verdict.flags, verdict.accepted, verdict.facts) == ((), True, probe(path))


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


def test_one_pixel_that_differs_is_not_blank(save: Save) -> None:
    for mode, colour, other in (("RGB", (5, 5, 5), (5, 5, 6)), ("RGBA", (5, 5, 5, 255), (5, 5, 5, 254)), ("L", 9, 10)):
        image = Image.new(mode, (800, 600), colour)
        image.putpixel((501, 299), other)
        assert flags(save(image, "a.png"), None) == ()


def test_every_flag_is_told_at_once(save: Save) -> None:
    path = save(Image.new("RGB", (50, 50)), "a.png")
    assert flags(path, "image/jpeg", Expect(size=(60, 50), alpha=True)) == (
        "wrong-type",
        "wrong-size",
        "no-alpha",
        "blank",
    )


def test_a_file_that_is_not_there_says_nothing_about_the_answer(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        judge(tmp_path / "gone", content_type="image/png", expect=ANYTHING)
    assert caught.value.code == "unreadable"
