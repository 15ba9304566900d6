"""From a job and what is known to a plan. Asks, never writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.plan import money, warn
from pipeline.plan.model import TO_DO, Caution, Plan, PlannedItem, Range, StepCost
from pipeline.plan.pricing import Eyes, Pricer
from pipeline.plan.recipe import Recipe
from pipeline.plan.sources import Candidate
from pipeline.plan.standing import Rows, Rules, Wishes, named, stand
from pipeline.state import State
from pipeline.venice import Account, Catalogue


@dataclass(frozen=True)
class World:
    """Everything a plan is made from, besides the job.

    Attributes:
        candidates: the listing.
        state: the manifest and results, for questions only.
        output_has: whether a finished file is there, by its path relative to the output.
        eyes: how inputs are looked at.
        catalogue: the live models and prices.
        account: what the key may spend and how fast it may call.
        now: Unix seconds.
    """

    candidates: Sequence[Candidate]
    state: State
    output_has: Callable[[str], bool]
    eyes: Eyes
    catalogue: Catalogue
    account: Account
    now: float


def make_plan(recipe: Recipe, world: World, wishes: Wishes | None = None) -> Plan:
    """Go through the listing once and return what a run would do and cost.

    Raises:
        JobError: a step asks for what the catalogue does not offer.
    """
    wishes = wishes or Wishes()
    recipe.check(world.catalogue)
    job = recipe.job
    rows: Rows = {(row.key, row.variant): row for row in world.state.items(job.name)}
    sizes = Counter(candidate.size for candidate in world.candidates)
    pricer = Pricer(job.name, world.state, world.catalogue, world.eyes, sizes)
    standing = stand(named(world.candidates, recipe, world.catalogue), rows, Rules(job, wishes, world.output_has))
    items = _within(wishes.limit, standing, pricer)
    partial = wishes.only is not None or wishes.limit is not None
    plan = _summed(recipe, world, pricer, items)
    if partial:
        return plan
    vanished = tuple(sorted(key for key, row in rows.items() if row.state != "vanished"))
    return replace(plan, vanished=vanished, dropped=_dropped(items, world, job.name))


def _within(limit: int | None, standing: Iterable[PlannedItem], pricer: Pricer) -> list[PlannedItem]:
    """Return the priced items, at most `limit` of them to do: what turns out to be invalid does not use it up."""
    items: list[PlannedItem] = []
    left = limit
    for item in standing:
        if left == 0 and item.standing in TO_DO:
            continue
        items.append(pricer.priced(item))
        if left is not None:
            left -= items[-1].standing in TO_DO
    return items


def _summed(recipe: Recipe, world: World, pricer: Pricer, items: list[PlannedItem]) -> Plan:
    steps = _step_costs(recipe, world.catalogue, pricer)
    cost = sum((step.cost for step in steps), Range())
    balances = {name.lower(): amount for name, amount in world.account.balances.items()}
    limits = money.caps(recipe.job.budget, world.state, recipe.job.name, world.now)
    covers = money.coverage(cost, pricer.tally.dearest, balances, limits, permitted=world.account.permitted)
    shown = tuple(item for item in items if item.standing != "done")
    permits = pricer.tally.permits
    return Plan(
        items=shown,
        done=len(items) - len(shown),
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


def _dropped(items: list[PlannedItem], world: World, job: str) -> tuple[str, ...]:
    produced = {item.output for item in items}
    return tuple(row.path for row in world.state.outputs(job) if row.path not in produced)


def _warnings(recipe: Recipe, world: World, pricer: Pricer, *, split: bool) -> tuple[Caution, ...]:
    found = warn.traps(recipe, world.catalogue)
    if pricer.tally.capped:
        found.append(warn.capped(pricer.tally.capped))
    found += [warn.fitted(step, count) for step, count in pricer.tally.fitted.items() if count]
    if split:
        found.append(warn.split_balance())
    return tuple(found)
