"""Finished files: encoded, weighed and stripped as asked, or refused."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw, ImageFilter, JpegImagePlugin, PngImagePlugin

from tests.unit.imaging.conftest import render
from tests.unit.imaging.profiles import DISPLAY_P3, delta_e, matrix_profile, srgb_to_linear
from venice_batch.errors import ItemError
from venice_batch.imaging import Facts, Rendition, probe, writable_formats
from venice_batch.imaging.local_ops import Convert, Crop, Flatten, Format, Operation, Orient, Pad, Resize

Save = Callable[..., Path]
FORMATS: list[Format] = ["JPEG", "PNG", "WEBP", "AVIF"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def secretive(orientation: int = 1) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SecretCamera", orientation
    exif.get_ifd(0x8825)[29] = "2026:01:01"
    xmp = f'<x:xmpmeta tiff:Orientation="{orientation}">SecretXmp</x:xmpmeta>'.encode()
    return {"exif": exif, "xmp": xmp, "comment": b"SecretComment"}


def refused(path: Path, rendition: Rendition) -> str:
    into = path.with_name("refused")
    with pytest.raises(ItemError) as caught:
        render(path, into, rendition)
    assert not into.exists()
    assert caught.value.remedy
    return caught.value.code


# Encoding


@pytest.mark.parametrize("wanted", FORMATS)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.tif", "a.gif", "a.mpo"])
def test_every_format_becomes_every_other(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, wanted: Format
) -> None:
    facts = render(save(picture, name), tmp_path / "out", Rendition(wanted))
    assert (facts.format, facts.size, facts.frames) == (wanted, picture.size, 1)
    assert facts == probe(tmp_path / "out")
    with Image.open(tmp_path / "out") as found:
        corner = found.convert("RGB").getpixel((4, 4))
    assert isinstance(corner, tuple)
    assert delta_e(corner, (255, 0, 0)) < 6


def test_this_machine_writes_all_formats() -> None:
    assert set(writable_formats()) == set(FORMATS)


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_longest_side_only_shrinks(save: Save, picture: Image.Image, tmp_path: Path, wanted: Format) -> None:
    path = save(picture, "a.png")
    assert render(path, tmp_path / "out", Rendition(wanted, max_side=48)).size == (48, 32)
    assert render(path, tmp_path / "out", Rendition(wanted, max_side=480)).size == (96, 64)


def test_a_higher_quality_is_heavier(save: Save, tmp_path: Path) -> None:
    path = save(Image.effect_noise((200, 200), 60), "a.png")
    for wanted in ("JPEG", "WEBP", "AVIF"):
        sizes = [render(path, tmp_path / "out", Rendition(wanted, quality)).bytes for quality in (20, 60, 95)]
        assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(("progressive", "found"), [(None, True), (True, True), (False, False)])
def test_a_new_jpeg_is_progressive_unless_told_otherwise(
    save: Save, picture: Image.Image, tmp_path: Path, *, progressive: bool | None, found: bool
) -> None:
    render(save(picture, "a.png"), tmp_path / "out", Rendition("JPEG", progressive=progressive))
    with Image.open(tmp_path / "out") as image:
        assert bool(image.info.get("progressive")) is found


def test_lossless_means_that_no_pixel_changes(save: Save, tmp_path: Path) -> None:
    noise = Image.effect_noise((90, 60), 90).convert("RGBA")
    noise.putalpha(Image.effect_noise((90, 60), 90))
    for wanted in ("PNG", "WEBP"):
        render(save(noise, "a.tif"), tmp_path / "out", Rendition(wanted, lossless=True))
        with Image.open(tmp_path / "out") as found:
            assert found.convert("RGBA").tobytes() == noise.tobytes()
    render(save(noise.convert("RGB"), "b.png"), tmp_path / "out", Rendition("JPEG", lossless=True))
    with Image.open(tmp_path / "out") as found:
        assert isinstance(found, JpegImagePlugin.JpegImageFile)
        assert JpegImagePlugin.get_sampling(found) == 0


def test_operations_and_rendition_share_one_decoding(save: Save, tmp_path: Path) -> None:
    square: list[Operation] = [Orient(), Crop(ratio=Fraction(1)), Resize(40, 40), Pad(size=(60, 60))]
    path = save(Image.new("RGB", (400, 300), "teal"), "a.jpg", exif=secretive(6)["exif"])
    facts = render(path, tmp_path / "out", Rendition("WEBP", max_side=30), square)
    assert (facts.format, facts.size) == ("WEBP", (30, 30))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jpg", "out"]


def test_a_conversion_before_the_end_is_published_as_it_was_encoded(save: Save, tmp_path: Path) -> None:
    path = save(Image.effect_noise((200, 200), 60).convert("RGB"), "a.png")
    rough = render(path, tmp_path / "rough", Rendition("JPEG", lossless=True), [Convert("JPEG", 10)])
    again = render(path, tmp_path / "again", Rendition("JPEG", 95), [Convert("JPEG", 10)])
    assert rough == again
    assert rough.bytes < render(path, tmp_path / "fine", Rendition("JPEG", 95)).bytes / 3


# Alpha


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_kept_refused_or_laid_on_a_colour_and_never_lost(save: Save, tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (40, 40), 0)
    path = save(image, "a.png", **({"transparency": 0} if mode == "P" else {}))
    for wanted in ("PNG", "WEBP", "AVIF"):
        assert render(path, tmp_path / "out", Rendition(wanted, background=(255, 0, 0))).has_alpha
    assert refused(path, Rendition("JPEG")) == "alpha-lost"
    render(path, tmp_path / "out", Rendition("JPEG", background=(255, 0, 0)))
    with Image.open(tmp_path / "out") as found:
        pixel = found.convert("RGB").getpixel((20, 20))
    assert isinstance(pixel, tuple)
    assert delta_e(pixel, (255, 0, 0)) < 2
    assert not render(path, tmp_path / "out", Rendition("JPEG"), [Flatten()]).has_alpha


def test_an_alpha_channel_that_hides_nothing_is_no_reason_to_refuse(save: Save, tmp_path: Path) -> None:
    path = save(Image.new("RGBA", (40, 40), (1, 2, 3, 255)), "a.png")
    assert render(path, tmp_path / "out", Rendition("JPEG")).format == "JPEG"


# Weight


def busy(seed: int) -> Image.Image:
    """Draw something between a plain product on white and pure noise, of any size, one in four with alpha."""
    chance = random.Random(seed)  # noqa: S311 - pictures, not secrets
    size = (chance.randint(40, 420), chance.randint(40, 420))
    image = Image.new("RGB", size, chance.choice(["white", "teal", "black"]))
    draw = ImageDraw.Draw(image)
    for _ in range(chance.randint(0, 40)):
        x, y = chance.randint(0, size[0]), chance.randint(0, size[1])
        colour = tuple(chance.randint(0, 255) for _ in range(3))
        draw.ellipse((x, y, x + chance.randint(1, 150), y + chance.randint(1, 150)), fill=colour)
    noise = Image.effect_noise(size, chance.choice([1, 30, 120])).filter(ImageFilter.GaussianBlur(chance.randint(0, 2)))
    image = Image.blend(image, noise.convert("RGB"), chance.choice([0.0, 0.2, 0.9]))
    if chance.random() < 0.25:
        image.putalpha(noise)
    return image


def rendered_or_refused(path: Path, into: Path, rendition: Rendition) -> Facts | None:
    try:
        return render(path, into, rendition)
    except ItemError as error:
        if error.code != "too-heavy":
            raise
    return None


@pytest.mark.slow
@pytest.mark.parametrize("wanted", FORMATS)
def test_a_byte_limit_is_met_or_refused_for_fifty_random_pictures(save: Save, tmp_path: Path, wanted: Format) -> None:
    met = 0
    for seed in range(50):
        chance = random.Random(-seed)  # noqa: S311 - limits, not secrets
        path, limit = save(busy(seed), "a.png"), int(10 ** chance.uniform(2.3, 4.7))
        facts = rendered_or_refused(
            path, tmp_path / "out", Rendition(wanted, max_bytes=limit, background=(255, 255, 255))
        )
        if facts is None:
            assert not (tmp_path / "out").exists()
            continue
        met += 1
        original = probe(path)
        assert facts.bytes == (tmp_path / "out").stat().st_size <= limit
        assert facts.has_alpha == (original.has_alpha and wanted != "JPEG")
        assert facts.max_side * 4 >= original.max_side
        assert abs(facts.aspect_ratio / original.aspect_ratio - 1) <= 1.5 / facts.min_side
        (tmp_path / "out").unlink()
    assert 15 <= met < 50


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["JPEG", "WEBP", "AVIF"])
def test_quality_gives_way_before_size_and_no_more_than_needed(save: Save, tmp_path: Path, wanted: Format) -> None:
    path = save(busy(11).resize((300, 300)).convert("RGB"), "a.png")
    by_quality = {
        quality: render(path, tmp_path / "out", Rendition(wanted, quality)).bytes for quality in range(50, 91)
    }
    limit = by_quality[70] + 1
    facts = render(path, tmp_path / "out", Rendition(wanted, 90, max_bytes=limit))
    assert facts.size == (300, 300)
    assert by_quality[66] <= facts.bytes <= limit


def test_what_fits_keeps_the_quality_that_was_asked_for(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.png")
    free = render(path, tmp_path / "free", Rendition("JPEG", 92))
    render(path, tmp_path / "bound", Rendition("JPEG", 92, max_bytes=free.bytes))
    assert (tmp_path / "bound").read_bytes() == (tmp_path / "free").read_bytes()


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_weight_that_cannot_be_reached_is_refused(save: Save, wanted: Format) -> None:
    path = save(Image.effect_noise((300, 300), 120).convert("RGB"), "a.png")
    assert refused(path, Rendition(wanted, max_bytes=300)) == "too-heavy"
    assert refused(save(Image.new("RGB", (1, 1)), "b.png"), Rendition(wanted, max_bytes=10)) == "too-heavy"


def test_a_strip_that_no_webp_can_hold_is_refused_until_it_is_shrunk(save: Save, tmp_path: Path) -> None:
    path = save(Image.new("L", (20_000, 200), 90), "a.png")
    assert refused(path, Rendition("WEBP")) == "too-large"
    assert render(path, tmp_path / "out", Rendition("WEBP", max_side=2000)).size == (2000, 20)
    assert render(path, tmp_path / "out", Rendition("JPEG")).size == (20_000, 200)


# What is kept, byte for byte


@pytest.mark.parametrize(
    ("name", "wanted"), [("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP"), ("a.avif", "AVIF")]
)
@pytest.mark.parametrize("tagged", [False, True])
def test_a_file_that_is_as_asked_keeps_every_byte(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, wanted: Format, *, tagged: bool
) -> None:
    path = save(picture, name, **({"icc_profile": SRGB} if tagged else {}))
    rendition = Rendition(wanted, max_side=96, max_bytes=path.stat().st_size)
    render(path, tmp_path / "out", rendition)
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("name", "wanted"), [("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP")])
def test_metadata_is_taken_out_without_touching_the_pixels(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, wanted: Format
) -> None:
    more = secretive() if name == "a.jpg" else {key: secretive()[key] for key in ("exif", "xmp")}
    path = save(picture, name, icc_profile=SRGB, quality=60, **more)
    plain = save(picture, f"plain-{name}", icc_profile=SRGB, quality=60)
    assert b"Secret" in path.read_bytes()
    render(path, tmp_path / "out", Rendition(wanted))
    written = (tmp_path / "out").read_bytes()
    assert b"Secret" not in written
    with Image.open(tmp_path / "out") as found, Image.open(plain) as original:
        assert found.tobytes() == original.tobytes()
        assert found.info.get("icc_profile") == SRGB
        assert not {"exif", "xmp", "comment"} & set(found.info)
    if name == "a.webp":
        assert written[20] & 0b1100 == 0, "the header announces EXIF or XMP that is not there"


def test_what_a_phone_appends_to_a_jpeg_is_not_published(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.jpg", progressive=True)
    whole = path.read_bytes()
    path.write_bytes(whole + b"SecretVideo\xff\xd9")
    render(path, tmp_path / "out", Rendition("JPEG"))
    assert (tmp_path / "out").read_bytes() == whole


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
@pytest.mark.parametrize("wanted", FORMATS)
def test_encoded_anew_only_the_profile_is_left_and_it_is_srgb(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, wanted: Format
) -> None:
    more = secretive(6) if name == "a.jpg" else {key: secretive(6)[key] for key in ("exif", "xmp")}
    wide = matrix_profile("Wide", DISPLAY_P3, srgb_to_linear)
    facts = render(save(picture, name, icc_profile=wide, **more), tmp_path / "out", Rendition(wanted))
    assert (facts.size, facts.orientation) == ((64, 96), 1)
    assert b"Secret" not in (tmp_path / "out").read_bytes()
    with Image.open(tmp_path / "out") as found:
        profile = found.info["icc_profile"]
        assert b"s\0R\0G\0B" in profile
        assert not {"exif", "xmp", "comment"} & {key for key, value in found.info.items() if value}


@pytest.mark.parametrize(("name", "wanted"), [("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP")])
def test_a_file_in_other_colours_is_not_taken_over(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, wanted: Format
) -> None:
    path = save(picture, name, icc_profile=matrix_profile("Wide", DISPLAY_P3, srgb_to_linear))
    render(path, tmp_path / "out", Rendition(wanted))
    with Image.open(tmp_path / "out") as found:
        assert b"Wide" not in found.info["icc_profile"]


def test_a_picture_without_a_profile_gets_none(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    render(save(picture, "a.png"), tmp_path / "out", Rendition("JPEG"))
    with Image.open(tmp_path / "out") as found:
        assert "icc_profile" not in found.info


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("wanted", FORMATS)
def test_metadata_that_is_kept_says_that_the_picture_is_upright(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, wanted: Format
) -> None:
    more = secretive(6)
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", more["xmp"].decode())
    path = save(picture, name, exif=more["exif"], xmp=more["xmp"], pnginfo=chunks)
    facts = render(path, tmp_path / "out", Rendition(wanted, keep_metadata=True))
    assert (facts.size, facts.orientation) == ((64, 96), 1)
    written = (tmp_path / "out").read_bytes()
    assert b"SecretCamera" in written
    with Image.open(tmp_path / "out") as found:
        assert found.getexif().get_ifd(0x8825)[29] == "2026:01:01"
        xmp = found.info.get("xmp", found.info.get("XML:com.adobe.xmp", b""))
    assert "SecretXmp" in str(xmp)
    assert 'Orientation="1"' in str(xmp)


def test_metadata_that_is_kept_leaves_a_file_as_it_is(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.jpg", **secretive())
    render(path, tmp_path / "out", Rendition("JPEG", keep_metadata=True))
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("quality", "copied"), [(95, True), (80, True), (79, False), (40, False), (None, True)])
def test_a_jpeg_is_encoded_anew_only_for_less_quality_than_it_has(
    save: Save, tmp_path: Path, quality: int | None, *, copied: bool
) -> None:
    path = save(Image.effect_noise((90, 60), 60).convert("RGB"), "a.jpg", quality=80)
    facts = render(path, tmp_path / "out", Rendition("JPEG", quality))
    assert ((tmp_path / "out").read_bytes() == path.read_bytes()) is copied
    assert facts.bytes <= path.stat().st_size


@pytest.mark.parametrize(
    "rendition",
    [
        Rendition("JPEG", progressive=True),
        Rendition("JPEG", max_side=95),
        Rendition("JPEG", max_bytes=800),
        Rendition("PNG"),
    ],
)
def test_what_is_not_as_asked_is_encoded_anew(
    save: Save, picture: Image.Image, tmp_path: Path, rendition: Rendition
) -> None:
    path = save(picture, "a.jpg", quality=95)
    render(path, tmp_path / "out", rendition)
    assert (tmp_path / "out").read_bytes() != path.read_bytes()


def test_a_truncated_file_is_not_taken_over(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.png")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ItemError, match="damaged"):
        render(path, tmp_path / "out", Rendition("PNG"))
    assert not (tmp_path / "out").exists()


def test_the_same_picture_gives_the_same_bytes(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.tif", icc_profile=matrix_profile("Wide", DISPLAY_P3, srgb_to_linear))
    for wanted in FORMATS:
        for name in ("first", "second"):
            render(path, tmp_path / name, Rendition(wanted, max_bytes=1500, max_side=64))
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize("quality", [85, 92, 98, 100])
def test_a_jpeg_of_pure_grain_is_written_too(save: Save, tmp_path: Path, quality: int, *, progressive: bool) -> None:
    grain = Image.frombytes("RGB", (500, 400), hashlib.shake_256(b"grain").digest(500 * 400 * 3))
    facts = render(save(grain, "a.png"), tmp_path / "out", Rendition("JPEG", quality=quality, progressive=progressive))
    assert (facts.format, facts.size) == ("JPEG", (500, 400))


def test_a_jpeg_of_pure_grain_meets_its_weight(save: Save, tmp_path: Path) -> None:
    grain = Image.frombytes("RGB", (300, 300), hashlib.shake_256(b"grain").digest(300 * 300 * 3))
    facts = render(save(grain, "a.png"), tmp_path / "out", Rendition("JPEG", max_bytes=40_000))
    assert facts.bytes <= 40_000


def test_nothing_but_the_picture_of_a_webp_is_published(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.webp")
    content = path.read_bytes()
    secret = b"C2PA" + (10).to_bytes(4, "little") + b"SecretMark"
    grown = (len(content) - 8 + len(secret)).to_bytes(4, "little")
    path.write_bytes(content[:4] + grown + content[8:] + secret + b"SecretTail" * 3)
    render(path, tmp_path / "out", Rendition("WEBP"))
    assert (tmp_path / "out").read_bytes() == content
