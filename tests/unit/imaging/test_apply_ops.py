"""Operations on real pixels, exact to the pixel where no scaling takes part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.unit.imaging.conftest import corner_picture
from venice_batch.errors import ItemError
from venice_batch.imaging import Limits, probe, reshape
from venice_batch.imaging.geometry import Length, Size
from venice_batch.imaging.local_ops import (
    Convert,
    Crop,
    Fit,
    Flatten,
    Operation,
    Orient,
    Overlay,
    Pad,
    Resize,
    ToSrgb,
    Trim,
    size_after,
)

Save = Callable[..., Path]
Pixel = tuple[int, ...]
FIVE_PERCENT = Length(Fraction(1, 20), relative=True)


def shaped(path: Path, *operations: Operation) -> Image.Image:
    """Carry out operations and read what was written; the picture itself where there was nothing to do."""
    into = path.with_name("shaped")
    made = path if reshape(path, into, operations) is None else into
    with Image.open(made) as image:
        image.load()
    return image


def refused(path: Path, *operations: Operation) -> str:
    with pytest.raises(ItemError) as caught:
        reshape(path, path.with_name("shaped"), operations)
    assert caught.value.lasting
    return caught.value.code


def subject_on(
    ground: Pixel | str, size: Size, box: tuple[int, int, int, int], mode: str = "RGB", fill: Pixel = (20, 90, 160)
) -> Image.Image:
    image = Image.new(mode, size, ground)
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=fill)
    return image


# Trim


@pytest.mark.parametrize("box", [(30, 20, 90, 50), (0, 0, 1, 1), (119, 79, 120, 80), (0, 10, 120, 11)])
def test_trim_cuts_to_the_very_pixel(save: Save, box: tuple[int, int, int, int]) -> None:
    ground = subject_on((250, 250, 250), (120, 80), box)
    found = shaped(save(ground, "a.png"), Trim())
    assert found.size == (box[2] - box[0], box[3] - box[1])
    assert found.getcolors() == [(found.width * found.height, (20, 90, 160))]


def test_trim_cuts_off_what_is_transparent_whatever_colour_hides_there(save: Save) -> None:
    image = Image.effect_noise((120, 80), 80).convert("RGBA")
    image.putalpha(0)
    image.paste((9, 9, 9, 255), (40, 30, 70, 61))
    found = shaped(save(image, "a.png"), Trim())
    assert (found.size, found.mode) == ((30, 31), "RGBA")
    assert found.getcolors() == [(30 * 31, (9, 9, 9, 255))]


@pytest.mark.parametrize(("tolerance", "size"), [(0.0, (60, 50)), (0.02, (40, 30)), (0.5, (20, 10))])
def test_the_tolerance_of_trim_decides_what_is_border(save: Save, tolerance: float, size: Size) -> None:
    image = Image.new("RGB", (80, 70), (255, 255, 255))
    image.paste((252, 252, 252), (10, 10, 70, 60))
    image.paste((200, 255, 255), (20, 20, 60, 50))
    image.paste((0, 0, 0), (30, 30, 50, 40))
    assert shaped(save(image, "a.png"), Trim(tolerance)).size == size


@pytest.mark.parametrize(("alpha", "size"), [(10, (20, 20)), (11, (40, 40))])
def test_what_is_all_but_transparent_is_border_as_well(save: Save, alpha: int, size: Size) -> None:
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    image.paste((9, 9, 9, alpha), (10, 10, 50, 50))
    image.paste((9, 9, 9, 255), (20, 20, 40, 40))
    assert shaped(save(image, "a.png"), Trim(0.04)).size == size  # 4 % of 255 are 10 levels


def test_one_odd_corner_does_not_mislead_trim(save: Save) -> None:
    image = subject_on("white", (100, 100), (0, 0, 60, 60))
    assert shaped(save(image, "a.png"), Trim()).size == (60, 60)


def test_trim_leaves_a_picture_without_a_border_alone(save: Save, picture: Image.Image) -> None:
    for mode in ("RGB", "L", "RGBA", "LA"):
        assert shaped(save(picture.convert(mode), "a.png"), Trim()).tobytes() == picture.convert(mode).tobytes()


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (255, 255, 255)), ("RGBA", (0, 0, 0, 0)), ("L", 7)])
def test_trim_does_not_make_nothing_out_of_a_blank_picture(save: Save, mode: str, colour: Pixel | int) -> None:
    assert refused(save(Image.new(mode, (50, 50), colour), "a.png"), Trim()) == "blank"


# Pad


@pytest.mark.parametrize(
    ("size", "pad", "canvas", "left_top"),
    [
        ((100, 60), Pad(ratio=Fraction(1)), (100, 100), (0, 20)),
        ((60, 101), Pad(ratio=Fraction(1)), (101, 101), (20, 0)),
        ((100, 60), Pad(ratio=Fraction(1), margin=Length(Fraction(10))), (120, 120), (10, 30)),
        ((90, 60), Pad(ratio=Fraction(1), margin=FIVE_PERCENT), (100, 100), (5, 20)),
        ((90, 90), Pad(ratio=Fraction(4, 5), margin=FIVE_PERCENT), (100, 125), (5, 17)),
        ((100, 60), Pad(margin=Length(Fraction(7))), (114, 74), (7, 7)),
        ((180, 90), Pad(margin=FIVE_PERCENT), (190, 100), (5, 5)),
        ((100, 60), Pad(size=(200, 100)), (200, 100), (50, 20)),
    ],
)
def test_pad_centres_the_picture_exactly_and_scales_nothing(
    save: Save, size: Size, pad: Pad, canvas: Size, left_top: tuple[int, int]
) -> None:
    original = corner_picture(*size)
    found = shaped(save(original, "a.png"), pad)
    wanted = Image.new("RGB", canvas, "white")
    wanted.paste(original, left_top)
    assert (found.size, found.tobytes()) == (canvas, wanted.tobytes())


def test_pad_shrinks_a_picture_that_is_too_large_for_the_canvas_and_enlarges_only_when_asked(save: Save) -> None:
    large = save(Image.new("RGB", (400, 200), "red"), "large.png")
    pad = Pad(size=(100, 100), margin=Length(Fraction(10)))
    found = shaped(large, pad)
    assert counted(found) == {(255, 0, 0): 80 * 40, (255, 255, 255): 100 * 100 - 80 * 40}
    small = save(Image.new("RGB", (20, 10), "red"), "small.png")
    assert counted(shaped(small, pad))[255, 0, 0] == 200
    enlarged = shaped(small, Pad(size=(100, 100), margin=Length(Fraction(10)), enlarge=True))
    assert counted(enlarged)[255, 0, 0] == 80 * 40


def counted(image: Image.Image) -> dict[Pixel, int]:
    """Count the pixels of each colour."""
    return {colour: count for count, colour in image.getcolors() or [] if isinstance(colour, tuple)}


def test_what_is_transparent_is_padded_transparently_unless_a_colour_is_named(save: Save) -> None:
    clear = subject_on((0, 0, 0, 0), (60, 40), (20, 10, 40, 30), "RGBA", (20, 90, 160, 255))
    path = save(clear, "a.png")
    kept = shaped(path, Pad(ratio=Fraction(1)))
    assert (kept.mode, kept.getpixel((0, 0)), kept.getpixel((30, 30))) == ("RGBA", (0, 0, 0, 0), (20, 90, 160, 255))
    laid = shaped(path, Pad(ratio=Fraction(1), color=(255, 0, 0)))
    assert counted(laid) == {(20, 90, 160): 400, (255, 0, 0): 3200}
    opaque = save(Image.new("RGB", (60, 40), "teal"), "b.png")
    assert shaped(opaque, Pad(ratio=Fraction(1), color="transparent")).getpixel((0, 0)) == (0, 0, 0, 0)


def test_grey_stays_grey_on_a_grey_canvas_and_takes_on_colour_on_another(save: Save) -> None:
    path = save(Image.new("L", (60, 40), 90), "a.png")
    assert shaped(path, Pad(ratio=Fraction(1))).mode == "L"
    on_red = shaped(path, Pad(ratio=Fraction(1), color=(255, 0, 0)))
    assert counted(on_red) == {(90, 90, 90): 2400, (255, 0, 0): 1200}


def test_margins_that_leave_no_room_are_refused(save: Save, picture: Image.Image) -> None:
    assert refused(save(picture, "a.png"), Pad(size=(100, 50), margin=Length(Fraction(25)))) == "no-room"


def test_a_canvas_of_gigapixels_is_refused_before_it_is_made(save: Save) -> None:
    assert refused(save(Image.new("L", (20_000, 200)), "a.png"), Pad(ratio=Fraction(1))) == "too-large"


# Crop


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        (Crop(width=Length(Fraction(10)), height=Length(Fraction(20))), (43, 22, 53, 42)),
        (Crop(left=Length(Fraction(5)), top=Length(Fraction(6))), (5, 6, 96, 64)),
        (Crop(width=Length(Fraction(1, 2), relative=True), gravity="top-left"), (0, 0, 48, 64)),
        (Crop(ratio=Fraction(1)), (16, 0, 80, 64)),
        (Crop(ratio=Fraction(1), gravity="right"), (32, 0, 96, 64)),
        (Crop(ratio=Fraction(4, 1), gravity="bottom"), (0, 40, 96, 64)),
    ],
)
def test_crop_keeps_exactly_the_box(
    save: Save, picture: Image.Image, crop: Crop, box: tuple[int, int, int, int]
) -> None:
    found, wanted = shaped(save(picture, "a.png"), crop), picture.crop(box)
    assert (found.size, found.tobytes()) == (wanted.size, wanted.tobytes())


def test_a_box_that_is_not_inside_the_picture_is_refused(save: Save, picture: Image.Image) -> None:
    for crop in (
        Crop(width=Length(Fraction(97))),
        Crop(left=Length(Fraction(96))),
        Crop(Length(Fraction(9)), None, Length(Fraction(90))),
    ):
        assert refused(save(picture, "a.png"), crop) == "too-small"


# Resize


@pytest.mark.parametrize(
    ("resize", "size"),
    [
        (Resize(48, None), (48, 32)),
        (Resize(None, 16), (24, 16)),
        (Resize(48, 48), (48, 32)),
        (Resize(200, 200), (96, 64)),
        (Resize(192, 192, enlarge=True), (192, 128)),
        (Resize(40, 40, "fill"), (40, 40)),
        (Resize(80, 40, "fill"), (80, 40)),
        (Resize(100, 100, "fill"), (64, 64)),
        (Resize(100, 100, "fill", enlarge=True), (100, 100)),
        (Resize(50, 50, "exact"), (50, 50)),
        (Resize(200, 10, "exact", enlarge=True), (200, 10)),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_resize_gives_the_size_that_was_foretold(
    save: Save, picture: Image.Image, name: str, resize: Resize, size: Size
) -> None:
    assert resize.size_after(picture.size) == size
    assert shaped(save(picture, name), resize).size == size


def test_an_exact_size_is_refused_where_it_would_enlarge(save: Save, picture: Image.Image) -> None:
    assert refused(save(picture, "a.png"), Resize(97, 10, "exact")) == "too-small"


def test_fill_cuts_off_both_ends_or_what_gravity_gives_away(save: Save) -> None:
    thirds = Image.new("RGB", (300, 100), "red")
    thirds.paste("lime", (100, 0, 200, 100))
    thirds.paste("blue", (200, 0, 300, 100))
    path = save(thirds, "a.png")
    for gravity, colour in (("center", (0, 255, 0)), ("left", (255, 0, 0)), ("right", (0, 0, 255))):
        for side in (100, 50):
            found = shaped(path, Resize(side, side, "fill", gravity=gravity))
            assert (found.size, found.getpixel((side // 2, side // 2))) == ((side, side), colour)
            # Not a single column of the neighbour; scaling blends a few at the rim.
            inset = 0 if side == 100 else 4
            assert found.getpixel((inset, 9)) == found.getpixel((side - 1 - inset, 9)) == colour


def test_a_jpeg_that_is_shrunk_at_decoding_looks_like_one_that_is_not(save: Save) -> None:
    photo = Image.radial_gradient("L").resize((1600, 1200))
    photo = Image.merge(
        "RGB", (photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), Image.new("L", photo.size, 99))
    )
    quick = shaped(save(photo, "a.jpg", quality=95), Resize(200, 150, "fill"))
    exact = shaped(save(photo, "a.png"), Resize(200, 150, "fill"))
    pairs = zip(quick.convert("RGB").tobytes(), exact.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 8


# Flatten and overlay


def test_flatten_shows_the_colour_through_what_is_half_transparent(save: Save) -> None:
    path = save(Image.new("RGBA", (20, 20), (0, 0, 0, 128)), "a.png")
    assert shaped(path, Flatten((255, 255, 255))).getcolors() == [(400, (127, 127, 127))]
    grey = save(Image.new("LA", (20, 20), (0, 0)), "b.png")
    assert shaped(grey, Flatten((10, 10, 10))).mode == "L"
    assert shaped(grey, Flatten((10, 20, 30))).getcolors() == [(400, (10, 20, 30))]


def logo(save: Save, size: Size = (20, 10), alpha: int = 255) -> Path:
    return save(Image.new("RGBA", size, (255, 0, 0, alpha)), "logo.png")


@pytest.mark.parametrize(
    ("position", "at"),
    [("top-left", (4, 4)), ("bottom-right", (76, 46)), ("center", (40, 25)), ("top", (40, 4)), ("left", (4, 25))],
)
def test_a_logo_lies_exactly_where_it_was_put(save: Save, position: str, at: tuple[int, int]) -> None:
    plain = Image.new("RGB", (100, 60), "white")
    found = shaped(save(plain, "a.png"), Overlay(logo(save), position, margin=Length(Fraction(4))))
    plain.paste((255, 0, 0), (*at, at[0] + 20, at[1] + 10))
    assert found.tobytes() == plain.tobytes()


def test_a_logo_is_scaled_by_the_width_of_the_picture_and_never_leaves_its_margins(save: Save) -> None:
    path = save(Image.new("RGB", (100, 60), "white"), "a.png")
    half = shaped(path, Overlay(logo(save), size=Length(Fraction(1, 2), relative=True)))
    assert counted(half)[255, 0, 0] == 50 * 25
    huge = shaped(path, Overlay(logo(save, (400, 400)), margin=Length(Fraction(10))))
    assert counted(huge)[255, 0, 0] == 40 * 40


def test_opacity_lets_the_picture_through(save: Save) -> None:
    path = save(Image.new("RGB", (20, 10), "white"), "a.png")
    assert shaped(path, Overlay(logo(save), opacity=0.5)).getpixel((5, 5)) == (255, 127, 127)
    assert shaped(path, Overlay(logo(save, alpha=128), opacity=0.5)).getpixel((5, 5)) == (255, 191, 191)


def test_a_logo_keeps_what_is_transparent_around_it(save: Save) -> None:
    path = save(Image.new("RGBA", (40, 40), (0, 0, 255, 0)), "a.png")
    found = shaped(path, Overlay(logo(save, alpha=128)))
    assert (found.getpixel((2, 2)), found.getpixel((30, 35))) == ((0, 0, 255, 0), (255, 0, 0, 128))
    grey = save(Image.new("LA", (40, 40), (50, 0)), "b.png")
    assert shaped(grey, Overlay(logo(save))).mode == "RGBA"
    assert shaped(grey, Overlay(save(Image.new("L", (9, 9), 3), "grey.png"))).getpixel((35, 35)) == (3, 255)


def test_a_broken_logo_is_named(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"\x89PNG no")
    with pytest.raises(ItemError, match=r"logo\.png"):
        shaped(save(picture, "a.png"), Overlay(tmp_path / "logo.png"))


# Chains


def test_a_strip_goes_through_every_operation(save: Save) -> None:
    strip = Image.linear_gradient("L").resize((20_000, 200)).convert("RGB")
    found = shaped(save(strip, "a.jpg"), Orient(), ToSrgb(), Resize(2000, 2000), Pad(ratio=Fraction(20, 3)))
    assert found.size == (2000, 300)
    assert shaped(save(strip, "a.jpg"), Crop(ratio=Fraction(1))).size == (200, 200)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_operations_see_the_picture_upright(save: Save, name: str, orientation: int) -> None:
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's codes of the turn that undoes each orientation
    upright = subject_on("white", (90, 60), (0, 0, 30, 20), fill=(0, 0, 0))
    stored = upright.transpose(Image.Transpose(turns[orientation])) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, name, exif=exif, quality=95)
    found = shaped(path, Crop(Length(Fraction(30)), Length(Fraction(20)), gravity="top-left")).convert("L")
    assert found.size == (30, 20)
    # Not the last row and column, into which JPEG lets the white ground bleed.
    assert max(found.crop((0, 0, 28, 18)).tobytes()) < 40


OPERATIONS = st.one_of(
    st.builds(
        Resize,
        st.integers(1, 200),
        st.integers(1, 200),
        st.sampled_from(["fit", "fill"]),
        st.booleans(),
        st.sampled_from(["center", "top-left", "bottom-right"]),
    ),
    st.builds(Resize, st.integers(1, 300), st.none()),
    st.builds(Fit, st.builds(Limits, max_pixels=st.integers(1, 9000), max_side=st.integers(1, 120))),
    st.builds(
        Pad,
        ratio=st.none() | st.fractions(Fraction(1, 5), 5, max_denominator=20),
        margin=st.builds(Length, st.integers(0, 30).map(Fraction))
        | st.builds(Length, st.integers(0, 45).map(lambda percent: Fraction(percent, 100)), st.booleans().filter(bool)),
        color=st.sampled_from([None, "transparent", (1, 2, 3)]),
    ),
    st.builds(Pad, size=st.tuples(st.integers(1, 150), st.integers(1, 150))),
    st.builds(Crop, ratio=st.fractions(Fraction(1, 5), 5, max_denominator=20)),
    st.just(Flatten()),
)


#: A margin of 45 % makes a canvas ten times as wide and high; pixels beyond this are not worth their time in a test.
MOST_PIXELS = 250_000


@st.composite
def sizes_and_operations(draw: st.DrawFn) -> tuple[Size, list[Operation]]:
    """Draw a picture's size and operations on it of which none makes too large a canvas."""
    size = start = (draw(st.integers(1, 150)), draw(st.integers(1, 150)))
    operations: list[Operation] = []
    for operation in draw(st.lists(OPERATIONS, min_size=1, max_size=4)):
        after = operation.size_after(size)
        assert after is not None
        if after[0] * after[1] <= MOST_PIXELS:
            operations.append(operation)
            size = after
    return start, operations


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=sizes_and_operations(), mode=st.sampled_from(["L", "LA", "RGB", "RGBA", "P", "CMYK"]))
def test_sizes_are_predicted_to_the_pixel(tmp_path: Path, drawn: tuple[Size, list[Operation]], mode: str) -> None:
    size, operations = drawn
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, size, 1).save(path)
    found = shaped(path, *operations)
    assert found.size == size_after(operations, size)


