"""The sections of a job file as pydantic models: their keys, types, ranges and descriptions.

The descriptions are what `venice-batch schema` and editors show. Steps: see `venice_batch.steps.fields`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo, WithJsonSchema

from venice_batch.job.presets import PresetName
from venice_batch.job.renditions import MOST, RenditionFields
from venice_batch.steps.references import job_folder, local_path
from venice_batch.steps.scalars import TEXT, Flag, as_number, as_text, quoted, refusal
from venice_batch.storage import Access, Place, parse

#: What an output name is made of.
PLACEHOLDERS = ("dir", "stem", "ext", "variant")

#: Names of jobs and ids of steps: they become folder names and columns.
SLUG = "^[a-z0-9][a-z0-9-]{0,63}$"


def _slug(value: object) -> str:
    text = as_text(value)
    if not re.fullmatch(SLUG[1:-1], text):
        raise refusal(f"{quoted(value)} is not a name", "write 1 to 64 of a-z, 0-9 and -, not starting with -")
    return text


def _version(value: object) -> int:
    if value != 1 or isinstance(value, bool):
        raise refusal(f"{quoted(value)} is not a version of the job file that this program knows", "write version: 1")
    return 1


def _path(value: object, info: ValidationInfo) -> Path:
    return local_path(value, job_folder(info))


def has_columns(info: ValidationInfo) -> bool:
    """Whether the job has columns to fill in: ``columns`` of the validation context."""
    return isinstance(info.context, dict) and bool(info.context.get("columns"))


def _place(value: object, info: ValidationInfo) -> Place:
    text = as_text(value)
    if not text.lower().startswith("s3:"):
        return local_path(value, job_folder(info))
    try:
        return parse(text, Access())
    except ValueError as error:
        raise refusal(str(error), "write s3://BUCKET/PREFIX/") from error


def _endpoint(value: object) -> str:
    text = as_text(value)
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"[\s\\@?#]", text):
        raise refusal(
            f"{quoted(text)} is not an http(s) address", "write https://HOST, without keys and without a bucket"
        )
    return text.rstrip("/")


def _metadata(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise refusal(f"{quoted(value)} where a mapping is expected", "write {name: value}")
    pairs = tuple((as_text(name).lower(), as_text(content)) for name, content in value.items())
    for name, content in pairs:
        # They travel as HTTP headers: what these cannot carry, stores refuse or garble in different ways.
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or not (content.isascii() and content.isprintable()):
            raise refusal(
                f"{name}: {quoted(content)} cannot be an object's metadata", "use a-z, 0-9, - and plain ASCII"
            )
    return pairs


def _lease(value: object) -> float | None:
    if value == "unsafe":
        return None
    found = seconds(value)
    if not _LEASE[0] <= found <= _LEASE[1]:
        raise refusal(
            f"{quoted(value)} is out of range", "write 2s to 1h, or unsafe for a store without conditional writes"
        )
    return found


def _glob(value: object) -> str:
    text = as_text(value)
    if not text.strip() or text.startswith("/") or ".." in text.split("/"):
        raise refusal(f"{quoted(value)} matches nothing inside the source", 'write a pattern such as "**/*.jpg"')
    return text


def _template(value: object, info: ValidationInfo) -> str:
    text = as_text(value)
    for name in re.findall(r"\{([^{}]*)\}", text):
        # With a table at hand it may be a column: the plan reads the table and tells.
        if name not in PLACEHOLDERS and not has_columns(info):
            known = "known: {dir}, {stem}, {ext} and {variant}; columns need source.metadata"
            raise refusal(f"unknown placeholder {{{name}}}", known)
    rest = re.sub(r"\{[^{}]*\}", "x", text)
    if "{" in rest or "}" in rest:
        raise refusal("a brace without its partner", "write {dir}, {stem}, {ext} or {variant}")
    if not rest.strip() or rest.startswith("/") or rest.endswith("/") or {".", ".."} & set(rest.split("/")):
        raise refusal(f"{quoted(text)} does not name a file inside the output", 'write "{dir}/{stem}.{ext}"')
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
        raise refusal(f"{quoted(value)} is not a duration", "write seconds, or text such as 300s or 5m")
    return float(match[1]) * _SECONDS[match[2] or ""]


def _rate(value: object) -> float:
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", as_text(value).strip())
    rate = float(match[1]) / 100 if match else float(as_number(value))
    if not 0 <= rate <= 1:
        raise refusal(f"{quoted(value)} is not a share of 1", "write 50% or 0.5")
    return rate


def _money(value: object) -> Decimal:
    text = as_text(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text) or not Decimal(text):
        raise refusal(f"{quoted(value)} is not an amount above 0", "write US dollars as a number, such as 25 or 0.50")
    return Decimal(text)


def _concurrency(value: object) -> int | None:
    if value == "auto":
        return None
    number = as_number(value)
    if number not in range(1, 65):
        raise refusal(f"{quoted(value)} is out of range", "write auto, or 1 to 64")
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
        raise refusal(f"{quoted(text)} is not an http(s) address", hint)
    if "@" in parts.netloc:
        raise refusal("the address holds a user name", "remove it: keys and passwords have no place in a job file")
    if "?" in text or "#" in text:
        raise refusal("the address has more than host and path", hint)
    return text.rstrip("/")


_AMOUNT = WithJsonSchema(
    {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$"}]}
)
_DURATION_FORMS = (
    {"type": "number", "minimum": 0},
    {"type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? ?(ms|s|m|h)? *$"},
)
_DURATION = WithJsonSchema({"anyOf": [*_DURATION_FORMS]})
_SHARE = WithJsonSchema(
    {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": 1},
            {"type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? ?% *$"},
        ]
    }
)

Slug: TypeAlias = Annotated[str, BeforeValidator(_slug), WithJsonSchema({"type": "string", "pattern": SLUG})]
FilePath: TypeAlias = Annotated[Path, PlainValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]
AnyPlace: TypeAlias = Annotated[Place, PlainValidator(_place), WithJsonSchema({"type": "string", "minLength": 1})]
Endpoint: TypeAlias = Annotated[
    str, BeforeValidator(_endpoint), WithJsonSchema({"type": "string", "pattern": "^https?://.+"})
]
Metadata: TypeAlias = Annotated[
    tuple[tuple[str, str], ...],
    PlainValidator(_metadata),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]
Lease: TypeAlias = Annotated[
    float | None, PlainValidator(_lease), WithJsonSchema({"anyOf": [{"const": "unsafe"}, *_DURATION_FORMS]})
]
Glob: TypeAlias = Annotated[str, BeforeValidator(_glob)]
Template: TypeAlias = Annotated[str, BeforeValidator(_template)]
Amount: TypeAlias = Annotated[Decimal, PlainValidator(_money), _AMOUNT]
Duration: TypeAlias = Annotated[float, BeforeValidator(seconds), _DURATION]
Rate: TypeAlias = Annotated[float, BeforeValidator(_rate), _SHARE]
Concurrency: TypeAlias = Annotated[
    int | None,
    PlainValidator(_concurrency),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 64}]}),
]
BaseUrl: TypeAlias = Annotated[
    str, BeforeValidator(_base_url), WithJsonSchema({"type": "string", "pattern": "^(emulator|https?://.+)$"})
]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadSection(Section):
    """The keys at the top that are one value each."""

    version: Annotated[Literal[1], BeforeValidator(_version)] = Field(description="Version of the format: 1.")
    name: Slug = Field(description="Names the job and its state: a-z, 0-9 and -.")
    state: AnyPlace | None = Field(
        None,
        description="Where the job's memory lies: a folder, or s3://BUCKET/PREFIX/. With a local output it is"
        " <output>/.venice-batch/<name>/ when absent.",
    )
    lease: Lease = Field(
        60.0,
        description="For a state on S3: how long a run that died keeps others away, such as 60s; or unsafe, for a store"
        " without conditional writes.",
    )
    preset: Annotated[PresetName, TEXT] | None = Field(
        None,
        description="Steps and finished files after a marketplace's rules, behind the job's own steps;"
        " venice-batch presets shows what each stands for.",
    )


class ReadingSection(Section):
    """How a bucket is reached."""

    profile: Annotated[str, Field(min_length=1), TEXT] | None = Field(
        None, description="A profile of the AWS configuration files."
    )
    endpoint_url: Endpoint | None = Field(None, description="Address of a store other than AWS.")
    region: Annotated[str, Field(min_length=1), TEXT] | None = Field(None, description="The bucket's region.")
    path_style: Flag | None = Field(
        None, description="The bucket in the path, not in the host name; when absent, wherever endpoint_url is given."
    )
    role_arn: Annotated[str, Field(min_length=1), TEXT] | None = Field(None, description="A role to assume first.")
    requester_pays: Flag = Field(default=False, description="This account pays for what it reads.")


class WritingSection(ReadingSection):
    """How a bucket is reached, and how finished files are stored there."""

    sse: Annotated[Literal["AES256", "aws:kms"], TEXT] | None = Field(
        None, description="Encryption at rest to ask for."
    )
    kms_key_id: Annotated[str, Field(min_length=1), TEXT] | None = Field(
        None, description="The key, for sse: aws:kms; the account's own when absent."
    )
    storage_class: Annotated[str, Field(min_length=1), TEXT] | None = Field(
        None, description="Storage class of finished files, such as STANDARD_IA."
    )
    cache_control: Annotated[str, Field(min_length=1), TEXT] | None = Field(
        None, description="Cache-Control of finished files, such as max-age=86400."
    )
    metadata: Metadata = Field((), description="Name and value pairs that every finished file gets.")


class MetadataSection(Section):
    """A table with a row for each item."""

    file: FilePath = Field(description="CSV with a header, or JSON lines (.jsonl); relative to the job file.")
    by: Annotated[str, Field(min_length=1), TEXT] | None = Field(
        None,
        description="The column that names the item: key (path within the source), stem, url, or any other, which then"
        " holds stems. When absent: key if there is such a column, else stem.",
    )


def _as_section(value: object) -> object:
    return value if isinstance(value, dict) else {"file": value}


_TABLE = "A table with a row for each item, whose columns fill {title} and the like; its path, or file and by."
#: Written as a path, or as a section.
Table: TypeAlias = Annotated[MetadataSection | None, BeforeValidator(_as_section)]


class FolderSection(Section):
    """A folder of pictures, or a prefix of a bucket."""

    path: AnyPlace = Field(description="The folder, relative to the job file, or s3://BUCKET/PREFIX/.")
    include: Annotated[tuple[Glob, ...], Field(min_length=1)] = Field(
        (), description='Only files that match one of these, such as ["**/*.jpg"].'
    )
    exclude: tuple[Glob, ...] = Field((), description="Leave out files that match one of these.")
    keys: FilePath | None = Field(
        None, description="A text file with one key a line, relative to the job file; taken instead of a listing."
    )
    metadata: Table = Field(None, description=_TABLE)
    s3: ReadingSection | None = Field(None, description="How the bucket is reached; else as the environment says.")


class PromptsSection(Section):
    """A file of prompts, for jobs that start with generate."""

    prompts: FilePath = Field(description="CSV with columns id and prompt, or JSON lines; relative to the job file.")


class UrlsSection(Section):
    """A file of https addresses."""

    urls: FilePath = Field(description="A text file with one https address a line, relative to the job file.")
    metadata: Table = Field(None, description=_TABLE)


class OutputSection(Section):
    """Where finished files go."""

    path: AnyPlace = Field(description="The folder, relative to the job file, or s3://BUCKET/PREFIX/.")
    name: Template = Field(
        "{dir}/{stem}.{ext}",
        description="Names of finished files, made of {dir}, {stem}, {ext}, {variant}, and columns of the metadata.",
    )
    existing: Annotated[Literal["fail", "replace", "skip"], TEXT] = Field(
        "fail", description="What to do about a file that is already there and was not made by this job."
    )
    on_vanished: Annotated[Literal["keep", "report", "delete"], TEXT] = Field(
        "report",
        description="What to do about the finished file of an input that is gone: delete it, name it, or keep it.",
    )
    max_deleted: Rate = Field(
        0.1,
        description="With on_vanished: delete: when more than this share of the finished files would go, none does.",
    )
    renditions: Annotated[tuple[RenditionFields, ...], Field(min_length=1, max_length=MOST)] = Field(
        (), description="The finished files of each item; when absent, one as the last step left it."
    )
    s3: WritingSection | None = Field(
        None, description="How the buckets of output and state are reached and written; else as the environment says."
    )


class BudgetSection(Section):
    """The most that may be spent."""

    max_usd: Amount | None = Field(None, description="US dollars for one run.")
    max_usd_per_day: Amount | None = Field(None, description="US dollars for a day (UTC).")
    max_usd_per_month: Amount | None = Field(None, description="US dollars for a month (UTC).")


class ApiSection(Section):
    """How the API is reached. The key never stands here."""

    base_url: BaseUrl = Field(
        "https://api.venice.ai/api/v1", description="Address of the API, or emulator for the bundled one."
    )
    transport: Annotated[Literal["multipart", "json", "url"], TEXT] = Field(
        "multipart",
        description="How pictures are sent: as files, inside JSON, or (url) by a signed address, so that the API reads"
        " a source on S3 by itself.",
    )
    timeout: Annotated[Duration, Field(gt=0, le=3600)] = Field(
        300.0, description="Longest time of one call: seconds, or text such as 300s or 5m; up to 1h."
    )


class RunSection(Section):
    """How a run behaves."""

    concurrency: Concurrency = Field(None, description="Calls in flight at most: 1 to 64, or auto.")
    max_failure_rate: Rate = Field(0.5, description="The run stops when this share of items failed: 50% or 0.5.")
    uncertain: Annotated[Literal["retry", "hold"], TEXT] = Field(
        "retry", description="Whether a call whose answer was lost is bought again (once a run)."
    )
    drain: Annotated[Duration, Field(le=3600)] = Field(
        25.0, description="Time that calls in flight get to land after Ctrl-C or SIGTERM."
    )
    on_flagged: Annotated[Literal["hold", "fail", "publish", "retry"], TEXT] = Field(
        "hold",
        description="What happens to an answer that is not fit to publish: it is held back until release or reject, its"
        " item fails, it is published all the same, or it is bought anew once and held if that is no better.",
    )


class StepSection(Section):
    """What stands beside a step's name."""

    id: Slug | None = Field(None, description="Names the step for {step: ID}; the step's own name when absent.")
