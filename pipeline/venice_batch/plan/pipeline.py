"""A job's steps made ready for one API host: the chain, what identifies it, and what the catalogue says of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from venice_batch.errors import CatalogueError, ItemError, JobError, Problem
from venice_batch.job import FolderSource, Job
from venice_batch.plan.item_pipeline import ItemPipelines, JobFiles
from venice_batch.plan.model import Candidate
from venice_batch.plan.naming import OutputFile, output_files, output_settings
from venice_batch.steps.canonical_json import digest
from venice_batch.steps.chain import Chain, Step
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import Generate, PaidStep
from venice_batch.steps.references import BesideRef, Current, FileRef, ImageRef, Source, StepRef, UrlRef
from venice_batch.steps.row_conditions import needs_picture
from venice_batch.steps.templating import placeholders
from venice_batch.venice import Catalogue
from venice_batch.venice.prices import FieldProblem

#: Formats that a finished file may keep when no paid step decides it.
_KEPT = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


@dataclass(frozen=True)
class Pipeline:
    """The steps of a job on one host; `reading.load_pipeline` makes it.

    Attributes:
        job: the job.
        chain: the steps; for a prompts source the first one is still to be filled from a row.
        offset: how many steps of `chain` the job file does not spell out (the implicit ``orient``).
        files: reads the metadata, and what it names, when it is first needed.
        fetches: items given by address must be fetched, because the first step needs their bytes.
        by_url: objects of a bucket are sent by address; nobody reads them, and they are known by etag and size.
    """

    job: Job
    chain: Chain
    offset: int
    files: JobFiles
    fetches: bool = False
    by_url: bool = False

    @property
    def versions_are_content(self) -> bool:
        """Whether inputs of one version have the same bytes."""
        return isinstance(self.job.source, FolderSource) and self.job.source.path.versions_are_content

    @property
    def is_remote(self) -> bool:
        """Whether inputs lie in a store where every question is a request."""
        return isinstance(self.job.source, FolderSource) and self.job.source.path.folder is None

    @functools.cached_property
    def outputs(self) -> tuple[OutputFile, ...]:
        """The finished files of every item, in order."""
        return output_files(self.job.output)

    @property
    def generates(self) -> bool:
        """Whether pictures are generated from prompts, so that the names of styles matter."""
        return isinstance(self.chain.steps[0], Generate)

    @functools.cached_property
    def needs_header(self) -> bool:
        """Whether the plan depends on the header of an input: by a condition, or by a limit or the price of a call."""
        sample = Known(width=1, height=1, has_alpha=False, format="PNG", bytes=1)
        for step in self.chain.steps:
            if needs_picture(step.when):
                return True
            if isinstance(step, PaidStep):
                if not self.by_url or len(step.factors(Known())) > 1:
                    return True
                sample = step.after(sample)
            if sample.width is None:
                return False
        return False

    def for_candidate(self, candidate: Candidate) -> tuple[Chain, str]:
        """Return the chain as it applies to one input, complete, and its fingerprint.

        Raises:
            ItemError: the metadata lacks something for it, or says to leave it out; or a sidecar is not there.
            ValueError: a column of the row does not suit the step (pydantic's `ValidationError`).
        """
        own = self.item_pipelines.make(candidate)
        if own.skipped:
            raise ItemError("skipped", "its row says to leave it out")
        return self.item_pipelines.with_hashes(own.chain), own.fingerprint

    def input_key(self, candidate: Candidate) -> InputKey:
        """Return where an item's picture comes from, before its bytes are read."""
        if self.by_url:
            return InputKey("object", candidate.version)
        if candidate.url and not self.fetches:
            return InputKey("url", candidate.url)
        # In a bucket equal versions are equal bytes; two files of a folder may have size and time in common.
        identity = candidate.version if self.versions_are_content else f"{candidate.key}\0{candidate.version}"
        return InputKey("unread", identity)

    @functools.cached_property
    def item_pipelines(self) -> ItemPipelines:
        """What makes each item's own chain.

        Raises:
            SourceError: the metadata cannot be read.
            JobError: the job names a column that is not there.
        """
        fingerprint = functools.partial(_fingerprint, job=self.job)
        return ItemPipelines(self.job, self.chain, self.offset, fingerprint, self.files)

    @property
    def takes_keys(self) -> bool:
        """Whether a file lists the inputs, so that the rest of the source is not even listed."""
        return isinstance(self.job.source, FolderSource) and self.job.source.keys is not None

    def check(self, catalogue: Catalogue) -> None:
        """Refuse steps that the API would refuse, before anything is priced.

        Raises:
            JobError: a model or parameter is not on offer; every problem with its place in the job file.
        """
        shared, problems = self.item_pipelines.shared, list[Problem]()
        folder = self.job.file.absolute().parent
        for number, step in enumerate(self.chain.steps):
            if isinstance(step, PaidStep):
                place = ("steps", number - self.offset)
                # What is filled in differently for each item is judged with each item.
                by_item = set() if shared is not None else {where[0] for where, _ in placeholders(step, folder)}
                problems += [
                    self.job.problem((*place, refusal.field), refusal.text)
                    for refusal in _refusals(step, catalogue)
                    if refusal.field not in by_item
                ]
        if problems:
            raise JobError(problems)


def extension_of(chain: Chain, candidate: Candidate, catalogue: Catalogue) -> str:
    """Return the extension of an item's finished file: as the source is, then as each step leaves it."""
    extension = _KEPT.get(PurePosixPath(candidate.key).suffix.lower(), "png")
    for step in chain.steps:
        extension = step.extension(catalogue) if isinstance(step, PaidStep) else step.extension(extension)
    return extension


# What follows stands in every state: other words would make every item a changed one.


def _fingerprint(chain: Chain, job: Job) -> str:
    steps: list[Any] = [_step_identity(step, chain) for step in chain.steps]
    return digest({"host": chain.host, "steps": steps, **output_settings(job.output)})


def _step_identity(step: Step, chain: Chain) -> dict[str, Any]:
    when = None if step.when is None else step.when.to_json()
    if isinstance(step, PaidStep):
        images = [_image_identity(ref, chain) for ref in step.images]
        row = step.row if isinstance(step, Generate) else ""
        return {"step": step.name, "sent": dict(step.sent), "images": images, "when": when, "row": row}
    return {"step": step.name, "parameters": step.parameters, "revision": step.revision, "when": when}


def _image_identity(ref: ImageRef, chain: Chain) -> str:
    match ref:
        case FileRef(path):
            return chain.files.get(path, "")  # none: of a step that is never done for this item
        case BesideRef(name, _, version):
            return f"beside {name} {version}"
        case StepRef(step):
            return f"StepRef(id={step!r})"
        case UrlRef(url):
            return f"UrlRef(url={url!r})"
        case Source():
            return "Source()"
        case Current():
            return "Current()"


def _refusals(step: PaidStep, catalogue: Catalogue) -> list[FieldProblem]:
    try:
        found = [problem for problem in step.problems(catalogue) if not problem.dropped]
        if not found:
            step.price(catalogue)
    except CatalogueError as error:
        return [FieldProblem("model", error.told)]
    return found