def test_a_canvas_beyond_the_limit_is_refused_even_if_it_would_shrink_again(save: Save) -> None:
    ten_times = Pad(margin=Length(Fraction(45, 100), relative=True))
    chain = (ten_times, ten_times, Resize(50, None))
    assert size_after(chain, (150, 150)) == (50, 50)
    assert refused(save(Image.new("L", (150, 150)), "a.png"), *chain) == "too-large"


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    ratio=st.fractions(Fraction(1, 20), 20, max_denominator=50),
    percent=st.integers(0, 45),
)
def test_a_canvas_has_its_shape_and_room_for_its_margins(size: Size, ratio: Fraction, percent: int) -> None:
    margin = Length(Fraction(percent, 100), relative=True)
    canvas = Pad(ratio=ratio, margin=margin).size_after(size)
    assert canvas is not None
    free = [whole - part for whole, part in zip(canvas, size, strict=True)]
    assert min(free) >= 2 * Fraction(percent, 100) * min(canvas) - 2
    assert abs(canvas[0] - canvas[1] * ratio) <= max(Fraction(1), ratio)


# Files


def test_there_is_nothing_to_write_where_there_is_nothing_to_do(
    save: Save, picture: Image.Image, tmp_path: Path
) -> None:
    path = save(picture, "a.jpg")
    nothing: list[Operation] = [
        Orient(),
        ToSrgb(),
        Resize(96, None),
        Fit(Limits(max_bytes=10**6)),
        Flatten(),
        Convert("JPEG"),
        Pad(ratio=Fraction(3, 2)),
    ]
    assert reshape(path, tmp_path / "out", nothing) is None
    assert reshape(path, tmp_path / "out", []) is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jpg"]


