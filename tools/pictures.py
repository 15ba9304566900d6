"""Draws the before/after pictures of docs/steps.md.

Every picture shows what a step of the job file makes of a drawn demo photo: the fields below are read as a job file's
would be, and carried out by the step itself. Transparency is shown as a chequered ground.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from venice_batch.emulator.photos import draw_catalogue
from venice_batch.steps.local import LocalStep, reshaped
from venice_batch.steps.table import STEPS, build

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"

#: The step, the demo photo, and the fields, as docs/steps.md shows them.
SHOWN: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("orient", "watch-turned.jpg", {}),
    ("resize", "shoes/chaussure-été.jpg", {"width": 800, "height": 800, "mode": "fill"}),
    ("trim", "vase-alpha.png", {}),
    ("pad", "lamp.webp", {"aspect_ratio": "1:1", "margin": "5%", "color": "#9fc5e8"}),
    ("flatten", "vase-alpha.png", {"color": "white"}),
    ("crop", "mug.jpg", {"aspect_ratio": "4:5"}),
    ("overlay", "headphones.webp", {"file": "logo.png", "position": "bottom-right", "size": "30%", "opacity": "80%"}),
)
_WIDTH, _HALF, _EDGE = 320, 148, 4
_LIGHT, _DARK, _LINE = (255, 255, 255), (224, 224, 224), (128, 128, 128)
_SQUARE = 8


def draw(folder: Path = FOLDER) -> None:
    """Write one PNG for each step in `SHOWN`: before on the left, after on the right."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch)
        draw_catalogue(photos)
        _logo(photos / "logo.png")
        for name, photo, fields in SHOWN:
            after = _done(name, photos / photo, fields)
            _side_by_side(photos / photo, after).save(folder / f"{name}.png", optimize=True)


def _done(name: str, photo: Path, fields: Mapping[str, Any]) -> Path:
    known = STEPS[name].fields.model_validate(fields, context={"folder": photo.parent})
    step = build(name, name, known)
    assert isinstance(step, LocalStep)
    return reshaped([step], photo, photo.with_name(f"after-{name}.png"))


def _side_by_side(before: Path, after: Path) -> Image.Image:
    shown = [_opened(before), _opened(after)]
    # One scale for both: a step that shrinks or trims is seen to do so.
    scale = min(_HALF / max(side for picture in shown for side in picture.size), 1)
    height = round(max(picture.height for picture in shown) * scale) + 2 * _EDGE
    sheet = Image.new("RGB", (_WIDTH, height), _LIGHT)
    for number, picture in enumerate(shown):
        small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
        left = (_WIDTH - _HALF - _EDGE if number else _EDGE) + (_HALF - small.width) // 2
        _place(sheet, small, (left, (height - small.height) // 2))
    return sheet


def _opened(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        # A viewer that knows nothing of EXIF: what `orient` is for.
        return picture.convert("RGBA")


def _place(sheet: Image.Image, picture: Image.Image, at: tuple[int, int]) -> None:
    ground = Image.new("RGB", picture.size, _LIGHT)
    pen = ImageDraw.Draw(ground)
    for top in range(0, picture.height, _SQUARE):
        for left in range(top // _SQUARE % 2 * _SQUARE, picture.width, 2 * _SQUARE):
            pen.rectangle((left, top, left + _SQUARE - 1, top + _SQUARE - 1), _DARK)
    ground.paste(picture, mask=picture)
    sheet.paste(ground, at)
    x, y = at
    ImageDraw.Draw(sheet).rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=_LINE)


def _logo(file: Path) -> None:
    logo = Image.new("RGBA", (300, 120))
    pen = ImageDraw.Draw(logo)
    pen.rounded_rectangle((0, 0, 299, 119), 30, (20, 40, 70, 255))
    pen.ellipse((30, 30, 90, 90), (250, 190, 60, 255))
    pen.rectangle((115, 48, 265, 72), (255, 255, 255, 255))
    logo.save(file)
