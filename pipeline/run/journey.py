"""Items on their way, and who waits for whom. Only the driver touches these."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.plan.model import PlannedItem
from pipeline.run.wallet import Reservation
from pipeline.steps.chain import Position, Purchase


@dataclass
class Journey:
    """One item between its admission and its end.

    Attributes:
        number: identifies it in tasks.
        item: as planned.
        position: where it stands in its chain.
        copy: its own bytes, once they were read.
        reserved: open reservations by step id.
        claim: the call it is buying.
        paid: whether one of its calls was sent in this run.
    """

    number: int
    item: PlannedItem
    position: Position
    copy: Path | None = None
    reserved: dict[str, Reservation] = field(default_factory=dict)
    claim: str = ""
    paid: bool = False


@dataclass
class Queues:
    """Purchases that are ready to be sent, a queue for each lane, and journeys that wait for somebody else's call.

    A parked journey holds no thread, permit or reservation: it only waits for what the leader's call brings.
    """

    ready: defaultdict[str, deque[tuple[Journey, Purchase]]] = field(default_factory=lambda: defaultdict(deque))
    flying: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    leaders: dict[str, int] = field(default_factory=dict)
    parked: defaultdict[str, list[Journey]] = field(default_factory=lambda: defaultdict(list))

    def lead_or_park(self, journey: Journey, claim: str) -> bool:
        """Make `journey` the buyer of `claim`, or park it behind the one who is; return whether it leads."""
        leader = self.leaders.setdefault(claim, journey.number)
        if leader != journey.number:
            self.parked[claim].append(journey)
            return False
        journey.claim = claim
        return True

    def end_lead(self, journey: Journey) -> list[Journey]:
        """Give up the claim; return who was waiting for it, in order."""
        claim, journey.claim = journey.claim, ""
        self.leaders.pop(claim, None)
        return self.parked.pop(claim, [])

    def in_flight(self) -> int:
        """Return how many calls were handed to workers and have not landed."""
        return sum(self.flying.values())
