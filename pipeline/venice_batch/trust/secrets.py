"""The secrets that this process knows, and the last scrub before whatever it prints, writes or sends."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from venice_batch.trust.regular_file import Identity, open_regular

#: Keys of the bundled emulator, which its command prints.
_PUBLIC = frozenset({"VENICE_INFERENCE_KEY_emulator", "VENICE_ADMIN_KEY_emulator"})
#: What any other key of the API looks like.
KEY_SHAPE = r"VENICE_(?:INFERENCE|ADMIN)_KEY_(?!emulator(?![\w.-]))[\w.-]+"
#: What stands where a secret was.
HIDDEN = "***"

#: Variables that hold a secret, and those that name a file which holds nothing else.
API_KEY, API_KEY_FILE = "VENICE_API_KEY", "VENICE_API_KEY_FILE"
AWS_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
_SECRET_FILES = (API_KEY_FILE, "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
#: Files of AWS settings, which hold secrets among other things: variable, and where they lie below HOME without it.
_AWS_FILES = (("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), ("AWS_CONFIG_FILE", ".aws/config"))
_AWS_SETTING = re.compile(r"^\s*aws_(?:secret_access_key|session_token)\s*=\s*(\S+)", re.MULTILINE | re.IGNORECASE)

#: Shorter values (as in tests: "x") would be found in ordinary words.
SHORTEST = 8
#: No file of secrets is larger.
MOST_BYTES = 1 << 20

Value = TypeVar("Value")

_known: set[str] = set()
_files: set[Identity] = set()


def learn(environ: Mapping[str, str]) -> None:
    """Remember the secrets that the environment holds, and the files of secrets that it names.

    A file that cannot be read is none to keep anything from.
    """
    for name in (API_KEY, *AWS_VARIABLES):
        remember(environ.get(name, ""))
    for name in _SECRET_FILES:
        with contextlib.suppress(OSError, ValueError):
            remember(_content(environ[name]) if environ.get(name) else "")
    for name, usual in _AWS_FILES:
        file = environ.get(name) or (f"{environ['HOME']}/{usual}" if environ.get("HOME") else "")
        with contextlib.suppress(OSError, ValueError):
            for value in _AWS_SETTING.findall(_content(file)) if file else ():
                remember(value)


def remember(secret: str) -> None:
    """Keep this text out of everything from now on; what is too short to be a secret is not."""
    text = secret.strip()
    if len(text) >= SHORTEST and text not in _PUBLIC:
        _known.update({text, quote(text, safe="")})
        _pattern.cache_clear()


def scrub(text: str) -> str:
    """Return the text with every secret that is known, and everything that looks like a key, blacked out."""
    return _pattern().sub(HIDDEN, text)


def scrub_values(value: Value) -> Value:
    """Return what JSON can hold with every text in it scrubbed; names of objects are ours and stay."""
    if isinstance(value, str):
        return scrub(value)  # type: ignore[return-value]  # the same type, which mypy cannot see
    if isinstance(value, Mapping):
        return {name: scrub_values(each) for name, each in value.items()}  # type: ignore[return-value]  # likewise
    if isinstance(value, list | tuple):
        return type(value)(scrub_values(each) for each in value)
    return value


def holds_secret(content: bytes) -> bool:
    """Whether bytes of a file hold a secret."""
    return _pattern().search(content.decode("latin-1")) is not None


def longest() -> int:
    """Return the length of the longest secret that is known: what must overlap between two pieces of a file."""
    return max(map(len, _known), default=0)


def is_secret_file(identity: Identity) -> bool:
    """Whether a file is one that secrets are read from, under whatever name."""
    return identity in _files


def _content(file: str) -> str:
    with open_regular(Path(file), MOST_BYTES) as opened:
        _files.add(opened.identity)
        return opened.stream.read(MOST_BYTES).decode("utf-8", "replace")


def _alternatives() -> Iterator[str]:
    # The longest first, so that one secret which begins another leaves no rest of it.
    yield from map(re.escape, sorted(_known, key=len, reverse=True))
    yield KEY_SHAPE


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(_alternatives()), re.IGNORECASE)
