"""Items on their way, and who waits for whom. Only the driver touches these."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from venice_batch.plan.model import PlannedItem
from venice_batch.run.budget import Reservation
from venice_batch.run.tasks import Buy, Task
from venice_batch.steps.chain import Position, Purchase
from venice_batch.venice import Lanes


@dataclass(frozen=True, slots=True)
class Passed:
    """A flagged answer that an item went on with: by the job's rule, or because a person `released` it."""

    flags: tuple[str, ...]
    released: bool

    def __str__(self) -> str:
        """Say it to a person."""
        return f"{'released' if self.released else 'published'} although flagged: {', '.join(self.flags)}"


@dataclass
class InFlightItem:
    """One item between its admission and its end.

    Attributes:
        number: identifies it in tasks.
        item: as planned.
        position: where it stands in its chain.
        copy: its own bytes, once they were read.
        reserved: open reservations by step id.
        claim: the call it is buying.
        paid: whether one of its calls was sent in this run.
        passed: by step id, the flagged answers that it went on with.
    """

    number: int
    item: PlannedItem
    position: Position
    copy: Path | None = None
    reserved: dict[str, Reservation] = field(default_factory=dict)
    claim: str = ""
    paid: bool = False
    passed: dict[str, Passed] = field(default_factory=dict)

    def remarks(self) -> tuple[str, str]:
        """Return code and reason of an item that is done with flagged answers in it; both empty for most."""
        flags = dict.fromkeys(flag for passed in self.passed.values() for flag in passed.flags)
        return "+".join(flags), "; ".join(f"step {step!r}: {passed}" for step, passed in self.passed.items())


class Queues:
    """Who is where: tasks to hand out and tasks that are out, purchases ready for their lane, and who waits for whom.

    A parked journey holds no thread, permit or reservation: it only waits for what the leader's call brings.
    """

    def __init__(self, lanes: Lanes, most_calls: int) -> None:
        """Start empty; at most `most_calls` calls are out at a time."""
        self.out: dict[int, Task] = {}
        self._lanes = lanes
        self._most = most_calls
        self._handout: list[Task] = []
        self._ready: defaultdict[str, deque[tuple[InFlightItem, Purchase]]] = defaultdict(deque)
        self._flying: Counter[str] = Counter()
        self._leaders: dict[str, int] = {}
        self._parked: defaultdict[str, list[InFlightItem]] = defaultdict(list)

    # Tasks

    def give(self, task: Task) -> None:
        """Have the task handed out at the next occasion."""
        self._handout.append(task)
        if isinstance(task, Buy):
            self._flying[task.lane] += 1

    def handed_out(self) -> list[Task]:
        """Return the tasks to hand out now; they count as out from here on."""
        tasks, self._handout = self._handout, []
        self.out.update((task.ticket.in_flight, task) for task in tasks)
        return tasks

    def landed(self, task: Task) -> None:
        """Take a task that came back off the list."""
        del self.out[task.ticket.in_flight]
        if isinstance(task, Buy):
            self._flying[task.lane] -= 1

    def busy(self) -> set[int]:
        """Return the numbers of the journeys that a worker has or will have."""
        return self.out.keys() | {task.ticket.in_flight for task in self._handout}

    @property
    def calls_in_flight(self) -> int:
        """How many calls were given to workers and have not landed."""
        return self._flying.total()

    # Purchases

    def make_ready(self, in_flight: InFlightItem, purchase: Purchase, lane: str) -> None:
        """Put a purchase, its money reserved, behind the others of its lane."""
        self._ready[lane].append((in_flight, purchase))

    def next_purchases(self) -> Iterator[tuple[InFlightItem, Purchase, str]]:
        """Yield what may be sent now: as many calls as each lane's window and the concurrency allow."""
        for lane, waiting in self._ready.items():
            window = self._lanes.lane(lane).window()
            while waiting and self._flying[lane] < window and self.calls_in_flight < self._most:
                yield *waiting.popleft(), lane

    def forget_ready(self) -> None:
        """Drop every purchase that was not given to a worker yet."""
        self._ready.clear()

    # Claims

    def lead_or_park(self, in_flight: InFlightItem, claim: str) -> bool:
        """Make `in_flight` the buyer of `claim`, or park it behind the one who is; return whether it leads."""
        leader = self._leaders.setdefault(claim, in_flight.number)
        if leader != in_flight.number:
            self._parked[claim].append(in_flight)
            return False
        in_flight.claim = claim
        return True

    def end_lead(self, in_flight: InFlightItem) -> list[InFlightItem]:
        """Give up the claim; return who was waiting for it, in order."""
        claim, in_flight.claim = in_flight.claim, ""
        self._leaders.pop(claim, None)
        return self._parked.pop(claim, [])
