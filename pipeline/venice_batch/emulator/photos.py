"""A small catalogue of product photos to try a job on: ``python -m venice_batch.emulator.photos DIR``.

Twelve files, always the same: ten good ones in different formats, sizes and traps (a name with a space, one with an
accent in a sub-folder, EXIF rotation, CMYK, alpha), one that is too small for the API, and one that is broken.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from venice_batch.emulator import products
from venice_batch.emulator.drawing import Colour, Pen, Shadow, on_backdrop

_EXIF_ORIENTATION = 0x0112
#: EXIF's 6: to be turned by 90 degrees clockwise to stand upright.
_TURNED = 6
_WHITE: Colour = (246, 246, 244)
_GREY: Colour = (226, 228, 231)
_SAND: Colour = (240, 233, 220)
_MINT: Colour = (224, 238, 233)


@dataclass(frozen=True, slots=True)
class _Photo:
    """One file: what it shows, how large (upright, in pixels), and how it is written."""

    name: str
    product: Callable[[Pen], None]
    size: tuple[int, int]
    backdrop: Colour
    shadow: Shadow
    write: Callable[[Image.Image, Image.Image], bytes]


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    held = io.BytesIO()
    picture.save(held, kind, **options)
    return held.getvalue()


def _jpeg(scene: Image.Image, _product: Image.Image) -> bytes:
    return _saved(scene, "JPEG", quality=90)


def _png(scene: Image.Image, _product: Image.Image) -> bytes:
    return _saved(scene, "PNG")


def _tiff(scene: Image.Image, _product: Image.Image) -> bytes:
    return _saved(scene, "TIFF", compression="tiff_deflate")


def _webp(scene: Image.Image, _product: Image.Image) -> bytes:
    return _saved(scene, "WEBP", quality=90)


def _turned_jpeg(scene: Image.Image, _product: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _TURNED
    return _saved(scene.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif)


def _cmyk_jpeg(scene: Image.Image, _product: Image.Image) -> bytes:
    return _saved(scene.convert("CMYK"), "JPEG", quality=92)


def _cut_out_png(_scene: Image.Image, product: Image.Image) -> bytes:
    return _saved(product, "PNG")


def _truncated_jpeg(scene: Image.Image, product: Image.Image) -> bytes:
    whole = _jpeg(scene, product)
    return whole[: len(whole) * 2 // 5]


CATALOGUE: tuple[_Photo, ...] = (
    _Photo("mug.jpg", products.mug, (1200, 1200), _WHITE, Shadow(20, 70, 82), _jpeg),
    _Photo("water bottle.png", products.bottle, (800, 1200), _GREY, Shadow(30, 70, 92), _png),
    _Photo("lamp.webp", products.lamp, (1000, 1000), _MINT, Shadow(30, 70, 88), _webp),
    _Photo("shoes/chaussure-été.jpg", products.shoe, (1600, 1066), _WHITE, Shadow(5, 97, 81), _jpeg),
    _Photo("watch-turned.jpg", products.watch, (900, 1200), _SAND, Shadow(38, 62, 93), _turned_jpeg),
    _Photo("bags/handbag.tiff", products.bag, (1400, 1050), _SAND, Shadow(8, 92, 86), _tiff),
    _Photo("chair-cmyk.jpg", products.chair, (1350, 1800), _WHITE, Shadow(26, 80, 93), _cmyk_jpeg),
    _Photo("vase-alpha.png", products.vase, (750, 1000), _WHITE, Shadow(30, 70, 90), _cut_out_png),
    _Photo("headphones.webp", products.headphones, (1280, 960), _GREY, Shadow(12, 88, 82), _webp),
    _Photo("kettle.jpg", products.kettle, (600, 600), _WHITE, Shadow(22, 78, 93), _jpeg),
    _Photo("ring-thumbnail.jpg", products.ring, (120, 90), _WHITE, Shadow(34, 66, 86), _jpeg),
    _Photo("camera-broken.jpg", products.camera, (1024, 768), _GREY, Shadow(10, 90, 80), _truncated_jpeg),
)


def draw_catalogue(folder: Path) -> list[Path]:
    """Draw the catalogue into a folder, which is made where it is missing; existing files of these names are replaced.

    Args:
        folder: where the files go.

    Returns:
        The twelve paths, in a fixed order; the last two are the bad ones.

    Raises:
        OSError: the folder cannot be written.
    """
    written: list[Path] = []
    for photo in CATALOGUE:
        pen = Pen(photo.size)
        photo.product(pen)
        product = pen.finished()
        path = folder / photo.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.write(on_backdrop(product, photo.backdrop, photo.shadow), product))
        written.append(path)
    return written


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the catalogue into the folder named on the command line and list the files."""
    given = sys.argv[1:] if argv is None else list(argv)
    if len(given) != 1:
        raise SystemExit("usage: python -m venice_batch.emulator.photos DIR")
    for path in draw_catalogue(Path(given[0])):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
