"""One pass over the source: what is to be done, what cannot be, and what is left alone is kept; the rest is counted.

A source may hold millions of inputs that need nothing. So inputs are taken in batches, the manifest is asked for a
batch at a time, and of an item that is done nothing stays but hashes of its key and of its file's name.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from pipeline.plan.expand import Expander, Named
from pipeline.plan.model import PlannedItem
from pipeline.plan.naming import collision_key
from pipeline.plan.outputs import Outputs
from pipeline.plan.sources import Candidate
from pipeline.plan.standing import DONE, NEW, Rules, Verdict
from pipeline.plan.traces import Traces
from pipeline.state import ItemRow, State
from pipeline.state.manifest import MOST_KEYS


@dataclass
class Stock:
    """What the pass found.

    Attributes:
        items: all but those that are done or left out, in the order of the source.
        done: how many need nothing.
        present: how many of the manifest's items, those marked as vanished aside, were met.
        keys: key and variant of every item met.
        names: every finished file that an item produces.
    """

    items: deque[PlannedItem] = field(default_factory=deque)
    done: int = 0
    present: int = 0
    keys: Traces = field(default_factory=Traces)
    names: Traces = field(default_factory=Traces)


@dataclass(frozen=True)
class Taking:
    """What the pass is made with.

    Attributes:
        job: the job's name in the manifest.
        candidates: begins the listing anew at each call.
        expander: makes items of inputs.
        rules: decide where they stand.
        state: the manifest.
        outputs: tells whether finished files are there.
    """

    job: str
    candidates: Callable[[], Iterator[Candidate]]
    expander: Expander
    rules: Rules
    state: State
    outputs: Outputs


def take_stock(taking: Taking) -> Stock:
    """Go through the source once; a second time only if an item that is done shares its name with another.

    Raises:
        SourceError: the source cannot be read.
        Unavailable: source, manifest or output cannot be reached.
    """
    stock, shared = Stock(), Traces()
    for batch in _batches(taking.candidates()):
        for item, verdict in _judged(taking, batch, stock):
            stock.keys.add((item.candidate.key, item.variant))
            if item.output:
                stock.names.add(item.output)
                shared.add(collision_key(item.output))
            if verdict is DONE:
                stock.done += 1
            elif verdict is not None:
                stock.items.append(taking.expander.planned(item, verdict))
    _mark_collisions(taking, stock, shared.repeated())
    return stock


def _batches(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    source = iter(candidates)
    while batch := list(islice(source, MOST_KEYS)):
        yield batch


def _judged(taking: Taking, batch: Sequence[Candidate], stock: Stock) -> list[tuple[Named, Verdict | None]]:
    """Return the items of a batch with where they stand; None: left out of the plan by a wish."""
    rows = {(row.key, row.variant): row for row in taking.state.rows_of(taking.job, [each.key for each in batch])}
    judged: list[tuple[Named, Verdict | None]] = []
    for candidate in batch:
        for item in taking.expander.items(candidate):
            row = rows.get((candidate.key, item.variant))
            stock.present += row is not None and row.state != "vanished"
            judged.append((item, _judge(taking.rules, item, row)))
    finished = [item.output for item, verdict in judged if verdict is DONE]
    there = iter(taking.outputs.have(finished)) if finished else iter(())
    return [(item, NEW if verdict is DONE and not next(there) else verdict) for item, verdict in judged]


def _judge(rules: Rules, item: Named, row: ItemRow | None) -> Verdict | None:
    if rules.leave_out(item.candidate, row):
        return None
    return item.problem or rules.judge(row, item.candidate.version, item.fingerprint)


def _mark_collisions(taking: Taking, stock: Stock, repeated: dict[int, int]) -> None:
    """Make all items invalid whose names collide, also those that are done and were not kept."""
    if not repeated:
        return
    kept = [collision_key(item.output) for item in stock.items if item.output]
    met = Counter(hash(name) for name in kept)
    forgotten: list[Named] = []
    if any(met[trace] < number for trace, number in repeated.items()):
        known = {(item.key, item.variant) for item in stock.items}
        again = ((item, (item.candidate.key, item.variant)) for item in _sharing(taking, repeated))
        # What came between the two listings was judged by neither: it is the next run's.
        forgotten = [item for item, identity in again if identity not in known and identity in stock.keys]
    shared = Counter([*kept, *(collision_key(item.output) for item in forgotten)])
    for item in list(stock.items):
        stock.items.popleft()
        collides = bool(item.output) and shared[collision_key(item.output)] > 1
        stock.items.append(_clash(item) if collides else item)
    for lost in forgotten:
        if shared[collision_key(lost.output)] > 1 and not taking.rules.leave_out(lost.candidate, None):
            stock.items.append(_clash(taking.expander.planned(lost, DONE)))
            stock.done -= 1


def _sharing(taking: Taking, repeated: dict[int, int]) -> Iterator[Named]:
    """Go through the source again and yield the items whose name more than one has."""
    for candidate in taking.candidates():
        for item in taking.expander.items(candidate):
            if item.output and hash(collision_key(item.output)) in repeated:
                yield item


def _clash(item: PlannedItem) -> PlannedItem:
    reason = f"another input would be written to {item.output!r} too; rename one of them or change `output.name`"
    return replace(item, standing="invalid", code="collision", reason=reason, left_as="")
