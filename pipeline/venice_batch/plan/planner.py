"""From a job and what is known to a plan. Asks, never writes."""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from venice_batch.job import FolderSource, Job
from venice_batch.plan import money, warnings
from venice_batch.plan.expand import Expander
from venice_batch.plan.model import TO_DO, Caution, Plan, PlannedItem, Range, Rest, StepCost
from venice_batch.plan.outputs import Outputs
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import Pricer
from venice_batch.plan.probe import Prober
from venice_batch.plan.sampling import draw
from venice_batch.plan.scan import ScanInputs, SourceScan, scan_source
from venice_batch.plan.selection import ItemFilter, Selection
from venice_batch.plan.sources import Candidate
from venice_batch.state import State
from venice_batch.venice import Account, Catalogue


@dataclass(frozen=True)
class PlanInputs:
    """Everything a plan is made from, besides the job.

    Attributes:
        candidates: lists the source, anew at each call.
        state: the manifest and results, for questions only.
        outputs: tells which finished files are there.
        catalogue: the live models and prices.
        account: what the key may spend and how fast it may call.
        now: Unix seconds.
    """

    candidates: Callable[[], Iterator[Candidate]]
    state: State
    outputs: Outputs
    catalogue: Catalogue
    account: Account
    now: float


def make_plan(pipeline: Pipeline, inputs: PlanInputs, item_filter: ItemFilter | None = None) -> Plan:
    """Go through the listing once and return what a run would do and cost.

    Raises:
        JobError: a step asks for what the catalogue does not offer.
        SourceError: the source cannot be read.
        Unavailable: the source, the output or the manifest cannot be reached.
    """
    item_filter = item_filter or ItemFilter()
    pipeline.check(inputs.catalogue)
    job = pipeline.job
    expander, selection = Expander(pipeline, inputs.catalogue), Selection(job, item_filter)
    scan = scan_source(ScanInputs(job.name, inputs.candidates, expander, selection, inputs.state, inputs.outputs))
    sizes = _sizes(scan, in_bucket=pipeline.in_bucket)
    with _prober(job) as prober:
        pricer = Pricer(pipeline, inputs.state, inputs.catalogue, prober, sizes)
        if item_filter.sample is None:
            items = tuple(pricer.priced(scan.items, item_filter.limit))
            plan = _summed(pipeline, inputs, pricer, items, scan.done)
        else:
            items, later = draw(pricer, scan.items, item_filter.sample, job.name)
            # The sums are taken before the pricer goes on with the rest.
            plan = _summed(pipeline, inputs, pricer, items, scan.done)
            plan = replace(plan, rest=_rest(pricer, later))
    plan = replace(plan, warnings=(*plan.warnings, *_of_rows(pipeline, scan)))
    if item_filter.partial or _is_by_keys(job):
        return plan
    return replace(plan, vanished=_vanished(scan, inputs.state, job.name), dropped=_dropped(scan, inputs, job.name))


def _sizes(scan: SourceScan, *, in_bucket: bool) -> Counter[int]:
    """Return how many inputs there are of each size; in a bucket those of one version are one picture."""
    found = (item.candidate for item in scan.items if item.standing in TO_DO)
    return Counter(size for size, _ in {(each.size, each.version if in_bucket else each.key) for each in found})


def _rest(pricer: Pricer, later: deque[PlannedItem]) -> Rest:
    costs = [item.cost for item in pricer.priced(later) if item.standing in TO_DO]
    return Rest(len(costs), sum(costs, Range()))


@contextmanager
def _prober(job: Job) -> Iterator[Prober | None]:
    """Give eyes for the job's source, and them a scratch folder; None where there are no files."""
    if not isinstance(job.source, FolderSource):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
        yield Prober(job.source.path, Path(scratch))


def _is_by_keys(job: Job) -> bool:
    return isinstance(job.source, FolderSource) and job.source.keys is not None


def _vanished(scan: SourceScan, state: State, job: str) -> tuple[tuple[str, int], ...]:
    """Return the items that the manifest has and the source has not; looked for only where the numbers differ."""
    if state.present(job) == scan.present:
        return ()
    return tuple(identity for identity in state.keys(job) if identity not in scan.keys)


def _summed(pipeline: Pipeline, inputs: PlanInputs, pricer: Pricer, items: tuple[PlannedItem, ...], done: int) -> Plan:
    steps = _step_costs(pipeline, inputs.catalogue, pricer)
    cost = sum((step.cost for step in steps), Range())
    balances = {name.lower(): amount for name, amount in inputs.account.balances.items()}
    limits = money.caps(pipeline.job.budget, inputs.state, pipeline.job.name, inputs.now, reserved=False)
    covers = money.coverage(cost, pricer.tally.dearest, balances, limits, permitted=inputs.account.permitted)
    permits = pricer.tally.permits
    return Plan(
        items=items,
        done=done,
        vanished=(),
        dropped=(),
        steps=steps,
        balances=balances,
        coverage=covers,
        eta_seconds=max((calls * 60 / inputs.account.rpm_of(lane) for lane, calls in permits.items()), default=0.0),
        warnings=_warnings(pipeline, inputs, pricer, split=covers.covered and not covers.certain),
    )


def _step_costs(pipeline: Pipeline, catalogue: Catalogue, pricer: Pricer) -> tuple[StepCost, ...]:
    tally = pricer.tally
    return tuple(
        StepCost(
            step.id,
            step.name,
            step.lane(catalogue),
            tally.calls_low[step.id],
            tally.calls[step.id],
            tally.cost.get(step.id, Range()),
        )
        for step in pipeline.chain.paid
    )


def _dropped(scan: SourceScan, inputs: PlanInputs, job: str) -> tuple[str, ...]:
    return tuple(row.path for row in inputs.state.outputs(job) if row.path not in scan.names)


def _of_rows(pipeline: Pipeline, scan: SourceScan) -> list[Caution]:
    """Return what came of the metadata and of the files beside the pictures."""
    found = [warnings.skipped(scan.skipped)] if scan.skipped else []
    table = None if pipeline.item_pipelines is None else pipeline.item_pipelines.table
    # Of a source that is taken by keys most rows may well belong to pictures that nobody asked for this time.
    if table is not None and table.unmet and not _is_by_keys(pipeline.job):
        found.append(warnings.unmet_rows(table.path, table.unmet))
    sidecars = None if pipeline.item_pipelines is None else pipeline.item_pipelines.sidecars
    doubled = [] if sidecars is None else sorted(key for key in sidecars.asked if (key, 0) in scan.keys)
    if doubled:
        found.append(warnings.beside_and_item(doubled))
    return found


def _warnings(pipeline: Pipeline, inputs: PlanInputs, pricer: Pricer, *, split: bool) -> tuple[Caution, ...]:
    found = warnings.traps(pipeline, inputs.catalogue)
    if pricer.tally.capped:
        found.append(warnings.capped(pricer.tally.capped))
    found += [warnings.fitted(step, count) for step, count in pricer.tally.fitted.items() if count]
    if pricer.tally.left_out:
        found.append(warnings.first_only(pricer.tally.left_out))
    if pricer.tally.transparent:
        found.append(warnings.transparent(pricer.tally.transparent))
    if split:
        found.append(warnings.split_balance())
    return tuple(found)
