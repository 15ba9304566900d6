"""Prices and statuses by values alone: what was read is handed in, and there is no folder, state or server."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.plan.conftest import HOST
from tests.unit.steps.conftest import catalogue_of
from venice_batch.errors import ItemError
from venice_batch.imaging import Facts
from venice_batch.job import loads
from venice_batch.plan.expand import Expander
from venice_batch.plan.model import Candidate, PlannedItem, Range, dollars
from venice_batch.plan.pricing import Inspection, Pricer, StoredResult
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.selection import NEW, ItemFilter, Selection
from venice_batch.steps.conditions import Known

UPSCALE = ("upscale", "upscaler")


class Desk:
    """Plans a job whose source was never there."""

    def __init__(self, *steps: str, inspections: dict[str, Inspection] | None = None) -> None:
        listed = "".join(f"  - {step}\n" for step in steps)
        text = f"version: 1\nname: job\nsource: ./nowhere\noutput: ./never\nsteps:\n{listed}"
        self.job = loads(text, Path("/no/such/folder/job.yaml"), environ={})
        self.catalogue = catalogue_of()
        self.pipeline = make_pipeline(self.job, HOST)
        self.inspections = inspections or {}
        self.stored: dict[str, StoredResult] = {}
        self.pricer = Pricer(self.pipeline, self.catalogue, self._inspect, self.stored.get)

    def _inspect(self, items: Iterable[PlannedItem]) -> Iterator[tuple[PlannedItem, Inspection | None]]:
        for item in items:
            yield item, self.inspections.get(item.key, Inspection(facts()))

    def items(self, *keys: str) -> deque[PlannedItem]:
        expander, selection = Expander(self.pipeline, self.catalogue), Selection(self.job, ItemFilter())
        found = (item for key in keys for item in expander.items(Candidate(key, f"version of {key}", 100)))
        return deque(expander.planned(each, selection.status(None, "", each.fingerprint)) for each in found)

    def priced(self, *keys: str, limit: int | None = None) -> list[PlannedItem]:
        return list(self.pricer.priced(self.items(*keys), limit))

    @property
    def cost(self) -> tuple[str, str]:
        total = sum(self.pricer.tally.cost.values(), Range())
        return dollars(total.low), dollars(total.high)


def facts(width: int = 300, height: int = 300) -> Facts:
    return Facts(width, height, "PNG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=100)


def test_equal_bytes_are_bought_once_and_unread_ones_each() -> None:
    desk = Desk("upscale", inspections={key: Inspection(facts(), "5" * 64) for key in "ab"})
    desk.priced("a", "b", "c")
    assert (desk.cost, desk.pricer.tally.calls) == (("0.04", "0.04"), {UPSCALE: 2})


def test_what_may_be_a_duplicate_may_cost_nothing() -> None:
    desk = Desk("upscale", inspections={"b": Inspection(facts(), may_be_duplicate=True)})
    desk.priced("a", "b")
    assert (desk.cost, desk.pricer.tally.calls_low, desk.pricer.tally.calls) == (
        ("0.02", "0.04"),
        {UPSCALE: 1},
        {UPSCALE: 2},
    )


@pytest.mark.parametrize(
    ("stored", "cost", "status"),
    [
        (StoredResult(Known(600, 600)), "0.03", "new"),
        (StoredResult(None), "0.03", "new"),
        (StoredResult(Known(600, 600), "publish"), "0.03", "new"),
        (StoredResult(Known(600, 600), "released"), "0.03", "new"),
        (StoredResult(Known(600, 600), "hold"), "0.00", "reused"),
        (StoredResult(Known(600, 600), "fail"), "0.00", "reused"),
        (StoredResult(Known(600, 600), "retry"), "0.05", "new"),
    ],
)
def test_a_stored_result_is_not_bought_again_but_where_the_rule_says_so(
    stored: StoredResult, cost: str, status: str
) -> None:
    desk = Desk("upscale", "background-remove")
    (item,) = desk.items("a")
    _, stop = item.chain.advance(item.chain.start(item.input_key, Known()))
    desk.stored[getattr(stop, "result", "")] = stored
    (priced,) = desk.priced("a")
    assert (dollars(priced.cost.high), priced.status) == (cost, status)


@pytest.mark.parametrize(("side", "cost"), [(600, "0.03"), (800, "0.00")])
def test_a_stored_result_tells_its_real_size_to_the_steps_after_it(side: int, cost: str) -> None:
    desk = Desk("upscale", "{background-remove: , when: {max_side_below: 700}}")
    (item,) = desk.items("a")
    _, stop = item.chain.advance(item.chain.start(item.input_key, Known()))
    desk.stored[getattr(stop, "result", "")] = StoredResult(Known(side, side))
    assert desk.priced("a")[0].cost.high == Decimal(cost)


def test_an_item_is_reused_only_where_everything_is_stored() -> None:
    desk = Desk("upscale")
    (item,) = desk.items("a")
    _, stop = item.chain.advance(item.chain.start(item.input_key, Known()))
    desk.stored[getattr(stop, "result", "")] = StoredResult(None)
    assert [each.status for each in desk.priced("a", "b")] == ["reused", "new"]


def test_invalid_inputs_cost_nothing_and_use_up_no_limit() -> None:
    broken = Inspection(problem=ItemError("broken", "cannot be read"))
    desk = Desk("upscale", "background-remove", inspections={"a": broken, "b": Inspection(facts(10, 10))})
    priced = desk.priced("a", "b", "c", "d", "e", limit=2)
    assert [(each.key, each.status, each.code) for each in priced] == [
        ("a", "invalid", "broken"),
        ("b", "invalid", "too-small"),
        ("c", "new", ""),
        ("d", "new", ""),
    ]
    assert desk.cost == ("0.10", "0.10")


def test_a_later_step_that_cannot_be_done_takes_nothing_of_the_earlier_ones() -> None:
    desk = Desk("background-remove", "upscale", inspections={"a": Inspection(facts(10, 10))})
    assert [each.status for each in desk.priced("a", "b")] == ["invalid", "new"]
    assert desk.pricer.tally.calls == {("background-remove", "bria-bg-remover"): 1, UPSCALE: 1}


def test_new_is_what_the_manifest_does_not_know() -> None:
    assert Selection(Desk("upscale").job, ItemFilter()).status(None, "", "") is NEW
