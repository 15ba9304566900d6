"""Where each input stands: its name in the output, and what the manifest knows of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from pydantic import ValidationError

from pipeline.errors import ItemError
from pipeline.job import Job
from pipeline.plan.model import PlannedItem
from pipeline.plan.naming import collision_key, finished_name
from pipeline.plan.recipe import Recipe, extension_of
from pipeline.plan.sources import Candidate, glob
from pipeline.state import ItemRow
from pipeline.steps.conditions import Known
from pipeline.steps.lineage import Lineage
from pipeline.steps.paid import Generate
from pipeline.venice import Catalogue

#: Reasons that rest on the bytes of an input: as long as those stay, it need not be looked at again.
_OF_THE_BYTES = frozenset({"empty", "not-a-picture", "too-large", "broken", "too-small"})

Rows = dict[tuple[str, int], ItemRow]


@dataclass(frozen=True)
class Wishes:
    """What the command line asks of a plan.

    Attributes:
        only: a glob of keys; the rest is left alone.
        limit: at most so many items to do.
        retry_failed: take up what failed for a lasting reason.
    """

    only: str | None = None
    limit: int | None = None
    retry_failed: bool = False


def named(candidates: Iterable[Candidate], recipe: Recipe, catalogue: Catalogue) -> list[PlannedItem]:
    """Return one item for each finished file, each with its name; those whose names collide are all invalid."""
    found = [item for candidate in candidates for item in _expanded(candidate, recipe, catalogue)]
    shared = Counter(collision_key(item.output) for item in found if item.output)
    return [_clash(item) if item.output and shared[collision_key(item.output)] > 1 else item for item in found]


@dataclass(frozen=True)
class Rules:
    """What decides where an item with a row in the manifest stands.

    Attributes:
        job: for its rule on uncertain calls.
        wishes: the command line's.
        output_has: whether a finished file is there.
    """

    job: Job
    wishes: Wishes
    output_has: Callable[[str], bool]


def stand(items: Iterable[PlannedItem], rows: Rows, rules: Rules) -> Iterator[PlannedItem]:
    """Yield the items with their standing by the manifest; what is used of `rows` is taken out of it.

    Args:
        items: as named.
        rows: the manifest's items by key and variant.
        rules: what decides.
    """
    chosen = glob(rules.wishes.only) if rules.wishes.only else None
    for item in items:
        row = rows.pop((item.key, item.variant), None)
        if chosen is not None and not chosen(item.key):
            continue
        placed = item if item.standing == "invalid" or row is None else _by_row(item, row, rules)
        yield placed


def _expanded(candidate: Candidate, recipe: Recipe, catalogue: Catalogue) -> list[PlannedItem]:
    """Return the items of one input: one, or one for each variant of a generate call."""
    try:
        chain, fingerprint = recipe.for_candidate(candidate)
    except ValidationError as error:
        # A rule between several fields has no place of its own.
        told = [(problem["loc"], problem["msg"]) for problem in error.errors()]
        reason = "; ".join(f"column {place[0]!r}: {what}" if place else what for place, what in told)
        chain, fingerprint = recipe.chain, ""
        candidate = replace(candidate, problem=f"does not suit the step: {reason}")
    first = chain.steps[0]
    several = isinstance(first, Generate) and first.variants > 1
    variants = range(1, first.variants + 1) if isinstance(first, Generate) and several else (0,)
    lineage = _unread(candidate, recipe)
    items = [PlannedItem(candidate, variant, "new", fingerprint, chain, lineage, Known()) for variant in variants]
    return [_with_name(item, recipe.job.output.name, catalogue) for item in items]


def _with_name(item: PlannedItem, template: str, catalogue: Catalogue) -> PlannedItem:
    candidate = item.candidate
    if candidate.problem:
        return replace(item, standing="invalid", code="source", reason=candidate.problem)
    try:
        extension = extension_of(item.chain, candidate, catalogue)
        output = finished_name(template, candidate.key, item.variant, extension)
    except ItemError as error:
        return replace(item, standing="invalid", code=error.code, reason=error.message)
    return replace(item, output=output)


def _unread(candidate: Candidate, recipe: Recipe) -> Lineage:
    if candidate.url and not recipe.fetches:
        return Lineage("url", candidate.url)
    return Lineage("unread", f"{candidate.key}\0{candidate.version}")


def _by_row(item: PlannedItem, row: ItemRow, rules: Rules) -> PlannedItem:
    if row.state == "vanished":
        return item
    if (row.version, row.fingerprint) != (item.candidate.version, item.fingerprint):
        return replace(item, standing="changed")
    if row.state == "done":
        return replace(item, standing="done") if rules.output_has(item.output) else item
    if row.state == "invalid" and row.code in _OF_THE_BYTES:
        return replace(item, standing="invalid", code=row.code, reason=row.reason)
    if _left_alone(row, rules):
        code = row.code or row.state
        return replace(item, standing="waiting", code=code, reason=row.reason, left_as=row.state)
    return item


def _left_alone(row: ItemRow, rules: Rules) -> bool:
    match row.state:
        case "failed":
            return row.lasting and not rules.wishes.retry_failed
        case "flagged":
            return True
        case "uncertain":
            return rules.job.run.uncertain == "hold"
        case _:
            return False


def _clash(item: PlannedItem) -> PlannedItem:
    reason = f"another input would be written to {item.output!r} too; rename one of them or change `output.name`"
    return replace(item, standing="invalid", code="collision", reason=reason)
