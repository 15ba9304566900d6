"""What a plan is made from and what it says: per item, per step, and in total. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from venice_batch.state import OutputRow, SourceRow
from venice_batch.steps.chain import Chain
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey

#: new: never finished · changed: the input or the pipeline · reused: nothing to buy, only files to write ·
#: done: nothing to do · waiting: left alone until asked for · invalid: cannot be processed.
Status = Literal["new", "changed", "reused", "done", "waiting", "invalid"]
_CENT = Decimal("0.01")
#: Names that a sentence spells out.
_SHOWN = 3
TO_DO: tuple[Status, ...] = ("new", "changed", "reused")
#: One empty row for all inputs that have none: a mapping of their own would be a quarter of what an input takes.
NO_COLUMNS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One input as it was listed, not yet read.

    Attributes:
        key: names the item within the job.
        version: changes when the input may have changed.
        size: bytes, 0 where unknown.
        url: the address, for a list of addresses.
        columns: the row, for a prompts file.
        problem: why it cannot be used, or empty.
        modified: when it was last written, Unix seconds; 0 where unknown.
        code: a short word for `problem`.
    """

    key: str
    version: str
    size: int = 0
    url: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: NO_COLUMNS)
    problem: str = ""
    modified: float = 0.0
    code: str = "source"

    @property
    def folder(self) -> str:
        """The folder of the input within the source; empty at its root."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Range:
    """US dollars, lowest to highest; equal where the plan is exact."""

    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)

    def __add__(self, other: Range) -> Range:
        """Add both ends."""
        return Range(self.low + other.low, self.high + other.high)


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item and what would be done with it.

    Attributes:
        candidate: the input as listed.
        variant: 1 and up where one call gives several pictures, else 0.
        status: see `Status`.
        code: a short word for the reason of `waiting` and `invalid`.
        reason: the same for people.
        fingerprint: of the pipeline as it applies to this item.
        chain: the steps, filled with the item's own columns.
        input_key: where its picture comes from; ``unread`` until its bytes were hashed.
        known: its picture's header, upright.
        outputs: the paths of its finished files relative to the output, in the order of the job's renditions.
        cost: of the calls that remain.
        left_as: for `waiting` and `invalid`, the state in which the manifest keeps it, where it is another one.
        taken: the first of `outputs` that is somebody else's file.
        learned: what the plan found out of its input's bytes, where the manifest does not say it of this input.
    """

    candidate: Candidate
    variant: int
    status: Status
    fingerprint: str
    chain: Chain
    input_key: InputKey
    known: Known
    outputs: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""
    cost: Range = Range()
    left_as: str = ""
    taken: str = ""
    learned: SourceRow | None = None

    @property
    def key(self) -> str:
        """The item's key within the job."""
        return self.candidate.key

    @property
    def name(self) -> str:
        """The key as people see it: with the variant, where there are several."""
        return f"{self.key}-{self.variant}" if self.variant else self.key


@dataclass(frozen=True, slots=True)
class StepCost:
    """One paid step over all items: the fewest calls, the most, and their price."""

    id: str
    step: str
    model: str
    calls_low: int
    calls: int
    cost: Range


@dataclass(frozen=True, slots=True)
class PlanWarning:
    """Something to know before paying."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether the money suffices.

    Attributes:
        covered: balance and budget cover the plan's high end.
        certain: also when the balance is split over several currencies.
        shortfall: US dollars missing, 0 when covered.
        reason: for people, when not covered.
        by_budget: it is the job's own budget that does not cover it, not the balance.
    """

    covered: bool
    certain: bool = True
    shortfall: Decimal = Decimal(0)
    reason: str = ""
    by_budget: bool = False


@dataclass(frozen=True, slots=True)
class Remainder:
    """What a sample leaves for later: the number of items to do, and their price."""

    items: int
    cost: Range


@dataclass(frozen=True)
class Plan:
    """What a run would do and cost.

    Attributes:
        items: all but those that were done before; `done` are those whose finished files others made, and may keep.
        done: how many are done and need nothing.
        vanished: keys (with variant) that the manifest knows and the listing lacks.
        dropped: finished files that no item produces any more.
        steps: the paid steps, in order.
        balances: what each currency holds, by its name in lower case.
        coverage: whether the money suffices.
        eta_seconds: by the slowest rate limiter.
        warnings: what to know before paying.
        remainder: for a sample, what it leaves for later.
        adopted: finished files that are ours in another version than the manifest has, as they are now.
        given_up: finished files that somebody changed and may keep.
    """

    items: tuple[PlannedItem, ...]
    done: int
    vanished: tuple[tuple[str, int], ...]
    dropped: tuple[str, ...]
    steps: tuple[StepCost, ...]
    balances: Mapping[str, Decimal]
    coverage: Coverage
    eta_seconds: float
    warnings: tuple[PlanWarning, ...]
    remainder: Remainder | None = None
    adopted: tuple[OutputRow, ...] = ()
    given_up: tuple[str, ...] = ()

    @property
    def to_do(self) -> tuple[PlannedItem, ...]:
        """The items that a run would work on, in order."""
        return tuple(item for item in self.items if item.status in TO_DO)

    @property
    def cost(self) -> Range:
        """The whole price."""
        return sum((step.cost for step in self.steps), Range())

    def counts(self) -> dict[str, int]:
        """Return how many items have each status; ``reused`` counts those that are done, too."""
        counted = Counter(item.status for item in self.items)
        kinds = {kind: counted[kind] for kind in ("new", "changed", "waiting", "invalid")}
        kinds["reused"] = counted["reused"] + counted["done"] + self.done
        return {**kinds, "total": len(self.items) + self.done}


def first_few(names: Sequence[str], between: str = ", ") -> str:
    """Return the first three names, and how many more there are."""
    shown = between.join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN:,} more"


def cents(amount: Decimal) -> str:
    """Return an amount as people read it: ``0.74``; one below half a cent with the digits that it has."""
    rounded = amount.quantize(_CENT, ROUND_HALF_UP)
    return dollars(amount) if amount and not rounded else f"{rounded:f}"


def dollars(amount: Decimal) -> str:
    """Return an amount as a decimal string with at least two places and none lost: ``1.80``, ``0.04345``."""
    exact = format(amount.normalize(), "f")
    whole, _, cents = exact.partition(".")
    return f"{whole}.{cents.ljust(2, '0')}"
