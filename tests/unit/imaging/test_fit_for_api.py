from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw, JpegImagePlugin

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts, Limits, convert, fitted_size, needs, oriented, prepare, probe

Save = Callable[..., Path]
UPRIGHT = ("red", "green", "blue", "white")
#: How the file has to be stored so that each EXIF orientation shows the picture upright.
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def corners(path: Path) -> tuple[str, ...]:
    """Name the colours seen in the four corners: top left, top right, bottom left, bottom right."""
    with Image.open(path) as image:
        w, h = image.size
    seen = [pixel(path, x, y) for x, y in ((2, 2), (w - 3, 2), (2, h - 3), (w - 3, h - 3))]
    return tuple(next((name for name in COLOURS if near(found, COLOURS[name], by=40)), str(found)) for found in seen)


def lying(picture: Image.Image, orientation: int) -> tuple[Image.Image, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return (picture.transpose(STORED_AS[orientation]) if orientation in STORED_AS else picture), exif


def pixel(path: Path, x: int, y: int, mode: str = "RGB") -> tuple[int, ...]:
    with Image.open(path) as image:
        found = image.convert(mode).getpixel((x, y))
    return found if isinstance(found, tuple) else (int(found or 0),)


def near(found: tuple[int, ...], wanted: tuple[int, ...], by: int = 6) -> bool:
    return len(found) == len(wanted) and all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channel = Image.frombytes("L", (width, height), random.Random(7).randbytes(width * height))  # noqa: S311  # noise
    turned = (
        channel,
        channel.transpose(Image.Transpose.ROTATE_180),
        channel.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    )
    image = Image.merge("RGB", turned).convert(mode)
    if mode == "RGBA":
        image.putalpha(channel)
    return image


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, orientation: int
) -> None:
    stored, exif = lying(picture, orientation)
    facts = prepare(save(stored, name, exif=exif), tmp_path / "out", limits=Limits())
    assert (facts.size, facts.orientation) == ((96, 64), 1)
    assert corners(tmp_path / "out") == UPRIGHT


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_stay_as_stored_when_turning_is_not_wanted(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, orientation: int
) -> None:
    stored, exif = lying(picture, orientation)
    facts = prepare(save(stored, name, exif=exif), tmp_path / "out", limits=Limits(), orient=False)
    assert facts.size == stored.size
    assert corners(tmp_path / "out") == corners(save(stored, "plain.png"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_and_shrunk_picture_has_the_predicted_size(
    save: Save, picture: Image.Image, tmp_path: Path, orientation: int
) -> None:
    stored, exif = lying(picture.resize((970, 610)), orientation)
    path, limits = save(stored, "a.jpg", exif=exif), Limits(max_pixels=20_000)
    predicted = fitted_size(oriented(probe(path)).size, limits)
    assert prepare(path, tmp_path / "out", limits=limits).size == predicted == (178, 112)
    assert corners(tmp_path / "out") == UPRIGHT


def test_cmyk_becomes_srgb(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    facts = prepare(save(picture.convert("CMYK"), "a.jpg"), tmp_path / "out", limits=Limits())
    assert (facts.mode, facts.format) == ("RGB", "JPEG")
    assert corners(tmp_path / "out") == UPRIGHT


def test_an_embedded_profile_is_converted_to_srgb(save: Save, tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    grey_in_lab = Image.new("LAB", (300, 300), (128, 128, 128))
    path = save(grey_in_lab, "a.tif", icc_profile=lab)
    prepare(path, tmp_path / "out", limits=Limits())
    # L = 50 % is a mid grey of about 119 in sRGB.
    assert near(pixel(tmp_path / "out", 9, 9), (119, 119, 119))


def rotated_primaries() -> bytes:
    """Make an RGB profile whose red is sRGB's green and so on, by moving tags in a copy of the sRGB profile."""
    whole = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    moves = {b"rXYZ": b"gXYZ", b"gXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
    count = int.from_bytes(whole[128:132], "big")
    for at in range(132, 132 + 12 * count, 12):
        whole[at : at + 4] = moves.get(bytes(whole[at : at + 4]), whole[at : at + 4])
    return bytes(whole).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_profile_not_the_numbers_decides_the_colour(save: Save, tmp_path: Path, mode: str) -> None:
    path = save(Image.new(mode, (300, 300), "red"), "a.png", icc_profile=rotated_primaries())
    facts = prepare(path, tmp_path / "out", limits=Limits())
    assert facts.mode == mode
    assert near(pixel(tmp_path / "out", 9, 9), (0, 0, 255))


def test_a_damaged_profile_is_ignored(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    prepare(save(picture, "a.png", icc_profile=b"no profile at all"), tmp_path / "out", limits=Limits())
    assert corners(tmp_path / "out") == UPRIGHT


def test_sixteen_bit_grey_is_scaled_not_clipped(save: Save, tmp_path: Path) -> None:
    deep = Image.new("I;16", (300, 300), 0x8000)
    # Pixel by pixel: filling a rectangle writes the low byte only.
    deep.putpixel((5, 5), 0x4000)
    deep.putpixel((295, 295), 0xFFFF)
    deep.putpixel((280, 280), 0xFF00)
    for name in ("a.png", "a.tif"):
        facts = prepare(save(deep, name), tmp_path / "out", limits=Limits())
        assert facts.mode == "L"
        assert [pixel(tmp_path / "out", at, at, "L") for at in (5, 150, 280, 295)] == [(64,), (128,), (254,), (255,)]


@pytest.mark.parametrize(("value", "level"), [(0.5, 128), (100.0, 100), (65535.0, 255)])
def test_float_pictures_are_scaled_by_the_range_they_use(save: Save, tmp_path: Path, value: float, level: int) -> None:
    prepare(save(Image.new("F", (300, 300), value), "a.tif"), tmp_path / "out", limits=Limits())
    assert pixel(tmp_path / "out", 9, 9, "L") == (level,)


def test_a_palette_keeps_its_colours_and_its_transparency(save: Save, tmp_path: Path) -> None:
    image = Image.new("P", (300, 300), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (0, 0, 100, 100))
    facts = prepare(save(image, "a.png", transparency=0), tmp_path / "out", limits=Limits())
    assert (facts.mode, facts.format) == ("RGBA", "PNG")
    assert pixel(tmp_path / "out", 50, 50, "RGBA") == (200, 100, 50, 255)
    assert pixel(tmp_path / "out", 200, 200, "RGBA")[3] == 0


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_colour_declared_transparent_becomes_alpha(save: Save, tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (300, 300), "white")
    image.paste("black", (0, 0, 100, 100))
    clear = {"1": 255, "L": 255, "RGB": (255, 255, 255)}[mode]
    facts = prepare(save(image, "a.png", transparency=clear), tmp_path / "out", limits=Limits())
    assert facts.has_alpha
    assert pixel(tmp_path / "out", 50, 50, "RGBA") == (0, 0, 0, 255)
    assert pixel(tmp_path / "out", 200, 200, "RGBA")[3] == 0


def test_grey_with_alpha_stays_grey_with_alpha(save: Save, tmp_path: Path) -> None:
    facts = prepare(save(Image.new("LA", (300, 300), (77, 128)), "a.png"), tmp_path / "out", limits=Limits())
    assert facts.mode == "LA"
    assert pixel(tmp_path / "out", 9, 9, "LA") == (77, 128)


def test_hidden_colours_do_not_bleed_into_the_rim_when_shrinking(save: Save, tmp_path: Path) -> None:
    image = Image.new("RGBA", (400, 400), (0, 255, 0, 0))
    ImageDraw.Draw(image).rectangle((101, 101, 299, 299), fill=(255, 0, 0, 255))
    prepare(save(image, "a.png"), tmp_path / "out", limits=Limits(max_pixels=10_000))
    with Image.open(tmp_path / "out") as small:
        assert small.size == (100, 100)
        visible = {
            found[:3] for _, found in small.getcolors(10_000) or [] if isinstance(found, tuple) and found[3] > 20
        }
    assert all(near(colour, (255, 0, 0), by=20) for colour in visible)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_gives_its_first_picture(save: Save, picture: Image.Image, tmp_path: Path, name: str) -> None:
    path = save(picture, name, save_all=True, append_images=[Image.new("RGB", picture.size, "blue")])
    facts = prepare(path, tmp_path / "out", limits=Limits())
    assert (facts.frames, needs(facts, Limits())) == (1, ())
    assert corners(tmp_path / "out") == UPRIGHT


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {"progressive": True}), ("a.mpo", {"save_all": True})])
def test_unusual_jpegs_are_read(
    save: Save, picture: Image.Image, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    more = {"append_images": [Image.new("RGB", picture.size, "blue")]} if name == "a.mpo" else {}
    facts = prepare(save(picture, name, quality=95, **options, **more), tmp_path / "out", limits=Limits())
    assert (facts.format, facts.frames) == ("JPEG", 1)
    assert corners(tmp_path / "out") == UPRIGHT


def test_lossless_input_stays_lossless(save: Save, tmp_path: Path) -> None:
    image = noise(120, 90)
    for name, options in (("a.png", {}), ("a.bmp", {}), ("a.tif", {}), ("a.webp", {"lossless": True})):
        facts = prepare(save(image, name, **options), tmp_path / "out", limits=Limits())
        with Image.open(tmp_path / "out") as found:
            assert (facts.format, found.tobytes() == image.tobytes()) == ("PNG", True), name


def test_lossy_input_becomes_a_jpeg_with_full_colour_resolution(save: Save, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.webp", "a.avif"):
        assert prepare(save(noise(120, 90), name), tmp_path / "out", limits=Limits()).format == "JPEG"
        with Image.open(tmp_path / "out") as found:
            assert isinstance(found, JpegImagePlugin.JpegImageFile)
            assert JpegImagePlugin.get_sampling(found) == 0


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_no_metadata_leaves_the_house(save: Save, picture: Image.Image, tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SecretCamera", 6
    exif.get_ifd(0x8825)[29] = "2026:01:01"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    extra = {"comment": b"SecretComment"} if name == "a.jpg" else {}
    path = save(picture, name, exif=exif, icc_profile=profile, xmp=b"<x>SecretXmp</x>", dpi=(72, 72), **extra)
    prepare(path, tmp_path / "out", limits=Limits())
    assert b"Secret" in path.read_bytes()
    assert b"Secret" not in (tmp_path / "out").read_bytes()
    with Image.open(tmp_path / "out") as found:
        assert not found.getexif()
        assert not {"icc_profile", "exif", "xmp", "comment", "dpi"} & set(found.info)


def test_a_long_strip_is_fitted(save: Save, tmp_path: Path) -> None:
    path = save(Image.new("RGB", (20_000, 200), "teal"), "a.png")
    assert prepare(path, tmp_path / "out", limits=Limits(max_pixels=1_000_000)).size == (10_000, 100)
    assert prepare(path, tmp_path / "out", limits=Limits(max_bytes=2_000)).bytes < 2_000


@pytest.mark.slow
def test_a_forty_megapixel_photo_fits_the_edit_limit(save: Save, tmp_path: Path) -> None:
    path = save(Image.new("L", (8000, 5000), 120), "a.jpg")
    facts = prepare(path, tmp_path / "out", limits=Limits(65_536, 33_177_600, 25_000_000))
    assert facts.size == (7285, 4553)


def test_one_pixel_is_a_picture_but_too_small_for_the_api(save: Save, tmp_path: Path) -> None:
    path = save(Image.new("RGB", (1, 1)), "a.png")
    assert prepare(path, tmp_path / "out", limits=Limits()).size == (1, 1)
    with pytest.raises(ItemError) as caught:
        prepare(path, tmp_path / "small", limits=Limits(min_pixels=65_536))
    assert caught.value.code == "too-small"
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(
    ("mode", "max_bytes", "expected"),
    [
        ("RGB", 200_000, ("PNG", (200, 200))),
        ("RGB", 90_000, ("JPEG", (200, 200))),
        ("RGB", 20_000, ("JPEG", None)),
        ("RGBA", 40_000, ("WEBP", None)),
    ],
)
def test_a_heavy_file_steps_down_until_it_is_below_the_limit(
    save: Save, tmp_path: Path, mode: str, max_bytes: int, expected: tuple[str, tuple[int, int] | None]
) -> None:
    path = save(noise(200, 200, mode), "a.png")
    facts = prepare(path, tmp_path / "out", limits=Limits(max_bytes=max_bytes))
    assert (facts.format, facts.bytes < max_bytes, facts.has_alpha) == (expected[0], True, mode == "RGBA")
    assert facts.size == expected[1] if expected[1] else facts.max_side < 200


def test_lossless_webp_comes_before_loss(save: Save, tmp_path: Path) -> None:
    gradient = Image.linear_gradient("L")
    image = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_90), gradient))
    path = save(image, "a.png")
    full = prepare(path, tmp_path / "full", limits=Limits()).bytes
    facts = prepare(path, tmp_path / "out", limits=Limits(max_bytes=full))
    with Image.open(tmp_path / "out") as found:
        assert (facts.format, found.convert("RGB").tobytes() == image.tobytes()) == ("WEBP", True)


def test_a_byte_limit_that_cannot_be_met_is_refused_without_leaving_a_file(save: Save, tmp_path: Path) -> None:
    path = save(noise(200, 200), "a.png")
    with pytest.raises(ItemError) as caught:
        prepare(path, tmp_path / "out", limits=Limits(min_pixels=39_000, max_bytes=5_000))
    assert caught.value.code == "too-heavy"
    assert not (tmp_path / "out").exists()


def test_a_receiver_of_jpeg_alone_gets_opaque_pictures_and_no_flattened_ones(save: Save, tmp_path: Path) -> None:
    limits = Limits(formats=("JPEG",))
    opaque = save(Image.new("RGBA", (300, 300), (1, 2, 3, 255)), "a.png")
    assert prepare(opaque, tmp_path / "out", limits=limits).format == "JPEG"
    clear = save(Image.new("RGBA", (300, 300), (1, 2, 3, 254)), "b.png")
    with pytest.raises(ItemError) as caught:
        prepare(clear, tmp_path / "out", limits=limits)
    assert caught.value.code == "alpha-lost"


def test_a_damaged_picture_is_neither_prepared_nor_converted(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.jpg")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ItemError, match="damaged"):
        prepare(path, tmp_path / "out", limits=Limits())
    for format_name in ("JPEG", "PNG"):
        with pytest.raises(ItemError, match="damaged"):
            convert(path, tmp_path / "out", format_name)
    assert not (tmp_path / "out").exists()


def test_a_picture_is_never_written_over_itself(save: Save, picture: Image.Image) -> None:
    path = save(picture, "a.png")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="over itself"):
        prepare(path, path, limits=Limits())
    assert path.read_bytes() == before


def test_a_file_that_is_right_already_is_copied(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    for name, format_name in (("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP")):
        path = save(picture, name)
        convert(path, tmp_path / "out", format_name)
        assert (tmp_path / "out").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
def test_converting_to_png_or_webp_loses_nothing(save: Save, tmp_path: Path, format_name: str) -> None:
    image = noise(120, 90, "RGBA")
    source = save(image, "a.png" if format_name == "WEBP" else "a.tif")
    assert convert(source, tmp_path / "out", format_name).format == format_name
    with Image.open(tmp_path / "out") as found:
        assert found.convert("RGBA").tobytes() == image.tobytes()


def test_converting_turns_the_picture_upright(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    stored, exif = lying(picture, 6)
    for format_name in ("JPEG", "PNG", "WEBP"):
        assert convert(save(stored, "a.jpg", exif=exif), tmp_path / "out", format_name).size == (96, 64)
        assert corners(tmp_path / "out") == UPRIGHT


def test_jpeg_refuses_real_transparency_and_takes_an_opaque_alpha_channel(save: Save, tmp_path: Path) -> None:
    image = Image.new("RGBA", (50, 50), (9, 9, 9, 255))
    assert convert(save(image, "a.png"), tmp_path / "out", "JPEG").mode == "RGB"
    image.putpixel((3, 3), (9, 9, 9, 254))
    with pytest.raises(ItemError) as caught:
        convert(save(image, "b.png"), tmp_path / "other", "JPEG")
    assert caught.value.code == "alpha-lost"
    assert not (tmp_path / "other").exists()


def test_a_side_too_long_for_the_format_is_refused(save: Save, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="16,383 pixels per side") as caught:
        convert(save(Image.new("L", (16_384, 3)), "a.png"), tmp_path / "out", "WEBP")
    assert caught.value.code == "too-large"


def test_an_unknown_format_is_a_mistake_of_the_caller(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GIF"):
        convert(save(picture, "a.png"), tmp_path / "out", "GIF")


FORMATS = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("P", "L"),
    "TIFF": ("1", "L", "LA", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "I;16", "I", "F"),
    "BMP": ("1", "L", "P", "RGB"),
}
INPUTS = [(name, mode) for name, modes in FORMATS.items() for mode in modes]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(INPUTS),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    orientation=st.integers(1, 8),
    limits=st.builds(
        Limits,
        max_pixels=st.none() | st.integers(1, 6000),
        max_bytes=st.none() | st.integers(1500, 20_000),
        formats=st.sampled_from([("JPEG", "PNG", "WEBP"), ("PNG",), ("WEBP",), ("JPEG", "WEBP")]),
    ),
)
def test_nothing_is_needed_after_preparing(
    tmp_path: Path, kind: tuple[str, str], size: tuple[int, int], orientation: int, limits: Limits
) -> None:
    path, (name, mode) = tmp_path / "in", kind
    grey = noise(*size).convert("L")
    image = grey.convert("RGB").convert("LAB") if mode == "LAB" else _as_mode(grey, mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    extra: dict[str, Any] = {"exif": exif} if name in {"JPEG", "PNG", "TIFF"} else {}
    image.save(path, format=name, **extra)
    source, facts = probe(path), prepare(path, tmp_path / "out", limits=limits)
    assert needs(facts, limits) == ()
    # WebP drops an alpha channel that is opaque throughout.
    assert facts.has_alpha == source.has_alpha or (facts.format == "WEBP" and _is_opaque(path))
    _check_size(source, facts, limits)


def _as_mode(grey: Image.Image, mode: str) -> Image.Image:
    return grey.convert("I").convert(mode) if mode == "I;16" else grey.convert(mode)


def _check_size(source: Facts, facts: Facts, limits: Limits) -> None:
    predicted = fitted_size(oriented(source).size, limits)
    if limits.max_bytes is None:
        assert facts.size == predicted
    else:
        assert facts.pixels <= predicted[0] * predicted[1]


def _is_opaque(path: Path) -> bool:
    with Image.open(path) as image:
        return image.convert("RGBA").getchannel("A").getextrema() == (255, 255)