def test_a_chain_decodes_once_and_loses_nothing_in_between(save: Save, tmp_path: Path) -> None:
    noise = Image.effect_noise((90, 60), 90).convert("RGB")
    found = shaped(
        save(noise, "a.png"),
        Crop(ratio=Fraction(1)),
        Pad(size=(100, 100)),
        Crop(Length(Fraction(60)), Length(Fraction(60))),
    )
    assert found.tobytes() == noise.crop((15, 0, 75, 60)).tobytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "shaped"]


def test_an_encoding_in_the_middle_of_a_chain_is_carried_out(save: Save, tmp_path: Path) -> None:
    path = save(Image.effect_noise((200, 200), 90).convert("RGB"), "a.png")
    rough = shaped(path, Convert("JPEG", 1), Crop(Length(Fraction(100)), Length(Fraction(100)), gravity="top-left"))
    assert (rough.format, rough.size) == ("PNG", (100, 100))
    with Image.open(path) as fine:
        differences = zip(rough.tobytes(), fine.crop((0, 0, 100, 100)).tobytes(), strict=True)
    assert max(abs(a - b) for a, b in differences) > 50
    facts = reshape(path, tmp_path / "out", [Crop(ratio=Fraction(1, 2)), Fit(Limits(max_bytes=9000))])
    assert facts is not None
    assert (facts.format, facts.bytes < 9000) == ("JPEG", True)
    assert facts == probe(tmp_path / "out")
    assert {file.name for file in tmp_path.iterdir()} <= {"a.png", "out", "shaped"}


