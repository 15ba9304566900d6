"""YAML text to a tree whose every key and value knows its place. No objects are built, no types are guessed.

PyYAML's scanner and parser do the reading; what they would do next (resolve ``16:9`` to 969 and ``no`` to false,
expand aliases, call constructors for tags) is left out, so that none of it can happen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from venice_batch.errors import Problem

#: A job file is typed by people. Reading takes time in proportion, and longer for hostile text.
MAX_CHARACTERS = 500_000

#: Deeper than any job; keeps everything that walks the tree far from Python's recursion limit.
MAX_DEPTH = 24


@dataclass(frozen=True, slots=True)
class Mark:
    """A place: the file as the user named it (or the option), line and column from 1."""

    file: str
    line: int
    column: int

    def problem(self, what: str, instead: str = "") -> Problem:
        """Return a problem at this place."""
        return Problem(self.file, self.line, self.column, what, instead)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text; ``plain`` tells that it was written without quotes and may stand for a number."""

    text: str
    mark: Mark
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping, in the order of the file; its keys differ."""

    entries: tuple[tuple[Scalar, Node], ...]
    mark: Mark

    def get(self, key: str) -> Node | None:
        """Return the value of a key, or None."""
        return next((value for name, value in self.entries if name.text == key), None)


Node: TypeAlias = Scalar | Items | Entries


class _Stop(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


def compose(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Read one YAML document.

    Args:
        text: the document; a byte order mark is skipped.
        file: its name for messages.

    Returns:
        The tree, or None where the text cannot be read to its end, and every problem found on the way. With
        duplicate keys the first one is kept.
    """
    text = text.removeprefix("\ufeff")
    problem = _unreadable(text, file)
    if problem is not None:
        return None, [problem]
    composer = _Composer(text, file)
    try:
        return composer.document(), composer.problems
    except _Stop as stop:
        return None, [*composer.problems, stop.problem]
    except yaml.MarkedYAMLError as error:
        return None, [*composer.problems, _syntax(error, file)]


#: What YAML allows in a stream, less the separators U+0085, U+2028 and U+2029 that editors do not count as lines.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _unreadable(text: str, file: str) -> Problem | None:
    if len(text) > MAX_CHARACTERS:
        size = f"{len(text):,} characters long, more than {MAX_CHARACTERS:,}"
        return Problem(file, 1, 1, f"the job file is {size}", "put prompts into a prompts file")
    match = _FORBIDDEN.search(text)
    if match is None:
        return None
    before = re.split("\r\n|\r|\n", text[: match.start()])
    what = f"the character U+{ord(match[0]):04X} cannot stand in a job file"
    return Problem(file, len(before), len(before[-1]) + 1, what, "remove it, or check that the file is plain text")


class _Composer:
    """Builds the tree from the parser's events, which, unlike PyYAML's own composer, takes bounded stack."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def document(self) -> Node | None:
        next(self._events)  # the start of the stream
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            self.problems.append(Problem(self._file, 1, 1, "the job file is empty", "start with version: 1"))
            return None
        root = self._node(next(self._events), 0)
        next(self._events)  # the end of the document
        extra = next(self._events)
        if not isinstance(extra, yaml.StreamEndEvent):
            raise _Stop(self._mark(extra).problem("a second document starts here", "write one job per file"))
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        mark = self._mark(event)
        self._refuse_extras(event, mark)
        if depth > MAX_DEPTH:
            raise _Stop(mark.problem(f"nested more than {MAX_DEPTH} levels deep", "a job needs fewer than ten"))
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self._items(depth)), mark)
        if isinstance(event, yaml.MappingStartEvent):
            return Entries(tuple(self._entries(depth)), mark)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(self._readable(event.value, mark), mark, plain=event.style is None)
        raise _Stop(mark.problem("this cannot be read"))  # pragma: no cover - the parser emits nothing else

    def _refuse_extras(self, event: yaml.Event, mark: Mark) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise _Stop(mark.problem("aliases (*name) are not supported", "write the value out, or put it in quotes"))
        if getattr(event, "anchor", None) is not None:
            raise _Stop(mark.problem("anchors (&name) are not supported", "write the value out, or put it in quotes"))
        if getattr(event, "tag", None) is not None:
            raise _Stop(mark.problem("tags (!name) are not supported", "remove it; put text in quotes"))

    def _readable(self, text: str, mark: Mark) -> str:
        # Escapes such as "\0" or "\ud800" pass the check of the stream, but break paths and UTF-8 later.
        if _FORBIDDEN.search(text):
            self.problems.append(mark.problem("the text holds a control character", "remove the escape"))
            return _FORBIDDEN.sub("?", text)
        return text

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Iterator[tuple[Scalar, Node]]:
        first: dict[str, Mark] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth)
            value = self._node(next(self._events), depth + 1)
            if key.text in first:
                self._duplicate(key, first[key.text])
            else:
                first[key.text] = key.mark
                yield key, value

    def _key(self, event: yaml.Event, depth: int) -> Scalar:
        key = self._node(event, depth + 1)
        if not isinstance(key, Scalar):
            hint = "${NAME} must stand after a colon, in quotes inside [] and {}"
            raise _Stop(key.mark.problem("a key must be one word", hint))
        return key

    def _duplicate(self, key: Scalar, first: Mark) -> None:
        what = f"the key {key.text} is written twice (first in line {first.line})"
        self.problems.append(key.mark.problem(what, "keep one of them"))

    def _mark(self, event: yaml.Event) -> Mark:
        start = event.start_mark
        return Mark(self._file, 1, 1) if start is None else Mark(self._file, start.line + 1, start.column + 1)


#: PyYAML's words for the mistakes people make, and ours.
_MISTAKES = (
    (r"found character '\\t'", "a tab where YAML wants spaces", "indent with spaces"),
    (r"scanning an alias", "a value cannot start with *", 'put it in quotes, such as "*.jpg"'),
    (r"scanning an anchor", "a value cannot start with &", "put it in quotes"),
    (r"found character '[@`%]'", "a value cannot start with this character", "put the value in quotes"),
    (r"mapping values are not allowed", "a colon and a space inside a value", "put the value in quotes"),
    (r"found unexpected end of stream", "a quote is opened and never closed", "close it"),
    (r"could not find expected ':'", "a key without a colon", "write key: value"),
    (r"expected ',' or '\]'", "a list that is not closed", "close it with ], and put texts with , : or ${} in quotes"),
    (
        r"expected ',' or '}'",
        "a mapping that is not closed",
        "close it with }, and put texts with , : or ${} in quotes",
    ),
    (r"did not find expected <document start>|expected '<document start>'", "text after the end", "remove it"),
    (r"expected <block end>", "indented differently from the lines above", "indent it like its neighbours"),
    (r"unknown escape character", "an unknown escape in double quotes", "write \\\\ for a backslash"),
    (r"undefined tag handle|%-escape|tag", "tags (!name) are not supported", "put the value in quotes"),
)


def _syntax(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    words = f"{error.context or ''} {error.problem or ''}"
    for pattern, what, instead in _MISTAKES:
        if re.search(pattern, words):
            return Problem(file, line + 1, column + 1, what, instead)
    what = f"not valid YAML: {error.problem or error.context or 'the text cannot be read'}"
    return Problem(file, line + 1, column + 1, what, "check quotes, colons and indentation")
