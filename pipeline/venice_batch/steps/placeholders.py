"""``{column}`` in the texts of a job file: which columns a text asks for, and the text with their values."""

from __future__ import annotations

import re
from collections.abc import Callable

#: What every item has, whatever the job's metadata: its key, and the folder and the stem of it.
BUILT_IN = ("key", "dir", "stem")

_MARK = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}")
_DOUBLED = {"{{": "{", "}}": "}"}


def names(text: str) -> tuple[str, ...]:
    """Return the names that stand between braces in `text`, each once, in order; ``{{`` and ``}}`` are plain braces."""
    found = (match["name"] for match in _MARK.finditer(text) if match["name"] is not None)
    return tuple(dict.fromkeys(found))


def fill(text: str, value: Callable[[str], str]) -> str:
    """Return `text` with each ``{name}`` replaced by what `value` gives for it.

    What a value holds is never looked at again, so braces in a catalogue are only letters. A brace without its partner
    stays as it is.
    """

    def one(match: re.Match[str]) -> str:
        name = match["name"]
        return _DOUBLED[match[0]] if name is None else value(name)

    return _MARK.sub(one, text)
