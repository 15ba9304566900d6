"""The types of a job file's keys: what may be written for each, and what becomes of it.

What a key holds already (a path, an amount, an address) is taken as it is, so that a part of a job can also be made in
code.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from venice_batch.steps.references import job_folder, local_path
from venice_batch.steps.scalars import TEXT, as_number, as_text, invalid, quoted
from venice_batch.storage import Access, LocalPlace, Place, as_place, parse

#: What an output name is made of.
PLACEHOLDERS = ("dir", "stem", "ext", "variant")

#: Names of jobs and ids of steps: they become folder names and columns.
SLUG = "^[a-z0-9][a-z0-9-]{0,63}$"


def _slug(value: object) -> str:
    text = as_text(value)
    if not re.fullmatch(SLUG[1:-1], text):
        raise invalid(f"{quoted(value)} is not a name", "write 1 to 64 of a-z, 0-9 and -, not starting with -")
    return text


def _version(value: object) -> int:
    if value != 1 or isinstance(value, bool):
        raise invalid(f"{quoted(value)} is not a version of the job file that this program knows", "write version: 1")
    return 1


def _path(value: object, info: ValidationInfo) -> Path:
    return value if isinstance(value, Path) else local_path(value, job_folder(info))


def has_columns(info: ValidationInfo) -> bool:
    """Whether the job has columns to fill in: ``columns`` of the validation context."""
    return isinstance(info.context, dict) and bool(info.context.get("columns"))


def _place(value: object, info: ValidationInfo) -> Place:
    if isinstance(value, Place | Path):
        return as_place(value)
    text = as_text(value)
    if not text.lower().startswith("s3:"):
        return LocalPlace(local_path(value, job_folder(info)))
    try:
        return parse(text, Access())
    except ValueError as error:
        raise invalid(str(error), "write s3://BUCKET/PREFIX/") from error


def _endpoint(value: object) -> str:
    text = as_text(value)
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"[\s\\@?#]", text):
        raise invalid(
            f"{quoted(text)} is not an http(s) address", "write https://HOST, without keys and without a bucket"
        )
    return text.rstrip("/")


def _metadata(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict):
        raise invalid(f"{quoted(value)} where a mapping is expected", "write {name: value}")
    pairs = tuple((as_text(name).lower(), as_text(content)) for name, content in value.items())
    for name, content in pairs:
        # They travel as HTTP headers: what these cannot carry, stores refuse or garble in different ways.
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or not (content.isascii() and content.isprintable()):
            raise invalid(
                f"{name}: {quoted(content)} cannot be an object's metadata", "use a-z, 0-9, - and plain ASCII"
            )
    return pairs


def _lease(value: object) -> float | None:
    if value == "unsafe":
        return None
    found = seconds(value)
    if not _LEASE[0] <= found <= _LEASE[1]:
        raise invalid(
            f"{quoted(value)} is out of range", "write 2s to 1h, or unsafe for a store without conditional writes"
        )
    return found


def _glob(value: object) -> str:
    text = as_text(value)
    if not text.strip() or text.startswith("/") or ".." in text.split("/"):
        raise invalid(f"{quoted(value)} matches nothing inside the source", 'write a pattern such as "**/*.jpg"')
    return text


def _template(value: object, info: ValidationInfo) -> str:
    text = as_text(value)
    for name in re.findall(r"\{([^{}]*)\}", text):
        # With a table at hand it may be a column: the plan reads the table and tells.
        if name not in PLACEHOLDERS and not has_columns(info):
            known = "known: {dir}, {stem}, {ext} and {variant}; columns need source.metadata"
            raise invalid(f"unknown placeholder {{{name}}}", known)
    rest = re.sub(r"\{[^{}]*\}", "x", text)
    if "{" in rest or "}" in rest:
        raise invalid("a brace without its partner", "write {dir}, {stem}, {ext} or {variant}")
    if not rest.strip() or rest.startswith("/") or rest.endswith("/") or {".", ".."} & set(rest.split("/")):
        raise invalid(f"{quoted(text)} does not name a file inside the output", 'write "{dir}/{stem}.{ext}"')
    return text


#: Seconds: below, one slow answer of the store would lose the lease; above, nobody could take over from a dead run.
_LEASE = (2.0, 3600.0)
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: object) -> float:
    """Take a duration: a number of seconds, or text such as ``300s`` or ``5m``.

    Raises:
        PydanticCustomError: The value is not a duration.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h)?", as_text(value).strip())
    if match is None:
        raise invalid(f"{quoted(value)} is not a duration", "write seconds, or text such as 300s or 5m")
    return float(match[1]) * _SECONDS[match[2] or ""]


def _money(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    text = as_text(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text) or not Decimal(text):
        raise invalid(f"{quoted(value)} is not an amount above 0", "write US dollars as a number, such as 25 or 0.50")
    return Decimal(text)


def _concurrency(value: object) -> int | None:
    if value is None or value == "auto":
        return None
    number = as_number(value)
    if number not in range(1, 65):
        raise invalid(f"{quoted(value)} is out of range", "write auto, or 1 to 64")
    return int(number)


def _base_url(value: object) -> str:
    text = as_text(value)
    if text == "emulator":
        return text
    hint = "write https://HOST/PATH, or emulator"
    try:
        parts = urlsplit(text)
        well_formed = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or re.search(r"[\s\\]", text):
        raise invalid(f"{quoted(text)} is not an http(s) address", hint)
    if "@" in parts.netloc:
        raise invalid("the address holds a user name", "remove it: keys and passwords have no place in a job file")
    if "?" in text or "#" in text:
        raise invalid("the address has more than host and path", hint)
    return text.rstrip("/")


_AMOUNT = WithJsonSchema(
    {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$"}]}
)
_DURATION_FORMS = (
    {"type": "number", "minimum": 0},
    {"type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? ?(ms|s|m|h)? *$"},
)
_DURATION = WithJsonSchema({"anyOf": [*_DURATION_FORMS]})
Version: TypeAlias = Annotated[Literal[1], BeforeValidator(_version)]
Slug: TypeAlias = Annotated[str, BeforeValidator(_slug), WithJsonSchema({"type": "string", "pattern": SLUG})]
FilePath: TypeAlias = Annotated[Path, PlainValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]
AnyPlace: TypeAlias = Annotated[Place, PlainValidator(_place), WithJsonSchema({"type": "string", "minLength": 1})]
Endpoint: TypeAlias = Annotated[
    str, BeforeValidator(_endpoint), WithJsonSchema({"type": "string", "pattern": "^https?://.+"})
]
NamesAndValues = WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
Metadata: TypeAlias = Annotated[tuple[tuple[str, str], ...], PlainValidator(_metadata), NamesAndValues]
Lease: TypeAlias = Annotated[
    float | None, PlainValidator(_lease), WithJsonSchema({"anyOf": [{"const": "unsafe"}, *_DURATION_FORMS]})
]
Glob: TypeAlias = Annotated[str, BeforeValidator(_glob)]
Word: TypeAlias = Annotated[str, Field(min_length=1), TEXT]
Template: TypeAlias = Annotated[str, BeforeValidator(_template)]
Amount: TypeAlias = Annotated[Decimal, PlainValidator(_money), _AMOUNT]
Duration: TypeAlias = Annotated[float, BeforeValidator(seconds), _DURATION]
Concurrency: TypeAlias = Annotated[
    int | None,
    PlainValidator(_concurrency),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 64}]}),
]
BaseUrl: TypeAlias = Annotated[
    str, BeforeValidator(_base_url), WithJsonSchema({"type": "string", "pattern": "^(emulator|https?://.+)$"})
]
