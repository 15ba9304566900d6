"""Several finished files of one picture: each as it would be alone, decoded once."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.unit.imaging.conftest import render
from venice_batch import imaging
from venice_batch.errors import ItemError
from venice_batch.imaging import Rendition
from venice_batch.imaging.local_ops import Pad, Trim

FILES = (
    Rendition("JPEG", 90, background=(255, 255, 255)),
    Rendition("WEBP", max_side=60),
    Rendition("PNG"),
    Rendition("JPEG", max_side=40, max_bytes=4000, background=(0, 0, 0)),
)


@pytest.fixture
def cutout(tmp_path: Path) -> Path:
    image = Image.new("RGBA", (160, 120))
    image.paste((200, 40, 60, 255), (40, 20, 120, 100))
    image.save(tmp_path / "cutout.png")
    return tmp_path / "cutout.png"


def pixels(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGBA")


@pytest.mark.parametrize("operations", [(), (Trim(), Pad(size=(100, 100)))])
def test_each_file_is_as_it_would_be_alone(cutout: Path, tmp_path: Path, operations: tuple[Pad | Trim, ...]) -> None:
    with imaging.rendition_writer(cutout, tmp_path / "beside", operations, several=True) as write:
        together = [write(tmp_path / f"{number}", rendition) for number, rendition in enumerate(FILES)]
    for number, rendition in enumerate(FILES):
        alone = render(cutout, tmp_path / "alone", rendition, operations)
        assert alone == together[number]
        assert (
            ImageChops.difference(pixels(tmp_path / "alone"), pixels(tmp_path / f"{number}")).getbbox(alpha_only=False)
            is None
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "alone", "cutout.png"]


def test_a_picture_is_decoded_once_for_all_its_files(cutout: Path, tmp_path: Path) -> None:
    with imaging.rendition_writer(cutout, tmp_path / "beside", (Trim(),), several=True) as write:
        write(tmp_path / "first", Rendition("WEBP"))
        # What is decoded is kept: the file is not needed for pixels any more, only for its header.
        broken = cutout.read_bytes()[:200]
        cutout.write_bytes(broken)
        assert write(tmp_path / "second", Rendition("PNG", max_side=30)).max_side == 30


def test_a_file_that_cannot_be_made_leaves_the_others(cutout: Path, tmp_path: Path) -> None:
    with imaging.rendition_writer(cutout, tmp_path / "beside", several=True) as write:
        write(tmp_path / "first", Rendition("PNG"))
        with pytest.raises(ItemError, match="transparent") as caught:
            write(tmp_path / "second", Rendition("JPEG"))
        write(tmp_path / "third", Rendition("WEBP"))
    assert caught.value.code == "alpha-lost"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cutout.png", "first", "third"]
