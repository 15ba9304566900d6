"""The API key has no place in a job file, which is shared, committed and printed; nor has it one in a message."""

from __future__ import annotations

import re
from collections.abc import Mapping

from venice_batch.errors import Problem
from venice_batch.trust.secrets import AWS_VARIABLES, SHORTEST, scrub

WHAT = "this looks like an API key"
INSTEAD = "remove it: the key comes from VENICE_API_KEY or VENICE_API_KEY_FILE only"

CREDENTIAL = "this is a secret of AWS, which has no place in a job"
NO_CREDENTIAL = "remove it: buckets are reached with the AWS variables, files and roles as they are"

#: What stands for a key in the tree, so that no later message can repeat it.
HIDDEN = "(an API key)"

#: Keys of a mapping under which somebody would look for a place to put the API key.
KEY_NAMES = frozenset({"key", "api_key", "api-key", "apikey", "token", "secret", "authorization", "bearer"})

#: Also the bare beginning, and the emulator's: in a job file a key is wrong whatever it opens.
_KEY = re.compile(r"VENICE_(?:INFERENCE|ADMIN)_KEY_[A-Za-z0-9_-]*", re.IGNORECASE)


def is_secret(text: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a text contains an API key, by its look or by being the one of the environment."""
    key = environ.get("VENICE_API_KEY", "").strip()
    return _KEY.search(text) is not None or (len(key) >= SHORTEST and key in text)


def is_credential(text: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a text contains a secret of AWS, which a stranger's job could carry off to an address of its own."""
    held = [environ.get(name, "") for name in AWS_VARIABLES]
    return any(len(value) >= SHORTEST and value in text for value in held) or scrub(text) != text


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
    if len(key) < SHORTEST:
        return _KEY
    return re.compile(f"{re.escape(key)}|{_KEY.pattern}", re.IGNORECASE)
