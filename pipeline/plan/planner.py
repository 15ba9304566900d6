"""From a job and what is known to a plan. Asks, never writes."""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.job import FolderSource, Job
from pipeline.plan import money, warn
from pipeline.plan.expand import Expander
from pipeline.plan.looking import Eyes
from pipeline.plan.model import TO_DO, Caution, Plan, PlannedItem, Range, Rest, StepCost
from pipeline.plan.outputs import Outputs
from pipeline.plan.pricing import Pricer
from pipeline.plan.recipe import Recipe
from pipeline.plan.sampling import draw
from pipeline.plan.sources import Candidate
from pipeline.plan.standing import Rules, Wishes
from pipeline.plan.stock import Stock, Taking, take_stock
from pipeline.state import State
from pipeline.venice import Account, Catalogue


@dataclass(frozen=True)
class World:
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


def make_plan(recipe: Recipe, world: World, wishes: Wishes | None = None) -> Plan:
    """Go through the listing once and return what a run would do and cost.

    Raises:
        JobError: a step asks for what the catalogue does not offer.
        SourceError: the source cannot be read.
        Unavailable: the source, the output or the manifest cannot be reached.
    """
    wishes = wishes or Wishes()
    recipe.check(world.catalogue)
    job = recipe.job
    expander, rules = Expander(recipe, world.catalogue), Rules(job, wishes)
    stock = take_stock(Taking(job.name, world.candidates, expander, rules, world.state, world.outputs))
    sizes = _sizes(stock, in_bucket=recipe.in_bucket)
    with _eyes(job) as eyes:
        pricer = Pricer(recipe, world.state, world.catalogue, eyes, sizes)
        if wishes.sample is None:
            items = tuple(pricer.priced(stock.items, wishes.limit))
            plan = _summed(recipe, world, pricer, items, stock.done)
        else:
            items, later = draw(pricer, stock.items, wishes.sample, job.name)
            # The sums are taken before the pricer goes on with the rest.
            plan = _summed(recipe, world, pricer, items, stock.done)
            plan = replace(plan, rest=_rest(pricer, later))
    plan = replace(plan, warnings=(*plan.warnings, *_of_rows(recipe, stock)))
    if wishes.partial or _is_by_keys(job):
        return plan
    return replace(plan, vanished=_vanished(stock, world.state, job.name), dropped=_dropped(stock, world, job.name))


def _sizes(stock: Stock, *, in_bucket: bool) -> Counter[int]:
    """Return how many inputs there are of each size; in a bucket those of one version are one picture."""
    found = (item.candidate for item in stock.items if item.standing in TO_DO)
    return Counter(size for size, _ in {(each.size, each.version if in_bucket else each.key) for each in found})


def _rest(pricer: Pricer, later: deque[PlannedItem]) -> Rest:
    costs = [item.cost for item in pricer.priced(later) if item.standing in TO_DO]
    return Rest(len(costs), sum(costs, Range()))


@contextmanager
def _eyes(job: Job) -> Iterator[Eyes | None]:
    """Give eyes for the job's source, and them a scratch folder; None where there are no files."""
    if not isinstance(job.source, FolderSource):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="venice-batch-") as scratch:
        yield Eyes(job.source.path, Path(scratch))


def _is_by_keys(job: Job) -> bool:
    return isinstance(job.source, FolderSource) and job.source.keys is not None


def _vanished(stock: Stock, state: State, job: str) -> tuple[tuple[str, int], ...]:
    """Return the items that the manifest has and the source has not; looked for only where the numbers differ."""
    if state.present(job) == stock.present:
        return ()
    return tuple(identity for identity in state.keys(job) if identity not in stock.keys)


def _summed(recipe: Recipe, world: World, pricer: Pricer, items: tuple[PlannedItem, ...], done: int) -> Plan:
    steps = _step_costs(recipe, world.catalogue, pricer)
    cost = sum((step.cost for step in steps), Range())
    balances = {name.lower(): amount for name, amount in world.account.balances.items()}
    limits = money.caps(recipe.job.budget, world.state, recipe.job.name, world.now, reserved=False)
    covers = money.coverage(cost, pricer.tally.dearest, balances, limits, permitted=world.account.permitted)
    permits = pricer.tally.permits
    return Plan(
        items=items,
        done=done,
        vanished=(),
        dropped=(),
        steps=steps,
        balances=balances,
        coverage=covers,
        eta_seconds=max((calls * 60 / world.account.rpm_of(lane) for lane, calls in permits.items()), default=0.0),
        warnings=_warnings(recipe, world, pricer, split=covers.covered and not covers.certain),
    )


def _step_costs(recipe: Recipe, catalogue: Catalogue, pricer: Pricer) -> tuple[StepCost, ...]:
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
        for step in recipe.chain.paid
    )


def _dropped(stock: Stock, world: World, job: str) -> tuple[str, ...]:
    return tuple(row.path for row in world.state.outputs(job) if row.path not in stock.names)


def _of_rows(recipe: Recipe, stock: Stock) -> list[Caution]:
    """Return what came of the metadata and of the files beside the pictures."""
    found = [warn.skipped(stock.skipped)] if stock.skipped else []
    table = None if recipe.personal is None else recipe.personal.table
    # Of a source that is taken by keys most rows may well belong to pictures that nobody asked for this time.
    if table is not None and table.unmet and not _is_by_keys(recipe.job):
        found.append(warn.unmet_rows(table.path, table.unmet))
    neighbours = None if recipe.personal is None else recipe.personal.neighbours
    doubled = [] if neighbours is None else sorted(key for key in neighbours.asked if (key, 0) in stock.keys)
    if doubled:
        found.append(warn.beside_and_item(doubled))
    return found


def _warnings(recipe: Recipe, world: World, pricer: Pricer, *, split: bool) -> tuple[Caution, ...]:
    found = warn.traps(recipe, world.catalogue)
    if pricer.tally.capped:
        found.append(warn.capped(pricer.tally.capped))
    found += [warn.fitted(step, count) for step, count in pricer.tally.fitted.items() if count]
    if pricer.tally.left_out:
        found.append(warn.first_only(pricer.tally.left_out))
    if pricer.tally.transparent:
        found.append(warn.transparent(pricer.tally.transparent))
    if split:
        found.append(warn.split_balance())
    return tuple(found)
