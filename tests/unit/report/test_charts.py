"""Throughput and spend over time, drawn from any ledger."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_batch.report.charts import charts
from venice_batch.state import CallRow


def call(number: int, ended_at: float, fate: str = "spent", micros: int = 20_000) -> CallRow:
    return CallRow(
        id=number,
        run=1,
        key="a",
        variant=0,
        step="upscale",
        endpoint="/image/upscale",
        model=None,
        micros=micros,
        fate=fate,
        outcome="",
        result="r",
        reserved_at=ended_at - 2,
        begun_at=ended_at - 2,
        ended_at=ended_at,
        status=200,
        attempts=1,
        request_id=None,
        model_served=None,
        balance_usd=None,
        balance_diem=None,
    )


def ys(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"V([\d.e+-]+)", path)]


def test_nothing_is_drawn_of_a_ledger_without_an_end() -> None:
    assert charts([]) == ()


@given(
    st.lists(st.tuples(st.floats(0, 3e8), st.sampled_from(["spent", "uncertain", "released"])), min_size=1, max_size=60)
)
def test_every_call_is_in_one_bar_and_no_bar_leaves_the_plot(given_calls: list[tuple[float, str]]) -> None:
    ledger = [call(number, 1e9 + at, fate) for number, (at, fate) in enumerate(given_calls)]
    throughput, spend = charts(ledger)
    assert len(throughput.bars) <= 48
    told = [tuple(map(int, re.findall(r"(\d+) (?:answered|not)", bar.title))) for bar in throughput.bars]
    assert sum(map(sum, told)) == len(ledger)
    assert all(bar.good + bar.bad <= 100 and bar.left + bar.width <= 100.01 for bar in throughput.bars)
    heights = ys(spend.area)
    assert heights == sorted(heights, reverse=True)
    assert all(0 <= y <= 100 for y in heights)


def test_uncertain_money_is_a_line_of_its_own_above_what_was_spent() -> None:
    _, spend = charts([call(1, 10.0), call(2, 20.0, "uncertain"), call(3, 30.0)])
    assert ys(spend.upper)[-1] < ys(spend.area)[-1]
    assert spend.summary == "0.04 US dollars spent, 0.02 uncertain"


def test_where_nothing_is_uncertain_there_is_one_line() -> None:
    _, spend = charts([call(1, 10.0), call(2, 20.0)])
    assert spend.upper == ""


def test_a_long_ledger_is_drawn_with_few_points_and_ends_at_the_full_sum() -> None:
    _, spend = charts([call(number, float(number)) for number in range(10_000)])
    assert len(ys(spend.area)) <= 1000
    top_tick = spend.up[-1]
    assert top_tick.label == "$200"
    assert ys(spend.area)[-1] == pytest.approx(top_tick.at, abs=0.1)


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(30, "1 second"), (3600, "2 minutes"), (8 * 3600, "10 minutes"), (40 * 86_400, "1 day"), (400 * 86_400, "9 days")],
)
def test_bars_have_a_width_that_people_can_read(seconds: float, unit: str) -> None:
    throughput, _ = charts([call(1, 1e9 + 2), call(2, 1e9 + seconds)])
    assert throughput.unit == f"calls in {unit}"
