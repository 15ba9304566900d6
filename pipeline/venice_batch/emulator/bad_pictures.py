"""Pictures that are not what was promised: what faults of the vendor's side look like in the bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PIL import Image

from venice_batch.emulator import pictures
from venice_batch.emulator.pictures import Encoded

#: Headers that come with a damaged picture.
HEADERS = {
    "blurred": {"x-venice-is-blurred": "true"},
    "violation": {"x-venice-is-content-violation": "true"},
    "other-model": {"x-venice-model-id": "some-other-model"},
}
#: The fault kinds that this module knows.
KINDS = frozenset({"garbage", "wrong-size", "no-alpha", "wrong-type", "blank", "blurred", "violation"})


def damage(kind: str, made: Sequence[Encoded]) -> list[Encoded]:
    """Damage finished pictures; the media type that is announced stays.

    Args:
        kind: one of ``KINDS``; any other leaves the pictures alone.
        made: what was drawn.
    """
    if kind not in KINDS:
        return list(made)
    return [_damaged(kind, picture) for picture in made]


def _damaged(kind: str, made: Encoded) -> Encoded:
    if kind == "garbage":
        noise = random.Random(len(made.data)).randbytes(min(len(made.data), 50_000))  # noqa: S311 - not a secret
        return Encoded(noise, made.media, made.size)
    picture = _changed(kind, pictures.decode(made.data))
    form = made.media.removeprefix("image/")
    if kind == "wrong-type":
        form = "png" if form == "jpeg" else "jpeg"
    return Encoded(pictures.encode(picture, form).data, made.media, picture.size)


def _changed(kind: str, picture: Image.Image) -> Image.Image:
    if kind == "wrong-size":
        return picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)))
    if kind == "no-alpha":
        return pictures.flatten(picture)
    if kind == "blurred":
        return pictures.blur(picture)
    if kind in {"blank", "violation"}:
        return Image.new(picture.mode, picture.size, (128, 128, 128, 255)[: len(picture.getbands())])
    return picture
