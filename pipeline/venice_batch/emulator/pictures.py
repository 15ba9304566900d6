"""Drawing the answers: enlargements, edits that can be seen, generations. Sizes in pixels, pictures are Pillow's."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter, ImageFont, PngImagePlugin

#: The upscaler's answers have at most this many pixels.
UPSCALE_CAP = 16_777_216
MARK = "EMULATED"

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished picture: bytes, media type, and size in pixels."""

    data: bytes
    media: str
    size: tuple[int, int]


def decode(data: bytes) -> Image.Image:
    """Decode a picture whole, as RGB or RGBA; EXIF orientation is not applied, as nothing says that the API does.

    Raises:
        OSError: the bytes are not a whole picture (also ValueError and SyntaxError, by Pillow's decoders).
    """
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def encode(picture: Image.Image, kind: str, *, note: str = "") -> Encoded:
    """Encode as ``png``, ``jpeg`` or ``webp``; JPEG loses alpha on white, and says in its metadata that it is emulated.

    Args:
        picture: RGB or RGBA.
        kind: the format.
        note: EXIF image description; empty for a plain mark.
    """
    held = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = note or MARK
    if kind == "png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Software", MARK)
        picture.save(held, "PNG", compress_level=1, pnginfo=text, exif=exif if note else None)
    elif kind == "jpeg":
        flatten(picture).save(held, "JPEG", quality=90, exif=exif)
    else:
        picture.save(held, "WEBP", quality=85, method=0, exif=exif)
    return Encoded(held.getvalue(), f"image/{kind}", picture.size)


def flatten(picture: Image.Image, colour: Colour = (255, 255, 255)) -> Image.Image:
    """Return the picture as RGB, its transparent parts filled with a colour."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    ground = Image.new("RGB", picture.size, colour)
    ground.paste(picture, (0, 0), picture)
    return ground


def upscaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return the size of an upscale: ``scale`` times, or less where the cap would be passed, the aspect kept."""
    width, height = round(size[0] * scale), round(size[1] * scale)
    if width * height > UPSCALE_CAP:
        shrink = math.sqrt(UPSCALE_CAP / (width * height))
        width, height = max(1, math.floor(width * shrink)), max(1, math.floor(height * shrink))
    return width, height


def upscale(picture: Image.Image, scale: float) -> Image.Image:
    """Enlarge."""
    return picture.resize(upscaled_size(picture.size, scale), Image.Resampling.LANCZOS)


def edited_size(base: tuple[int, int], ratio: str, resolution: str) -> tuple[int, int]:
    """Return the size of an edit: the tier's long side, in the given ratio (``auto``: that of the base picture)."""
    long = round(float(resolution.removesuffix("K")) * 1024)
    wide, high = base if ratio == "auto" else _ratio(ratio)
    if wide >= high:
        return long, max(1, round(long * high / wide))
    return max(1, round(long * wide / high)), long


def _ratio(text: str) -> tuple[int, int]:
    wide, _, high = text.partition(":")
    return int(wide), int(high)


def edit(layers: Sequence[Image.Image], prompt: str, size: tuple[int, int]) -> Image.Image:
    """Set the first picture, cut-out or whole, on a backdrop derived from the prompt; further layers small on top."""
    canvas = backdrop(prompt, size)
    side = min(size)
    box = (round(size[0] * 0.76), round(size[1] * 0.76))
    _paste_centred(canvas, _subject(layers[0]), box, (size[0] // 2, round(size[1] * 0.48)))
    for place, layer in enumerate(layers[1:]):
        small = round(side * 0.18)
        across = size[0] - round(small * 0.7) - place * round(small * 1.15)
        _paste_centred(canvas, layer, (small, small), (max(small // 2, across), size[1] - round(small * 0.9)))
    mark(canvas)
    return canvas


def _subject(layer: Image.Image) -> Image.Image:
    """Return what is visible of a cut-out; a picture without alpha stays whole."""
    box = layer.getchannel("A").getbbox() if layer.mode == "RGBA" else None
    return layer.crop(box) if box is not None else layer


def _paste_centred(canvas: Image.Image, layer: Image.Image, box: tuple[int, int], centre: tuple[int, int]) -> None:
    factor = min(box[0] / layer.width, box[1] / layer.height)
    fitted = layer.resize(
        (max(1, round(layer.width * factor)), max(1, round(layer.height * factor))), Image.Resampling.BICUBIC
    )
    corner = (centre[0] - fitted.width // 2, centre[1] - fitted.height // 2)
    canvas.paste(fitted, corner, fitted if fitted.mode == "RGBA" else None)


def backdrop(text: str, size: tuple[int, int]) -> Image.Image:
    """Return a vertical gradient between two colours that follow from the text."""
    digest = hashlib.sha256(text.encode()).digest()
    top = tuple(128 + level * 3 // 8 for level in digest[:3])
    bottom = tuple(48 + level * 5 // 8 for level in digest[3:6])
    column = Image.new("RGB", (1, 2))
    column.putpixel((0, 0), (top[0], top[1], top[2]))
    column.putpixel((0, 1), (bottom[0], bottom[1], bottom[2]))
    return column.resize(size, Image.Resampling.BILINEAR)


def mark(canvas: Image.Image) -> None:
    """Write the small strip that says what this is into the lower left corner."""
    high = max(12, min(canvas.size) // 28)
    font = ImageFont.load_default(high * 0.8)
    draw = ImageDraw.Draw(canvas)
    wide = round(draw.textlength(MARK, font=font)) + high
    top = canvas.height - high - high // 3
    draw.rectangle((0, top, wide, canvas.height), fill=(20, 20, 24))
    draw.text((high // 2, top + high // 8), MARK, fill=(250, 250, 250), font=font)


def generate(prompt: str, seed: int, variant: int, size: tuple[int, int]) -> Image.Image:
    """Draw an abstract picture that follows from prompt, seed and the variant's number."""
    text = f"{prompt}\0{seed}\0{variant}"
    canvas = backdrop(text, size)
    draw = ImageDraw.Draw(canvas)
    digest = hashlib.sha256(text.encode()).digest()
    for number in range(6):
        across, down, wide, red, green = digest[number * 5 : number * 5 + 5]
        radius = (wide + 40) * min(size) // 1400
        centre = (across * size[0] // 255, down * size[1] // 255)
        corners = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
        draw.ellipse(corners, fill=(red, green, 255 - red))
    mark(canvas)
    return canvas


def blur(picture: Image.Image) -> Image.Image:
    """Return what safe mode makes of a picture."""
    return picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 40))
