"""The schemas of the API in `venice.yaml`, and what is wrong with a request or an answer by them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

_DOCUMENT: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("venice.yaml").read_text("utf-8"))
PATHS: Mapping[str, Any] = _DOCUMENT["paths"]
_DEFINITIONS: Mapping[str, Any] = _DOCUMENT["$defs"]
_OK = 200


@cache
def _validator(path: str, part: str) -> Draft202012Validator:
    schema = _DEFINITIONS[part] if part in _DEFINITIONS else PATHS[path][part]
    whole = {"$defs": _DEFINITIONS, **schema} if isinstance(schema, dict) else schema
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator(whole)


def _problems(path: str, part: str, document: object) -> list[str]:
    return [f"{path} {error.json_path}: {error.message}" for error in _validator(path, part).iter_errors(document)]


def request_problems(path: str, fields: Mapping[str, Any], transport: str) -> list[str]:
    """Say what is wrong with the fields of a request; the values of a form are read by their types."""
    return _problems(path, "request", _from_form(path, fields) if transport == "multipart" else dict(fields))


def _from_form(path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _read(_type(path, name), value) for name, value in fields.items()}


def _type(path: str, name: str) -> str:
    schema = PATHS[path]["request"]["properties"].get(name, {})
    if "$ref" in schema:
        schema = _DEFINITIONS[schema["$ref"].rpartition("/")[2]]
    return str(schema.get("type", "string"))


def _read(kind: str, value: object) -> object:
    if kind not in {"number", "integer", "boolean"} or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def answer_problems(path: str, status: int, media: str, body: bytes) -> list[str]:
    """Say what is wrong with an answer."""
    binary = PATHS[path].get("binary", ())
    if status == _OK and media.startswith("image/"):
        return [] if media in binary else [f"{path}: {media} is none of {binary}"]
    document = json.loads(body)
    if status == _OK:
        return _problems(path, "answer", document)
    return _problems(path, "PaymentOffer" if "x402Version" in document else "Error", document)
