from __future__ import annotations

import errno
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from venice_batch.errors import Unavailable
from venice_batch.imaging.encode import Encoding, encode, encodings_to_try, jpeg, png, webp, webp_lossless
from venice_batch.imaging.facts import API_FORMATS

SIZE = (120, 120)
ENCODINGS = [jpeg(95), png(SIZE), webp(90), webp_lossless()]


def noise() -> Image.Image:
    return Image.frombytes("RGB", SIZE, random.Random(7).randbytes(SIZE[0] * SIZE[1] * 3))  # noqa: S311  # noise


def names(encodings: tuple[Encoding, ...]) -> list[str]:
    return [encoding.format for encoding in encodings]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let the system cut writes short at `size` bytes, as a disk does that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_full_disk_is_not_the_pictures_fault(tmp_path: Path, encoding: Encoding) -> None:
    into = tmp_path / "out"
    into.symlink_to("/dev/full")
    with pytest.raises(Unavailable) as caught:
        encode(noise(), into, encoding)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_write_cut_short_leaves_no_file(tmp_path: Path, encoding: Encoding) -> None:
    into = tmp_path / "out"
    size = encode(noise(), into, encoding)
    for missing in (1, 100, size - 10):
        with no_file_beyond(size - missing), pytest.raises(Unavailable):
            encode(noise(), into, encoding)
        assert not into.exists()


def test_a_folder_that_is_gone_is_not_the_pictures_fault(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot write"):
        encode(noise(), tmp_path / "gone" / "out", png(SIZE))


def test_a_refusal_of_the_encoder_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="WebP"):
        encode(Image.new("L", (16_384, 1)), tmp_path / "out", webp_lossless())
    assert not (tmp_path / "out").exists()


def test_pictures_without_loss_try_lossless_formats_first() -> None:
    assert names(encodings_to_try(lossless=True, alpha=False, size=SIZE, formats=API_FORMATS)) == [
        "PNG",
        "WEBP",
        *["JPEG"] * 3,
    ]


def test_pictures_with_alpha_never_become_jpeg() -> None:
    for lossless in (True, False):
        ways = encodings_to_try(lossless=lossless, alpha=True, size=SIZE, formats=API_FORMATS)
        assert names(ways) == ["PNG", *["WEBP"] * 4]


def test_lossy_pictures_become_jpeg_with_falling_quality() -> None:
    ways = encodings_to_try(lossless=False, alpha=False, size=SIZE, formats=API_FORMATS)
    assert [(way.format, way.options["quality"]) for way in ways] == [("JPEG", 95), ("JPEG", 90), ("JPEG", 85)]


@pytest.mark.parametrize(
    ("side", "expected"), [(16_383, {"JPEG", "PNG", "WEBP"}), (16_384, {"JPEG", "PNG"}), (65_501, {"PNG"})]
)
def test_formats_that_cannot_hold_a_long_side_are_left_out(side: int, expected: set[str]) -> None:
    assert set(names(encodings_to_try(lossless=True, alpha=False, size=(side, 2), formats=API_FORMATS))) == expected


def test_lossless_webp_is_kept_to_sizes_whose_memory_can_be_afforded() -> None:
    for side, ways in ((4096, 5), (4097, 4)):
        assert len(encodings_to_try(lossless=True, alpha=True, size=(side, 4096), formats=API_FORMATS)) == ways


def test_only_formats_of_the_receiver_are_tried() -> None:
    assert names(encodings_to_try(lossless=True, alpha=False, size=SIZE, formats=("WEBP",))) == ["WEBP"] * 4
    assert names(encodings_to_try(lossless=False, alpha=False, size=SIZE, formats=("PNG",))) == ["PNG"]
    assert names(encodings_to_try(lossless=False, alpha=True, size=SIZE, formats=("JPEG",))) == []
