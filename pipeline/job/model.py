"""The job: what the file asks for, complete and checked. Nothing in it changes after loading."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from pipeline.errors import Problem
from pipeline.job.values import Path as ValuePath
from pipeline.job.values import Places
from pipeline.steps.conditions import Condition
from pipeline.storage import Place

#: Where calls go unless the job, the environment or an option says otherwise.
OFFICIAL_URL = "https://api.venice.ai/api/v1"


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The pictures of a folder, or of a prefix of a bucket.

    Attributes:
        path: an absolute path, or a place in a bucket.
        include: globs; empty means every file type that can be read.
        exclude: globs that win over `include`.
        keys: a file that lists the keys to take; None: list the folder.
    """

    path: Place
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    keys: Path | None = None


@dataclass(frozen=True, slots=True)
class PromptsSource:
    """The rows of a prompts file (CSV or JSON lines), for a chain that starts with generate."""

    prompts: Path


@dataclass(frozen=True, slots=True)
class UrlsSource:
    """The https addresses of a file, one a line."""

    urls: Path


Source: TypeAlias = FolderSource | PromptsSource | UrlsSource


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step as written.

    Attributes:
        id: unique in the job; the step's name unless the user chose one.
        name: a name of `pipeline.steps.fields.FIELDS`.
        fields: the step's field model.
        when: do the step only where this holds; None: always.
    """

    id: str
    name: str
    fields: BaseModel
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Where finished files go.

    Attributes:
        path: absolute folder, or a place in a bucket.
        name: template of `{dir}`, `{stem}`, `{ext}` and `{variant}`.
        existing: what to do about a file that is there and not ours.
        on_vanished: what to do about the finished file of an input that is gone.
        max_deleted: share of the finished files (0 to 1) above which none is deleted.
    """

    path: Place
    name: str = "{dir}/{stem}.{ext}"
    existing: Literal["fail", "replace", "skip"] = "fail"
    on_vanished: Literal["keep", "report", "delete"] = "report"
    max_deleted: float = 0.1


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
        on_flagged: what happens to an answer that is not fit to publish.
    """

    concurrency: int | None = None
    max_failure_rate: float = 0.5
    uncertain: Literal["retry", "hold"] = "retry"
    drain: float = 25.0
    on_flagged: Literal["hold"] = "hold"


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
