"""A balance that falls faster than the prices is found, and one that falls as it should never is."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.run.test_budget import ANSWER
from venice_batch.errors import MoneyError
from venice_batch.run.balance_watch import BalanceWatch, balances, falls
from venice_batch.venice import Answer

CENT = 10_000


def answer(at: float, usd: str | None = None, diem: str | None = None) -> Answer:
    amounts = [None if text is None else Decimal(text) for text in (usd, diem)]
    return replace(ANSWER, begun_at=at, balance_usd=amounts[0], balance_diem=amounts[1])


def told(watch: BalanceWatch, *amounts: str, price: int = 4 * CENT) -> None:
    """One call after the other, each answered with the balance before it."""
    for number, usd in enumerate(amounts):
        watch.begin(number, price)
        watch.read(number, answer(float(number), usd))
        watch.end(number, charged=True)


def test_a_balance_that_falls_by_the_prices_is_as_it_should_be() -> None:
    watch = BalanceWatch(0)
    told(watch, "10.00", "9.96", "9.92", "9.88")
    assert watch.found is None


def test_a_balance_that_falls_faster_is_found_with_both_sums_and_stops_beyond_what_the_run_may_take() -> None:
    watch = BalanceWatch(200 * CENT)
    told(watch, "10.00", "9.00")
    assert watch.found is not None
    assert (watch.found.fall, watch.found.priced) == (100 * CENT, 4 * CENT)
    assert watch.found.error() is None
    watch = BalanceWatch(200 * CENT)
    told(watch, "10.00", "9.00", "8.00", "6.99")
    assert watch.found is not None
    error = watch.found.error()
    assert isinstance(error, MoneyError)
    assert "3.01 USD" in error.message
    assert "0.12 USD" in error.message
    assert "shared_account" in error.remedy


def test_on_a_shared_account_it_is_found_and_never_stops_the_run() -> None:
    watch = BalanceWatch(None)
    told(watch, "10.00", "1.00")
    assert watch.found is not None
    assert watch.found.error() is None


def test_calls_that_cost_nothing_by_the_catalogue_drain_no_account_unseen() -> None:
    watch = BalanceWatch(0)
    told(watch, "10.00", "9.90", price=0)
    assert watch.found is not None
    assert watch.found.error() is not None


@pytest.mark.parametrize("amounts", [("9.99", "9.98", "9.97"), ("10.00", "50.00", "49.96"), ("10.00", "9.96", "59.92")])
def test_rounding_and_payments_are_no_fall(amounts: tuple[str, ...]) -> None:
    watch = BalanceWatch(0)
    told(watch, *amounts, price=CENT if amounts[0] == "9.99" else 4 * CENT)
    assert watch.found is None


def test_a_payment_hides_no_fall() -> None:
    watch = BalanceWatch(None)
    told(watch, "10.00", "9.00", "58.00", "57.00")
    assert watch.found is not None
    assert watch.found.fall == 200 * CENT, "what fell while the payment came in is not known"


def test_a_fall_of_earlier_starts_of_the_run_counts() -> None:
    watch = BalanceWatch(100 * CENT, fell=99 * CENT, priced=4 * CENT)
    told(watch, "10.00", "9.90")
    assert watch.found is not None
    assert watch.found.fall == 109 * CENT
    assert watch.found.error() is not None


def test_a_currency_that_some_answers_leave_out_did_not_fall() -> None:
    watch = BalanceWatch(0)
    for number, (usd, diem) in enumerate((("5.00", "7.00"), ("5.00", None), (None, "6.96"), ("5.00", "6.92"))):
        watch.begin(number, 4 * CENT)
        watch.read(number, answer(float(number), usd, diem))
        watch.end(number, charged=True)
    assert watch.found is None
    assert falls(balances(Decimal(5), Decimal(7)), balances(Decimal(6), Decimal(3))) == 400 * CENT


def night(seed: int, workers: int, billed: int) -> BalanceWatch:
    """Calls of several workers, each charged at some time between its begin and its end."""
    rng = random.Random(seed)  # noqa: S311 - a schedule
    watch, balance, clock = BalanceWatch(None), 100_000 * CENT, 0.0
    open_calls: dict[int, tuple[Answer, bool]] = {}
    number = 0
    for _ in range(400):
        clock += rng.random()
        if len(open_calls) < workers and rng.random() < 0.6:
            watch.begin(number, 4 * CENT)
            before = Decimal(balance) / 1_000_000
            # Begun here is not yet arrived there: the clocks of two calls may differ from the order of their charges.
            open_calls[number] = answer(clock - rng.random(), str(before)), False
            number += 1
        elif open_calls:
            call = rng.choice(list(open_calls))
            reply, is_charged = open_calls[call]
            if not is_charged:
                balance -= billed
                open_calls[call] = reply, True
            else:
                watch.read(call, reply)
                watch.end(call, charged=True)
                del open_calls[call]
    return watch


@given(st.integers(), st.integers(1, 64))
def test_no_order_of_calls_makes_the_catalogues_own_prices_look_wrong(seed: int, workers: int) -> None:
    assert night(seed, workers, 4 * CENT).found is None


@given(st.integers(), st.integers(1, 64))
def test_no_order_of_calls_hides_prices_that_are_ten_times_as_high(seed: int, workers: int) -> None:
    found = night(seed, workers, 40 * CENT).found
    assert found is not None
    assert found.fall > found.priced
