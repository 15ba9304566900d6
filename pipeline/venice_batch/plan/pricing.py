"""Prices items: walks each through its chain, and sums calls and US dollars over all."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from venice_batch.errors import CatalogueError, ItemError
from venice_batch.imaging import UPSCALE_CAP, Facts, check_size, fitted_size, needs, oriented
from venice_batch.job import transparency
from venice_batch.plan import conflicts
from venice_batch.plan.model import TO_DO, PlannedItem, Range
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.selection import FlaggedAction
from venice_batch.state import Result, SourceRow
from venice_batch.steps.chain import Finished, Purchase, Stage, Undecided
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import PaidStep, Upscale
from venice_batch.venice import Catalogue
from venice_batch.venice.prices import CallPrice


class Inspection(NamedTuple):
    """What is known of an input.

    Attributes:
        facts: its header; None: not read.
        sha256: of its bytes; empty: not known.
        may_be_duplicate: it may hold the bytes of another input, which only reading it would tell.
        learned: what of this is not in the manifest yet, or only of another input.
        problem: why it cannot be used.
    """

    facts: Facts | None = None
    sha256: str = ""
    may_be_duplicate: bool = False
    problem: ItemError | None = None
    learned: SourceRow | None = None


class StoredResult(NamedTuple):
    """A result that is stored already: what is known of it once it was checked, and what becomes of a flagged one."""

    known: Known | None
    action: FlaggedAction | None = None


#: Gives each item with what is known of its input; None where there is none to read. Takes items as they are needed.
Inspect = Callable[[Iterable[PlannedItem]], Iterator[tuple[PlannedItem, Inspection | None]]]
#: Gives the stored result of a key.
FindStored = Callable[[str], StoredResult | None]


#: A step's id, and the model whose price and rate limit count: each row of a prompts file may name its own.
StepModel: TypeAlias = tuple[str, str]


@dataclass
class Tally:
    """The sums of a plan: by step and model, `permits` by rate limiter, and of items with something to warn of."""

    calls_low: Counter[StepModel] = field(default_factory=Counter)
    calls: Counter[StepModel] = field(default_factory=Counter)
    cost: dict[StepModel, Range] = field(default_factory=dict)
    permits: Counter[str] = field(default_factory=Counter)
    fitted: Counter[str] = field(default_factory=Counter)
    capped: int = 0
    only_first_page: int = 0
    transparent: int = 0
    most_expensive: Decimal = Decimal(0)

    def add(self, other: Tally) -> None:
        """Add the sums of a part."""
        for name in (each.name for each in fields(self)):
            match getattr(self, name), getattr(other, name):
                case Counter() as mine, theirs:
                    mine.update(theirs)
                case int() as mine, theirs:
                    setattr(self, name, mine + theirs)
        for key, cost in other.cost.items():
            self.cost[key] = self.cost.get(key, Range()) + cost
        self.most_expensive = max(self.most_expensive, other.most_expensive)


class PriceList:
    """What each step costs and which rate limiter it uses, looked up in the catalogue once a step."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        #: By step and what its price depends on. The step is kept too, so that its id cannot come back as another's.
        self._prices: dict[tuple[int, tuple[str, ...]], tuple[PaidStep, CallPrice]] = {}
        self._lanes: dict[int, tuple[PaidStep, str]] = {}

    def of(self, step: PaidStep, known: Known) -> CallPrice:
        """Return what one call costs for a picture of which so much is known.

        Raises:
            CatalogueError: the catalogue has no price for it.
        """
        key = id(step), step.factors(known)
        if key not in self._prices:
            self._prices[key] = step, step.price(self._catalogue, known)
        return self._prices[key][1]

    def lane(self, step: PaidStep) -> str:
        """Return the rate limiter that the step uses: the id of the model that serves it.

        Raises:
            CatalogueError: there is no such model.
        """
        if id(step) not in self._lanes:
            self._lanes[id(step)] = step, step.lane(self._catalogue)
        return self._lanes[id(step)][1]

    def with_model(self, step: PaidStep, model: str) -> Decimal | None:
        """Return the US dollars of the same call by another model; None where the catalogue has no such price."""
        try:
            return step.with_model(model).price(self._catalogue).high
        except CatalogueError:
            return None


