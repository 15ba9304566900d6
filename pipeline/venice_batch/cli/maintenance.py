"""`gc` and `unlock`: keep a state in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticCustomError

from venice_batch.cli import settings
from venice_batch.cli.options import seconds
from venice_batch.cli.printing import print_json
from venice_batch.errors import Exit, Locked, UsageError
from venice_batch.job import Job
from venice_batch.plan.model import cents
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.reading.sources import candidates, refuse_overlap
from venice_batch.report.text import duration, shown, table, when
from venice_batch.run.gc.sweep import Garbage, find_garbage, sweep
from venice_batch.run.ownership import claim_output
from venice_batch.run.session import state_to_write
from venice_batch.state import LeasePolicy, State, bucket_lease, copy_state, lease, to_read, to_write
from venice_batch.steps.scalars import as_bytes
from venice_batch.storage import LocalPlace, Place, StateStore, open_store, parse

_SIZES = (("GB", 10**9), ("MB", 10**6), ("KB", 10**3))
_LISTED = 10
_HEAD = ("bytes", "last used", "bought for", "result")


@dataclass(frozen=True)
class GcOptions:
    """The options of `gc`, as given."""

    job: Path
    others: tuple[Path, ...] = ()
    overrides: tuple[str, ...] = ()
    base_url: str | None = None
    older_than: str = "30d"
    larger_than: str | None = None
    as_json: bool = False
    yes: bool = False


def gc(**given: Any) -> int:
    """Show what could be freed; with `yes`, free it; takes what `GcOptions` has.

    Raises:
        Locked: another run holds the state (exit 7).
        SourceError: the source cannot be read, so that nothing can be said of what its items need.
        Unavailable: a store cannot be reached or changed.
    """
    options = GcOptions(**given)
    older_than, larger_than = seconds("--older-than", options.older_than), _size(options.larger_than)
    job = settings.load_job(options.job, options.overrides)
    pipelines = [_pipeline(each, options) for each in (job, *_others(job, options))]

    def look(state: State) -> Garbage:
        jobs = [(each, candidates(each.job)) for each in pipelines]
        return find_garbage(state, jobs, time.time(), older_than=older_than, larger_than=larger_than)

    with to_read(settings.state_of(job, options.base_url)) as state:
        garbage = look(state)
    if garbage.unused and options.yes:
        with state_to_write(job, pipelines[0].chain.host) as state:
            state.recover(time.time())
            # Looked up once more: in between another run may have come and gone.
            garbage = look(state)
            sweep(state, garbage.unused)
    if options.as_json:
        print_json("gc", _garbage_values(garbage, dry_run=not options.yes))
    else:
        click.echo(_garbage_text(garbage, dry_run=not options.yes))
    return Exit.DONE


def _others(job: Job, options: GcOptions) -> list[Job]:
    """Load the other jobs of the state.

    Raises:
        UsageError: one of them keeps its state elsewhere.
    """
    others = [settings.load_job(file, options.overrides) for file in options.others]
    for file, other in zip(options.others, others, strict=True):
        if other.state != job.state:
            raise UsageError(
                f"{file} keeps its state at {other.state}, not at {job.state}", remedy="name jobs of one state only"
            )
    return others


def _pipeline(job: Job, options: GcOptions) -> Pipeline:
    refuse_overlap(job)
    return make_pipeline(job, settings.host(settings.base_url(options.base_url, job.api.base_url)))


def _garbage_values(garbage: Garbage, *, dry_run: bool) -> dict[str, object]:
    aside = [each for each in garbage.unused if each.stored.bad is not None]
    return {
        "dry_run": dry_run,
        "freed": bool(garbage.unused) and not dry_run,
        "results": len(garbage.unused) - len(aside),
        "set_aside": len(aside),
        "bytes": garbage.bytes,
        "usd": garbage.usd,
        "needed": garbage.needed,
        "spared": garbage.spared,
        "unclear_items": garbage.unclear,
        "unknown_items": garbage.unknown,
    }


def _garbage_text(garbage: Garbage, *, dry_run: bool) -> str:
    lines = []
    if garbage.unused and dry_run:
        rows = [
            (f"{each.stored.bytes:,}", when(each.last_used), each.item, _name(each.stored.key, each.stored.bad))
            for each in garbage.unused[:_LISTED]
        ]
        lines.append(table(_HEAD, rows, right=frozenset({0})))
        if len(garbage.unused) > _LISTED:
            lines.append(f"... and {len(garbage.unused) - _LISTED} smaller ones")
    if garbage.unused:
        files = "1 file" if len(garbage.unused) == 1 else f"{len(garbage.unused)} files"
        lines.append(f"{'can be freed' if dry_run else 'freed'}: {files}, {_bytes(garbage.bytes)}")
        lines.append(f"they cost {cents(garbage.usd)} USD: whatever of it is ever needed again is charged again")
    else:
        lines.append("nothing to free")
    lines.append(f"kept: {garbage.needed} that items need, {garbage.spared} that are too young or too small to go")
    lines += _unclear_lines(garbage)
    if garbage.unused and dry_run:
        lines.append("nothing was deleted; --yes deletes")
    return "\n".join(lines)


def _unclear_lines(garbage: Garbage) -> list[str]:
    if not garbage.unclear:
        return []
    who = (
        f"{garbage.unclear} items of other jobs, of other settings or another API address than the job file has now,"
        " or of inputs that are not there"
    )
    if garbage.unknown:
        unknown = f"what {garbage.unknown} of {who} need is not known"
        return [f"no result can go: {unknown}; `run` first, and name all jobs here"]
    return [f"spared with all that was ever used for them: {who}; after a `run` more may go"]


def unlock(
    job: Path, overrides: Sequence[str], base_url: str | None, *, force: bool, claim: bool, copy_from: str | None
) -> int:
    """Break the lease of a run that is dead; or, with `claim`, that of a former state on the output.

    Raises:
        Locked: its holder lives, or may live (exit 7).
        Unavailable: the state cannot be reached (exit 6).
    """
    loaded = settings.load_job(job, overrides)
    url = settings.base_url(base_url, loaded.api.base_url)
    if claim or copy_from is not None:
        return _claim(loaded, settings.host(url), copy_from)
    store, folder = loaded.state.state_store(), loaded.state.folder
    if store is not None:
        return _unlock_store(store, _policy(loaded), force=force)
    owner = None if folder is None else lease.holder(folder)
    if owner is not None:
        raise Locked(
            f"a living process holds {folder} ({owner})",
            remedy="end that process: the system then frees the lease by itself, and nothing else can",
        )
    click.echo(f"nobody holds {shown(str(folder))}; the system frees a lease in a folder with its process")
    return Exit.DONE


def _claim(job: Job, host: str, copy_from: str | None) -> int:
    """Let the job's state own the output from now on, filled from a former one where that is given.

    Raises:
        UsageError: there is no such former state, or the job's own has a memory already (exit 2).
        Locked: a run holds one of them (exit 7).
        Unavailable: one of them cannot be reached (exit 6).
    """
    refuse_overlap(job)
    with ExitStack() as stack:
        state = stack.enter_context(state_to_write(job, host))
        if copy_from is not None:
            old = _former(job, copy_from)
            with to_read(old) as found:
                if not found.jobs():
                    raise UsageError(f"there is no state at {old}", remedy="name the place that `state:` named before")
            number = copy_state(stack.enter_context(to_write(old)), state)
            click.echo(f"copied: {number} results and the manifest, from {shown(str(old))} to {shown(str(state.root))}")
        claim_output(open_store(job.output.path), job.output.path, job.state, state.scratch, by_force=True)
    click.echo(f"{shown(str(job.output.path))} is written from {shown(str(job.state))} from now on, and from no other")
    return Exit.DONE


def _former(job: Job, text: str) -> Place:
    if "://" not in text:
        return LocalPlace(Path(text).absolute())
    try:
        return parse(text, job.access.for_state())
    except ValueError as error:
        raise UsageError(f"--copy-from: {error}", remedy="write s3://BUCKET/PREFIX/, or a folder") from error


def _unlock_store(store: StateStore, policy: LeasePolicy, *, force: bool) -> int:
    place = store.place
    held = bucket_lease.find(store, policy)
    if held is None:
        click.echo(f"nobody holds {shown(str(place))}")
        return Exit.DONE
    if held.left > 0 and not force:
        raise Locked(
            f"a run holds {place} ({held.owner}); it was last heard of {duration(held.silent)} ago",
            remedy=f"if it is dead, the lease ends by itself in {duration(held.left)}; --force breaks it now,"
            " and a run that lives after all stops with exit code 7",
        )
    bucket_lease.break_lease(store, policy, held)
    click.echo(f"broken: the lease on {shown(str(place))} ({shown(held.owner)}), silent for {duration(held.silent)}")
    return Exit.DONE


def _policy(job: Job) -> LeasePolicy:
    return LeasePolicy(safe=False) if job.lease is None else LeasePolicy(job.lease)


def _size(text: str | None) -> int:
    try:
        return 0 if text is None else as_bytes(text)
    except PydanticCustomError:
        remedy = "write bytes, or 500KB, 100MB, 2GB"
        raise UsageError(f"--larger-than {text!r} is not a valid size", remedy=remedy) from None


def _bytes(count: int) -> str:
    for unit, size in _SIZES:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _name(key: str, bad: int | None) -> str:
    return key if bad is None else f"{key}.bad-{bad}"
