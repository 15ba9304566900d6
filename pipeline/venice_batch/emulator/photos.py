"""A small catalogue of product photos to try a job on: ``python -m venice_batch.emulator.photos DIR``.

Twelve files, always the same: ten good ones in different formats, sizes and traps (a name with a space, one with an
accent in a sub-folder, EXIF rotation, CMYK, alpha), one that is too small for the API, and one that is broken.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from venice_batch.emulator.drawing import Colour, draw, on_backdrop
from venice_batch.emulator.products import PRODUCTS

_EXIF_ORIENTATION = 0x0112
#: EXIF's 6: to be turned by 90 degrees clockwise to stand upright.
_TURNED = 6
_WHITE: Colour = (246, 246, 244)
_GREY: Colour = (226, 228, 231)
_SAND: Colour = (240, 233, 220)
_MINT: Colour = (224, 238, 233)

_OPTIONS: dict[str, dict[str, Any]] = {
    "jpg": {"format": "JPEG", "quality": 90},
    "png": {"format": "PNG"},
    "tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    "webp": {"format": "WEBP", "quality": 90},
}


@dataclass(frozen=True, slots=True)
class _Photo:
    """One file: what it shows, how large (upright, in pixels), on what, and what is special about it."""

    name: str
    product: str
    size: tuple[int, int]
    backdrop: Colour
    shadow: tuple[float, float, float]
    special: Literal["", "turned", "cmyk", "cut out", "truncated"] = ""

    def draw(self) -> bytes:
        product = draw(PRODUCTS[self.product], self.size)
        picture = on_backdrop(product, self.backdrop, self.shadow)
        options = _OPTIONS[self.name.rpartition(".")[2]]
        match self.special:
            case "turned":
                exif = Image.Exif()
                exif[_EXIF_ORIENTATION] = _TURNED
                picture, options = picture.transpose(Image.Transpose.ROTATE_90), options | {"exif": exif}
            case "cmyk":
                picture, options = picture.convert("CMYK"), options | {"quality": 92}
            case "cut out":
                picture = product
        held = io.BytesIO()
        picture.save(held, **options)
        whole = held.getvalue()
        return whole[: len(whole) * 2 // 5] if self.special == "truncated" else whole


CATALOGUE: tuple[_Photo, ...] = (
    _Photo("mug.jpg", "mug", (1200, 1200), _WHITE, (20, 70, 82)),
    _Photo("water bottle.png", "bottle", (800, 1200), _GREY, (30, 70, 92)),
    _Photo("lamp.webp", "lamp", (1000, 1000), _MINT, (30, 70, 88)),
    _Photo("shoes/chaussure-été.jpg", "shoe", (1600, 1066), _WHITE, (5, 97, 81)),
    _Photo("watch-turned.jpg", "watch", (900, 1200), _SAND, (38, 62, 93), "turned"),
    _Photo("bags/handbag.tiff", "bag", (1400, 1050), _SAND, (8, 92, 86)),
    _Photo("chair-cmyk.jpg", "chair", (1350, 1800), _WHITE, (26, 80, 93), "cmyk"),
    _Photo("vase-alpha.png", "vase", (750, 1000), _WHITE, (30, 70, 90), "cut out"),
    _Photo("headphones.webp", "headphones", (1280, 960), _GREY, (12, 88, 82)),
    _Photo("kettle.jpg", "kettle", (600, 600), _WHITE, (22, 78, 93)),
    _Photo("ring-thumbnail.jpg", "ring", (120, 90), _WHITE, (34, 66, 86)),
    _Photo("camera-broken.jpg", "camera", (1024, 768), _GREY, (10, 90, 80), "truncated"),
)


def draw_catalogue(folder: Path) -> list[Path]:
    """Draw the catalogue into a folder, which is made where it is missing; existing files of these names are replaced.

    Returns:
        The twelve paths, in a fixed order; the last two are the bad ones.

    Raises:
        OSError: the folder cannot be written.
    """
    for photo in CATALOGUE:
        path = folder / photo.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.draw())
    return [folder / photo.name for photo in CATALOGUE]


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the catalogue into the folder named on the command line and list the files."""
    given = sys.argv[1:] if argv is None else list(argv)
    if len(given) != 1:
        raise SystemExit("usage: python -m venice_batch.emulator.photos DIR")
    sys.stdout.writelines(f"{path}\n" for path in draw_catalogue(Path(given[0])))


if __name__ == "__main__":
    main()
