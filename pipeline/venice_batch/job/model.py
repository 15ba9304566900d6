"""The job: what the file asks for, complete and checked. Nothing in it changes after loading."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from venice_batch.errors import Problem
from venice_batch.imaging import Rendition
from venice_batch.job.notify import Notify
from venice_batch.job.positions import Path as ValuePath
from venice_batch.job.positions import Places
from venice_batch.steps.answer_checks.expectations import ExpectFields
from venice_batch.steps.conditions import Condition
from venice_batch.storage import Place

#: What a run does about an answer that is not fit to publish.
OnFlagged: TypeAlias = Literal["hold", "fail", "publish", "retry"]

#: Where calls go unless the job, the environment or an option says otherwise.
OFFICIAL_URL = "https://api.venice.ai/api/v1"

#: The extension in the template of a name; a dot inside braces begins none.
_ENDING = re.compile(r"\.(?:[^./{}]|\{[^{}]*\})*$")


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A table with a row for each item.

    Attributes:
        file: CSV or JSON lines.
        by: the column that names the item: `key` by its key, `url` by its address, any other by its stem. Empty: `key`
            if there is such a column, else `stem`.
    """

    file: Path
    by: str = ""


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The pictures of a folder, or of a prefix of a bucket.

    Attributes:
        path: an absolute path, or a place in a bucket.
        include: globs; empty means every file type that can be read.
        exclude: globs that win over `include`.
        keys: a file that lists the keys to take; None: list the folder.
        metadata: what is known of each picture beside the picture.
    """

    path: Place
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    keys: Path | None = None
    metadata: MetadataFile | None = None


@dataclass(frozen=True, slots=True)
class PromptsSource:
    """The rows of a prompts file (CSV or JSON lines), for a chain that starts with generate."""

    prompts: Path


@dataclass(frozen=True, slots=True)
class UrlsSource:
    """The https addresses of a file, one a line; `metadata`: what is known of each beside the picture."""

    urls: Path
    metadata: MetadataFile | None = None


Source: TypeAlias = FolderSource | PromptsSource | UrlsSource


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step as written.

    Attributes:
        id: unique in the job; the step's name unless the user chose one.
        name: a name of `venice_batch.steps.fields.FIELDS`.
        fields: the step's field model.
        when: do the step only where this holds; None: always.
        expect: what the job asks of the answer of a paid step. No part of what is bought: a change buys nothing and
            judges nothing anew, since an answer keeps the verdict of the expectations that it was bought under.
    """

    id: str
    name: str
    fields: BaseModel
    when: Condition | None = None
    expect: ExpectFields | None = None


@dataclass(frozen=True, slots=True)
class RenditionSpec:
    """One finished file of each item.

    Attributes:
        suffix: stands in its name before the extension.
        extension: of its format, without a dot.
        rendition: how it is encoded.
    """

    suffix: str
    extension: str
    rendition: Rendition

    def template(self, name: str) -> str:
        """Return the template of this file's name, given the output's: the suffix stands before the last extension."""
        ending = _ENDING.search(name)
        place = len(name) if ending is None else ending.start()
        return f"{name[:place]}{self.suffix}{name[place:]}"


@dataclass(frozen=True, slots=True)
class Output:
    """Where finished files go.

    Attributes:
        path: absolute folder, or a place in a bucket.
        name: template of `{dir}`, `{stem}`, `{ext}`, `{variant}`, and columns of the metadata.
        existing: what to do about a file that is there and not ours.
        on_vanished: what to do about the finished file of an input that is gone.
        max_deleted: share of the finished files (0 to 1) above which none is deleted.
        renditions: the finished files of each item; none: one, as the last step left it.
    """

    path: Place
    name: str = "{dir}/{stem}.{ext}"
    existing: Literal["fail", "replace", "skip"] = "fail"
    on_vanished: Literal["keep", "report", "delete"] = "report"
    max_deleted: float = 0.1
    renditions: tuple[RenditionSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent, in US dollars at catalogue prices; None: no limit. Days and months are UTC."""

    max_usd: Decimal | None = None
    max_usd_per_day: Decimal | None = None
    max_usd_per_month: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the API is reached.

    Attributes:
        base_url: `emulator`, or an http(s) address without a trailing slash.
        transport: how pictures are sent.
        timeout: the longest a call may take, in seconds.
    """

    base_url: str = OFFICIAL_URL
    transport: Literal["multipart", "json", "url"] = "multipart"
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run behaves.

    Attributes:
        concurrency: calls in flight at most; None follows the rate limits.
        max_failure_rate: share of failed items (0 to 1) at which the run stops.
        uncertain: whether a call whose answer was lost is bought again.
        drain: seconds that calls in flight get to land after a signal.
        on_flagged: what happens to an answer that is not fit to publish. A change leaves alone what is held already:
            that waits for a person.
    """

    concurrency: int | None = None
    max_failure_rate: float = 0.5
    uncertain: Literal["retry", "hold"] = "retry"
    drain: float = 25.0
    on_flagged: OnFlagged = "hold"


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
        lease: seconds that a dead run keeps others away from a state on S3; None: a store without conditional writes.
        notify: who is told of a run, and where its figures go.
        places: where everything stands in the file.
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
    lease: float | None
    notify: Notify
    places: Places = field(repr=False, compare=False)

    def place(self, path: ValuePath) -> tuple[int, int]:
        """Return line and column, from 1, of a value: ``("steps", 0, "scale")``, ``("output", "path")``.

        What is not written in the file has the place of the section around it.
        """
        mark = self.places.value(path)
        return mark.line, mark.column

    def problem(self, path: ValuePath, what: str, instead: str = "") -> Problem:
        """Return a problem that points at a value of the file, or at the option that set it."""
        return self.places.value(path).problem(what, instead)
