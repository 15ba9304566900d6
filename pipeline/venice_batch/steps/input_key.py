"""Where a picture comes from: the part of a result's key that stands for its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

#: ``source``: the hash of bytes that were read. ``url``: an address sent as it is. ``result``: a paid result's key.
#: ``object``: the etag and size of an object that was sent by its address, unread.
#: ``row``: the id of a row of a prompts file, where no seed makes the call repeatable.
#: ``unread``: bytes that nobody hashed yet; keys derived from it only tell items apart while planning.
Origin = Literal["source", "url", "object", "result", "row", "unread"]


@dataclass(frozen=True, slots=True)
class InputKey:
    """A picture's history back to the last thing that was bought or read.

    Local steps are named with parameters and revision, never by the bytes they made: a new Pillow encodes a little
    differently, and must not buy a catalogue again.
    """

    origin: Origin
    value: str
    since: tuple[tuple[str, str, int], ...] = ()

    def then(self, name: str, parameters: str, revision: int) -> InputKey:
        """Return the history after one more local step; `parameters` is canonical JSON."""
        return replace(self, since=(*self.since, (name, parameters, revision)))

    def described(self) -> Mapping[str, JsonValue]:
        """Return the history as JSON for a result's key."""
        local: list[JsonValue] = [
            {"step": name, "parameters": parameters, "revision": revision} for name, parameters, revision in self.since
        ]
        return {self.origin: self.value, "local": local}
