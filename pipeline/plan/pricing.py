"""What an item's way through its chain costs, and the sum over all items."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from pipeline.errors import ItemError
from pipeline.imaging import Facts, needs, oriented
from pipeline.plan import warn
from pipeline.plan.model import TO_DO, PlannedItem, Range
from pipeline.plan.sources import Candidate
from pipeline.state import Result, State
from pipeline.steps.chain import Finished, Position, Purchase, Stage, Undecided
from pipeline.steps.conditions import Known
from pipeline.steps.lineage import Lineage
from pipeline.steps.paid import PaidStep
from pipeline.venice import Catalogue


@dataclass
class Tally:
    """The sums of a plan, by step id; `permits` by lane."""

    calls_low: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    cost: dict[str, Range] = field(default_factory=dict)
    permits: Counter[str] = field(default_factory=Counter)
    fitted: Counter[str] = field(default_factory=Counter)
    capped: int = 0
    dearest: Decimal = Decimal(0)


@dataclass(frozen=True)
class Eyes:
    """How the inputs are looked at: `look` reads a header or raises ItemError, `hashed` reads a SHA-256."""

    look: Callable[[Candidate], Facts]
    hashed: Callable[[Candidate], str]


class PriceList:
    """What each step costs and which lane it uses, asked of the catalogue once a step."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[int, tuple[PaidStep, Decimal, str]] = {}

    def of(self, step: PaidStep) -> tuple[Decimal, str]:
        """Return (US dollars of one call at most, lane).

        Raises:
            CatalogueError: the catalogue has no price for it.
        """
        if id(step) not in self._known:
            # The step is kept beside its price, so that its id cannot come back as another step's.
            self._known[id(step)] = step, step.price(self._catalogue), step.lane(self._catalogue)
        _, price, lane = self._known[id(step)]
        return price, lane


class Pricer:
    """Prices items one after another; what one item buys, a later one with the same bytes gets for nothing."""

    def __init__(self, job: str, state: State, catalogue: Catalogue, eyes: Eyes, sizes: Mapping[int, int]) -> None:
        self.tally = Tally()
        self._job = job
        self._state = state
        self._prices = PriceList(catalogue)
        self._eyes = eyes
        self._sizes = sizes
        self._claimed: set[str] = set()
        self._upright: Facts | None = None

    def priced(self, item: PlannedItem) -> PlannedItem:
        """Return the item with what is left to buy, or as invalid where its picture cannot be used."""
        if item.standing not in TO_DO:
            return item
        try:
            return self._walked(self._examined(item))
        except ItemError as error:
            return replace(item, standing="invalid", code=error.code, reason=error.message)

    def _examined(self, item: PlannedItem) -> PlannedItem:
        """Return the item with its picture's header and, where it may be known already, its hash."""
        candidate = item.candidate
        self._upright = None
        if candidate.columns or candidate.url:
            return item
        known = self._state.source(self._job, candidate.key)
        if known is not None and known.version == candidate.version:
            facts, sha256 = Facts.from_json(json.loads(known.facts)), known.sha256
        else:
            facts = self._eyes.look(candidate)
            # Only a file of a known size can be a renamed or doubled one, and only then is it worth reading whole.
            seen = self._sizes.get(candidate.size, 0) > 1 or self._state.knows_size(candidate.size)
            sha256 = self._eyes.hashed(candidate) if seen else ""
        self._upright = oriented(facts)
        lineage = Lineage("source", sha256) if sha256 else item.lineage
        return replace(item, lineage=lineage, known=known_of(facts))

    def _walked(self, item: PlannedItem) -> PlannedItem:
        cost, certain, reused = Range(), True, False
        position = item.chain.start(item.lineage, item.known)
        while True:
            position, stop = item.chain.advance(position, item.variant)
            match stop:
                case Finished():
                    break
                case Undecided(step=step):
                    certain = False
                    if isinstance(step, PaidStep):
                        cost += self._count(step, claim=None)
                    position = _uncertain(item.chain.skip(position))
                case Purchase():
                    found = self._state.results.find(stop.result) if certain else None
                    reused = reused or found is not None
                    position, price = self._bought(item, position, stop, found, certain=certain)
                    cost += price
        reused = reused and cost.high == 0 and item.standing == "new"
        return replace(item, cost=cost, standing="reused" if reused else item.standing)

    def _bought(
        self, item: PlannedItem, position: Position, purchase: Purchase, found: Result | None, *, certain: bool
    ) -> tuple[Position, Range]:
        if found is not None:
            known = known_of_result(found) or purchase.step.after(position.current.known)
            return item.chain.bought(position, purchase, known), Range()
        self._note_traps(purchase.step, position.current)
        # Behind an open condition the step itself is certain, but which picture it gets, and so its key, is not.
        price = self._count(purchase.step, claim=purchase.claim if certain else "")
        return item.chain.bought(position, purchase, purchase.step.after(position.current.known)), price

    def _note_traps(self, step: PaidStep, stage: Stage) -> None:
        known = stage.known
        if known.width is None or known.height is None:
            return
        pixels, limits = known.width * known.height, step.limits
        if limits.min_pixels is not None and pixels < limits.min_pixels:
            size = f"{known.width}x{known.height} is {pixels:,} pixels"
            raise ItemError("too-small", f"{size}; {step.name} takes {limits.min_pixels:,} or more")
        if stage.result is not None:
            self.tally.fitted[step.id] += limits.max_pixels is not None and pixels > limits.max_pixels
        elif self._upright is not None:
            self.tally.fitted[step.id] += bool(needs(self._upright, limits))
        self.tally.capped += warn.is_capped(step, pixels)

    def _count(self, step: PaidStep, claim: str | None) -> Range:
        """Add one call to the sums.

        Args:
            step: what is bought.
            claim: the call's key; what was claimed before costs nothing more. Empty: not known yet. None: perhaps no
                call at all.
        """
        if claim:
            if claim in self._claimed:
                return Range()
            self._claimed.add(claim)
        price, lane = self._prices.of(step)
        cost = Range(Decimal(0) if claim is None else price, price)
        self.tally.calls_low[step.id] += claim is not None
        self.tally.calls[step.id] += 1
        self.tally.permits[lane] += step.variants
        self.tally.dearest = max(self.tally.dearest, price)
        self.tally.cost[step.id] = self.tally.cost.get(step.id, Range()) + cost
        return cost


def known_of(facts: Facts) -> Known:
    """Return what the steps may know of a picture: its header as it will be once it is upright."""
    upright = oriented(facts)
    return Known(upright.width, upright.height, upright.has_alpha, upright.format, upright.bytes)


def known_of_result(result: Result) -> Known | None:
    """Return what is known of a stored answer; None before it was judged."""
    return known_of(Facts.from_json(result.facts["verdict"]["facts"])) if result.judged else None


def _uncertain(position: Position) -> Position:
    return replace(position, current=replace(position.current, known=Known()))
