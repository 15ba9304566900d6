"""Saves a job's report where its state lies: in a folder of it, or as objects beside a state in a bucket."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from venice_batch.errors import ItemError
from venice_batch.job import FolderSource, Job
from venice_batch.report.gather import Access, ReportLimits, gather, relative_href
from venice_batch.report.page import FAILURES, PAGE, SUMMARY, write_report
from venice_batch.report.report_data import ReportData
from venice_batch.report.thumbnails import FOLDER, is_thumbnail
from venice_batch.state import ItemRow, OutputRow, State
from venice_batch.storage import Changed, Place, Store

#: Below the state.
_NAME = "report"
_TRIAL = "Made on the emulator: the money on this page was not real."
#: Thumbnails are small: what takes time is the way to the bucket and back, not the bytes.
_UPLOADS_AT_ONCE = 16


@dataclass(frozen=True)
class SavedReport:
    """A report that was written.

    Attributes:
        page: path or address of the page.
        notes: remarks that stand at its head.
    """

    page: str
    notes: tuple[str, ...]

    @property
    def failures(self) -> str:
        """Path or address of `failures.csv`."""
        return self.page.removesuffix(PAGE) + FAILURES

    @property
    def summary(self) -> str:
        """Path or address of `summary.json`."""
        return self.page.removesuffix(PAGE) + SUMMARY


def page_of(root: Place) -> str:
    """Return path or address of the page of the state at `root`."""
    return f"{str(root / _NAME).rstrip('/')}/{PAGE}"


def last_summary(root: Place, job: str) -> Mapping[str, Any] | None:
    """Return the summary of the report that the state at `root` has; None: none, or not of this job.

    Jobs that share a state have the report in turn.

    Raises:
        Unavailable: its store cannot be asked.
    """
    store = (root / _NAME).store()
    with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
        file = Path(scratch) / SUMMARY
        try:
            store.read(SUMMARY, file)
            found = json.loads(file.read_text("utf-8"))
        except (Changed, FileNotFoundError, ItemError, ValueError):
            return None
    whole = isinstance(found, dict) and found.get("job") == job and store.stat(PAGE) is not None
    return found if whole else None


def save_report(
    state: State, job: Job, *, notes: Sequence[str] = (), limits: ReportLimits | None = None
) -> SavedReport:
    """Write the report of `job`, from what its state knows by now.

    Args:
        state: open, for reading or for writing; only read.
        job: the job.
        notes: remarks for the head of the page.
        limits: of size and time.

    Raises:
        Unavailable: the state or its bucket cannot be reached.
        OSError: a folder cannot be written.
    """
    place = state.root / _NAME
    with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
        fetched, draft = Path(scratch) / "fetched", Path(scratch) / "draft"
        fetched.mkdir()
        folder = place.folder or draft
        known = frozenset[str]() if place.folder else _thumbnails(place.store())
        data = gather(
            state,
            job.name,
            steps=[step.id for step in job.steps if step.paid],
            folder=folder,
            access=_access(state, job, folder),
            scratch=fetched,
            now=time.time(),
            notes=notes if state.root == job.state else [_TRIAL, *notes],
            limits=limits,
            known=known,
        )
        write_report(data, folder)
        if not place.folder:
            _upload(folder, place.store(), data, known)
    return SavedReport(page_of(state.root), data.notes)


# Bytes for the pictures


def _access(state: State, job: Job, folder: Path) -> Access:
    output = job.output.path
    finished = _getter(output)
    # A source that is lent to the API by its address never crosses this machine, and not for a thumbnail either.
    shown = isinstance(job.source, FolderSource) and job.api.transport != "url"
    before = _getter(job.source.path) if shown and isinstance(job.source, FolderSource) else None

    def input_of(row: ItemRow, target: Path) -> Path | None:
        return None if before is None else before(row.key, row.version, target)

    def output_of(row: OutputRow, target: Path) -> Path | None:
        return None if row.version is None else finished(row.path, row.version, target)

    # A page in a bucket is read through an address of its own, from where no finished file is near.
    near = output.folder if state.root.folder else None
    href = (lambda _: None) if near is None else relative_href(folder, near)
    return Access(input_of, output_of, lambda result, target: state.results.bytes(result.key, target), href)


def _getter(place: Place) -> Callable[[str, str, Path], Path | None]:
    """Return a function that gets an object of one version; None where it is gone or another one by now."""
    store = place.store()

    def read(key: str, version: str, target: Path) -> Path | None:
        try:
            store.read(key, target, version)
        except Changed:
            return None
        return target

    def peek(key: str, version: str, target: Path) -> Path | None:
        found = store.stat(key)
        return None if found is None or found.version != version else store.peek(key, target, found.size)

    return read if store.is_remote else peek


# In a bucket


def _thumbnails(store: Store) -> frozenset[str]:
    """Return the names of the thumbnails that the bucket has; other files are not ours."""
    head = f"{FOLDER}/"
    found = (entry.key.removeprefix(head) for entry in store.list() if entry.key.startswith(head))
    return frozenset(name for name in found if is_thumbnail(name))


def _upload(folder: Path, store: Store, data: ReportData, known: Collection[str]) -> None:
    """Put what is new: the pictures before the page that shows them; then remove pictures that no page shows."""
    made = sorted(path.name for path in (folder / FOLDER).glob("*.webp"))
    _for_each(made, lambda name: store.put(folder / FOLDER / name, f"{FOLDER}/{name}", replace=True))
    for name in (FAILURES, SUMMARY, PAGE):
        store.put(folder / name, name, replace=True)
    _for_each(set(known) - data.thumbnails, lambda name: store.delete(f"{FOLDER}/{name}"))


def _for_each(names: Iterable[str], act: Callable[[str], object]) -> None:
    """Do it to all names, several at once; the first error is raised, and what has not begun by then is left."""
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        futures = [pool.submit(act, name) for name in names]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
