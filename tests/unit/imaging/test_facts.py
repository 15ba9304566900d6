from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging import (
    API_MIN_PIXELS,
    API_MIN_SIDE,
    EXTENSIONS,
    UPSCALE_CAP,
    Facts,
    Limits,
    check_size,
    fitted_size,
    needs,
    oriented,
)
from venice_batch.imaging.facts import READ_FORMATS

ROOT = Path(__file__).parents[3]
PHOTO = Facts(4000, 3000, "JPEG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=3_000_000)
LEFT_OUT = {
    *("EPS", "PDF", "WMF", "FITS", "HDF5", "GRIB", "BUFR", "MPEG", "PALM", "PCD", "IPTC", "IM", "XBM", "XPM", "MSP"),
    *("ICO", "ICNS", "CUR", "BLP", "DDS", "FTEX", "PIXAR", "FLI", "GBR", "DCX", "SUN"),
}


def test_importing_the_package_does_not_load_pillow() -> None:
    code = "import sys, venice_batch.imaging; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    code = "import venice_batch.imaging as i; sys = __import__('sys'); sys.exit(hasattr(i, 'enlarge'))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_extension_that_pillow_knows_is_either_read_or_left_out_by_name() -> None:
    by_extension = Image.registered_extensions()
    assert {extension for extension, name in by_extension.items() if name not in LEFT_OUT} == EXTENSIONS
    # MPO has no opener of its own: the JPEG one finds it.
    assert {by_extension[extension] for extension in EXTENSIONS} == {*READ_FORMATS, "MPO"}


def test_facts_survive_json() -> None:
    assert Facts.from_json(json.loads(json.dumps(PHOTO.to_json()))) == PHOTO


def test_facts_from_a_later_version_are_read() -> None:
    assert Facts.from_json({**PHOTO.to_json(), "dpi": 300}) == PHOTO


@pytest.mark.parametrize("damage", [{"width": "4000"}, {"width": True}, {"has_alpha": 1}, {"format": None}])
def test_facts_of_another_type_are_refused_by_name(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(damage))):
        Facts.from_json({**PHOTO.to_json(), **damage})


def test_facts_know_sides_and_shape() -> None:
    assert (PHOTO.size, PHOTO.pixels, PHOTO.max_side, PHOTO.min_side) == ((4000, 3000), 12_000_000, 4000, 3000)
    assert PHOTO.aspect_ratio == pytest.approx(4 / 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sides_are_swapped_for_orientations_five_to_eight_only(orientation: int) -> None:
    upright = oriented(replace(PHOTO, orientation=orientation))
    assert upright.orientation == 1
    assert upright.size == ((3000, 4000) if orientation >= 5 else (4000, 3000))


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"format": "TIFF"}, ("format",)),
        ({"format": "WEBP", "frames": 12}, ("format",)),
        ({"mode": "CMYK"}, ("colour",)),
        ({"mode": "I;16"}, ("colour",)),
        ({"width": 4001}, ("pixels",)),
        ({"bytes": 25_000_000}, ("bytes",)),
        ({"bytes": 24_999_999}, ()),
        ({"orientation": 6}, ("orientation",)),
        (
            {"format": "MPO", "mode": "LAB", "width": 9000, "bytes": 30_000_000, "orientation": 3},
            ("format", "colour", "pixels", "bytes", "orientation"),
        ),
    ],
)
def test_needs_name_what_keeps_a_file_from_being_sent(change: dict[str, object], reasons: tuple[str, ...]) -> None:
    facts = Facts.from_json({**PHOTO.to_json(), **change})
    assert needs(facts, Limits(max_pixels=12_000_000, max_bytes=25_000_000)) == reasons


def test_without_limits_only_format_colour_and_orientation_count() -> None:
    assert needs(replace(PHOTO, width=10**6, bytes=10**9), Limits()) == ()


def test_a_picture_below_the_minimum_is_refused_with_both_figures() -> None:
    with pytest.raises(ItemError, match=r"600x100 has 60,000 pixels, and the API takes 65,536 or more") as caught:
        check_size((600, 100), Limits(min_pixels=API_MIN_PIXELS))
    assert caught.value.code == "too-small"


def test_the_minimum_itself_is_enough() -> None:
    check_size((256, 256), Limits(min_pixels=API_MIN_PIXELS))
    check_size((1, 1), Limits())


@pytest.mark.parametrize(
    ("size", "limits", "code"),
    [
        ((63, 9000), Limits(min_side=API_MIN_SIDE), "too-small"),
        ((9000, 63), Limits(min_side=API_MIN_SIDE), "too-small"),
        ((4096, 4096), Limits(enlarged_within=UPSCALE_CAP), "too-large"),
        ((4095, 4096), Limits(enlarged_within=UPSCALE_CAP), "too-large"),
        ((5000, 3600), Limits(enlarged_within=UPSCALE_CAP), "too-large"),
    ],
)
def test_a_narrow_or_full_grown_picture_is_refused(size: tuple[int, int], limits: Limits, code: str) -> None:
    with pytest.raises(ItemError) as caught:
        check_size(size, limits)
    assert caught.value.code == code


def test_a_side_of_64_and_a_pixel_below_the_cap_are_enough() -> None:
    check_size((64, 1024), Limits(min_pixels=API_MIN_PIXELS, min_side=API_MIN_SIDE))
    check_size((4090, 4090), Limits(enlarged_within=UPSCALE_CAP))


@given(width=st.integers(1, 60_000), height=st.integers(1, 60_000), limit=st.integers(1, 40_000_000))
def test_a_fitted_size_never_exceeds_the_limit_nor_grows(width: int, height: int, limit: int) -> None:
    facts = replace(PHOTO, width=width, height=height)
    new_width, new_height = fitted_size(facts.size, Limits(max_pixels=limit))
    assert 1 <= new_width * new_height <= limit
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    if facts.pixels <= limit:
        assert (new_width, new_height) == facts.size


@given(width=st.integers(200, 20_000), height=st.integers(200, 20_000))
def test_a_fitted_size_keeps_the_shape_and_uses_the_room(width: int, height: int) -> None:
    facts = replace(PHOTO, width=width, height=height)
    new_width, new_height = fitted_size(facts.size, Limits(max_pixels=40_000))
    assert abs(new_width - new_height * facts.aspect_ratio) <= 1 + facts.aspect_ratio
    assert (new_width + 1) * (new_height + 1) > 40_000


def test_a_fitted_size_turns_with_the_picture() -> None:
    limits = Limits(max_pixels=5_000_000)
    lying = replace(PHOTO, orientation=6)
    assert fitted_size(oriented(lying).size, limits) == fitted_size(PHOTO.size, limits)[::-1]


def test_a_longest_side_shrinks_both_sides_alike() -> None:
    assert fitted_size((4000, 1000), Limits(max_side=2000)) == (2000, 500)
    assert fitted_size((1000, 4000), Limits(max_side=2000)) == (500, 2000)
    assert fitted_size((2000, 10), Limits(max_side=2000)) == (2000, 10)
