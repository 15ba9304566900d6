"""What a finished file must be: a pure value, without Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from venice_batch.imaging.local_ops import Format, Rgb


@dataclass(frozen=True, slots=True)
class Rendition:
    """How a finished file is encoded.

    Attributes:
        format: Pillow's name of the format.
        quality: 1 to 100; None: JPEG 90, WebP 85, AVIF 75. PNG has none.
        max_side: most pixels of the longer side; never enlarges.
        max_bytes: most bytes of the file, inclusive: met by lower quality first, then by fewer pixels.
        progressive: whether a JPEG is; None: those that are encoded anew are, one that is taken over may be either.
        keep_metadata: keep EXIF and XMP, with the orientation that then holds. Otherwise nothing but the colour
            profile is kept.
        background: what shows through where the format has no alpha; None refuses pictures that are transparent.
        lossless: WebP without loss, and JPEG at 95 with full colour resolution: for a step's own answer in another
            container. Not together with `quality`.
    """

    format: Format
    quality: int | None = None
    max_side: int | None = None
    max_bytes: int | None = None
    progressive: bool | None = None
    keep_metadata: bool = False
    background: Rgb | None = None
    lossless: bool = False


#: What a job file may call a format: Pillow's name, and the extension of its files.
FORMATS: dict[Literal["jpeg", "png", "webp", "avif"], tuple[Format, str]] = {
    "jpeg": ("JPEG", "jpg"),
    "png": ("PNG", "png"),
    "webp": ("WEBP", "webp"),
    "avif": ("AVIF", "avif"),
}
