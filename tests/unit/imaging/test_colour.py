"""Colours of published pictures, held against profiles and arithmetic that the colour engine has no part in."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.imaging.conftest import render
from tests.unit.imaging.profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    DISPLAY_P3,
    Triple,
    cmyk_profile,
    delta_e,
    lab_to_srgb,
    matrix_profile,
    srgb_to_linear,
    to_srgb,
)
from venice_batch.imaging import Rendition, reshape, rgb
from venice_batch.imaging.colour import is_foreign, srgb_profile
from venice_batch.imaging.local_ops import ToSrgb

Save = Callable[..., Path]
#: Colours that exist in sRGB too; beyond it, clipping is right and no formula agrees on how.
COLOURS = [
    (255, 255, 255),
    (0, 0, 0),
    (128, 128, 128),
    (200, 120, 90),
    (90, 140, 100),
    (60, 80, 140),
    (240, 200, 180),
    (30, 34, 60),
    (170, 60, 70),
    (214, 200, 96),
]
SIDE = 16
TOLERATED = 2.0


def swatches(colours: list[tuple[int, ...]], mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (SIDE * len(colours), SIDE))
    for place, colour in enumerate(colours):
        image.paste(colour, (place * SIDE, 0, (place + 1) * SIDE, SIDE))
    return image


def seen(path: Path, count: int) -> list[tuple[int, ...]]:
    with Image.open(path) as image:
        plain = image.convert("RGB")
    pixels = [plain.getpixel((place * SIDE + SIDE // 2, SIDE // 2)) for place in range(count)]
    return [pixel for pixel in pixels if isinstance(pixel, tuple)]


def adobe_curve(level: float) -> float:
    return float(level**ADOBE_GAMMA)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize(
    ("colorants", "curve"), [(DISPLAY_P3, srgb_to_linear), (ADOBE_RGB, adobe_curve)], ids=["display-p3", "adobe-rgb"]
)
def test_wide_profiles_are_converted_within_delta_e_2(
    save: Save, tmp_path: Path, name: str, colorants: tuple[Triple, Triple, Triple], curve: Callable[[float], float]
) -> None:
    options = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    profile = matrix_profile("Wide", colorants, curve)
    path = save(swatches([*COLOURS]), name, icc_profile=profile, **options)
    assert reshape(path, tmp_path / "out", [ToSrgb()]) is not None
    wanted = [to_srgb(colour, colorants, curve) for colour in COLOURS]
    assert max(map(delta_e, seen(tmp_path / "out", len(COLOURS)), wanted)) <= TOLERATED
    # The same numbers without the profile are visibly other colours, or the test would show nothing.
    assert max(map(delta_e, COLOURS, wanted)) > 3 * TOLERATED


def test_alpha_survives_a_profile(save: Save, tmp_path: Path) -> None:
    image = Image.new("RGBA", (40, 40), (200, 120, 90, 255))
    image.putalpha(Image.linear_gradient("L").resize((40, 40)))
    path = save(image, "a.png", icc_profile=matrix_profile("Wide", DISPLAY_P3, srgb_to_linear))
    reshape(path, tmp_path / "out", [ToSrgb()])
    with Image.open(tmp_path / "out") as found:
        assert found.getchannel("A").tobytes() == image.getchannel("A").tobytes()
        pixel = found.getpixel((20, 20))
    assert isinstance(pixel, tuple)
    assert delta_e(pixel[:3], to_srgb((200, 120, 90), DISPLAY_P3, srgb_to_linear)) <= TOLERATED


def inks(cyan: int, magenta: int, yellow: int, black: int) -> Triple:
    """Return the L*a*b* of full inks on each other, muted so that all of them exist in sRGB."""
    light = (1 - 0.3 * cyan) * (1 - 0.4 * magenta) * (1 - 0.08 * yellow) * (1 - 0.9 * black)
    if cyan and magenta and yellow and black:
        return 0.0, 0.0, 0.0
    strength = 0.25 if black else 1.0
    a = strength * (-16 * cyan + 40 * magenta - 4 * yellow)
    b = strength * (-24 * cyan - 4 * magenta + 44 * yellow)
    return 100 * light, a, b


def mixed(first: Triple, second: Triple, share: float) -> Triple:
    x, y, z = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return x, y, z


def test_cmyk_with_a_profile_is_converted_within_delta_e_2(save: Save, tmp_path: Path) -> None:
    bare = inks(0, 0, 0, 0)
    single = [tuple(255 if place == ink else 0 for place in range(4)) for ink in range(4)]
    tints = [tuple(level * 102 // 255 for level in ink) for ink in single]
    pairs = [(255, 255, 0, 0), (0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 0)]
    full = [inks(*(level // 255 for level in colour)) for colour in (*single, *pairs)]
    wanted = [lab_to_srgb(lab) for lab in full]
    # Along the edge from paper to one ink every way of interpolating is the same.
    wanted += [lab_to_srgb(mixed(bare, lab, 0.4)) for lab in full[:4]]
    colours = [*single, *pairs, *tints]
    path = save(swatches(colours, "CMYK"), "a.tif", icc_profile=cmyk_profile(inks))
    facts = render(path, tmp_path / "out", Rendition("PNG"))
    assert facts.mode == "RGB"
    assert max(map(delta_e, seen(tmp_path / "out", len(colours)), wanted)) <= TOLERATED


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_without_a_profile_is_converted_by_the_plain_formula(save: Save, tmp_path: Path, name: str) -> None:
    colours = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 128, 255, 0), (64, 64, 64, 64), (0, 0, 0, 255), (200, 30, 90, 40)]
    options = {"quality": 100} if name == "a.jpg" else {}
    path = save(swatches([*colours], "CMYK"), name, **options)
    reshape(path, tmp_path / "out", [ToSrgb()])
    wanted = [tuple(round((255 - ink) * (255 - black) / 255) for ink in rest) for *rest, black in colours]
    assert max(map(delta_e, seen(tmp_path / "out", len(colours)), wanted)) <= TOLERATED


def deep_png(channels: int, kind: int, values: tuple[int, ...], size: int = 20) -> bytes:
    """Make a 16-bit PNG of one colour; Pillow cannot write one."""
    row = b"\0" + struct.pack(f">{channels}H", *values) * size

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", size, size, 16, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * size)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "values", "mode"),
    [
        (0, (0x8080,), "L"),
        (2, (0x1212, 0x8080, 0xFEFE), "RGB"),
        (4, (0x4040, 0x7F7F), "LA"),
        (6, (0x1212, 0x8080, 0xFEFE, 0x7F7F), "RGBA"),
    ],
)
def test_sixteen_bits_a_channel_become_eight(tmp_path: Path, kind: int, values: tuple[int, ...], mode: str) -> None:
    (tmp_path / "a.png").write_bytes(deep_png(len(values), kind, values))
    render(tmp_path / "a.png", tmp_path / "out", Rendition("WEBP", lossless=True))
    with Image.open(tmp_path / "out") as found:
        pixel = found.convert("RGBA").getpixel((9, 9))
    assert isinstance(pixel, tuple)
    levels = [value >> 8 for value in values]
    alpha = levels.pop() if mode.endswith("A") else 255
    colour = levels if len(levels) == 3 else levels * 3
    assert pixel == (*colour, alpha)


def test_the_profile_of_published_files_is_whole_and_holds_no_time_of_making() -> None:
    profile = srgb_profile()
    assert len(profile) == int.from_bytes(profile[:4], "big") < 1000
    assert struct.unpack(">6H", profile[24:36]) == (2000, 1, 1, 0, 0, 0)
    assert not is_foreign(profile)


def test_colours_are_read_by_name_and_by_number() -> None:
    assert rgb("white") == rgb("#fff") == rgb("#FFFFFF") == (255, 255, 255)
    assert rgb("RebeccaPurple") == (0x66, 0x33, 0x99)
    for wrong in ("", "whit", "#ffff", "rgb(1,2,3)", "transparent", "#ggg", "hsl(0,0%,0%)"):
        with pytest.raises(ValueError, match=r"colou?r|color"):
            rgb(wrong)
