"""Draws the pictures of a paid call: the real renderer decodes and draws, the canned one repeats one picture."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Sequence
from typing import Literal, Protocol

from PIL import Image, ImageDraw

from venice_batch.emulator import pictures
from venice_batch.emulator.api_error import corrupt
from venice_batch.emulator.cutout import cut_out
from venice_batch.emulator.paid_call import PaidCall
from venice_batch.emulator.pictures import Encoded


class Renderer(Protocol):
    """Turns a call and its inputs into finished pictures; blocking, safe from several threads."""

    def make(self, call: PaidCall, inputs: Sequence[bytes]) -> list[Encoded]:
        """Draw.

        Raises:
            ApiError: 400, when an input does not decode whole.
        """


def renderer(kind: Literal["real", "canned"]) -> Renderer:
    """Return the renderer of this kind."""
    return _Canned() if kind == "canned" else _Real()


def edit_format(call: PaidCall) -> str:
    """Return the format of an edit: as asked for, else PNG at 1K or with transparency, and JPEG above."""
    asked: str | None = call.options["output_format"]
    is_png = call.options["transparent_background"] or call.options["resolution"] == "1K"
    return asked or ("png" if is_png else "jpeg")


def generation_size(call: PaidCall) -> tuple[int, int]:
    """Return the size of a generation in pixels: by ratio and tier where the model has ratios, else width by height."""
    options = call.options
    if options["aspect_ratio"] is None:
        return options["width"] or 1024, options["height"] or 1024
    return pictures.edited_size((1, 1), options["aspect_ratio"], options["resolution"])


class _Real:
    def make(self, call: PaidCall, inputs: Sequence[bytes]) -> list[Encoded]:
        if call.generates:
            return self._generate(call)
        layers = [self._decode(call, data, number) for number, data in enumerate(inputs, start=1)]
        if call.path == "/image/upscale":
            return [pictures.encode(pictures.upscale(layers[0], call.options["scale"]), "png")]
        if call.path == "/image/background-remove":
            return [pictures.encode(cut_out(layers[0]), "png")]
        ratio, resolution = call.options["aspect_ratio"], call.options["resolution"]
        size = pictures.edited_size(layers[0].size, ratio, resolution)
        drawn = pictures.edit(layers, call.prompt, size)
        return [pictures.encode(pictures.blur(drawn) if call.blurred else drawn, edit_format(call))]

    def _decode(self, call: PaidCall, data: bytes, number: int) -> Image.Image:
        try:
            return pictures.decode(data)
        except (OSError, ValueError, SyntaxError):
            raise corrupt(call.image_field, number) from None

    def _generate(self, call: PaidCall) -> list[Encoded]:
        given = call.options["seed"]
        seed = given if given is not None else int.from_bytes(os.urandom(4))
        note = f"{pictures.MARK}: {call.prompt}" if call.options["embed_exif_metadata"] else ""
        found = []
        for variant in range(call.units):
            drawn = pictures.generate(call.prompt, seed, variant, generation_size(call))
            drawn = pictures.blur(drawn) if call.blurred else drawn
            found.append(pictures.encode(drawn, call.options["format"], note=note))
        return found


class _Canned:
    """One picture per kind, format and size, drawn once: the right shape at next to no cost, of a believable weight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, tuple[int, int]], Encoded] = {}

    def make(self, call: PaidCall, inputs: Sequence[bytes]) -> list[Encoded]:
        if call.generates:
            return [self._picture("RGB", call.options["format"], generation_size(call))] * call.units
        with Image.open(io.BytesIO(inputs[0])) as probed:
            size = probed.size
        if call.path == "/image/upscale":
            return [self._picture("RGB", "png", pictures.upscaled_size(size, call.options["scale"]))]
        if call.path == "/image/background-remove":
            return [self._picture("RGBA", "png", size)]
        size = pictures.edited_size(size, call.options["aspect_ratio"], call.options["resolution"])
        return [self._picture("RGB", edit_format(call), size)]

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
