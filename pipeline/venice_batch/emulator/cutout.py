"""A real cut-out of a subject on a plain backdrop, with Pillow alone.

The backdrop is a smooth surface through the four corners; what differs little from it and hangs together with the
border is backdrop, and so is what equals it inside (the hole of a handle). Soft shadows differ little and go too.
"""

from __future__ import annotations

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

#: Long side of the picture in which connected areas are sought; flood filling is pure Python, so it is kept small.
_SKETCH = 240
#: Difference from the backdrop (0..255): below ``_SAME`` it is backdrop anywhere, below ``_NEAR`` where connected.
_SAME = 9
_NEAR = 44
_EDGE = (26, 58)
#: Shares of visible area between which a cut-out is believable; outside, a plain oval is cut instead.
_BELIEVABLE = (0.005, 0.985)


def cut_out(picture: Image.Image) -> Image.Image:
    """Return the picture as RGBA of the same size, with the backdrop transparent and a soft edge.

    A picture that is transparent at its border already keeps its alpha; one without a recognisable subject (one
    colour, or nothing like a backdrop) gets an oval, so that the answer always has both kinds of pixels.
    """
    colours = picture.convert("RGB")
    alpha = _given_alpha(picture) or _found_alpha(colours)
    low, high = _BELIEVABLE
    share = ImageStat.Stat(alpha).mean[0] / 255
    if not low < share < high:
        alpha = _oval(picture.size)
    colours.putalpha(alpha)
    return colours


def _given_alpha(picture: Image.Image) -> Image.Image | None:
    if not picture.has_transparency_data:
        return None
    alpha = picture.convert("RGBA").getchannel("A")
    small = alpha.resize((32, 32), Image.Resampling.BOX)
    ring = ImageStat.Stat(small, mask=_ring((32, 32))).mean[0]
    return alpha if ring < 64 else None  # noqa: PLR2004 - a border that is mostly transparent


def _ring(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size, 255)
    mask.paste(0, (1, 1, size[0] - 1, size[1] - 1))
    return mask


def _found_alpha(colours: Image.Image) -> Image.Image:
    sketch = colours.copy()
    sketch.thumbnail((_SKETCH, _SKETCH), Image.Resampling.BOX)
    backdrop = _backdrop(sketch)
    outside = _outside(_difference(sketch, backdrop))
    # Grown by a few sketch pixels, so that the edge itself is drawn from the full picture and not from the sketch.
    outside = outside.filter(ImageFilter.MaxFilter(5)).resize(colours.size, Image.Resampling.BILINEAR)
    full = _difference(colours, backdrop.resize(colours.size, Image.Resampling.BILINEAR))
    low, high = _EDGE
    ramp = full.point([max(0, min(255, (level - low) * 255 // (high - low))) for level in range(256)])
    return ImageChops.lighter(ramp, ImageChops.invert(outside))


def _backdrop(sketch: Image.Image) -> Image.Image:
    """Return a smooth surface of the sketch's size through the mean colours of its four corners."""
    width, height = sketch.size
    side = max(1, min(width, height) // 12)
    corners = Image.new("RGB", (2, 2))
    for column, left in enumerate((0, width - side)):
        for line, top in enumerate((0, height - side)):
            patch = sketch.crop((left, top, left + side, top + side))
            red, green, blue = (round(level) for level in ImageStat.Stat(patch).median)
            corners.putpixel((column, line), (red, green, blue))
    return corners.resize(sketch.size, Image.Resampling.BILINEAR)


def _difference(one: Image.Image, other: Image.Image) -> Image.Image:
    red, green, blue = ImageChops.difference(one, other).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)


def _outside(difference: Image.Image) -> Image.Image:
    """Return 255 where the sketch is backdrop."""
    near = difference.point([128 if level < _NEAR else 0 for level in range(256)])
    framed = Image.new("L", (near.width + 2, near.height + 2), 128)
    framed.paste(near, (1, 1))
    ImageDraw.floodfill(framed, (0, 0), 255)
    connected = framed.crop((1, 1, near.width + 1, near.height + 1)).point([0] * 255 + [255])
    same = difference.filter(ImageFilter.MaxFilter(3)).point([255 if level < _SAME else 0 for level in range(256)])
    return ImageChops.lighter(connected, same)


def _oval(size: tuple[int, int]) -> Image.Image:
    width, height = size
    mask = Image.new("L", (256, 256), 0)
    ImageDraw.Draw(mask).ellipse((20, 20, 236, 236), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(2)).resize((width, height), Image.Resampling.BILINEAR)
