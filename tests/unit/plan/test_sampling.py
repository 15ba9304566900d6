"""A sample: the ends, the extremes, a repeatable choice of the others, and what is left for later."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.unit.plan.conftest import Bench, amounts, statuses
from venice_batch.plan.model import Plan, Range, Remainder
from venice_batch.plan.sampling import sampling_order
from venice_batch.plan.selection import ItemFilter
from venice_batch.report.json_models import document
from venice_batch.report.text import plan_text


def sample(bench: Bench, count: int, *steps: str, **job: str) -> Plan:
    return bench.plan(*(steps or ("background-remove",)), item_filter=ItemFilter(sample=count), **job)


def gallery(bench: Bench, count: int) -> list[str]:
    """Draw pictures of which the fourth is the largest file and the third the smallest."""
    sides = {3: 900, 2: 260}
    for number in range(count):
        side = sides.get(number, 300)
        bench.picture(f"{number:02}.png", (side, side), colour=f"#{number:02}2266")
    return [f"{number:02}.png" for number in range(count)]


def keys(plan: Plan) -> list[str]:
    return [item.key for item in plan.to_do]


def names(items: Sequence[str], *numbers: int) -> list[str]:
    return [items[number] for number in numbers]


def test_a_sample_has_the_ends_and_the_extremes_of_size_in_the_order_of_the_source(bench: Bench) -> None:
    items = gallery(bench, 12)
    assert keys(sample(bench, 4)) == names(items, 0, 2, 3, 11)


@pytest.mark.parametrize(("count", "numbers"), [(1, [0]), (2, [0, 11]), (3, [0, 3, 11])])
def test_a_small_sample_takes_first_then_last_then_largest(bench: Bench, count: int, numbers: list[int]) -> None:
    items = gallery(bench, 12)
    assert keys(sample(bench, count)) == names(items, *numbers)


def test_the_same_sample_is_drawn_each_time_and_another_one_for_another_job(bench: Bench) -> None:
    gallery(bench, 30)
    items = sample(bench, 30).to_do
    assert sampling_order(items, "job") == sampling_order(items, "job")
    assert sampling_order(items, "job")[:4] == sampling_order(items, "other")[:4]
    assert sampling_order(items, "job")[4:] != sampling_order(items, "other")[4:]
    assert len(sampling_order(items, "job")) == 30


def test_a_new_picture_does_not_shuffle_the_others(bench: Bench) -> None:
    gallery(bench, 20)
    before = [item.key for item in sampling_order(sample(bench, 20).to_do, "job")]
    bench.picture("05a.png", (300, 300), colour="blue")
    after = [item.key for item in sampling_order(sample(bench, 21).to_do, "job")]
    assert [key for key in after if key != "05a.png"] == before


def test_the_random_part_is_not_simply_the_first_items(bench: Bench) -> None:
    items = gallery(bench, 40)
    drawn = set(keys(sample(bench, 12))) - set(names(items, 0, 2, 3, 39))
    assert len(drawn) == 8
    assert drawn != set(items[1:2] + items[4:11])


def test_a_sample_is_priced_alone_and_the_remainder_beside_it(bench: Bench) -> None:
    gallery(bench, 12)
    plan = sample(bench, 5)
    assert amounts(plan) == ("0.15", "0.15")
    assert plan.remainder == Remainder(7, Range(Decimal("0.21"), Decimal("0.21")))
    assert document("plan", plan)["rest"] == {"items": 7, "cost": {"low": "0.21", "high": "0.21"}}
    assert "left for later: 7 items, 0.21 USD" in plan_text("job", plan)


def test_a_sample_and_its_remainder_cost_what_everything_costs(bench: Bench) -> None:
    gallery(bench, 9)
    steps = ("{upscale: , when: {max_side_below: 500}}", "background-remove")
    whole, part = bench.plan(*steps), sample(bench, 4, *steps)
    assert part.remainder is not None
    assert part.cost + part.remainder.cost == whole.cost


def test_a_duplicate_that_is_left_for_later_costs_nothing_more(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.picture(f"{name}.png", colour="red")
    plan = sample(bench, 1)
    assert amounts(plan) == ("0.03", "0.03")
    assert plan.remainder == Remainder(1, Range())


def test_only_the_sample_has_to_be_covered(bench: Bench) -> None:
    gallery(bench, 12)
    bench.balances = {"USD": Decimal("0.10")}
    assert sample(bench, 3).coverage.covered
    assert not bench.plan("background-remove").coverage.covered


def test_a_picture_that_cannot_be_used_does_not_use_up_the_sample(bench: Bench) -> None:
    gallery(bench, 6)
    (bench.folder / "in" / "00.png").write_bytes(b"no picture")
    plan = sample(bench, 3)
    assert statuses(plan)["00.png"] == "invalid"
    assert len(plan.to_do) == 3
    assert plan.remainder is not None
    assert plan.remainder.items == 2


def test_a_picture_that_cannot_be_used_is_no_part_of_the_remainder(bench: Bench) -> None:
    items = gallery(bench, 6)
    (unlucky,) = set(items) - set(keys(sample(bench, 5)))
    broken = bench.folder / "in" / unlucky
    broken.write_bytes(b"x" * broken.stat().st_size)
    assert sample(bench, 5).remainder == Remainder(0, Range())


def test_what_is_done_is_not_sampled_again(bench: Bench) -> None:
    items = gallery(bench, 8)
    (bench.folder / "out").mkdir()
    for item in sample(bench, 4).to_do:
        bench.record(item, "done")
        (bench.folder / "out" / item.key).write_bytes(b"x")
    again = sample(bench, 4)
    assert not set(keys(again)) & set(names(items, 0, 2, 3, 7))
    assert again.remainder == Remainder(0, Range())
    assert "left for later: nothing" in plan_text("job", again)


def test_items_that_wait_for_a_person_stay_in_the_plan_and_are_not_sampled(bench: Bench) -> None:
    gallery(bench, 5)
    bench.record(bench.plan("background-remove").items[0], "failed", "refused-input", lasting=True)
    plan = sample(bench, 2)
    assert statuses(plan)["00.png"] == "waiting"
    assert len(plan.to_do) == 2


def test_a_sample_of_more_than_there_is_takes_everything(bench: Bench) -> None:
    items = gallery(bench, 3)
    plan = sample(bench, 50)
    assert keys(plan) == items
    assert plan.remainder == Remainder(0, Range())


def test_a_sample_of_nothing_is_nothing(bench: Bench) -> None:
    plan = sample(bench, 3)
    assert (plan.to_do, plan.remainder) == ((), Remainder(0, Range()))


def test_a_plan_that_is_no_sample_has_no_remainder(bench: Bench) -> None:
    gallery(bench, 2)
    plan = bench.plan("background-remove", item_filter=ItemFilter(limit=1))
    assert plan.remainder is None
    assert "rest" not in document("plan", plan)
