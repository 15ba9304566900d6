"""Makes docs/schemas/: the JSON Schema of everything that `--json` prints, and the tables of docs/json.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from venice_batch.report.json_models import DOCUMENTS

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


def files() -> dict[Path, str]:
    """Return every schema by its file."""
    return {FOLDER / f"{name}.json": json.dumps(schema(name), indent=1) + "\n" for name in DOCUMENTS}


def schema(name: str) -> dict[str, Any]:
    """Return the schema of one document, for editors and validators."""
    found = TypeAdapter[Any](DOCUMENTS[name]).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **_untitled(found)}


def keys(name: str) -> list[tuple[str, str, str]]:
    """Return every key of a document: its path (``steps[].cost``), its type and its meaning; older names left out."""
    whole = schema(name)
    return list(dict.fromkeys(_below(whole, "", whole.get("$defs", {}))))


def _untitled(node: Any) -> Any:
    """Leave out the titles that pydantic makes of names."""
    if isinstance(node, dict):
        return {key: _untitled(value) for key, value in node.items() if key != "title" or isinstance(value, dict)}
    return [_untitled(each) for each in node] if isinstance(node, list) else node


def _below(node: Mapping[str, Any], path: str, models: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if "$ref" in node:
        node = models[node["$ref"].rpartition("/")[2]]
    for choice in node.get("anyOf", ()):
        yield from _below(choice, path, models)
    if node.get("type") == "array":
        yield from _below(node["items"], f"{path}[]", models)
    for key, child in node.get("properties", {}).items():
        if not child.get("deprecated"):
            at = f"{path}.{key}".removeprefix(".")
            yield at, _kind(child), child.get("description", "")
            yield from _below(child, at, models)


def _kind(node: Mapping[str, Any]) -> str:
    if "anyOf" in node:
        return " or ".join(_kind(choice) for choice in node["anyOf"])
    if "pattern" in node:
        return "amount"
    if node.get("format") == "date-time":
        return "time"
    if "$ref" in node:
        return "object"
    if "const" in node:
        return json.dumps(node["const"])
    return f"list of {_kind(node['items'])}" if node.get("type") == "array" else str(node.get("type", "any"))
