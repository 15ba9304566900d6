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
        skipped: keys of the items that their rows say to leave out.
    """

    items: deque[PlannedItem] = field(default_factory=deque)
    done: int = 0
    present: int = 0
    keys: Traces = field(default_factory=Traces)
    names: Traces = field(default_factory=Traces)
    skipped: list[str] = field(default_factory=list)


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
            for name in item.outputs:
                stock.names.add(name)
                if not item.skipped:
                    shared.add(collision_key(name))
            if item.skipped:
                stock.skipped.append(item.candidate.key)
            elif verdict is DONE:
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
    finished = [name for item, verdict in judged if verdict is DONE for name in item.outputs]
    there = iter(taking.outputs.have(finished)) if finished else iter(())
    # As many answers are taken for each item as it has files, also behind the first that is missing.
    return [
        (item, NEW if verdict is DONE and False in list(islice(there, len(item.outputs))) else verdict)
        for item, verdict in judged
    ]


def _judge(rules: Rules, item: Named, row: ItemRow | None) -> Verdict | None:
    if item.skipped or rules.leave_out(item.candidate, row):
        return None
    return item.problem or rules.judge(row, item.candidate.version, item.fingerprint)


def _mark_collisions(taking: Taking, stock: Stock, repeated: dict[int, int]) -> None:
    """Make all items invalid whose names collide, also those that are done and were not kept."""
    if not repeated:
        return
    kept = [collision_key(name) for item in stock.items for name in item.outputs]
    met = Counter(hash(name) for name in kept)
    forgotten: list[Named] = []
    if any(met[trace] < number for trace, number in repeated.items()):
        known = {(item.key, item.variant) for item in stock.items}
        again = ((item, (item.candidate.key, item.variant)) for item in _sharing(taking, repeated))
        # What came between the two listings was judged by neither: it is the next run's.
        forgotten = [item for item, identity in again if identity not in known and identity in stock.keys]
    shared = Counter([*kept, *(collision_key(name) for item in forgotten for name in item.outputs)])
    for item in list(stock.items):
        stock.items.popleft()
        name = _contested(item, shared)
        stock.items.append(_clash(item, name) if name else item)
    for lost in forgotten:
        name = _contested(lost, shared)
        if name and not taking.rules.leave_out(lost.candidate, None):
            stock.items.append(_clash(taking.expander.planned(lost, DONE), name))
            stock.done -= 1


def _contested(item: Named | PlannedItem, shared: Counter[str]) -> str:
    """Return the first of the item's names that another item has, too; empty: none."""
    return next((name for name in item.outputs if shared[collision_key(name)] > 1), "")


def _sharing(taking: Taking, repeated: dict[int, int]) -> Iterator[Named]:
    """Go through the source again and yield the items whose name more than one has."""
    for candidate in taking.candidates():
        for item in taking.expander.items(candidate):
            if not item.skipped and any(hash(collision_key(name)) in repeated for name in item.outputs):
                yield item


def _clash(item: PlannedItem, name: str) -> PlannedItem:
    reason = f"another input would be written to {name!r} too; rename one of them or change `output.name`"
    return replace(item, standing="invalid", code="collision", reason=reason, left_as="")