def test_the_last_conversion_decides_the_file(save: Save, picture: Image.Image, tmp_path: Path) -> None:
    path = save(picture, "a.png")
    for name in ("JPEG", "WEBP", "AVIF"):
        facts = reshape(path, tmp_path / "out", [Pad(ratio=Fraction(1)), Convert(name, 80)])
        assert facts is not None
        assert (facts.format, facts.size) == (name, (96, 96))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_conversion_that_would_lose_alpha_is_refused(save: Save, mode: str, tmp_path: Path) -> None:
    image = Image.new(mode, (50, 50), 0)
    path = save(image, "a.png", **({"transparency": 0} if mode == "P" else {}))
    assert refused(path, Convert("JPEG")) == "alpha-lost"
    assert not (tmp_path / "shaped").exists()
    assert shaped(path, Flatten(), Convert("JPEG")).format == "JPEG"


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_picture_is_taken_and_the_rest_told(
    save: Save, picture: Image.Image, name: str
) -> None:
    others = [Image.new("RGB", picture.size, colour) for colour in ("blue", "red")]
    path = save(picture, name, save_all=True, append_images=others, lossless=True)
    assert probe(path).left_out == 2
    found = shaped(path, Crop(Length(Fraction(20)), Length(Fraction(10)), gravity="top-left")).convert("RGB")
    assert found.getcolors() == [(200, (255, 0, 0))]
    assert probe(save(picture, "a.mpo", save_all=True, append_images=others)).left_out == 0


def test_trim_never_takes_what_hides_under_transparency_for_a_border(save: Save) -> None:
    image = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((0, 0, 199, 199), fill=(200, 30, 30, 255))
    pen.pieslice((0, 0, 199, 199), 0, 180, fill=(4, 4, 4, 255))
    found = shaped(save(image, "a.png"), Trim())
    assert found.size == (200, 200), "the half that is as dark as the hidden colour is the product, too"
    assert found.tobytes() == image.tobytes()


def test_an_overlay_is_only_laid_on_as_the_plan_saw_it(save: Save) -> None:
    picture, logo = (
        save(Image.new("RGB", (80, 80), "white"), "a.png"),
        save(Image.new("RGB", (9, 9), "red"), "logo.png"),
    )
    overlay = Overlay(logo, sha256=hashlib.sha256(logo.read_bytes()).hexdigest())
    assert shaped(picture, overlay).getpixel((79, 79)) == (255, 0, 0)
    save(Image.new("RGB", (9, 9), "blue"), "logo.png")
    with pytest.raises(ItemError, match=r"logo\.png: it changed") as caught:
        reshape(picture, picture.with_name("shaped"), (overlay,))
    assert (caught.value.code, caught.value.lasting) == ("changed", False)
