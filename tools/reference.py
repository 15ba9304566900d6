"""Makes the parts of docs/ that repeat the code, and the JSON Schema.

A page of docs/ marks such a part by ``<!-- made: NAME -->`` and ``<!-- end -->``; what stands between is written anew.
A test compares the pages with what would be written, so a key, field, command or option cannot stay undocumented.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tools import schemas
from venice_batch.cli.commands import cli
from venice_batch.job.json_schema import json_schema
from venice_batch.steps.table import STEPS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SCHEMA = ROOT / "configs" / "job.schema.json"

_PART = re.compile(r"(<!-- made: ([a-z -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ABSENT = object()


def files() -> dict[Path, str]:
    """Return every page of docs/ and the JSON Schema as they should be, by their file."""
    pages = {file: _renewed(file.read_text("utf-8")) for file in sorted(DOCS.rglob("*.md"))}
    return {**pages, SCHEMA: json.dumps(json_schema(), indent=2) + "\n"}


def parts(text: str) -> list[str]:
    """Return the names of the parts that a page repeats from the code."""
    return [found[2] for found in _PART.finditer(text)]


def _renewed(text: str) -> str:
    return _PART.sub(lambda found: f"{found[1]}\n{made(found[2])}\n\n{found[3]}", text)


def made(name: str) -> str:
    """Return one part.

    Raises:
        KeyError: there is no such part.
    """
    kind, _, rest = name.partition(" ")
    return _MAKERS[kind](rest)


# The job file


@functools.cache
def _schema() -> Mapping[str, Any]:
    return json_schema()


def job_keys() -> list[str]:
    """Return every key of the job file as documented, ``output.renditions[].suffix``; fields of steps aside."""
    return [key for section in _schema()["properties"] for key, _ in _keys_below(section)]


def _keys_below(section: str) -> list[tuple[str, Mapping[str, Any]]]:
    node = _schema()["properties"][section]
    if section == "steps":
        # What is the same for every step; a paid one has everything.
        beside = _step("upscale")["properties"]
        found = [("steps", node), *((f"steps[].{key}", beside[key]) for key in ("id", "when", "expect"))]
        return [*found, *((f"steps[].expect.{key}", child) for key, child in beside["expect"]["properties"].items())]
    found = [(section, node), *_walk(node, section)]
    return list(dict(reversed(found)).items())[::-1]


def _walk(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for choice in node.get("anyOf", ()):
        yield from _walk(choice, path)
    if node.get("type") == "array":
        yield from _walk(node["items"], f"{path}[]")
    for key, child in node.get("properties", {}).items():
        yield f"{path}.{key}", child
        yield from _walk(child, f"{path}.{key}")


def _key_table(sections: str) -> str:
    found = [pair for section in sections.split() for pair in _keys_below(section)]
    rows = [(f"`{key}`", _default(node), _text(node)) for key, node in found]
    return _table(("key", "default", "meaning"), rows)


def _conditions(_: str) -> str:
    tests = _schema()["$defs"]["condition"]["properties"]
    return _table(("test", "holds when"), [(f"`{key}`", _text(node)) for key, node in tests.items()])


# Steps


def _step(name: str) -> Mapping[str, Any]:
    choices = _schema()["properties"]["steps"]["items"]["anyOf"]
    return next(choice for choice in choices if name in choice.get("properties", {}))


def _fields(name: str) -> str:
    node = _step(name)["properties"][name]
    fields = node["anyOf"][0] if "anyOf" in node else node
    needed = fields.get("required", ())
    rows = [
        (f"`{key}`", "needed" if key in needed else _default(child), _text(child))
        for key, child in fields.get("properties", {}).items()
    ]
    table = _table(("field", "default", "meaning"), rows) if rows else f"Written bare: `- {name}`."
    return f"{STEPS[name].description}\n\n{table}"


def _steps(_: str) -> str:
    rows = [
        (f"[`{kind.name}`](#{kind.name})", "paid" if kind.paid else "free", kind.summary) for kind in STEPS.values()
    ]
    return _table(("step", "", "what it does"), rows)


# The command line


def _commands(_: str) -> str:
    return "\n\n".join(_command(name, command) for name, command in sorted(cli.commands.items()))


def _command(name: str, command: click.Command) -> str:
    options = [one for one in command.params if isinstance(one, click.Option)]
    arguments = [_argument(one) for one in command.params if isinstance(one, click.Argument)]
    usage = " ".join([f"venice-batch {name}", *(["[OPTIONS]"] if options else []), *arguments])
    rows = [(_spelt(option), _escaped(option.help or "")) for option in options]
    told = _paragraphs(command.help or "")
    return "\n\n".join([f"### {name}", f"    {usage}", told, *([_table(("option", "meaning"), rows)] if rows else [])])


def _argument(argument: click.Argument) -> str:
    if argument.metavar:
        return argument.metavar
    name = "|".join(argument.type.choices) if isinstance(argument.type, click.Choice) else (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _spelt(option: click.Option) -> str:
    # Click's own words for types differ between its versions.
    kind = "\\|".join(option.type.choices) if isinstance(option.type, click.Choice) else option.metavar
    wants = "" if option.is_flag else f" {kind or (option.name or '').upper()}"
    default = f" (default {option.default})" if option.show_default and option.default not in {None, ""} else ""
    return ", ".join(f"`{name}{wants}`" for name in option.opts) + default


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


# JSON


def _json_keys(name: str) -> str:
    link = f"[schemas/{name}.json](schemas/{name}.json)"
    return _table(
        ("key", "type", f"meaning ({link})"),
        [(f"`{at}`", *rest) for at, *rest in schemas.keys(name) if not at.startswith("plan.")],
    )


# Tables


def _default(node: Mapping[str, Any]) -> str:
    value = node.get("default", _ABSENT)
    if value is _ABSENT or value is None or value == "" or isinstance(value, list | dict):
        return ""
    spelt = str(int(value)) if isinstance(value, float) and value.is_integer() else value
    return f"`{json.dumps(spelt) if isinstance(value, bool) else spelt}`"


def _text(node: Mapping[str, Any]) -> str:
    allowed = _allowed(node)
    # Few names are worth repeating; what the description already says is not.
    told = str(node.get("description", ""))
    missing = [word for word in allowed if not re.search(rf"\b{re.escape(word)}\b", told)]
    return _escaped(told) + (f" One of {', '.join(f'`{word}`' for word in allowed)}." if missing else "")


def _allowed(node: Mapping[str, Any]) -> list[str]:
    choices: Sequence[Mapping[str, Any]] = [node, *node.get("anyOf", ())]
    return [str(value) for choice in choices for value in choice.get("enum", ())]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


_MAKERS: Mapping[str, Callable[[str], str]] = {
    "keys": _key_table,
    "conditions": _conditions,
    "fields": _fields,
    "steps": _steps,
    "commands": _commands,
    "json": _json_keys,
}
