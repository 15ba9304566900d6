"""Signals and the three standard streams, as they are when the command starts.

A stream that is closed, or whose reader goes away (`| head`, a terminal that hangs up), changes nothing of what is
done, recorded, told to whoever still listens, or returned.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from venice_batch.errors import STOP_SIGNALS, Interrupted

#: Nobody reads any more: a pipe without a reader, a terminal that is gone, a descriptor that was closed meanwhile.
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO})


def prepare() -> None:
    """Handle signals and keep all three streams usable; once, before anything is opened or printed."""
    for number in STOP_SIGNALS:
        # `nohup` and background jobs of a shell ignore some of them, which must stay so. Without a handler SIGTERM
        # would be ignored by a container's first process.
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    _open_closed()
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as we live
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    name = signal.Signals(number).name
    raise Interrupted(f"interrupted by {name}", remedy="run it again: it goes on", terminated=True)


def _open_closed() -> None:
    """Open what is closed, or the next file to be opened (the manifest, say) would get what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free is this one: those below are open by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - it takes no keyword


class _Lasting(io.FileIO):
    """A descriptor that takes everything; from when nobody reads, for nobody."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(content).nbytes


def _lasting(stream: Any, descriptor: int) -> Any:
    """Return a text stream like `stream` that outlives its reader; one that is not the descriptor's stays as it is."""
    if stream is not None and (not isinstance(stream, io.TextIOWrapper) or stream.fileno() != descriptor):
        return stream
    raw = io.BufferedWriter(_Lasting(descriptor, "w", closefd=False))
    if stream is None:
        return io.TextIOWrapper(raw, "utf-8", "backslashreplace")
    return io.TextIOWrapper(
        raw,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
