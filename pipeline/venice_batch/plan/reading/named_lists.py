"""The text of a list or table that a job names. What it holds is not repeated in an error: it may be no list at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from venice_batch.errors import SourceError
from venice_batch.job.reading_rights import ReadingRights
from venice_batch.trust import named_file


def text_lines(path: Path, rights: ReadingRights | None, key: str) -> Iterator[str]:
    """Yield the lines with their ends, without holding the file; only line feeds end one.

    Args:
        path: the file.
        rights: where it must lie.
        key: of the job file, which names it.

    Raises:
        SourceError: it cannot be read, must not be, or is not UTF-8; with the line.
    """
    number = 0
    try:
        if rights is not None:
            rights.check(path)
        for number, line in enumerate(named_file.lines(path), 1):
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", remedy=f"check {key}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}:{number}: not UTF-8 text", remedy="save the file as UTF-8") from error
