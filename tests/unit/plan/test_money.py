"""Whether the money suffices: budget, balance, and the crumbs that currencies leave."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.unit.plan.conftest import Bench
from venice_batch.job import Budget
from venice_batch.plan.model import Coverage, Range, dollars
from venice_batch.plan.money import Cap, caps, coverage, day_start, micros, month_start
from venice_batch.state import ItemId, Reserved, RunEnded, RunStarted, Settled

RICH = {"usd": "50"}
NOON = datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp()


def covers(high: str, *limits: Cap, balances: Mapping[str, str] | None = None, permitted: bool = True) -> Coverage:
    held = {name: Decimal(amount) for name, amount in (balances or {}).items()}
    return coverage(Range(Decimal(0), Decimal(high)), Decimal("0.02"), held, limits, permitted=permitted)


@pytest.mark.parametrize(
    ("balances", "covered", "certain"),
    [
        ({"usd": "1.00"}, True, True),
        ({"usd": "0.99"}, False, False),
        ({}, False, False),
        # Two currencies: one call's worth may be left over in crumbs, three: two calls' worth.
        ({"usd": "0.50", "diem": "0.50"}, True, False),
        ({"usd": "0.50", "diem": "0.51"}, True, False),
        ({"usd": "0.50", "diem": "0.52"}, True, True),
        ({"usd": "0.50", "diem": "0.52", "bundled_credits": "0"}, True, True),
        ({"usd": "0.50", "diem": "0.51", "bundled_credits": "0.02"}, True, False),
        ({"usd": "0.50", "diem": "0.52", "bundled_credits": "0.02"}, True, True),
        ({"usd": "-5", "diem": "1.00"}, True, True),
    ],
)
def test_with_k_currencies_k_minus_one_calls_may_be_left_in_crumbs(
    balances: Mapping[str, str],
    covered: bool,  # noqa: FBT001 - a table
    certain: bool,  # noqa: FBT001 - a table
) -> None:
    found = covers("1.00", balances=balances)
    assert (found.covered, found.certain) == (covered, certain)


def test_what_is_missing_is_told_to_the_cent_with_what_there_is() -> None:
    found = covers("1.00", balances={"usd": "0.40", "diem": "0.25"})
    assert found.shortfall == Decimal("0.35")
    assert found.reason == "the balance is 0.40 USD + 0.25 DIEM"
    assert covers("1.00").reason == "the balance is nothing"


def test_a_plan_that_costs_nothing_is_always_covered() -> None:
    assert covers("0", permitted=False) == Coverage(covered=True)
    assert covers("0", Cap("max_usd", 5, 9)).covered


def test_a_key_that_may_not_spend_covers_nothing() -> None:
    found = covers("1.00", balances=RICH, permitted=False)
    assert not found.covered
    assert "accessPermitted" in found.reason


@pytest.mark.parametrize(
    ("limit", "counted", "missing"), [(1_000_000, 0, None), (999_999, 0, "0.000001"), (2_000_000, 1_500_000, "0.5")]
)
def test_the_budget_limits_what_the_balance_would_cover(limit: int, counted: int, missing: str | None) -> None:
    found = covers("1.00", Cap("max_usd", limit, counted), balances=RICH)
    assert found.covered is (missing is None)
    assert found.shortfall == Decimal(missing or 0)


def test_a_budget_already_overrun_is_short_of_the_whole_plan() -> None:
    found = covers("1.00", Cap("max_usd_per_day", 1_000_000, 3_000_000), balances=RICH)
    assert found.shortfall == Decimal("1.00")
    assert found.reason == "budget.max_usd_per_day is 1.00 USD, 3.00 of it already counted"


@pytest.mark.parametrize(("amount", "expected"), [("0.02", 20_000), ("0.0000001", 1), ("0", 0), ("0.04345", 43_450)])
def test_millionths_are_rounded_up(amount: str, expected: int) -> None:
    assert micros(Decimal(amount)) == expected


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("1.8", "1.80"), ("0", "0.00"), ("0.04345", "0.04345"), ("100", "100.00"), ("1E+3", "1000.00")],
)
def test_dollars_lose_no_digit(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown


def test_days_and_months_begin_in_utc() -> None:
    assert datetime.fromtimestamp(day_start(NOON), UTC).isoformat() == "2026-03-15T00:00:00+00:00"
    assert datetime.fromtimestamp(month_start(NOON), UTC).isoformat() == "2026-03-01T00:00:00+00:00"
    assert day_start(day_start(NOON)) == day_start(NOON)
    assert day_start(day_start(NOON) - 0.001) == day_start(NOON) - 86_400


# What counts already

BUDGET = Budget(max_usd=Decimal(25), max_usd_per_day=Decimal(60), max_usd_per_month=Decimal(600))


def spent(bench: Bench, run: int, call: int, at: float, amount: int, *, job: str = "job") -> None:
    reserved = Reserved(call, run, ItemId(job, f"{call}"), "s", "/e", None, amount, at)
    bench.state.commit([RunStarted(run, job, at), reserved, Settled(call, "spent", "answered", at)])


def counted(bench: Bench, budget: Budget = BUDGET) -> dict[str, int]:
    return {cap.name: cap.counted for cap in caps(budget, bench.state, "job", NOON)}


def test_only_limits_that_are_set_are_kept(bench: Bench) -> None:
    assert caps(Budget(), bench.state, "job", NOON) == ()
    (cap,) = caps(Budget(max_usd_per_day=Decimal("0.5")), bench.state, "job", NOON)
    assert (cap.name, cap.limit, cap.left) == ("max_usd_per_day", 500_000, 500_000)


def test_a_new_run_starts_its_own_budget_and_not_the_days(bench: Bench) -> None:
    spent(bench, 1, 1, NOON - 60, 7)
    bench.state.commit([RunEnded(1, NOON - 30, 0, closed=True)])
    assert counted(bench) == {"max_usd": 0, "max_usd_per_day": 7, "max_usd_per_month": 7}


def test_a_run_that_continues_keeps_what_it_spent(bench: Bench) -> None:
    spent(bench, 1, 1, NOON - 60, 7)
    bench.state.commit([RunEnded(1, NOON - 30, 130, closed=False)])
    assert counted(bench) == {"max_usd": 7, "max_usd_per_day": 7, "max_usd_per_month": 7}


def test_each_period_counts_its_own_and_a_state_is_shared_by_its_jobs(bench: Bench) -> None:
    spent(bench, 1, 1, month_start(NOON) - 1, 1)
    spent(bench, 1, 2, month_start(NOON), 20)
    spent(bench, 1, 3, day_start(NOON) - 1, 300)
    spent(bench, 1, 4, day_start(NOON), 4_000)
    spent(bench, 2, 5, NOON, 50_000, job="other")
    assert counted(bench) == {"max_usd": 4_321, "max_usd_per_day": 54_000, "max_usd_per_month": 54_320}


def test_a_plan_beyond_the_days_budget_is_not_covered(bench: Bench) -> None:
    bench.now = NOON
    for number in range(3):
        bench.picture(f"{number}.png", colour=f"#{number}00000")
    spent(bench, 1, 1, NOON - 60, 950_000)
    bench.state.commit([RunEnded(1, NOON, 0, closed=True)])
    plan = bench.plan("upscale", more="budget: {max_usd_per_day: 1}")
    assert plan.coverage.shortfall == Decimal("0.01")
    assert "max_usd_per_day" in plan.coverage.reason
    assert bench.plan("upscale", more="budget: {max_usd: 0.06}").coverage.covered
