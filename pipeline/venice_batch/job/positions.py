"""The tree as plain values, and where each of them stands in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from venice_batch.job.yaml_tree import Entries, Items, Mark, Node, Scalar
from venice_batch.steps.scalars import number_in

#: The way to a value: keys and list places, from the top.
Path: TypeAlias = tuple[str | int, ...]

#: Names that both stand for the model, depending on the endpoint; each finds the other's place.
OTHER_NAME: Mapping[str, str] = {"model": "modelId", "modelId": "model"}


@dataclass(frozen=True)
class Places:
    """Where keys and values stand. A path may leave out a step's name: ``("steps", 0, "scale")``.

    Attributes:
        keys: the place of each key, by the path of its value.
        values: the place of each value.
        steps: the keys of each step's item, which its name is one of.
    """

    keys: Mapping[Path, Mark]
    values: Mapping[Path, Mark]
    steps: Mapping[Path, Sequence[str]]

    def value(self, path: Path) -> Mark:
        """Return where a value stands; where it was not written, the place of the nearest key around it.

        A section written as one text (``output: ./out``) is itself where its ``path`` stands.
        """
        full = self._find(path)
        if full in self.values:
            return self.values[full]
        return self.values[full[:1]] if full[1:] == ("path",) and self._is_text(full[:1]) else self.key(full)

    def key(self, path: Path) -> Mark:
        """Return where the key of a value stands; where it was not written, the nearest key around it."""
        full = self._find(path)
        while full not in self.keys and full not in self.values:
            full = full[:-1]
        return self.keys.get(full) or self.values[full]

    def _is_text(self, path: Path) -> bool:
        return path in self.values and not any(full[: len(path)] == path for full in self.values if full != path)

    def _find(self, path: Path) -> Path:
        """Return the path as it stands in the file: with the step's name, and with the name used for the model."""
        for candidate in self._spellings(path):
            if candidate in self.values:
                return candidate
        return path

    def _spellings(self, path: Path) -> Iterator[Path]:
        yield path
        head, tail = path[:2], path[2:]
        if head and head[0] == "steps" and tail:
            for name in self.steps.get(head, ()):
                yield (*head, name, *tail)
                yield (*head, name, *_renamed(tail))
        yield _renamed(path)


def _renamed(path: Path) -> Path:
    last = path[-1] if path else ""
    return (*path[:-1], OTHER_NAME.get(last, last)) if isinstance(last, str) and path else path


#: Length of the path of a key of a step's item: steps, number, key.
_STEP_KEY = 3


def places(root: Node) -> Places:
    """Index the places of a tree."""
    keys: dict[Path, Mark] = {}
    values: dict[Path, Mark] = {}
    _index(root, (), keys, values)
    steps: dict[Path, list[str]] = {}
    for full in keys:
        if full[0] == "steps" and len(full) == _STEP_KEY:
            steps.setdefault(full[:2], []).append(str(full[2]))
    return Places(keys, values, steps)


def _index(node: Node, path: Path, keys: dict[Path, Mark], values: dict[Path, Mark]) -> None:
    values[path] = node.mark
    if isinstance(node, Items):
        for number, item in enumerate(node.items):
            _index(item, (*path, number), keys, values)
    elif isinstance(node, Entries):
        for key, value in node.entries:
            keys[*path, key.text] = key.mark
            _index(value, (*path, key.text), keys, values)


def plain(node: Node) -> object:
    """Return a tree as dicts, lists and scalars: numbers remember their text, only true and false are truth values."""
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    if isinstance(node, Entries):
        return {key.text: plain(value) for key, value in node.entries}
    return scalar(node)


_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


def scalar(node: Scalar) -> object:
    """Return what a scalar stands for: YAML 1.2's core schema, less octal, hexadecimal and infinite numbers."""
    if not node.plain:
        return node.text
    return _WORDS[node.text] if node.text in _WORDS else number_in(node.text)
