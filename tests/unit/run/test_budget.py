"""The money of a run: every limit kept, days turned, every reservation ended once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.steps.conftest import paid
from venice_batch.plan.money import Cap
from venice_batch.run.budget import Reservation, RunBudget
from venice_batch.state import Event, ItemId, Reserved, Settled
from venice_batch.venice import Answer, CallFailed

LATE = datetime(2026, 3, 31, 23, 59, 50, tzinfo=UTC).timestamp()
NEXT = LATE + 20
ITEM = ItemId("job", "a.png")
UPSCALE, EDIT = paid("upscale"), paid("edit", {"prompt": "p", "model": "m"})

ANSWER = Answer(
    paths=(Path("a"),),
    content_type="image/png",
    headers={},
    status=200,
    model_served="served",
    request_id="ray",
    balance_usd=None,
    balance_diem=None,
    blurred=False,
    violation=False,
    deprecation=None,
    bytes=9,
    begun_at=1.0,
    ended_at=2.0,
    seconds=1.0,
    attempts=2,
    transport="json",
)


def budget(*caps: Cap, now: float = LATE) -> RunBudget:
    return RunBudget(caps, run=3, next_call=10, now=now)


def take(money: RunBudget, *micros: int, now: float = LATE) -> list[Reservation]:
    steps = [UPSCALE, EDIT]
    made = money.reserve(ITEM, [(steps[number], amount) for number, amount in enumerate(micros)], now)
    return [] if made is None else list(made[0].values())


def settled(event: Event) -> Settled:
    assert isinstance(event, Settled)
    return event


def test_a_chain_is_reserved_whole_with_an_event_for_each_step() -> None:
    made = budget().reserve(ITEM, [(UPSCALE, 20), (EDIT, 40)], LATE)
    assert made is not None
    reservations, events = made
    assert reservations == {"upscale": Reservation(10, 20, LATE), "edit": Reservation(11, 40, LATE)}
    assert events == [
        Reserved(10, 3, ITEM, "upscale", "/image/upscale", None, 20, LATE),
        Reserved(11, 3, ITEM, "edit", "/image/edit", "m", 40, LATE),
    ]


def test_a_chain_that_does_not_fit_whole_reserves_nothing() -> None:
    money = budget(Cap("max_usd", 59, 0))
    assert money.reserve(ITEM, [(UPSCALE, 20), (EDIT, 40)], LATE) is None
    assert money.open == 0
    assert not money.exceeded(59)
    assert [each.call for each in take(money, 59)] == [10]


@pytest.mark.parametrize(("counted", "fits"), [(0, 100), (30, 70), (100, 0), (250, -150)])
def test_what_counts_already_leaves_less(counted: int, fits: int) -> None:
    money = budget(Cap("max_usd", 100, counted))
    assert money.exceeded(fits + 1)
    assert not money.exceeded(fits)


def test_the_tightest_limit_decides() -> None:
    money = budget(Cap("max_usd", 100, 0), Cap("max_usd_per_day", 1000, 950), Cap("balance", 70, 0))
    assert money.exceeded(101) == "max_usd"
    assert money.exceeded(51) == "max_usd_per_day"
    assert not take(money, 51)
    assert take(money, 50)
    assert money.exceeded(1)


def test_without_a_limit_everything_fits() -> None:
    assert not budget().exceeded(10**15)


def test_what_is_given_back_can_be_reserved_again_and_what_is_spent_or_lost_cannot() -> None:
    money = budget(Cap("max_usd", 90, 0))
    back, spent, lost = take(money, 30)[0], take(money, 30)[0], take(money, 30)[0]
    assert money.exceeded(1)
    assert settled(money.settle(spent, ANSWER, "answered")).fate == "spent"
    assert settled(money.mark_uncertain(lost, "timeout", LATE)).fate == "uncertain"
    assert money.exceeded(1)
    assert settled(money.release(back, "refused", LATE)).fate == "released"
    assert not money.exceeded(30)
    assert money.exceeded(31)
    assert (money.open, money.spent, money.uncertain) == (0, 30, 30)


def test_events_carry_what_the_api_said() -> None:
    money = budget()
    failure = CallFailed("lost-answer", status=504, request_id="ray")
    failure.attempts = 3
    one, two, three = take(money, 1)[0], take(money, 1)[0], take(money, 1)[0]
    answered = settled(money.settle(one, ANSWER, "answered"))
    assert (answered.call, answered.status, answered.attempts, answered.model_served) == (10, 200, 2, "served")
    assert (answered.request_id, answered.balance_usd) == ("ray", None)
    lost = settled(money.mark_uncertain(two, "lost-answer", LATE, failure))
    assert (lost.call, lost.status, lost.attempts, lost.request_id, lost.outcome) == (11, 504, 3, "ray", "lost-answer")
    given = settled(money.release(three, "refused", LATE, failure))
    assert (given.call, given.fate, given.status, given.attempts) == (12, "released", 504, 3)


# The balance, as the answers tell it


def told(usd: str | None, diem: str | None = None, begun_at: float = 1.0) -> Answer:
    held = [None if amount is None else Decimal(amount) for amount in (usd, diem)]
    return replace(ANSWER, balance_usd=held[0], balance_diem=held[1], begun_at=begun_at, ended_at=begun_at + 1)


def tracking(*answers: Answer) -> RunBudget:
    """Return a budget that has spent one millionth a call, and got these answers."""
    money = RunBudget((), run=1, next_call=1, now=LATE, tracks_balance=True)
    for answer in answers:
        money.settle(take(money, 1)[0], answer, "answered")
    return money


def test_the_balance_before_a_call_less_its_price_is_what_is_left() -> None:
    money = tracking(told("0.000060", "0.000041"))
    assert not money.exceeded(100)
    assert money.exceeded(101) == "balance"
    assert take(money, 70)
    assert not money.exceeded(30)
    assert money.exceeded(31) == "balance"
    assert not take(money, 31)


def test_an_answer_to_an_earlier_call_that_comes_late_tells_nothing_new() -> None:
    money = tracking(told("0.000050", begun_at=9.0), told("0.000100", begun_at=3.0))
    assert money.exceeded(50) == "balance"
    assert not money.exceeded(49)


def test_calls_that_overlap_do_not_make_the_account_look_richer() -> None:
    one, two = told("0.000100", begun_at=1.0), told("0.000100", begun_at=1.5)
    for order in ((one, two), (two, one)):
        money = tracking(*order)
        assert not money.exceeded(98)
        assert money.exceeded(99) == "balance"


def test_what_needs_no_more_money_is_never_refused() -> None:
    money = tracking(told("0.000010"))
    assert take(money, 9)
    money.settle(take(money, 0)[0], told("0.000005", begun_at=5.0), "answered")
    assert money.exceeded(1) == "balance"
    assert money.reserve(ITEM, [], LATE) == ({}, [])


def test_answers_without_a_balance_and_budgets_that_do_not_track_it_limit_nothing() -> None:
    assert not tracking(told(None)).exceeded(10**12)
    untracked = budget()
    untracked.settle(take(untracked, 1)[0], told("0.000050"), "answered")
    assert not untracked.exceeded(10**12)


# Days and months


def test_a_new_day_starts_its_count_at_nothing_and_the_run_does_not() -> None:
    money = budget(Cap("max_usd_per_day", 100, 90), Cap("max_usd", 150, 0))
    assert take(money, 10)
    assert not take(money, 1)
    assert take(money, 100, now=NEXT)
    assert not take(money, 1, now=NEXT)
    assert money.exceeded(41)


def test_the_month_turns_with_its_last_day() -> None:
    money = budget(Cap("max_usd_per_month", 100, 100))
    assert not take(money, 1)
    assert take(money, 100, now=NEXT)
    middle = budget(Cap("max_usd_per_month", 100, 100), now=LATE - 5 * 86_400)
    assert not take(middle, 1, now=LATE - 4 * 86_400)


def test_what_was_reserved_yesterday_is_given_back_to_yesterday() -> None:
    money = budget(Cap("max_usd_per_day", 100, 0), Cap("max_usd", 1000, 0))
    (old,) = take(money, 80)
    (new,) = take(money, 100, now=NEXT)
    money.release(old, "not needed", NEXT)
    # Today is still full: nothing of today's was given back.
    assert not take(money, 1, now=NEXT)
    money.release(new, "not needed", NEXT)
    assert take(money, 100, now=NEXT)
    assert not take(money, 1, now=NEXT)


def test_a_clock_that_goes_back_does_not_give_the_day_away() -> None:
    money = budget(Cap("max_usd_per_day", 100, 0), now=NEXT)
    assert take(money, 100, now=NEXT)
    assert not take(money, 1, now=LATE)
    assert not take(money, 1, now=NEXT + 1)
