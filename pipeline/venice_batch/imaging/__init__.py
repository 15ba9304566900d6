"""Pictures: what their headers say, how to change them, and how to write them.

`import venice_batch.imaging` is light. What needs Pillow (`probe`, `verify`, `prepare`, `reshape`, …) is
loaded when it is first used: write ``imaging.probe(path)`` rather than ``from venice_batch.imaging import probe`` at
the top of a module that the command line always loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from venice_batch.imaging.facts import (
    API_FORMATS,
    API_MIN_PIXELS,
    API_MIN_SIDE,
    DECODE_MAX_PIXELS,
    EDIT_MAX_PIXELS,
    EXTENSIONS,
    MAX_FILE_BYTES,
    UPSCALE_CAP,
    Facts,
    Limits,
    check_size,
    fitted_size,
    needs,
    oriented,
)
from venice_batch.imaging.local_ops import Rendition

if TYPE_CHECKING:
    from venice_batch.imaging.colour import rgb
    from venice_batch.imaging.decode import probe, verify
    from venice_batch.imaging.encode import writable_formats
    from venice_batch.imaging.finish import rendition_writer
    from venice_batch.imaging.fit_for_api import convert, prepare
    from venice_batch.imaging.reshape_file import apply_file_operations, is_noop, reshape

_NEEDS_PILLOW = {
    "apply_file_operations": "reshape_file",
    "convert": "fit_for_api",
    "is_noop": "reshape_file",
    "prepare": "fit_for_api",
    "probe": "decode",
    "rendition_writer": "finish",
    "reshape": "reshape_file",
    "rgb": "colour",
    "verify": "decode",
    "writable_formats": "encode",
}
__all__ = [
    "API_FORMATS",
    "API_MIN_PIXELS",
    "API_MIN_SIDE",
    "DECODE_MAX_PIXELS",
    "EDIT_MAX_PIXELS",
    "EXTENSIONS",
    "MAX_FILE_BYTES",
    "UPSCALE_CAP",
    "Facts",
    "Limits",
    "Rendition",
    "apply_file_operations",
    "check_size",
    "convert",
    "fitted_size",
    "is_noop",
    "needs",
    "oriented",
    "prepare",
    "probe",
    "rendition_writer",
    "reshape",
    "rgb",
    "verify",
    "writable_formats",
]


def __getattr__(name: str) -> object:
    """Load a function that needs Pillow on its first use."""
    if name not in _NEEDS_PILLOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEEDS_PILLOW[name]}"), name)
