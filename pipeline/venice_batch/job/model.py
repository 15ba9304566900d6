"""The job: every key of the file once, with type, default and description, and the whole as it is worked by.

The descriptions are what `venice-batch schema`, editors and the docs show. Nothing in a job changes after loading.
Fields of steps: see `venice_batch.steps.table`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from venice_batch.errors import Problem
from venice_batch.job.key_types import (
    Amount,
    AnyPlace,
    BaseUrl,
    Concurrency,
    Duration,
    Endpoint,
    FilePath,
    Glob,
    Lease,
    Metadata,
    Slug,
    Template,
    Version,
    Word,
)
from venice_batch.job.notify import Notify
from venice_batch.job.positions import Path as ValuePath
from venice_batch.job.positions import Places
from venice_batch.job.presets import PresetName
from venice_batch.job.reading_rights import ReadingRights
from venice_batch.job.renditions import MOST, RenditionSpec
from venice_batch.steps.answer_checks.expectations import ExpectFields
from venice_batch.steps.conditions import Condition
from venice_batch.steps.scalars import TEXT, Flag, Strict
from venice_batch.steps.table import STEPS
from venice_batch.steps.units import Percent
from venice_batch.storage import Access, Place

#: What a run does about an answer that is not fit to publish.
Existing: TypeAlias = Literal["fail", "replace", "skip"]
OnFlagged: TypeAlias = Literal["hold", "fail", "publish", "retry"]

#: Where calls go unless the job, the environment or an option says otherwise.
OFFICIAL_URL = "https://api.venice.ai/api/v1"


class Head(Strict):
    """The keys at the top that are one value each."""

    version: Version = Field(description="Version of the format: 1.")
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


class S3Reading(Strict):
    """How a bucket is reached."""

    profile: Word | None = Field(None, description="A profile of the AWS configuration files.")
    endpoint_url: Endpoint | None = Field(None, description="Address of a store other than AWS.")
    region: Word | None = Field(None, description="The bucket's region.")
    path_style: Flag | None = Field(
        None, description="The bucket in the path, not in the host name; when absent, wherever endpoint_url is given."
    )
    role_arn: Word | None = Field(None, description="A role to assume first.")
    requester_pays: Flag = Field(default=False, description="This account pays for what it reads.")

    def access(self) -> Access:
        """Return it as the stores take it."""
        return Access(**dict(self))


class S3Writing(S3Reading):
    """How a bucket is reached, and how finished files are stored there."""

    sse: Annotated[Literal["AES256", "aws:kms"], TEXT] | None = Field(
        None, description="Encryption at rest to ask for."
    )
    kms_key_id: Word | None = Field(None, description="The key, for sse: aws:kms; the account's own when absent.")
    storage_class: Word | None = Field(None, description="Storage class of finished files, such as STANDARD_IA.")
    cache_control: Word | None = Field(None, description="Cache-Control of finished files, such as max-age=86400.")
    metadata: Metadata = Field((), description="Name and value pairs that every finished file gets.")


class MetadataFile(Strict):
    """A table with a row for each item."""

    file: FilePath = Field(description="CSV with a header, or JSON lines (.jsonl); relative to the job file.")
    by: Word | None = Field(
        None,
        description="The column that names the item: key (path within the source), stem, url, or any other, which then"
        " holds stems. When absent: key if there is such a column, else stem.",
    )


def _as_section(value: object) -> object:
    return value if isinstance(value, dict) else {"file": value}


_TABLE = "A table with a row for each item, whose columns fill {title} and the like; its path, or file and by."
#: Written as a path, or as a section.
Table: TypeAlias = Annotated[MetadataFile | None, BeforeValidator(_as_section)]


class FolderSource(Strict):
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
    s3: S3Reading | None = Field(None, description="How the bucket is reached; else as the environment says.")


class PromptsSource(Strict):
    """A file of prompts, for jobs that start with generate."""

    prompts: FilePath = Field(description="CSV with columns id and prompt, or JSON lines; relative to the job file.")


class UrlsSource(Strict):
    """A file of https addresses."""

    urls: FilePath = Field(description="A text file with one https address a line, relative to the job file.")
    metadata: Table = Field(None, description=_TABLE)


Source: TypeAlias = FolderSource | PromptsSource | UrlsSource


class Output(Strict):
    """Where finished files go."""

    path: AnyPlace = Field(description="The folder, relative to the job file, or s3://BUCKET/PREFIX/.")
    name: Template = Field(
        "{dir}/{stem}.{ext}",
        description="Names of finished files, made of {dir}, {stem}, {ext}, {variant}, and columns of the metadata.",
    )
    existing: Annotated[Existing, TEXT] = Field(
        "fail", description="What to do about a file that is already there and was not made by this job."
    )
    on_vanished: Annotated[Literal["keep", "report", "delete"], TEXT] = Field(
        "report",
        description="What to do about the finished file of an input that is gone: delete it, name it, or keep it.",
    )
    max_deleted: Percent = Field(
        0.1,
        description="With on_vanished: delete: when more than this share of the finished files would go, none does.",
    )
    renditions: Annotated[tuple[RenditionSpec, ...], Field(min_length=1, max_length=MOST)] = Field(
        (), description="The finished files of each item; when absent, one as the last step left it."
    )
    s3: S3Writing | None = Field(
        None, description="How the buckets of output and state are reached and written; else as the environment says."
    )


class Budget(Strict):
    """The most that may be spent."""

    max_usd: Amount | None = Field(None, description="US dollars for one run.")
    max_usd_per_day: Amount | None = Field(None, description="US dollars for a day (UTC).")
    max_usd_per_month: Amount | None = Field(None, description="US dollars for a month (UTC).")
    shared_account: Flag = Field(
        default=False,
        description="Others spend from the same account: a balance that falls faster than the prices is told, and does"
        " not stop the run.",
    )


class ApiSettings(Strict):
    """How the API is reached. The key never stands here."""

    base_url: BaseUrl = Field(OFFICIAL_URL, description="Address of the API, or emulator for the bundled one.")
    transport: Annotated[Literal["multipart", "json", "url"], TEXT] = Field(
        "multipart",
        description="How pictures are sent: as files, inside JSON, or (url) by a signed address, so that the API reads"
        " a source on S3 by itself.",
    )
    timeout: Annotated[Duration, Field(gt=0, le=3600)] = Field(
        300.0, description="Longest time of one call: seconds, or text such as 300s or 5m; up to 1h."
    )


class RunSettings(Strict):
    """How a run behaves."""

    concurrency: Concurrency = Field(None, description="Calls in flight at most: 1 to 64, or auto.")
    max_failure_rate: Percent = Field(0.5, description="The run stops when this share of items failed: 50% or 0.5.")
    uncertain: Annotated[Literal["retry", "hold"], TEXT] = Field(
        "retry", description="Whether a call whose response was lost is bought again (once a run)."
    )
    drain: Annotated[Duration, Field(le=3600)] = Field(
        25.0, description="Time that calls in flight get to land after Ctrl-C or SIGTERM."
    )
    on_flagged: Annotated[OnFlagged, TEXT] = Field(
        "hold",
        description="What happens to a result that is not fit to publish: it is held back until release or reject, its"
        " item fails, it is published all the same, or it is regenerated (charged again) once and held if that is no"
        " better.",
    )


class StepHead(Strict):
    """What stands beside a step's name."""

    id: Slug | None = Field(None, description="Names the step for {step: ID}; the step's own name when absent.")


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step as the job file has it.

    Attributes:
        id: unique in the job; the step's name unless the user chose one.
        name: a name of `venice_batch.steps.table.STEPS`.
        fields: the step's field model.
        when: do the step only where this holds; None: always.
        expect: what the job asks of the answer of a paid step. No part of what is bought: a change buys nothing and
            checks nothing again, since a result keeps the verdict of the expectations that it was bought under.
    """

    id: str
    name: str
    fields: Strict
    when: Condition | None = None
    expect: ExpectFields | None = None

    @property
    def paid(self) -> bool:
        """Whether it costs money."""
        return STEPS[self.name].paid


@dataclass(frozen=True)
class Job:
    """A job file, loaded.

    Attributes:
        file: the job file's path, as the user gave it.
        version: of the format, 1.
        name: names the state.
        source: where items come from.
        steps: in order, at least one.
        output: where finished files go.
        budget: limits of spending.
        api: how the API is reached.
        run: how a run behaves.
        state: where the job's memory lies: an absolute folder, or a place in a bucket.
        access: how the buckets of output and state are reached.
        lease: seconds that a dead run keeps others away from a state on S3; None: a store without conditional writes.
        notify: who is told of a run, and where its figures go.
        places: where everything stands in the file.
        reads: where the files that it names must lie; None: anywhere.
    """

    file: Path
    version: int
    name: str
    source: Source
    steps: tuple[StepSpec, ...]
    output: Output
    budget: Budget
    api: ApiSettings
    run: RunSettings
    state: Place
    access: Access
    lease: float | None
    notify: Notify
    places: Places = field(repr=False, compare=False)
    reads: ReadingRights | None = None

    def place(self, path: ValuePath) -> tuple[int, int]:
        """Return line and column, from 1, of a value: ``("steps", 0, "scale")``, ``("output", "path")``.

        What is not written in the file has the place of the section around it.
        """
        mark = self.places.value(path)
        return mark.line, mark.column

    def problem(self, path: ValuePath, what: str, instead: str = "") -> Problem:
        """Return a problem that points at a value of the file, or at the option that set it."""
        return self.places.value(path).problem(what, instead)
