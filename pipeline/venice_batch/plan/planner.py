"""From a job and what is read to a plan: one pass over the source, then the arithmetic. Writes nothing."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from venice_batch.job import Job
from venice_batch.plan import conflicts, money, warnings
from venice_batch.plan.expand import Expander
from venice_batch.plan.model import TO_DO, Candidate, Plan, PlannedItem, PlanWarning, Range, Remainder, StepCost
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.pricing import Pricer, Tally
from venice_batch.plan.reading.finished_files import FindOwners, FinishedFiles
from venice_batch.plan.reading.probe import inspecting, stored_results
from venice_batch.plan.reading.scan import SourceScan
from venice_batch.plan.reading.sources import candidates, refuse_overlap
from venice_batch.plan.sampling import draw
from venice_batch.plan.selection import ItemFilter, Selection
from venice_batch.state import State
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import Account, Catalogue


@dataclass(frozen=True)
class PlanInputs:
    """Everything a plan is made from, besides the job.

    Attributes:
        candidates: lists the source, anew at each call.
        state: the manifest and results, for questions only.
        files: tells which finished files exist, and whose they are.
        catalogue: the live models and prices.
        account: what the key may spend and how fast it may call.
        now: Unix seconds.
    """

    candidates: Callable[[], Iterator[Candidate]]
    state: State
    files: FinishedFiles
    catalogue: Catalogue
    account: Account
    now: float

    @classmethod
    def gather(
        cls, job: Job, state: State, catalogue: Catalogue, account: Account, find_owners: FindOwners | None = None
    ) -> PlanInputs:
        """Return everything that `make_plan` needs; nothing is listed before it asks.

        `find_owners` tells what is known of finished files; by default what `state` knows.

        Raises:
            OutputError: output, state and source lie within one another.
        """
        refuse_overlap(job)
        find_owners = find_owners or functools.partial(state.outputs_at, job.name)
        files = FinishedFiles(job.output.path.store(), find_owners)
        return cls(functools.partial(candidates, job), state, files, catalogue, account, time.time())


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
    existing = job.output.existing
    scan = SourceScan(inputs.candidates, expander, selection, job.name, existing)
    scan.run(inputs.state, inputs.files)
    with inspecting(pipeline, inputs.state, scan.items) as inspect:
        pricer = Pricer(pipeline, inputs.catalogue, inspect, stored_results(inputs.state, job.run.on_flagged))
        if item_filter.sample is None:
            items = tuple(pricer.priced(scan.items, item_filter.limit))
            plan = _summed(pipeline, inputs, pricer, items, scan.done)
        else:
            items, later = draw(pricer, scan.items, item_filter.sample, job.name)
            # The sums are taken before the pricer goes on with the rest.
            plan = _summed(pipeline, inputs, pricer, items, scan.done)
            costs = [item.cost for item in pricer.priced(later) if item.status in TO_DO]
            plan = replace(plan, remainder=Remainder(len(costs), sum(costs, Range())))
    plan = replace(
        plan,
        warnings=(
            *plan.warnings,
            *_of_rows(pipeline, scan),
            *conflicts.of_outputs(plan.items, scan.edited, existing),
        ),
        adopted=tuple(inputs.files.adopted),
        given_up=tuple(scan.edited) if existing == "skip" else (),
    )
    if item_filter.partial or pipeline.takes_keys:
        return plan
    state, vanished = inputs.state, tuple[tuple[str, int], ...]()
    if state.present(job.name) != scan.present:  # else none can be missing, and the manifest need not be read whole
        vanished = tuple(identity for identity in state.keys(job.name) if identity not in scan.keys)
    written = (row.path for row in state.outputs(job.name) if row.version is not None)
    dropped = tuple(path for path in written if path not in scan.names)
    return replace(plan, vanished=vanished, dropped=dropped)


def _summed(pipeline: Pipeline, inputs: PlanInputs, pricer: Pricer, items: tuple[PlannedItem, ...], done: int) -> Plan:
    tally, rpm = pricer.tally, inputs.account.rpm_of
    steps = tuple(
        StepCost(step.id, step.name, model, tally.calls_low[key], tally.calls[key], tally.cost.get(key, Range()))
        for step in pipeline.chain.paid
        for model in _models(step, tally, inputs.catalogue)
        for key in ((step.id, model),)
    )
    cost = sum((step.cost for step in steps), Range())
    balances = {name.lower(): amount for name, amount in inputs.account.balances.items()}
    limits = money.caps(pipeline.job.budget, inputs.state, pipeline.job.name, inputs.now, reserved=False)
    covers = money.coverage(cost, tally.most_expensive, balances, limits, permitted=inputs.account.permitted)
    return Plan(
        items=items,
        done=done,
        vanished=(),
        dropped=(),
        steps=steps,
        balances=balances,
        coverage=covers,
        eta_seconds=max((calls * 60 / rpm(lane) for lane, calls in tally.permits.items()), default=0.0),
        warnings=(
            *warnings.of_pipeline(pipeline, inputs.catalogue),
            *warnings.of_catalogue(steps, inputs.catalogue),
            *warnings.of_tally(tally, split_balance=covers.covered and not covers.certain),
        ),
    )


def _models(step: PaidStep, tally: Tally, catalogue: Catalogue) -> list[str]:
    """Return the models that a step uses: its own, unless every row names another."""
    return [model for step_id, model in tally.calls if step_id == step.id] or [step.lane(catalogue)]


def _of_rows(pipeline: Pipeline, scan: SourceScan) -> Iterator[PlanWarning]:
    sidecars = pipeline.item_pipelines.sidecars
    both = [] if sidecars is None else sorted(key for key in sidecars.used if (key, 0) in scan.keys)
    return warnings.of_rows(pipeline, scan.skipped, both)
