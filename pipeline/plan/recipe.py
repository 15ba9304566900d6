"""A job's steps made ready for one API host: the chain, what identifies it, and what the catalogue says of it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import CatalogueError, JobError, Problem, SourceError
from pipeline.job import FolderSource, Job, UrlsSource
from pipeline.plan.sources import Candidate
from pipeline.steps.canonical import digest
from pipeline.steps.chain import Chain, Step, needs_bytes
from pipeline.steps.conditions import Known
from pipeline.steps.local import orient
from pipeline.steps.paid import Generate, PaidStep
from pipeline.steps.references import FileRef
from pipeline.steps.registry import build, for_row
from pipeline.storage import S3Place
from pipeline.venice import Catalogue
from pipeline.venice.prices import Refusal

#: API hosts that reach whatever this machine reaches.
_ON_THIS_MACHINE = frozenset({"emulator", "loopback"})
#: Formats that a finished file may keep when no paid step decides it.
_KEPT = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


@dataclass(frozen=True)
class Recipe:
    """The steps of a job on one host.

    Attributes:
        job: the job.
        chain: the steps; for a prompts source the first one is still to be filled from a row.
        offset: how many steps of `chain` the job file does not spell out (the implicit ``orient``).
        fetches: items given by address must be fetched, because the first step needs their bytes.
        by_url: objects of a bucket are sent by address; nobody reads them, and they are known by etag and size.
    """

    job: Job
    chain: Chain
    offset: int
    fetches: bool
    by_url: bool = False

    @property
    def in_bucket(self) -> bool:
        """Whether the items are objects of a bucket."""
        return isinstance(self.job.source, FolderSource) and isinstance(self.job.source.path, S3Place)

    @functools.cached_property
    def needs_header(self) -> bool:
        """Whether the plan depends on what the header of an input says: by a condition or by a limit of a call."""
        sample = Known(width=1, height=1, has_alpha=False, format="PNG", bytes=1)
        for step in self.chain.steps:
            if step.when is not None:
                return True
            if isinstance(step, PaidStep):
                if not self.by_url:
                    return True
                sample = step.after(sample)
            if sample.width is None:
                return False
        return False

    def for_candidate(self, candidate: Candidate) -> tuple[Chain, str]:
        """Return the chain as it applies to one input, and its fingerprint.

        Raises:
            ValueError: a column of the row does not suit the step (pydantic's `ValidationError`).
        """
        first = self.chain.steps[0]
        if not isinstance(first, Generate):
            return self.chain, self._fingerprint
        filled = for_row(first, candidate.key, dict(candidate.columns))
        chain = replace(self.chain, steps=(filled, *self.chain.steps[1:]))
        return chain, _fingerprint(chain, self.job)

    @functools.cached_property
    def _fingerprint(self) -> str:
        return _fingerprint(self.chain, self.job)

    def check(self, catalogue: Catalogue) -> None:
        """Refuse a recipe that the API would refuse, before anything is priced.

        Raises:
            JobError: a model or parameter is not on offer; every problem with its place in the job file.
        """
        problems: list[Problem] = []
        for number, step in enumerate(self.chain.steps):
            if isinstance(step, PaidStep):
                problems += [
                    self.job.problem(("steps", number - self.offset, refusal.field), refusal.text)
                    for refusal in _refusals(step, catalogue)
                ]
        if problems:
            raise JobError(problems)


def make_recipe(job: Job, host: str) -> Recipe:
    """Return the recipe of `job` for the API `host`, reading the files that its steps name.

    Raises:
        SourceError: a file that a step names cannot be read.
        JobError: the source cannot be sent by address, as the job asks.
    """
    steps: list[Step] = [build(step.id, step.name, step.fields, step.when) for step in job.steps]
    fetches = isinstance(job.source, UrlsSource) and needs_bytes(steps)
    by_url = _is_by_url(job, steps[0], host)
    pictures = (isinstance(job.source, FolderSource) and not by_url) or fetches
    implicit = [orient()] if pictures and steps[0].name != "orient" else []
    chain = Chain(host, (*implicit, *steps), _hashes(steps))
    return Recipe(job, chain, len(implicit), fetches, by_url)


def _is_by_url(job: Job, first: Step, host: str) -> bool:
    """Whether the first step gets addresses of objects instead of their bytes.

    Raises:
        JobError: the job asks for it, and it cannot be.
    """
    if job.api.transport != "url":
        return False
    key = ("api", "transport")
    instead = "write multipart, which sends the bytes"
    if not (isinstance(first, PaidStep) and first.takes_url):
        what = f"the first step, {first.id!r}, needs the bytes of a picture and takes no address"
        raise JobError([job.problem(key, what, f"begin with edit, multi-edit or background-remove, or {instead}")])
    if isinstance(job.source, UrlsSource):
        return False  # these are sent by their own address, whatever the transport
    if not (isinstance(job.source, FolderSource) and isinstance(job.source.path, S3Place)):
        raise JobError([job.problem(key, "only objects of a bucket can be sent by address", instead)])
    endpoint = job.source.path.access.endpoint_url or ""
    if endpoint.startswith("http:") and host not in _ON_THIS_MACHINE:
        raise JobError(
            [job.problem(key, f"the API reads https addresses only, and the bucket is at {endpoint}", instead)]
        )
    return True


def extension_of(chain: Chain, candidate: Candidate, catalogue: Catalogue) -> str:
    """Return the extension of an item's finished file: as the last paid step answers, else as the source is."""
    if chain.paid:
        return chain.paid[-1].extension(catalogue)
    return _KEPT.get(PurePosixPath(candidate.key).suffix.lower(), "png")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashes(steps: Sequence[Step]) -> dict[Path, str]:
    named = {
        ref.path for step in steps if isinstance(step, PaidStep) for ref in step.images if isinstance(ref, FileRef)
    }
    try:
        return {path: file_hash(path) for path in named}
    except OSError as error:
        raise SourceError(
            f"cannot read {error.filename}, which a step names: {error.strerror}", remedy="check `images` in the step"
        ) from error


def _fingerprint(chain: Chain, job: Job) -> str:
    steps: list[Any] = [_described(step, chain) for step in chain.steps]
    return digest({"host": chain.host, "steps": steps, "name": job.output.name})


def _described(step: Step, chain: Chain) -> dict[str, Any]:
    when = None if step.when is None else step.when.to_json()
    if isinstance(step, PaidStep):
        files = [chain.files[ref.path] if isinstance(ref, FileRef) else repr(ref) for ref in step.images]
        row = step.row if isinstance(step, Generate) else ""
        return {"step": step.name, "sent": dict(step.sent), "images": files, "when": when, "row": row}
    return {"step": step.name, "parameters": step.parameters, "revision": step.revision, "when": when}


def _refusals(step: PaidStep, catalogue: Catalogue) -> list[Refusal]:
    try:
        found = step.problems(catalogue)
        if not found:
            step.price(catalogue)
    except CatalogueError as error:
        return [Refusal("model", f"{error.message}; {error.remedy}" if error.remedy else error.message)]
    return found
