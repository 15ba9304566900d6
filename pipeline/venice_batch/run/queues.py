"""Items in flight and their queues: tasks, purchases ready for their lane, and items parked behind the same call."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from venice_batch.plan.model import PlannedItem
from venice_batch.run.budget import Reservation
from venice_batch.run.tasks import Buy, InputRef, Task
from venice_batch.steps.chain import Position, Purchase, Stage
from venice_batch.steps.conditions import Known
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import Lanes


@dataclass(frozen=True, slots=True)
class AcceptedResult:
    """A flagged result that an item went on with: by the job's rule, or because a person `released` it."""

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
        input: its own input; hashed once a worker has read it.
        reserved: open reservations by step id.
        claim: the call it is buying.
        paid: whether one of its calls was sent in this run.
        accepted: by step id, the flagged results that it went on with.
        used: the keys of the results that it passed, or is about to buy.
    """

    number: int
    item: PlannedItem
    position: Position
    input: InputRef
    reserved: dict[str, Reservation] = field(default_factory=dict)
    claim: str = ""
    paid: bool = False
    accepted: dict[str, AcceptedResult] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    @classmethod
    def admitted(cls, number: int, item: PlannedItem) -> InFlightItem:
        """Return an item at the start of its chain."""
        candidate = item.candidate
        ref = InputRef(candidate.key, candidate.version, candidate.url)
        return cls(number, item, item.chain.start(item.input_key, item.known), ref)

    def ahead(self) -> Iterator[tuple[PaidStep, Known]]:
        """Yield the paid steps that it may still come to, each with what is known of the picture that it gets."""
        return self.item.chain.ahead(self.position)

    @property
    def source(self) -> str:
        """The bytes that it is made from, by SHA-256 or etag; empty: none, or not known."""
        key = self.item.input_key
        return self.input.sha256 or (key.value if key.origin in {"source", "object"} else "")

    def lacks_bytes(self, stage: Stage) -> bool:
        """Whether `stage` is made from the input's own bytes, and nobody has read them in this run."""
        return stage.result is None and not self.input.sha256

    def lacks_input_of(self, purchase: Purchase) -> bool:
        """Whether the call sends the input's own bytes, which an item that resumes may not have read yet."""
        return any(
            isinstance(picture, Stage) and picture.input_key.origin == "source" and self.lacks_bytes(picture)
            for picture in purchase.inputs
        )

    def remarks(self) -> tuple[str, str]:
        """Return code and reason of an item that is done with flagged results in it; both empty for most."""
        flags = dict.fromkeys(flag for accepted in self.accepted.values() for flag in accepted.flags)
        return "+".join(flags), "; ".join(f"step {step!r}: {accepted}" for step, accepted in self.accepted.items())


class Queues:
    """Tasks to dispatch and tasks that are dispatched, purchases by lane, and single flight. For the driver's thread.

    A parked item holds no thread, permit or reservation: it only waits for what the leader's call brings.

    Attributes:
        dispatched: the tasks that an engine has, by item.
    """

    def __init__(self, lanes: Lanes, most_calls: int) -> None:
        """Start empty; at most `most_calls` calls are in flight at a time."""
        self.dispatched: dict[int, Task] = {}
        self._lanes = lanes
        self._most_calls = most_calls
        self._tasks: list[Task] = []
        self._released: list[InputRef] = []
        self._ready: defaultdict[str, deque[tuple[InFlightItem, Purchase]]] = defaultdict(deque)
        self._calls: Counter[str] = Counter()
        self._leaders: dict[str, int] = {}
        self._parked: defaultdict[str, list[InFlightItem]] = defaultdict(list)

    # Tasks

    def enqueue(self, task: Task) -> None:
        """Have the task dispatched once everything decided so far is durable."""
        self._tasks.append(task)
        if isinstance(task, Buy):
            self._calls[task.lane] += 1

    def release(self, ref: InputRef) -> None:
        """Have the engine told that no task to come needs this input."""
        self._released.append(ref)

    def dispatch(self) -> tuple[list[Task], list[InputRef]]:
        """Return the tasks to dispatch now, which count as dispatched, and the inputs to release."""
        tasks, released, self._tasks, self._released = self._tasks, self._released, [], []
        self.dispatched.update((task.item, task) for task in tasks)
        return tasks, released

    def complete(self, task: Task) -> None:
        """Take a dispatched task that has an outcome off the list."""
        del self.dispatched[task.item]
        if isinstance(task, Buy):
            self._calls[task.lane] -= 1

    def busy(self) -> set[int]:
        """Return the numbers of the items that have a task, dispatched or not."""
        return self.dispatched.keys() | {task.item for task in self._tasks}

    @property
    def calls_in_flight(self) -> int:
        """How many calls are enqueued or dispatched."""
        return self._calls.total()

    # Purchases

    def make_ready(self, in_flight: InFlightItem, purchase: Purchase, lane: str) -> None:
        """Put a purchase, its money reserved, behind the others of its lane."""
        self._ready[lane].append((in_flight, purchase))

    def next_purchases(self) -> Iterator[tuple[InFlightItem, Purchase, str]]:
        """Yield what may be sent now: as many calls as each lane's window and the concurrency allow."""
        for lane, waiting in self._ready.items():
            window = self._lanes.lane(lane).window()
            while waiting and self._calls[lane] < window and self.calls_in_flight < self._most_calls:
                yield *waiting.popleft(), lane

    # Single flight

    def lead_or_park(self, in_flight: InFlightItem, claim: str) -> bool:
        """Make the item the buyer of `claim`, or park it behind the one that is; return whether it leads."""
        leader = self._leaders.setdefault(claim, in_flight.number)
        if leader != in_flight.number:
            self._parked[claim].append(in_flight)
            return False
        in_flight.claim = claim
        return True

    def end_lead(self, in_flight: InFlightItem) -> list[InFlightItem]:
        """Give up the claim; return the items parked behind it, in order."""
        claim, in_flight.claim = in_flight.claim, ""
        self._leaders.pop(claim, None)
        return self._parked.pop(claim, [])
