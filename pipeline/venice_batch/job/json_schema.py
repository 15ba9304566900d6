"""The job file's JSON Schema, for editors and for people's own tools.

It is made of the same models that `load` checks with. It accepts whatever `load` accepts; rules between several keys
(the order of steps, ids) are left to `load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from venice_batch.job.key_types import SLUG
from venice_batch.job.model import (
    ApiSettings,
    Budget,
    FolderSource,
    Head,
    Output,
    PromptsSource,
    RunSettings,
    StepHead,
    UrlsSource,
)
from venice_batch.job.notify import URL_SCHEMA, Notify
from venice_batch.steps.answer_checks.expectations import ExpectFields
from venice_batch.steps.conditions import FORMATS, MEASURES, RELATIONS
from venice_batch.steps.table import STEPS, StepKind

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: A value that comes from the environment may stand wherever a single value may.
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the job file, with a description for every key."""
    head = _section(Head)["properties"]
    properties = {
        "version": head["version"],
        "name": head["name"],
        "source": _source(),
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [_bare_step(), *map(_step, STEPS.values())]},
            "description": "What is done to each picture, in order.",
        },
        "output": {
            "anyOf": [_path("A folder, relative to this file."), _section(Output)],
            "description": "Where finished files go.",
        },
        "budget": _described(_section(Budget), "The most that may be spent; without it, the balance."),
        "api": _described(_section(ApiSettings), "How the API is reached. The key never stands here."),
        "run": _described(_section(RunSettings), "How a run behaves."),
        "state": head["state"],
        "lease": head["lease"],
        "preset": head["preset"],
        "notify": _described(_notify(), "Who is told of a run, and where its figures go."),
    }
    return {
        "$schema": _DIALECT,
        "title": "venice-batch job",
        "description": "A batch of pictures and the steps that each of them goes through.",
        "type": "object",
        "properties": properties,
        "required": ["version", "name", "source", "output"],
        "anyOf": [{"required": ["steps"]}, {"required": ["preset"]}],
        "additionalProperties": False,
        "$defs": {"condition": _condition()},
    }


