"""From a state to the values of the review page: items, their calls and files, and which pictures there are."""

from __future__ import annotations

import heapq
import json
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote

from venice_batch.errors import VeniceBatchError
from venice_batch.report.report_data import NEEDS_A_LOOK, FinishedFile, Picture, ReportData, ReportItem, StepPicture
from venice_batch.report.summary import ended_in
from venice_batch.report.text import unproduced_text
from venice_batch.report.thumbnails import Thumbnails, Wanted
from venice_batch.state import CallRow, ItemRow, OutputRow, Result, RunRow, Spending, State, Unproduced

_ItemId = tuple[str, int]


@dataclass(frozen=True)
class Access:
    """How the report gets at bytes; every function is given a path that does not exist yet, to fetch to if need be.

    They return a local file with the bytes (that path, or the object itself where it is local), or None where there
    are none any more. They may raise `VeniceBatchError` or `OSError`: that picture is then not shown. They are called
    from two threads.

    Attributes:
        before: the input of an item.
        finished: a file of the output.
        result: the result of a paid call.
        href: the address, relative to the report folder, of a finished file given by its path in the output; None
            where a page cannot reach it.
    """

    before: Callable[[ItemRow, Path], Path | None]
    finished: Callable[[OutputRow, Path], Path | None]
    result: Callable[[Result, Path], Path | None]
    href: Callable[[str], str | None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class ReportLimits:
    """How large a report may be, and how long its pictures may take.

    Attributes:
        others: of the items that need no look, only so many of the newest get pictures.
        seconds: after this long no further picture is opened; the next report goes on.
        listed: so many items are on the page at most, those that need a look before the newest others.
        calls: so many calls at most are in its charts, the newest.
    """

    others: int = 2000
    seconds: float = 120.0
    listed: int = 20_000
    calls: int = 200_000


@dataclass(frozen=True, slots=True)
class _ItemPictures:
    """What there is to see of an item, before anything is opened."""

    before: Wanted | None
    after: Wanted | None
    steps: tuple[tuple[str, Wanted | None, tuple[str, ...]], ...]

    def wanted(self) -> Iterator[Wanted]:
        yield from (one for one in (self.before, self.after, *(wanted for _, wanted, _ in self.steps)) if one)


def gather(
    state: State,
    job: str,
    *,
    steps: Sequence[str],
    folder: Path,
    access: Access,
    scratch: Path,
    now: float,
    notes: Sequence[str] = (),
    limits: ReportLimits | None = None,
    known: Collection[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> ReportData:
    """Collect what the page shows, and make the thumbnails that are missing in `folder`.

    Args:
        state: open for reading or writing; only read.
        job: the job's name.
        steps: ids of the job's paid steps, in the order of the chain. Of steps that the job no longer has, money and
            calls are shown, pictures are not.
        folder: of the report; made if need be.
        access: gets at bytes.
        scratch: a private folder for bytes that have to be fetched.
        now: Unix seconds, shown as the time of the report.
        notes: remarks for the head of the page.
        limits: of size and time.
        known: names of thumbnails that need not be made because they exist where the report is kept.
        clock: monotonic seconds.

    Raises:
        OSError: the folder cannot be written.
    """
    limits = limits or ReportLimits()
    rows = _listed(state.items(job), limits.listed)
    items = _with_calls_and_files(state, job, access, rows)
    unlisted = Counter(state.counts(job)) - Counter(row.state for row in rows)
    calls = tuple(deque(state.calls(job), maxlen=limits.calls))
    thumbnails = Thumbnails(folder, scratch=scratch, clock=clock, seconds=limits.seconds, known=known)
    illustrated = _to_illustrate(items, limits.others)
    finder = _PictureFinder(state, job, steps, access, {_item_id(item.row) for item in illustrated})
    pictures = finder.pictures_of_items(illustrated)
    made = thumbnails.make(one for found in pictures.values() for one in found.wanted())
    run = state.last_run(job)
    ended = sum(ended_in(row, run) for row in state.items(job)) if unlisted else 0
    return ReportData(
        job=job,
        made_at=now,
        run=run,
        notes=(*notes, *_of_files(run), *_remarks(thumbnails, len(items) - len(pictures), unlisted.total())),
        items=tuple(_with_pictures(item, pictures.get(_item_id(item.row)), made) for item in items),
        calls=calls,
        spent_in_run=() if run is None else _in_order(state.spending(job, run.id), steps),
        spent_total=_in_order(state.spending(job), steps),
        steps=tuple(steps),
        unlisted=unlisted,
        unlisted_ended=max(0, ended - sum(ended_in(row, run) for row in rows)),
    )


def _listed(rows: Iterable[ItemRow], most: int) -> list[ItemRow]:
    """Return at most so many, in their order: those that need a look before the newest others."""
    chosen = heapq.nlargest(
        most, enumerate(rows), key=lambda pair: (pair[1].state in NEEDS_A_LOOK, pair[1].updated_at, -pair[0])
    )
    return [row for _, row in sorted(chosen, key=itemgetter(0))]


def _with_calls_and_files(state: State, job: str, access: Access, rows: Sequence[ItemRow]) -> list[ReportItem]:
    """Return the items with their calls and their finished files."""
    listed = {_item_id(row) for row in rows}
    calls: defaultdict[_ItemId, list[CallRow]] = defaultdict(list)
    for call in state.calls(job):
        if was_sent(call) and (call.key, call.variant) in listed:
            calls[call.key, call.variant].append(call)
    files: defaultdict[_ItemId, list[FinishedFile]] = defaultdict(list)
    for output in state.outputs(job):
        if output.version is not None and _item_id(output) in listed:
            files[output.key, output.variant].append(FinishedFile(output.path, access.href(output.path)))
    return [ReportItem(row, calls=tuple(calls[_item_id(row)]), files=tuple(files[_item_id(row)])) for row in rows]


def _in_order(rows: Sequence[Spending], steps: Sequence[str]) -> tuple[Spending, ...]:
    place = {step: number for number, step in enumerate(steps)}
    return tuple(sorted(rows, key=lambda row: (place.get(row.step, len(place)), row.step, row.model)))


def was_sent(call: CallRow) -> bool:
    """Whether a row of the ledger is more than a reservation that was released unused."""
    return call.fate != "released" or call.begun_at is not None or call.status is not None


def _item_id(row: ItemRow | OutputRow) -> _ItemId:
    return row.key, row.variant


def _to_illustrate(items: Iterable[ReportItem], others: int) -> list[ReportItem]:
    """Return the items that get pictures, the most important first."""
    urgency = {state: place for place, state in enumerate(NEEDS_A_LOOK)}
    newest = sorted(items, key=lambda item: -item.row.updated_at)
    urgent = sorted((item for item in newest if item.row.state in urgency), key=lambda item: urgency[item.row.state])
    return [*urgent, *[item for item in newest if item.row.state not in urgency][:others]]


class _PictureFinder:
    """Finds out which pictures an item has, from the ledger and the manifest; opens none of them."""

    def __init__(self, state: State, job: str, steps: Sequence[str], access: Access, ids: Collection[_ItemId]) -> None:
        self._state = state
        self._job = job
        self._steps = tuple(steps)
        self._access = access
        self._outputs: dict[_ItemId, OutputRow] = {}
        for output in state.outputs(job):
            if output.version is not None and _item_id(output) in ids:
                self._outputs.setdefault(_item_id(output), output)
        self._same_input: dict[tuple[str, str, int], Sequence[CallRow]] = {}

    def pictures_of_items(self, items: Sequence[ReportItem]) -> dict[_ItemId, _ItemPictures]:
        """Return what there is to see of each item, in their order."""
        for item in items:
            sha256 = self._sha256(item.row)
            if sha256 and item.calls:
                self._same_input[sha256, item.row.fingerprint, item.row.variant] = item.calls
        return {_item_id(item.row): self._pictures_of(item) for item in items}

    def _sha256(self, row: ItemRow) -> str:
        source = self._state.source(self._job, row.key)
        return source.sha256 if source is not None and source.version == row.version else ""

    def _pictures_of(self, item: ReportItem) -> _ItemPictures:
        sha256 = self._sha256(item.row)
        # A duplicate or a renamed input bought nothing: its pictures are those of the item that paid for them.
        calls = item.calls or self._same_input.get((sha256, item.row.fingerprint, item.row.variant), ())
        bought = {call.step: call.result for call in calls if call.result is not None}
        steps = tuple(self._step(step, bought[step], item.row.variant) for step in self._steps if step in bought)
        return _ItemPictures(self._before(item.row, sha256), self._after(item.row), steps)

    def _before(self, row: ItemRow, sha256: str) -> Wanted:
        identity = f"content {sha256}" if sha256 else f"source {self._job} {row.version} {row.key}"
        return Wanted(identity, lambda target: self._access.before(row, target))

    def _after(self, row: ItemRow) -> Wanted | None:
        output = self._outputs.get(_item_id(row))
        if output is None:
            return None
        identity = f"content {output.sha256}" if output.sha256 else f"output {output.version} {output.path}"
        return Wanted(identity, lambda target: self._access.finished(output, target))

    def _step(self, step: str, first: str, variant: int) -> tuple[str, Wanted | None, tuple[str, ...]]:
        key = _of_variant(first, variant)
        try:
            result = self._state.results.find(key)
        except VeniceBatchError:
            # Damaged since: its step is shown without a picture. The next run refuses it with a remedy.
            result = None
        if result is None:
            return step, None, ()
        return step, Wanted(f"result {key}", lambda target: self._access.result(result, target)), result.flags


def _of_variant(first: str, variant: int) -> str:
    """Return the key of an item's own picture: the ledger names the first one of a call that brought several."""
    base, dot, _ = first.rpartition(".")
    return f"{base}.{variant - 1}" if dot and variant else first


def _with_pictures(item: ReportItem, pictures: _ItemPictures | None, made: Mapping[str, Picture]) -> ReportItem:
    if pictures is None:
        return item

    def shown(wanted: Wanted | None) -> Picture | None:
        return None if wanted is None else made.get(wanted.identity)

    steps = tuple(StepPicture(step, shown(wanted), flags) for step, wanted, flags in pictures.steps)
    return replace(item, before=shown(pictures.before), after=shown(pictures.after), steps=steps)


def _of_files(run: RunRow | None) -> Iterator[str]:
    if run is not None and run.unproduced:
        yield unproduced_text(Unproduced(**json.loads(run.unproduced)))


def _remarks(thumbnails: Thumbnails, left_out: int, unlisted: int) -> Iterator[str]:
    if unlisted:
        yield (
            f"Listed are the items that need a look and the newest others; {unlisted} more are not on this page."
            " `venice-batch items` lists all of them."
        )
    if left_out:
        yield f"Pictures are shown of all items that need a look and of the newest others; {left_out} have none here."
    if thumbnails.failures:
        yield f"{len(thumbnails.failures)} pictures could not be read, the first because: {thumbnails.failures[0]}"
    if thumbnails.late:
        yield f"{thumbnails.late} pictures were left for the next report, because making them took too long."


def relative_href(folder: Path, root: Path) -> Callable[[str], str | None]:
    """Return a function that gives the address of a finished file, relative to the report in `folder`.

    Args:
        folder: of the report.
        root: of a local output.
    """
    prefix = os.path.relpath(root.resolve(), folder.resolve())

    def href(path: str) -> str:
        # Always begins with a dot: a file called `javascript:...` must not become a program.
        return quote(f"./{prefix}/{path}", safe="/", errors="surrogateescape")

    return href
