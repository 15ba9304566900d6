"""From a job to its pipeline: reads and hashes the files that the job and its rows name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from venice_batch import imaging
from venice_batch.errors import ItemError, JobError, SourceError
from venice_batch.imaging import Limits
from venice_batch.job import FolderSource, Job, PromptsSource, UrlsSource
from venice_batch.job.reading_rights import ReadingRights
from venice_batch.plan.metadata import MetadataTable
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.reading.row_files import read_table
from venice_batch.plan.reading.sidecars import Sidecars
from venice_batch.steps.chain import Chain, Step, needs_bytes
from venice_batch.steps.local import LocalStep, orient
from venice_batch.steps.paid import PaidStep
from venice_batch.steps.references import FileRef
from venice_batch.steps.table import build
from venice_batch.steps.templating import is_open
from venice_batch.trust import named_file

#: API hosts that reach whatever this machine reaches.
_ON_THIS_MACHINE = frozenset({"emulator", "loopback"})


class JobFiles:
    """Reads the files that a job and its rows name."""

    def __init__(self, job: Job) -> None:
        self._source = job.source
        self._rights = job.reads
        self._hashes: dict[Path, str] = {}

    def table(self, choose: Callable[[Sequence[str]], Iterable[str]]) -> MetadataTable | None:
        """Return the metadata table with the columns that `choose` takes; None where the job names none.

        Raises:
            SourceError: the file cannot be read, or not be used.
        """
        if isinstance(self._source, PromptsSource) or self._source.metadata is None:
            return None
        return read_table(self._source.metadata, choose, self._rights)

    def sidecars(self, names: Sequence[str]) -> Sidecars | None:
        """Return the files beside the pictures; None where the source has no files."""
        return Sidecars(self._source, names) if isinstance(self._source, FolderSource) else None

    def image_hash(self, path: Path, limits: Limits) -> str:
        """Return the hash of a picture that a row names.

        Raises:
            ItemError: it is no picture or too small, which is better told now than after a payment; or unreadable.
        """
        if path not in self._hashes:
            try:
                self._hashes[path] = _picture_hash(path, self._rights, limits)
            except ItemError as error:
                raise ItemError("reference", f"{path}, which its row names: {error.message}") from error
            except OSError as error:
                text = f"cannot read {path}, which its row names: {error.strerror}"
                raise ItemError("reference", text, lasting=False) from error
        return self._hashes[path]


def make_pipeline(job: Job, host: str) -> Pipeline:
    """Return the pipeline of `job` for the API `host`, reading the files that its steps name.

    Raises:
        SourceError: a file that a step names cannot be read.
        JobError: the source cannot be sent by address, as the job asks.
    """
    steps: list[Step] = [build(step.id, step.name, step.fields, step.when, step.expect) for step in job.steps]
    fetches = isinstance(job.source, UrlsSource) and needs_bytes(steps)
    by_url = _is_by_url(job, steps[0], host)
    has_pictures = (isinstance(job.source, FolderSource) and not by_url) or fetches
    implicit = [orient()] if has_pictures and steps[0].name != "orient" else []
    hashes = _hashes(steps, _paths_by_item(job, steps), job.reads)
    pinned = [
        step.pinned(hashes) if isinstance(step, LocalStep) and hashes.keys() >= set(step.unpinned) else step
        for step in steps
    ]
    chain = Chain(host, (*implicit, *pinned), hashes)
    return Pipeline(job, chain, len(implicit), JobFiles(job), fetches, by_url)


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
    problem = "only objects of a bucket can be sent by address"
    if isinstance(job.source, FolderSource):
        problem = job.source.path.url_problem(from_here=host in _ON_THIS_MACHINE)
    if problem:
        raise JobError([job.problem(key, problem, instead)])
    return True


def _paths_by_item(job: Job, steps: Sequence[Step]) -> frozenset[Path]:
    """Return the files whose names are filled in for each item."""
    if not isinstance(job.source, PromptsSource) and job.source.metadata is None:
        return frozenset()
    folder = job.file.absolute().parent
    return frozenset(path for step in steps for path in _paths(step) if is_open(path, folder))


def _paths(step: Step) -> set[Path]:
    """Return the files that a step names."""
    if isinstance(step, LocalStep):
        return set(step.unpinned)
    return {ref.path for ref in step.images if isinstance(ref, FileRef)}


def _hashes(steps: Sequence[Step], later: frozenset[Path], rights: ReadingRights | None) -> dict[Path, str]:
    """Return the SHA-256 of every file that a step names, less those to be known `later`.

    A logo that is no picture, or too small for the API, is told here and not once an item.
    """
    hashes: dict[Path, str] = {}
    named = [(path, step) for step in steps for path in _paths(step) - later]
    try:
        for path, step in named:
            limits = step.limits if isinstance(step, PaidStep) else Limits()
            hashes[path] = _picture_hash(path, rights, limits)
    except ItemError as error:
        raise SourceError(f"{path}, which a step names: {error.message}", remedy="name another picture") from error
    except OSError as error:
        raise SourceError(
            f"cannot read {path}, which a step names: {error.strerror}",
            remedy="check the path in the step's `images`, or in the `file` of overlay",
        ) from error
    return hashes


def _picture_hash(path: Path, rights: ReadingRights | None, limits: Limits) -> str:
    """Return the hash of a picture that a job or a row names, once it is known to be one, and fit to be sent.

    Raises:
        ItemError: it is no picture, or too small; what it is instead is not said: it may be anybody's file.
        OSError: it cannot be read, or must not be.
    """
    if rights is not None:
        rights.check(path)
    found = named_file.sha256(path)
    try:
        imaging.check_size(imaging.verify(path).size, limits)
    except ItemError as error:
        if error.code != "not-a-picture":
            raise
        raise ItemError("not-a-picture", "not a picture that can be read", remedy=error.remedy) from None
    return found
