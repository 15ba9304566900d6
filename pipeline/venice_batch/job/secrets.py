"""The API key has no place in a job file, which is shared, committed and printed; nor has it one in a message."""

from __future__ import annotations

import re
from collections.abc import Mapping

from venice_batch.errors import Problem

WHAT = "this looks like an API key"
INSTEAD = "remove it: the key comes from VENICE_API_KEY or VENICE_API_KEY_FILE only"

#: Variables that a job file, which may come from a stranger, could otherwise carry off to an address of its own.
_CREDENTIALS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
CREDENTIAL = "this is a secret of AWS, which has no place in a job"
NO_CREDENTIAL = "remove it: buckets are reached with the AWS variables, files and roles as they are"

#: What stands for a key in the tree, so that no later message can repeat it.
HIDDEN = "(an API key)"

#: Keys of a mapping under which somebody would look for a place to put the API key.
KEY_NAMES = frozenset({"key", "api_key", "api-key", "apikey", "token", "secret", "authorization", "bearer"})

_KEY = re.compile(r"VENICE_(?:INFERENCE|ADMIN)_KEY_[A-Za-z0-9_-]*", re.IGNORECASE)

#: Shorter values of VENICE_API_KEY (as in tests: "x") would be found in ordinary words.
_SHORTEST = 8


def is_secret(text: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a text contains an API key, by its look or by being the one of the environment."""
    key = environ.get("VENICE_API_KEY", "").strip()
    return _KEY.search(text) is not None or (len(key) >= _SHORTEST and key in text)


def is_credential(text: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a text contains a secret of AWS that the environment holds."""
    held = [environ.get(name, "") for name in _CREDENTIALS]
    return any(len(value) >= _SHORTEST and value in text for value in held)


def hide(text: str, file: str, environ: Mapping[str, str]) -> tuple[str, list[Problem]]:
    """Black out keys in the text of a file, comments included, before anything can quote it.

    Args:
        text: the text of the file.
        file: its name for messages.
        environ: the environment; the key it holds is looked for too.

    Returns:
        The text with each key replaced by as many letters x, so that all places stay right, and a problem for each.
    """
    problems: list[Problem] = []

    def black_out(match: re.Match[str]) -> str:
        before = re.split("\r\n|\r|\n", text[: match.start()])
        problems.append(Problem(file, len(before), len(before[-1]) + 1, WHAT, INSTEAD))
        return "x" * len(match[0])

    return _pattern(environ).sub(black_out, text), problems


def _pattern(environ: Mapping[str, str]) -> re.Pattern[str]:
    key = environ.get("VENICE_API_KEY", "").strip()
    if len(key) < _SHORTEST:
        return _KEY
    return re.compile(f"{re.escape(key)}|{_KEY.pattern}", re.IGNORECASE)
