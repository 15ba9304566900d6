"""One line of a JSONL file, as every file of rows is read."""

from __future__ import annotations

import json
from typing import Any

from venice_batch.errors import SourceError


def json_row(written: str, place: str, example: str) -> dict[str, Any]:
    """Return the object in a line.

    Args:
        written: the line.
        place: file and line, for messages.
        example: what a line should look like.

    Raises:
        SourceError: it is no JSON object, or its text cannot be written anywhere.
    """
    try:
        found = json.loads(written)
        # JSON can spell half a character ("\ud800"), which is no text: no file, manifest or request can hold it.
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{place}: holds half a character, {error.object[error.start : error.end]!r}", remedy="correct the text"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{place}: not JSON: {error}", remedy="write one JSON object a line") from error
    if not isinstance(found, dict):
        raise SourceError(f"{place}: not a JSON object", remedy=f"write {example}")
    return found
