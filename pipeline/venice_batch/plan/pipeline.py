"""A job's steps made ready for one API host: the chain, what identifies it, and what the catalogue says of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from venice_batch import imaging
from venice_batch.errors import CatalogueError, ItemError, JobError, Problem, SourceError
from venice_batch.imaging import Limits
from venice_batch.job import FolderSource, Job, PromptsSource, UrlsSource
from venice_batch.plan.files import FileKind, described, kinds
from venice_batch.plan.hashing import file_hash
from venice_batch.plan.item_pipeline import ItemPipeline, ItemPipelines
from venice_batch.plan.sources import Candidate
from venice_batch.steps.canonical_json import digest
from venice_batch.steps.chain import Chain, Step, needs_bytes
from venice_batch.steps.conditions import Known
from venice_batch.steps.local import LocalStep, orient
from venice_batch.steps.paid import Generate, PaidStep
from venice_batch.steps.references import BesideRef, Current, FileRef, ImageRef, Source, StepRef, UrlRef
from venice_batch.steps.registry import build
from venice_batch.steps.row_conditions import needs_picture
from venice_batch.steps.templating import asked, is_open
from venice_batch.storage import S3Place
from venice_batch.venice import Catalogue
from venice_batch.venice.prices import InvalidField

#: API hosts that reach whatever this machine reaches.
_ON_THIS_MACHINE = frozenset({"emulator", "loopback"})
#: Formats that a finished file may keep when no paid step decides it.
_KEPT = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


@dataclass(frozen=True)
class Pipeline:
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
    def files(self) -> tuple[FileKind, ...]:
        """The finished files of every item, in order."""
        return kinds(self.job.output)

    @property
    def draws(self) -> bool:
        """Whether pictures are drawn from prompts, so that the names of styles matter."""
        return isinstance(self.chain.steps[0], Generate)

    @functools.cached_property
    def needs_header(self) -> bool:
        """Whether the plan depends on what the header of an input says: by a condition or by a limit of a call."""
        sample = Known(width=1, height=1, has_alpha=False, format="PNG", bytes=1)
        for step in self.chain.steps:
            if needs_picture(step.when):
                return True
            if isinstance(step, PaidStep):
                if not self.by_url:
                    return True
                sample = step.after(sample)
            if sample.width is None:
                return False
        return False

    def for_candidate(self, candidate: Candidate) -> tuple[Chain, str]:
        """Return the chain as it applies to one input, complete, and its fingerprint.

        Raises:
            ItemError: the metadata lacks something for it, or says to leave it out; or a file beside it is not there.
            ValueError: a column of the row does not suit the step (pydantic's `ValidationError`).
        """
        own = self.own(candidate)
        if own.skipped:
            raise ItemError("skipped", "its row says to leave it out")
        return self.pinned(own.chain), own.fingerprint

    def own(self, candidate: Candidate, catalogue: Catalogue | None = None) -> ItemPipeline:
        """Return what an input has of its own; see `ItemPipelines.of` for what it raises."""
        return self._same if self.item_pipelines is None else self.item_pipelines.of(candidate, catalogue)

    def pinned(self, chain: Chain) -> Chain:
        """Return an item's chain with the hashes of the files beside its picture; see `ItemPipelines.pinned`."""
        return chain if self.item_pipelines is None else self.item_pipelines.pinned(chain)

    @functools.cached_property
    def item_pipelines(self) -> ItemPipelines | None:
        """What makes each item's own chain; None where all items have the same.

        Raises:
            SourceError: the metadata cannot be read.
            JobError: the job names a column that is not there.
        """
        source = self.job.source
        has_rows = isinstance(source, PromptsSource) or source.metadata is not None
        beside = any(isinstance(ref, BesideRef) for step in self.chain.paid for ref in step.images)
        if not has_rows and not beside:
            return None
        return ItemPipelines(self.job, self.chain, self.offset, functools.partial(_fingerprint, job=self.job))

    @functools.cached_property
    def _same(self) -> ItemPipeline:
        return ItemPipeline(self.chain, _fingerprint(self.chain, self.job))

    def check(self, catalogue: Catalogue) -> None:
        """Refuse a recipe that the API would refuse, before anything is priced.

        Raises:
            JobError: a model or parameter is not on offer; every problem with its place in the job file.
        """
        item_pipelines, problems = self.item_pipelines, list[Problem]()
        folder = self.job.file.absolute().parent
        for number, step in enumerate(self.chain.steps):
            if isinstance(step, PaidStep):
                place = ("steps", number - self.offset)
                later = set() if item_pipelines is None else {where[0] for where, _ in asked(step, folder)}
                problems += [
                    self.job.problem((*place, refusal.field), refusal.text)
                    for refusal in _refusals(step, catalogue)
                    # What is filled in differently for each item is judged with each item.
                    if refusal.field not in later
                ]
        if problems:
            raise JobError(problems)


def make_pipeline(job: Job, host: str) -> Pipeline:
    """Return the recipe of `job` for the API `host`, reading the files that its steps name.

    Raises:
        SourceError: a file that a step names cannot be read.
        JobError: the source cannot be sent by address, as the job asks.
    """
    steps: list[Step] = [build(step.id, step.name, step.fields, step.when, step.expect) for step in job.steps]
    fetches = isinstance(job.source, UrlsSource) and needs_bytes(steps)
    by_url = _is_by_url(job, steps[0], host)
    pictures = (isinstance(job.source, FolderSource) and not by_url) or fetches
    implicit = [orient()] if pictures and steps[0].name != "orient" else []
    files = _hashes(steps, _open_files(job, steps))
    pinned = [step.pinned(files) if _is_whole(step, files) else step for step in steps]
    chain = Chain(host, (*implicit, *pinned), files)
    return Pipeline(job, chain, len(implicit), fetches, by_url)


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
    """Return the extension of an item's finished file: as the source is, then as each step leaves it."""
    extension = _KEPT.get(PurePosixPath(candidate.key).suffix.lower(), "png")
    for step in chain.steps:
        extension = step.extension(catalogue) if isinstance(step, PaidStep) else step.extension(extension)
    return extension


def _open_files(job: Job, steps: Sequence[Step]) -> frozenset[Path]:
    """Return the files whose names are filled in for each item."""
    if not isinstance(job.source, PromptsSource) and job.source.metadata is None:
        return frozenset()
    folder = job.file.absolute().parent
    return frozenset(path for path in _named(steps) if is_open(path, folder))


def _is_whole(step: Step, files: Mapping[Path, str]) -> TypeGuard[LocalStep]:
    return isinstance(step, LocalStep) and all(path in files for path in step.unpinned)


def _named(steps: Sequence[Step]) -> set[Path]:
    sent = {ref.path for step in steps if isinstance(step, PaidStep) for ref in step.images if isinstance(ref, FileRef)}
    return sent | {path for step in steps if isinstance(step, LocalStep) for path in step.unpinned}


def _hashes(steps: Sequence[Step], later: frozenset[Path]) -> dict[Path, str]:
    """Return the SHA-256 of every file that a step names, less those to be known `later`.

    A logo that is no picture, or too small for the API, is told here and not once an item.
    """
    try:
        hashes = {path: file_hash(path) for path in _named(steps) - later}
        for step in steps:
            for path in _named([step]) - later:
                facts = imaging.verify(path)
                imaging.check_minimum(facts, step.limits if isinstance(step, PaidStep) else Limits())
    except ItemError as error:
        raise SourceError(f"{path}, which a step names: {error.message}", remedy="name another picture") from error
    except OSError as error:
        raise SourceError(
            f"cannot read {error.filename}, which a step names: {error.strerror}",
            remedy="check the path in the step's `images`, or in the `file` of overlay",
        ) from error
    return hashes


def _fingerprint(chain: Chain, job: Job) -> str:
    steps: list[Any] = [_described(step, chain) for step in chain.steps]
    return digest({"host": chain.host, "steps": steps, **described(job.output)})


def _described(step: Step, chain: Chain) -> dict[str, Any]:
    when = None if step.when is None else step.when.to_json()
    if isinstance(step, PaidStep):
        files = [_told(ref, chain) for ref in step.images]
        row = step.row if isinstance(step, Generate) else ""
        return {"step": step.name, "sent": dict(step.sent), "images": files, "when": when, "row": row}
    return {"step": step.name, "parameters": step.parameters, "revision": step.revision, "when": when}


def _told(ref: ImageRef, chain: Chain) -> str:
    match ref:
        case FileRef(path):
            return chain.files.get(path, "")  # none: of a step that is never done for this item
        case BesideRef(name, _, version):
            return f"beside {name} {version}"
        # What follows stands in every state: other words would make every item a changed one.
        case StepRef(step):
            return f"StepRef(id={step!r})"
        case UrlRef(url):
            return f"UrlRef(url={url!r})"
        case Source():
            return "Source()"
        case Current():
            return "Current()"


def _refusals(step: PaidStep, catalogue: Catalogue) -> list[InvalidField]:
    try:
        found = step.problems(catalogue)
        if not found:
            step.price(catalogue)
    except CatalogueError as error:
        return [InvalidField("model", error.told)]
    return found
