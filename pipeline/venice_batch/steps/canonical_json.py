"""One spelling for every JSON value, so that equal parameters always have equal digests.

Result keys and fingerprints are stored for years: changing what `canonical` writes makes every stored result
unfindable, and the same pictures would be bought again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping


def canonical(value: object) -> str:
    """Write a JSON value in the one spelling that digests are taken of.

    Keys are sorted by code point, there is no white space, everything outside ASCII is escaped, and a number that
    is whole is written as an integer (2 and 2.0 are the same parameter to the API, and so is -0.0 and 0).

    Args:
        value: None, bool, int, finite float, str, or lists, tuples and mappings with text keys of those.

    Returns:
        The canonical JSON text, ASCII only.

    Raises:
        ValueError: A number is infinite or not a number.
        TypeError: The value has no JSON form.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical form, as 64 lower-case hexadecimal digits.

    Raises:
        ValueError: A number is infinite or not a number.
        TypeError: The value has no JSON form.
    """
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def _key(key: object) -> str:
    # json.dumps would turn 1 and "1" into the same key, and two different values would share a digest.
    if not isinstance(key, str):
        raise TypeError(f"a JSON key must be text, not {type(key).__name__}")
    return key


def _number(value: float) -> int | float:
    if not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    return int(value) if value.is_integer() else float(value)
