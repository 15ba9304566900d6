"""Gathers what a plan is made from, and refuses places that lie within one another. Reads only."""

from __future__ import annotations

import functools
import time
from pathlib import Path

from venice_batch.errors import OutputError
from venice_batch.job import FolderSource, Job
from venice_batch.plan.outputs import Outputs
from venice_batch.plan.planner import PlanInputs
from venice_batch.plan.sources import candidates
from venice_batch.state import State
from venice_batch.storage import Place, S3Place, open_store
from venice_batch.venice import Account, Catalogue


def gather_inputs(job: Job, state: State, catalogue: Catalogue, account: Account) -> PlanInputs:
    """Return everything that `make_plan` needs; nothing is listed before it asks.

    Raises:
        OutputError: output, state and source lie within one another.
    """
    refuse_overlap(job)
    return PlanInputs(
        candidates=functools.partial(candidates, job),
        state=state,
        outputs=Outputs(open_store(job.output.path), in_bucket=isinstance(job.output.path, S3Place)),
        catalogue=catalogue,
        account=account,
        now=time.time(),
    )


def refuse_overlap(job: Job) -> None:
    """Refuse an output or state inside the source, and a source inside the output.

    The next run would take finished pictures for new ones and buy them again, or a finished file would hit an input.

    Raises:
        OutputError: naming both places.
    """
    if not isinstance(job.source, FolderSource):
        return
    source = job.source.path
    for key, place in (("output.path", job.output.path), ("state", job.state)):
        if _holds(source, place):
            raise OutputError(f"{key} {place} lies inside the source {source}", remedy=f"move {key} out of the source")
    if _holds(job.output.path, source):
        raise OutputError(
            f"the source {source} lies inside output.path {job.output.path}",
            remedy="give the output a place of its own",
        )


def _holds(outer: Place, inner: Place) -> bool:
    """Whether `inner` is `outer` or lies below it; links are followed, a folder and a bucket never hold one another."""
    if isinstance(outer, S3Place):
        return isinstance(inner, S3Place) and outer.holds(inner) and _in_one_store(outer, inner)
    return isinstance(inner, Path) and inner.resolve().is_relative_to(outer.resolve())


def _in_one_store(one: S3Place, other: S3Place) -> bool:
    """Whether two places are in the same store, however each is written: an endpoint may come from a variable."""
    ways = {(place.access.endpoint_url, place.access.profile) for place in (one, other)}
    return len(ways) == 1 or open_store(one).endpoint == open_store(other).endpoint