class Pricer:
    """Prices items one after another; what one item buys, a later one with the same bytes gets for nothing."""

    def __init__(self, pipeline: Pipeline, catalogue: Catalogue, inspect: Inspect, find_stored: FindStored) -> None:
        """Start with nothing priced; `inspect` tells what is known of inputs, `find_stored` what need not be bought."""
        self.tally = Tally()
        self._pipeline = pipeline
        self._prices = PriceList(catalogue)
        self._inspect = inspect
        self._find_stored = find_stored
        self._existing = pipeline.job.output.existing
        # Where some are at risk whatever the source is, the plan says so anyway.
        always = transparency.at_risk(pipeline.job)
        self._warns_of_alpha = not always and transparency.at_risk(pipeline.job, source=True)
        self._claimed: set[str] = set()
        #: Claims of the item at hand.
        self._fresh: set[str] = set()

    def priced(self, items: deque[PlannedItem], limit: int | None = None) -> Iterator[PlannedItem]:
        """Yield each item with the price of what remains to be bought, or as invalid; in order.

        Items are taken out one by one, so that none exists twice for long. `limit`: at most so many to do; what turns
        out to be invalid does not use it up.
        """
        remaining = limit

        def needed() -> Iterator[PlannedItem]:
            while items:
                item = items.popleft()
                if remaining != 0 or item.status not in TO_DO:
                    yield item

        for item, inspection in self._inspect(needed()):
            if item.status not in TO_DO:
                yield item
            elif remaining != 0:
                priced = self._priced(item, inspection)
                remaining = None if remaining is None else remaining - (priced.status in TO_DO)
                yield priced

    def _priced(self, item: PlannedItem, inspection: Inspection | None) -> PlannedItem:
        sums, self.tally = self.tally, Tally()
        try:
            priced = self._walked(*self._inspected(item, inspection))
            if inspection is None or not inspection.may_be_duplicate:
                # Else reading it may show that nothing has to be bought.
                priced = conflicts.settled(priced, self._existing)
        except ItemError as error:
            # It may be a later step that cannot be done: then the earlier ones are not bought either.
            return replace(item, status="invalid", code=error.code, reason=error.told)
        else:
            if priced.status in TO_DO:
                sums.add(self.tally)
                self._claimed |= self._fresh
                return priced
            return replace(priced, cost=Range())
        finally:
            self.tally, self._fresh = sums, set()

    def _inspected(self, item: PlannedItem, inspection: Inspection | None) -> tuple[PlannedItem, Inspection]:
        """Return the item with its picture's header and, where it is known, its hash."""
        if inspection is None:
            return item, Inspection()
        if inspection.problem is not None:
            raise inspection.problem
        facts = inspection.facts
        known = Known(bytes=item.candidate.size) if facts is None else known_of(facts)
        item = replace(item, known=known, learned=inspection.learned)
        if self._pipeline.by_url:
            return item, Inspection()
        if facts is not None:
            self.tally.only_first_page += facts.left_out > 0
            self.tally.transparent += facts.has_alpha and self._warns_of_alpha
        if inspection.sha256:
            item = replace(item, input_key=InputKey("source", inspection.sha256))
        return item, inspection

    def _walked(self, item: PlannedItem, inspection: Inspection) -> PlannedItem:
        cost, certain, reused = Range(), True, False
        position = item.chain.start(item.input_key, item.known)
        while True:
            position, stop = item.chain.advance(position, item.variant)
            match stop:
                case Finished():
                    break
                case Undecided(step=step):
                    certain = False
                    if isinstance(step, PaidStep):
                        cost += self._count(step, position.current.known, claim=None)
                    position = item.chain.skip(position)
                    position = replace(position, current=replace(position.current, known=Known()))
                case Purchase():
                    stored = self._find_stored(stop.result) if certain else None
                    action = None if stored is None else stored.action
                    reused = reused or stored is not None
                    if action in {"hold", "fail"}:
                        break
                    known = stop.step.after(position.current.known)
                    if stored is None or action == "retry":
                        cost += self._buy(stop, position.current, inspection, certain=certain)
                    else:
                        known = stored.known or known
                    position = item.chain.bought(position, stop, known)
        reused = reused and cost.high == 0 and item.status == "new"
        return replace(item, cost=cost, status="reused" if reused else item.status)

    def _buy(self, purchase: Purchase, stage: Stage, inspection: Inspection, *, certain: bool) -> Range:
        self._check_size(purchase.step, stage, inspection)
        # Behind an open condition the step itself is certain, but which picture it gets, and so its key, is not.
        claim = purchase.claim if certain else ""
        return self._count(purchase.step, stage.known, claim=None if inspection.may_be_duplicate else claim)

    def _check_size(self, step: PaidStep, stage: Stage, inspection: Inspection) -> None:
        """Refuse a picture whose size the step does not take; count those that the API's limits change."""
        known = stage.known
        if known.width is None or known.height is None:
            return
        pixels, limits = known.width * known.height, step.limits
        check_size(fitted_size((known.width, known.height), limits), limits, step.name)
        if stage.result is not None:
            self.tally.fitted[step.id] += limits.max_pixels is not None and pixels > limits.max_pixels
        elif inspection.facts is not None:
            self.tally.fitted[step.id] += bool(needs(oriented(inspection.facts), limits))
        self.tally.capped += isinstance(step, Upscale) and pixels * step.scale**2 > UPSCALE_CAP

    def _count(self, step: PaidStep, known: Known, claim: str | None) -> Range:
        """Add one call to the sums.

        Args:
            step: what is bought.
            known: what is known of the picture that it gets.
            claim: the call's key; what was claimed before costs nothing more. Empty: not known yet. None: perhaps no
                call at all.
        """
        if claim:
            if claim in self._claimed or claim in self._fresh:
                return Range()
            self._fresh.add(claim)
        price, lane = self._prices.of(step, known), self._prices.lane(step)
        cost, key = Range(Decimal(0) if claim is None else price.low, price.high), (step.id, lane)
        self.tally.calls_low[key] += claim is not None
        self.tally.calls[key] += 1
        self.tally.permits[lane] += step.variants
        self.tally.most_expensive = max(self.tally.most_expensive, price.high)
        self.tally.cost[key] = self.tally.cost.get(key, Range()) + cost
        return cost


def known_of(facts: Facts) -> Known:
    """Return what the steps may know of a picture: its header as it will be once it is upright."""
    upright = oriented(facts)
    return Known(upright.width, upright.height, upright.has_alpha, upright.format, upright.bytes)


def known_of_result(result: Result) -> Known | None:
    """Return what is known of a stored result; None before it was checked."""
    return known_of(Facts.from_json(result.facts["verdict"]["facts"])) if result.judged else None
