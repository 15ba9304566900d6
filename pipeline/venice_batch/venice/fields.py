"""What a call is made of, before it has a form: field values, and pictures as files or addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
#: Field names of the API and their values, sent exactly as they are.
Fields: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Url:
    """A picture that the API fetches itself, by its https address."""

    url: str


Image: TypeAlias = Path | Url
