"""Who draws an order's pictures: the real studio decodes and draws, the canned one repeats itself for benchmarks."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Sequence
from typing import Literal, Protocol

from PIL import Image, ImageDraw

from venice_batch.emulator import pictures
from venice_batch.emulator.api_error import Refusal
from venice_batch.emulator.cutout import cut_out
from venice_batch.emulator.pictures import Encoded
from venice_batch.emulator.requested_work import Order


class Studio(Protocol):
    """Turns an order and its inputs into finished pictures; blocking, safe from several threads."""

    def make(self, order: Order, inputs: Sequence[bytes]) -> list[Encoded]:
        """Draw.

        Raises:
            Refusal: 400, when an input does not decode whole.
        """


def studio(kind: Literal["real", "canned"]) -> Studio:
    """Return the studio of this kind."""
    return _Canned() if kind == "canned" else _Real()


def edit_format(order: Order) -> str:
    """Return the format of an edit: as asked for, else PNG at 1K and JPEG above."""
    asked: str | None = order.options["output_format"]
    return asked or ("png" if order.options["resolution"] == "1K" else "jpeg")


def generation_size(order: Order) -> tuple[int, int]:
    """Return the size of a generation in pixels."""
    options = order.options
    return pictures.generated_size(
        width=options["width"],
        height=options["height"],
        ratio=options["aspect_ratio"],
        resolution=options["resolution"],
        tiers=options["tiers"],
    )


class _Real:
    def make(self, order: Order, inputs: Sequence[bytes]) -> list[Encoded]:
        if order.path == "/image/generate":
            return self._generate(order)
        layers = [self._decode(order, data, number) for number, data in enumerate(inputs, start=1)]
        if order.path == "/image/upscale":
            return [pictures.encode(pictures.upscale(layers[0], order.options["scale"]), "png")]
        if order.path == "/image/background-remove":
            return [pictures.encode(cut_out(layers[0]), "png")]
        ratio, resolution = order.options["aspect_ratio"], order.options["resolution"]
        size = pictures.edited_size(layers[0].size, ratio, resolution)
        drawn = pictures.edit(layers, order.prompt, size)
        return [pictures.encode(pictures.blur(drawn) if order.blurred else drawn, edit_format(order))]

    def _decode(self, order: Order, data: bytes, number: int) -> Image.Image:
        try:
            return pictures.decode(data)
        except (OSError, ValueError, SyntaxError):
            named = f"Image {number}" if order.image_field == "images" else order.image_field
            raise Refusal(400, f"{named} is invalid or corrupt") from None

    def _generate(self, order: Order) -> list[Encoded]:
        given = order.options["seed"]
        seed = given if given is not None else int.from_bytes(os.urandom(4))
        note = f"{pictures.MARK}: {order.prompt}" if order.options["embed_exif_metadata"] else ""
        found = []
        for variant in range(order.units):
            drawn = pictures.generate(order.prompt, seed, variant, generation_size(order))
            drawn = pictures.blur(drawn) if order.blurred else drawn
            found.append(pictures.encode(drawn, order.options["format"], note=note))
        return found


class _Canned:
    """One picture per kind, format and size, drawn once: the right shape at next to no cost, of a believable weight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, tuple[int, int]], Encoded] = {}

    def make(self, order: Order, inputs: Sequence[bytes]) -> list[Encoded]:
        if order.path == "/image/generate":
            return [self._picture("RGB", order.options["format"], generation_size(order))] * order.units
        with Image.open(io.BytesIO(inputs[0])) as probed:
            size = probed.size
        if order.path == "/image/upscale":
            return [self._picture("RGB", "png", pictures.upscaled_size(size, order.options["scale"]))]
        if order.path == "/image/background-remove":
            return [self._picture("RGBA", "png", size)]
        size = pictures.edited_size(size, order.options["aspect_ratio"], order.options["resolution"])
        return [self._picture("RGB", edit_format(order), size)]

    def _picture(self, mode: str, kind: str, size: tuple[int, int]) -> Encoded:
        with self._lock:
            wanted = (mode, kind, size)
            if wanted not in self._made:
                self._made[wanted] = pictures.encode(_grain(mode, size), kind)
            return self._made[wanted]


def _grain(mode: str, size: tuple[int, int]) -> Image.Image:
    """Return a gradient with grain (about half a byte per pixel as PNG), with an oval alpha when RGBA is asked for."""
    tone = hashlib.sha256(repr(size).encode()).hexdigest()
    ground = pictures.backdrop(tone, size)
    grain = Image.effect_noise(size, 6).convert("RGB")
    mixed = Image.blend(ground, grain, 0.3)
    if mode == "RGBA":
        oval = Image.new("L", (256, 256), 0)
        ImageDraw.Draw(oval).ellipse((24, 24, 232, 232), fill=255)
        mixed.putalpha(oval.resize(size, Image.Resampling.BILINEAR))
    pictures.mark(mixed)
    return mixed
