"""What an item's way through its chain costs, and the sum over all items."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts, needs, oriented
from venice_batch.job import transparency
from venice_batch.plan import warnings
from venice_batch.plan.flagged import course
from venice_batch.plan.model import TO_DO, PlannedItem, Range
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.prefetch import in_order
from venice_batch.plan.probe import Prober, ProbeResult
from venice_batch.plan.sources import Candidate
from venice_batch.state import Result, SourceRow, State
from venice_batch.steps.chain import Finished, Position, Purchase, Stage, Undecided
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import Catalogue


@dataclass
class Tally:
    """The sums of a plan, by step id; `permits` by lane."""

    calls_low: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    cost: dict[str, Range] = field(default_factory=dict)
    permits: Counter[str] = field(default_factory=Counter)
    fitted: Counter[str] = field(default_factory=Counter)
    capped: int = 0
    left_out: int = 0
    transparent: int = 0
    dearest: Decimal = Decimal(0)

    def add(self, other: Tally) -> None:
        """Add the sums of a part."""
        for mine, theirs in (
            (self.calls_low, other.calls_low),
            (self.calls, other.calls),
            (self.permits, other.permits),
            (self.fitted, other.fitted),
        ):
            mine.update(theirs)
        for step, cost in other.cost.items():
            self.cost[step] = self.cost.get(step, Range()) + cost
        self.capped += other.capped
        self.left_out += other.left_out
        self.transparent += other.transparent
        self.dearest = max(self.dearest, other.dearest)


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

    def __init__(
        self, pipeline: Pipeline, state: State, catalogue: Catalogue, prober: Prober | None, sizes: Mapping[int, int]
    ) -> None:
        """Start with nothing priced.

        Args:
            pipeline: the job's.
            state: what is known of inputs, and what was bought.
            catalogue: prices.
            prober: how inputs are looked at; None where they are no files.
            sizes: how many of the items have each size: those that are alone with theirs have no twin.
        """
        self.tally = Tally()
        self._pipeline = pipeline
        self._state = state
        self._prices = PriceList(catalogue)
        self._prober = prober
        self._sizes = sizes
        # Where some are at risk whatever the source is, the plan says so anyway.
        self._keeps_no_alpha = transparency.at_risk(pipeline.job, source=True) and not transparency.at_risk(
            pipeline.job
        )
        self._claimed: set[str] = set()
        #: Claims of the item at hand.
        self._fresh: set[str] = set()
        self._upright: Facts | None = None

    def priced(self, found: deque[PlannedItem], limit: int | None = None) -> Iterator[PlannedItem]:
        """Yield each item with what is left to buy, or as invalid where its picture cannot be used.

        In order, however far ahead headers are read.

        Args:
            found: the items as they stand; taken out one by one, so that none exists twice for long.
            limit: at most so many to do; what turns out to be invalid does not use it up.
        """
        left = limit

        def looks() -> Iterator[tuple[PlannedItem, SourceRow | None]]:
            while found:
                item = found.popleft()
                if left != 0 or item.standing not in TO_DO:
                    yield item, self._known(item)

        at_once = 1 if self._prober is None else self._prober.at_once
        for (item, known), sight in in_order(self._seen, looks(), at_once):
            if item.standing not in TO_DO:
                yield item
            elif left != 0:
                priced = self._priced(item, known, sight)
                left = None if left is None else left - (priced.standing in TO_DO)
                yield priced

    def _priced(self, item: PlannedItem, known: SourceRow | None, sight: ProbeResult) -> PlannedItem:
        sums, self.tally = self.tally, Tally()
        try:
            priced = self._walked(self._examined(item, known, sight))
        except ItemError as error:
            # It may be a later step that cannot be done: then the earlier ones are not bought either.
            return replace(item, standing="invalid", code=error.code, reason=error.told)
        else:
            sums.add(self.tally)
            self._claimed |= self._fresh
            return priced
        finally:
            self.tally, self._fresh = sums, set()

    def _known(self, item: PlannedItem) -> SourceRow | None:
        """Return what an earlier run learned of the bytes."""
        candidate = item.candidate
        if item.standing not in TO_DO or self._prober is None:
            return None
        known = self._state.source(self._pipeline.job.name, candidate.key)
        if known is not None and known.version == candidate.version:
            return known
        # Two objects of one etag and size are one picture, under whatever key and in whatever job.
        return self._state.source_of_version(candidate.size, candidate.version) if self._pipeline.in_bucket else None

    def _seen(self, look: tuple[PlannedItem, SourceRow | None]) -> ProbeResult:
        """Look at a header where the plan depends on it; may run in another thread."""
        item, known = look
        if self._prober is None or known is not None or item.standing not in TO_DO:
            return None
        # A folder's headers cost next to nothing, and a broken picture is better told of now.
        wanted = self._pipeline.needs_header or not self._pipeline.in_bucket
        return self._prober.look(item.candidate) if wanted else None

    def _examined(self, item: PlannedItem, known: SourceRow | None, sight: ProbeResult) -> PlannedItem:
        """Return the item with its picture's header and, where it may be known already, its hash."""
        self._upright = None
        if self._prober is None:
            return item
        if isinstance(sight, ItemError):
            raise sight
        facts = Facts.from_json(json.loads(known.facts)) if known is not None else sight
        header = Known(bytes=item.candidate.size) if facts is None else known_of(facts)
        if self._pipeline.by_url:
            return replace(item, known=header)
        self._upright = None if facts is None else oriented(facts)
        self.tally.left_out += facts is not None and facts.left_out > 0
        self.tally.transparent += facts is not None and facts.has_alpha and self._keeps_no_alpha
        sha256 = known.sha256 if known is not None else self._hash_of_a_twin(item.candidate)
        return replace(item, input_key=InputKey("source", sha256) if sha256 else item.input_key, known=header)

    def _hash_of_a_twin(self, candidate: Candidate) -> str:
        # Only a file of a known size can be a renamed or doubled one, and only then is it worth reading whole.
        if self._prober is None or self._pipeline.in_bucket:
            return ""
        seen = self._sizes.get(candidate.size, 0) > 1 or self._state.knows_size(candidate.size)
        return self._prober.hashed(candidate) if seen else ""

    def _may_be_a_twin(self, item: PlannedItem) -> bool:
        """Whether an object may hold the bytes of another, which only reading it would tell: a plan downloads none."""
        size = item.candidate.size
        unread = self._pipeline.in_bucket and item.input_key.origin == "unread" and not item.candidate.url
        return unread and (self._sizes.get(size, 0) > 1 or self._state.knows_size(size))

    def _walked(self, item: PlannedItem) -> PlannedItem:
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
                        cost += self._count(step, claim=None)
                    position = _uncertain(item.chain.skip(position))
                case Purchase():
                    found = self._state.results.find(stop.result) if certain else None
                    way = course(found, self._pipeline.job.run.on_flagged, self._state) if found and found.flags else ""
                    reused = reused or found is not None
                    if way in {"hold", "fail"}:
                        break
                    found = None if way == "retry" else found
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
        claim = None if self._may_be_a_twin(item) else purchase.claim if certain else ""
        price = self._count(purchase.step, claim=claim)
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
        self.tally.capped += warnings.is_capped(step, pixels)

    def _count(self, step: PaidStep, claim: str | None) -> Range:
        """Add one call to the sums.

        Args:
            step: what is bought.
            claim: the call's key; what was claimed before costs nothing more. Empty: not known yet. None: perhaps no
                call at all.
        """
        if claim:
            if claim in self._claimed or claim in self._fresh:
                return Range()
            self._fresh.add(claim)
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
