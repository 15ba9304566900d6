"""What the first bytes of a picture tell: the same as all of them, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from venice_batch.errors import ItemError
from venice_batch.imaging import probe
from venice_batch.imaging.probe_head import probe_head

HEAD = 2_000


def _sideways() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


SIDEWAYS = _sideways()


def noisy(path: Path, kind: str, mode: str = "RGB", size: tuple[int, int] = (320, 200), **save: Any) -> Path:
    """Save a picture that no format can make small."""
    Image.effect_noise(size, 90).convert(mode).save(path, kind, **save)
    assert path.stat().st_size > 2 * HEAD
    return path


def cut(path: Path, count: int = HEAD) -> Path:
    head = path.with_name("head")
    head.write_bytes(path.read_bytes()[:count])
    return head


@pytest.mark.parametrize(
    ("kind", "mode", "save"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {"exif": SIDEWAYS}),
        ("PNG", "RGBA", {}),
        ("PNG", "L", {}),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("WEBP", "RGB", {"quality": 100}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("PPM", "RGB", {}),
    ],
)
def test_the_first_bytes_tell_what_the_whole_file_tells(
    tmp_path: Path, kind: str, mode: str, save: dict[str, Any]
) -> None:
    path = noisy(tmp_path / "whole", kind, mode, **save)
    assert probe_head(cut(path), path.stat().st_size) == probe(path)


def test_an_extended_webp_tells_its_canvas(tmp_path: Path) -> None:
    picture = Image.effect_noise((320, 200), 90).convert("RGBA")
    picture.putalpha(Image.effect_noise((320, 200), 90))
    path = tmp_path / "whole"
    picture.save(path, "WEBP", quality=90)
    assert path.read_bytes()[12:16] == b"VP8X"
    assert probe_head(cut(path), path.stat().st_size) == probe(path)


def test_an_animated_webp_has_more_than_one_frame(tmp_path: Path) -> None:
    frames = [Image.effect_noise((320, 200), 90).convert("RGB") for _ in range(3)]
    path = tmp_path / "whole"
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:])
    facts = probe_head(cut(path), path.stat().st_size)
    assert facts is not None
    assert (facts.width, facts.height) == (320, 200)
    assert facts.frames > 1


def test_a_webp_that_may_lie_on_its_side_tells_nothing(tmp_path: Path) -> None:
    path = noisy(tmp_path / "whole", "WEBP", exif=SIDEWAYS)
    assert probe(path).orientation == 6
    assert probe_head(cut(path), path.stat().st_size) is None


@pytest.mark.parametrize(("kind", "save"), [("TIFF", {}), ("JPEG", {"comment": b"x" * 5_000}), ("AVIF", {})])
def test_a_header_that_is_not_in_the_first_bytes_tells_nothing(tmp_path: Path, kind: str, save: dict[str, Any]) -> None:
    path = noisy(tmp_path / "whole", kind, **save)
    assert probe_head(cut(path), path.stat().st_size) in {None, probe(path)}
    if kind != "AVIF":  # its boxes stand in front, where the encoder chose so
        assert probe_head(cut(path), path.stat().st_size) is None


def test_a_whole_file_is_probed_as_ever(tmp_path: Path) -> None:
    path = noisy(tmp_path / "whole", "TIFF")
    assert probe_head(path, path.stat().st_size) == probe(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("count", [16, 24, 29, 30, 31, 40, 200])
def test_however_little_there_is_it_never_tells_anything_else(tmp_path: Path, kind: str, count: int) -> None:
    path = noisy(tmp_path / "whole", kind)
    assert probe_head(cut(path, count), path.stat().st_size) in {None, probe(path)}


def test_what_is_no_picture_says_so_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"plain text " * 1000)
    with pytest.raises(ItemError) as caught:
        probe_head(cut(path), path.stat().st_size)
    assert caught.value.code == "not-a-picture"
