"""Pictures drawn for the tests: asymmetric, so that every turn, flip and shift shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from venice_batch.imaging import Facts, Rendition, rendition_writer
from venice_batch.imaging.local_ops import Operation

CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


def corner_picture(width: int = 96, height: int = 64) -> Image.Image:
    """Draw four corners on grey: red top left, green top right, blue bottom left, white bottom right."""
    image = Image.new("RGB", (width, height), (90, 90, 90))
    draw, w, h = ImageDraw.Draw(image), width // 3, height // 3
    for colour, (x, y) in zip(CORNERS, ((0, 0), (2 * w, 0), (0, 2 * h), (2 * w, 2 * h)), strict=True):
        draw.rectangle((x, y, x + w + 2, y + h + 2), fill=colour)
    return image


def render(path: Path, into: Path, rendition: Rendition, operations: Sequence[Operation] = ()) -> Facts:
    """Write one finished file."""
    with rendition_writer(path, into, operations) as write:
        return write(into, rendition)


@pytest.fixture
def picture() -> Image.Image:
    return corner_picture()


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Save a picture into the test's folder and return its path."""

    def saved(image: Image.Image, name: str, **options: Any) -> Path:
        path = tmp_path / name
        image.save(path, **options)
        return path

    return saved
