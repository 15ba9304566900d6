"""An offline Venice: a strict stand-in server for tests, benchmarks and trying out jobs without money.

It shares nothing with the rest of the package, so that the client and the server cannot make the same mistake:
models, prices, limits and validation are written down here a second time, from the API's own documents.

Importing this package is cheap; Starlette, uvicorn and Pillow are loaded when a server is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from venice_batch.emulator.server import Running, serve, serve_in_thread
    from venice_batch.emulator.settings import Key, Settings

__all__ = ["Key", "Running", "Settings", "serve", "serve_in_thread"]


def __getattr__(name: str) -> Any:
    """Load the public names on first use."""
    if name in {"Key", "Settings"}:
        from venice_batch.emulator import settings  # noqa: PLC0415 - keeps the package's import cheap

        return getattr(settings, name)
    if name in {"Running", "serve", "serve_in_thread"}:
        from venice_batch.emulator import server  # noqa: PLC0415 - keeps the package's import cheap

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
