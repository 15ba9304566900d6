"""The last scrub before the terminal: whoever prints, be it a traceback or a library, no secret gets through."""

from __future__ import annotations

import codecs
import io
from typing import Any, TextIO, cast

from venice_batch.trust.secrets import scrub


def scrubbed(stream: Any) -> TextIO:
    """Return what writes to a text stream without the secrets; one that was closed before the start stays None."""
    if stream is None:
        return cast("TextIO", None)
    if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name == "ascii":
        # As click would do by itself, below this stream.
        stream.reconfigure(encoding="utf-8", errors="replace")
    return stream and cast("TextIO", _ScrubbedStream(stream))


class _ScrubbedStream:
    """A text stream; what is written in one piece is scrubbed as one piece."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        # The bytes below would be a way around.
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)

    def write(self, text: str | bytes) -> int:
        """Write the text without its secrets; return the length of what was given.

        Bytes, which click writes for a shell that completes, are text here too: there is no way to the stream below.
        """
        self._stream.write(scrub(text.decode("utf-8", "replace") if isinstance(text, bytes) else text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)
