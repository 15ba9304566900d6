"""``${VAR}`` and ``${VAR:-default}``, substituted after the YAML is read: a value can never become structure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from venice_batch.errors import Problem
from venice_batch.job import secrets
from venice_batch.job.yaml_tree import Entries, Items, Node, Scalar

_REFERENCE = re.compile(r"\$\$|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})?")


def substitute(node: Node, environ: Mapping[str, str]) -> tuple[Node, list[Problem]]:
    """Substitute the variables in every scalar of a tree; keys are left as they are.

    ``${VAR}`` must be set, ``${VAR:-default}`` gives the default when VAR is unset or empty, ``$$`` is a dollar sign,
    and any other dollar sign stays one. The API key is refused, also under another variable's name.

    Args:
        node: the tree.
        environ: the environment.

    Returns:
        The tree, and every problem, none of which repeats a value of the environment.
    """
    problems: list[Problem] = []
    return _substituted(node, environ, problems), problems


def _substituted(node: Node, environ: Mapping[str, str], problems: list[Problem]) -> Node:
    if isinstance(node, Items):
        return replace(node, items=tuple(_substituted(item, environ, problems) for item in node.items))
    if isinstance(node, Entries):
        entries = tuple((key, _substituted(value, environ, problems)) for key, value in node.entries)
        return replace(node, entries=entries)
    return _scalar(node, environ, problems)


def _scalar(node: Scalar, environ: Mapping[str, str], problems: list[Problem]) -> Scalar:
    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["name"] is None:
            hint = "write ${NAME} or ${NAME:-default}, and $$ for a dollar sign"
            problems.append(node.mark.problem("${ without a variable's name", hint))
            return ""
        return _variable(match["name"], match["default"])

    def _variable(name: str, default: str | None) -> str:
        found = environ.get(name)
        if default is not None and not found:
            return default[2:]
        if found is None:
            hint = f"set it, or write ${{{name}:-default}}"
            problems.append(node.mark.problem(f"the variable {name} is not set", hint))
            return ""
        return found

    text = _REFERENCE.sub(value, node.text)
    if secrets.is_secret(text, environ):
        problems.append(node.mark.problem(secrets.WHAT, secrets.INSTEAD))
        return replace(node, text=secrets.HIDDEN)
    if secrets.is_credential(text, environ):
        problems.append(node.mark.problem(secrets.CREDENTIAL, secrets.NO_CREDENTIAL))
        return replace(node, text=secrets.HIDDEN)
    # An empty value of a variable is a text of no letters; only an empty place in the file itself means "no value".
    return replace(node, text=text, plain=node.plain and (text != "" or node.text == ""))