def _section(model: type[BaseModel]) -> dict[str, Any]:
    section = model.model_json_schema()
    whole: dict[str, Any] = _tolerant(_without_titles(_inlined(section, section.pop("$defs", {}))))
    return whole


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """Put sections inside a section where they are referred to; each is used once."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {"anyOf": [_inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)], **rest}
    return {key: _inlined(value, definitions) for key, value in node.items()}


def _path(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


def _source() -> dict[str, Any]:
    kinds = [_section(model) for model in (FolderSource, PromptsSource, UrlsSource)]
    for properties in (kind["properties"] for kind in kinds if "metadata" in kind["properties"]):
        table = properties["metadata"]
        properties["metadata"] = {"anyOf": [_path("The file."), table], "description": table.pop("description")}
    return {"anyOf": [_path("A folder, relative to this file."), *kinds], "description": "Where items come from."}


def _notify() -> dict[str, Any]:
    section = _section(Notify)
    ping = section["properties"]["ping"]
    section["properties"]["ping"] = {
        "anyOf": [_tolerant(URL_SCHEMA), ping],
        "default": None,
        "description": ping.pop("description"),
    }
    return section


def _bare_step() -> dict[str, Any]:
    names = [
        kind.name for kind in STEPS.values() if not any(f.is_required() for f in kind.fields.model_fields.values())
    ]
    return {"anyOf": [{"enum": names}, _VARIABLE], "description": "A step without fields."}


def _step(kind: StepKind) -> dict[str, Any]:
    fields = _section(kind.fields)
    _other_model_name(kind.name, fields)
    nothing_needed = not fields.get("required")
    expect = _described(_expect(kind.name), "What its result must be to be published.")
    return {
        "type": "object",
        "properties": {
            kind.name: _described(
                {"anyOf": [fields, {"type": "null"}]} if nothing_needed else fields, kind.description
            ),
            "id": _section(StepHead)["properties"]["id"],
            "when": {"$ref": "#/$defs/condition", "description": "Do the step only where this holds."},
            **({"expect": expect} if kind.paid else {}),
        },
        "required": [kind.name],
        "additionalProperties": False,
    }


def _expect(name: str) -> dict[str, Any]:
    tests = _section(ExpectFields)
    if name == "generate":
        # It is sent no picture, so there is no shape to keep.
        del tests["properties"]["aspect_within"]
    return {**tests, "minProperties": 1}


def _other_model_name(name: str, fields: dict[str, Any]) -> None:
    other = {"edit": ("model", "modelId"), "multi-edit": ("modelId", "model")}.get(name)
    if other is not None:
        known, alias = other
        fields["properties"][alias] = {**fields["properties"][known], "description": f"Another name of {known}."}


def _condition() -> dict[str, Any]:
    itself = {"$ref": "#/$defs/condition"}
    several = {"type": "array", "minItems": 1, "items": itself}
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {
            **{f"{measure}_{relation}": _bound(measure, relation) for measure in MEASURES for relation in RELATIONS},
            "has_alpha": _described(_flag(), "The picture has an alpha channel, or has none."),
            "format": _described(_formats(), "The file's format, or a list of formats."),
            "metadata": _described(_columns(), "Columns of the item's row: a value, a list of values, or present."),
            "any": _described(several, "One of these conditions holds."),
            "all": _described(several, "All of these conditions hold."),
            "not": _described(itself, "This condition does not hold."),
        },
        "additionalProperties": False,
    }


_UNITS: Mapping[str, str] = {
    "max_side": "longer side in pixels",
    "min_side": "shorter side in pixels",
    "pixels": "width times height",
    "bytes": "size of the file (bytes, or text such as 500KB)",
    "aspect_ratio": "width divided by height (a number, or text such as 4:5)",
}


def _bound(measure: str, relation: str) -> dict[str, Any]:
    unit = _UNITS.get(measure, f"{measure.replace('_', ' ')} in pixels")
    words = "is below this" if relation == "below" else "is at least this"
    # Text: a size, a ratio, or a quoted number; `load` tells which of them the test takes.
    value = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}
    return _described(value, f"The {unit.removeprefix('the ')} {words}.")


def _flag() -> dict[str, Any]:
    return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"}]}


def _columns() -> dict[str, Any]:
    one = {"type": ["string", "number", "boolean"]}
    test = {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}
    return {"type": "object", "minProperties": 1, "additionalProperties": test}


def _formats() -> dict[str, Any]:
    # Any case is read; the schema suggests one and leaves the check to `load`.
    one = {"anyOf": [{"enum": sorted(FORMATS)}, {"type": "string"}]}
    return {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}


def _described(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {**schema, "description": description}


def _without_titles(node: Any) -> Any:
    """Drop the titles that pydantic makes up from names, and the class docstrings, which address programmers."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _without_titles(value) for name, value in child.items()}
        if key == "properties"
        else _without_titles(child)
        for key, child in node.items()
        if key != "title" and not (key == "description" and node.get("type") == "object" and "properties" in node)
    }


def _tolerant(node: Any) -> Any:
    """Allow what `load` allows beyond the model's own type: variables, text for numbers, numbers for text.

    A key's null is refused by `load`, so an optional field is not offered it.
    """
    if isinstance(node, list):
        return [_tolerant(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "properties" in node:
        return {**node, "properties": {key: _tolerant(value) for key, value in node["properties"].items()}}
    if node.get("type") == "array":
        return {**node, "items": _tolerant(node["items"])}
    if "anyOf" in node:
        choices = [_tolerant(choice) for choice in node["anyOf"] if choice != {"type": "null"}]
        return {**node, "anyOf": choices} if len(choices) > 1 else {**_without(node, "anyOf", "default"), **choices[0]}
    return _tolerant_value(node)


def _tolerant_value(node: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: node[key] for key in ("description", "default") if key in node}
    bare = _without(node, "description", "default")
    match bare.get("type"):
        case "string" if not {"enum", "const", "pattern"} & bare.keys():
            return {**about, **bare, "type": ["string", "number", "boolean"]}
        case "boolean":
            return {**about, "anyOf": [*_flag()["anyOf"], _VARIABLE]}
        case "integer" | "number":
            return {**about, "anyOf": [bare, {"type": "string", "pattern": r"^[-+.0-9eE]+$"}, _VARIABLE]}
        case _:
            # A name such as 2024 or a ratio is text to us, also where YAML takes it for a number.
            number = [{"type": "number"}] if bare.get("pattern") == SLUG else []
            return {**about, "anyOf": [bare, *number, _VARIABLE]}


def _without(node: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}
