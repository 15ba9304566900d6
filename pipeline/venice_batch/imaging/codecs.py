"""What this machine's Pillow was built with."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import features

#: Pillow's names by ours.
_NAMES = {
    "JPEG": "jpg",
    "PNG": "zlib",
    "WEBP": "webp",
    "AVIF": "avif",
    "colour management": "littlecms2",
    "fonts": "freetype2",
}


def codecs() -> Mapping[str, str | None]:
    """Return the version of each part by its name: formats, colour management, fonts; None where it is missing."""
    return {
        ours: (features.version(name) or "present") if features.check(name) else None for ours, name in _NAMES.items()
    }
