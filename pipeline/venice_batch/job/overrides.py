"""``--set steps.0.scale=4``: single values of the job file, changed from the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from venice_batch.errors import Problem
from venice_batch.job.positions import OTHER_NAME
from venice_batch.job.yaml_tree import MAX_DEPTH, Entries, Items, Mark, Node, Scalar, compose
from venice_batch.steps.table import STEPS

#: Keys of the outer mapping of a step; every other one is a field and lies below the step's name.
STEP_KEYS = ("id", "when", "expect")

#: Sections that may be written as one text, and what that text is short for.
SHORT_FOR = {"source": "path", "output": "path"}


class _Refused(Exception):
    """The option cannot be applied."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what)
        self.what = what
        self.instead = instead


def apply(root: Entries, overrides: Sequence[str]) -> tuple[Entries, list[Problem]]:
    """Write values into the tree, as if they stood in the file.

    The text after ``=`` is one scalar: a number, true, false, or text; quotes around all of it make it text. Sections
    that are missing are added, list items are not.

    Args:
        root: the job file's tree.
        overrides: ``PATH=VALUE``, with list places counted from 0; applied in order.

    Returns:
        The tree, and a problem for each option that could not be applied; its "file" is the option.
    """
    problems: list[Problem] = []
    for option in overrides:
        path, equals, text = option.partition("=")
        mark = Mark(f"--set {path}", 1, len(path) + 2)
        try:
            root = _set_in_mapping(root, _steps_of(path, equals), _value(text, mark), top=True)
        except _Refused as refused:
            problems.append(mark.problem(refused.what, refused.instead))
    return root, problems


def _steps_of(path: str, equals: str) -> list[str]:
    keys = path.split(".")
    if not equals or not all(keys):
        raise _Refused("not of the form PATH=VALUE", "write --set steps.0.scale=4")
    if len(keys) > MAX_DEPTH:
        raise _Refused("the path is too long", "write --set steps.0.scale=4")
    return keys


def _value(text: str, mark: Mark) -> Scalar:
    if text[:1] in {"'", '"'}:
        node, _ = compose(text, mark.file)
        if isinstance(node, Scalar):
            return Scalar(node.text, mark)
    return Scalar(text, mark, plain=True)


def _set(node: Node | None, path: Sequence[str], value: Scalar) -> Node:
    if not path:
        return value
    if isinstance(node, Items):
        return _set_in_list(node, path, value, _set)
    if isinstance(node, Entries):
        return _set_in_mapping(node, path, value)
    if node is None or node.text == "":
        return _set_in_mapping(Entries((), value.mark if node is None else node.mark), path, value)
    raise _Refused(f"{path[0]} lies below a single value", "replace the whole value")


def _set_in_list(node: Items, path: Sequence[str], value: Scalar, change: _Change) -> Items:
    if not path[0].isascii() or not path[0].isdigit() or len(path[0]) > 6 or int(path[0]) >= len(node.items):  # noqa: PLR2004
        last = len(node.items) - 1
        raise _Refused(f"there is no item {path[0]} in this list", f"write 0 to {last}" if last >= 0 else "add it")
    place = int(path[0])
    items = list(node.items)
    items[place] = change(items[place], path[1:], value)
    return replace(node, items=tuple(items))


def _set_in_mapping(node: Entries, path: Sequence[str], value: Scalar, *, top: bool = False) -> Entries:
    old = node.get(path[0])
    new = _section(path[0], old, path[1:], value) if top else _set(old, path[1:], value)
    if old is None:
        # The option's place, so that an unknown key is reported there.
        return replace(node, entries=(*node.entries, (Scalar(path[0], value.mark), new)))
    entries = tuple((key, new if key.text == path[0] else kept) for key, kept in node.entries)
    return replace(node, entries=entries)


def _section(name: str, old: Node | None, path: Sequence[str], value: Scalar) -> Node:
    if name == "steps" and path and isinstance(old, Items):
        return _set_in_list(old, path, value, _set_in_step)
    if name in SHORT_FOR and path and isinstance(old, Scalar) and old.text:
        old = Entries(((Scalar(SHORT_FOR[name], old.mark), old),), old.mark)
    return _set(old, path, value)


def _set_in_step(step: Node, path: Sequence[str], value: Scalar) -> Node:
    """Reach the field of a step whether or not the path says the step's name."""
    if not path:
        return value
    if isinstance(step, Scalar):
        step = Entries(((step, Scalar("", step.mark, plain=True)),), step.mark)
    if not isinstance(step, Entries):
        return _set(step, path, value)
    names = [key.text for key, _ in step.entries if key.text in STEPS]
    if path[0] in STEP_KEYS or path[0] in names or len(names) != 1:
        return _set_in_mapping(step, path, value)
    return _set_in_mapping(step, [names[0], _name_in_use(step.get(names[0]), path[0]), *path[1:]], value)


def _name_in_use(fields: Node | None, name: str) -> str:
    """Replace a model that the file calls by its other name, instead of naming the model twice."""
    other = OTHER_NAME.get(name, name)
    return other if isinstance(fields, Entries) and fields.get(other) is not None else name


_Change = Callable[[Node, Sequence[str], Scalar], Node]
