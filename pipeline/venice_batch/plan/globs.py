"""Globs over keys, in time that grows with the key and not with the tries that a pattern allows."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Iterable, Sequence

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", re.DOTALL)
_CROSSING = frozenset({"**/", "**"})
_WILD = frozenset({"*", *_CROSSING})


@functools.cache
def glob(pattern: str) -> Callable[[str], bool]:
    """Return a test of keys against `pattern`: ``*`` stays within a folder, ``**/`` crosses any number, also none."""
    parts = _TOKEN.findall(pattern)
    compiled = _compiled(parts)
    if compiled is None:
        return _Automaton(parts)
    return lambda key: compiled.fullmatch(key) is not None


def _compiled(parts: Sequence[str]) -> re.Pattern[str] | None:
    """Return an expression that gives up in linear time for each place that ``**`` may end at, or None.

    That holds for one ``**``, and one more at the end, where it takes whatever is left.
    """
    open_end = parts[-1:] == ["**"]
    body = parts[:-1] if open_end else parts
    crossings = [place for place, part in enumerate(body) if part in _CROSSING]
    if len(crossings) > 1:
        return None
    at = crossings[0] if crossings else 0
    before = body[:at]
    if "*" in before and before[-1] != "/":
        # The first place where the text before `**` fits need not be the right one.
        return None
    crossing = {"**/": "(?:.*/)?", "**": ".*"}[body[at]] if crossings else ""
    after = body[at + 1 :] if crossings else body
    text = _part(before, last=False) + crossing + _part(after, last=not open_end)
    return re.compile(text + (".*" if open_end else ""), re.DOTALL)


def _part(parts: Sequence[str], *, last: bool) -> str:
    """Return an expression for parts without ``**``.

    What follows a ``*`` is sought once, at the first place where it fits (an atomic group never looks for another): a
    later one leaves less for the rest. Only what must stand at the end of the key is left to search.
    """
    pieces: list[list[str]] = [[]]
    for part in parts:
        if part == "*":
            pieces.append([])
        else:
            pieces[-1].append(_one(part))
    head, *rest = ("".join(piece) for piece in pieces)
    if not rest:
        return head
    *middle, end = rest
    found = head + "".join(f"(?>[^/]*?{piece})" for piece in middle)
    return found + (f"[^/]*{end}" if last else f"(?>[^/]*?{end})")


def _one(part: str) -> str:
    """Return an expression for a part that stands for exactly one character."""
    if part == "?":
        return "[^/]"
    return fnmatch.translate(part)[4:-3] if len(part) > 1 else re.escape(part)


class _Automaton:
    """Follows all ways through a pattern at once: a bit of a number is a place in the pattern that can be reached."""

    def __init__(self, parts: Sequence[str]) -> None:
        self._tests = [None if part in _WILD else re.compile(_one(part), re.DOTALL) for part in parts]
        self._stars = _bits(part in {"*", "**"} for part in parts)
        self._within = _bits(part == "*" for part in parts)
        self._folders = _bits(part == "**/" for part in parts)
        self._end = 1 << len(parts)
        self._fits: dict[str, int] = {}

    def __call__(self, key: str) -> bool:
        reached = self._entered(1)
        for character in key:
            stays = reached & (self._stars | self._folders)
            moves = (reached & self._fitting(character)) << 1
            if character == "/":
                stays &= ~self._within
                moves |= (reached & self._folders) << 1
            reached = stays | self._entered(moves | stays & self._stars)
        return bool(reached & self._end)

    def _entered(self, places: int) -> int:
        """Return places that are entered, with those behind them: a wildcard may stand for no character."""
        wild = self._stars | self._folders
        while (more := places | (places & wild) << 1) != places:
            places = more
        return places

    def _fitting(self, character: str) -> int:
        if character not in self._fits:
            self._fits[character] = _bits(bool(test and test.fullmatch(character)) for test in self._tests)
        return self._fits[character]


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << place for place, flag in enumerate(flags) if flag)
