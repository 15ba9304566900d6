"""Pictures: what their headers say, how to bring them into shape, and whether an answer is one.

`import pipeline.imaging` is light. What needs Pillow (`probe`, `verify`, `prepare`, `render`, `judge`, …) is loaded
when it is first used, so write ``imaging.probe(path)`` rather than ``from pipeline.imaging import probe`` at the top
of a module that the command line always loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.imaging.facts import (
    API_FORMATS,
    API_MIN_PIXELS,
    DECODE_MAX_PIXELS,
    EDIT_MAX_PIXELS,
    EXTENSIONS,
    MAX_FILE_BYTES,
    UPSCALE_CAP,
    Facts,
    Limits,
    check_minimum,
    fitted_size,
    needs,
    oriented,
)
from pipeline.imaging.rendition import Rendition
from pipeline.imaging.verdict import Expect, NotAPicture, Verdict

if TYPE_CHECKING:
    from pipeline.imaging.colour import rgb
    from pipeline.imaging.judging import judge
    from pipeline.imaging.opening import probe, verify
    from pipeline.imaging.preparing import convert, prepare
    from pipeline.imaging.rendering import render, renderer, writable_formats
    from pipeline.imaging.reshaping import encoded, is_idle, reshape

__all__ = [
    "API_FORMATS",
    "API_MIN_PIXELS",
    "DECODE_MAX_PIXELS",
    "EDIT_MAX_PIXELS",
    "EXTENSIONS",
    "MAX_FILE_BYTES",
    "UPSCALE_CAP",
    "Expect",
    "Facts",
    "Limits",
    "NotAPicture",
    "Rendition",
    "Verdict",
    "check_minimum",
    "convert",
    "encoded",
    "fitted_size",
    "is_idle",
    "judge",
    "needs",
    "oriented",
    "prepare",
    "probe",
    "render",
    "renderer",
    "reshape",
    "rgb",
    "verify",
    "writable_formats",
]

_NEEDS_PILLOW = {
    "convert": "preparing",
    "encoded": "reshaping",
    "is_idle": "reshaping",
    "judge": "judging",
    "prepare": "preparing",
    "probe": "opening",
    "render": "rendering",
    "renderer": "rendering",
    "reshape": "reshaping",
    "rgb": "colour",
    "verify": "opening",
    "writable_formats": "rendering",
}


def __getattr__(name: str) -> object:
    """Load a function that needs Pillow on its first use."""
    if name not in _NEEDS_PILLOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEEDS_PILLOW[name]}"), name)
