"""The style presets of ``GET /image/styles``."""

from __future__ import annotations

STYLES = (
    "3D Model",
    "Analog Film",
    "Anime",
    "Cinematic",
    "Comic Book",
    "Digital Art",
    "Enhance",
    "Fantasy Art",
    "Isometric",
    "Line Art",
    "Low Poly",
    "Neon Punk",
    "Origami",
    "Photographic",
    "Pixel Art",
    "Tile Texture",
)
