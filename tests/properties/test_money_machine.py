"""Rule 7, by trial: no order of reserving, spending, losing, crashing and turning days overruns a limit.

The machine drives the real ledger and the real budget as the driver does (an event is committed before it is acted
upon), and keeps a model of its own beside them that is as simple as the rule: a list of calls.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from tests.unit.run.test_budget import ANSWER as BUDGET_ANSWER
from venice_batch.job import Budget
from venice_batch.plan.money import MICRO, caps, day_start, month_start
from venice_batch.run.budget import Reservation, RunBudget
from venice_batch.state import Begun, ItemId, RunEnded, RunStarted, State, to_write
from venice_batch.steps.paid import PaidStep
from venice_batch.steps.table import STEPS, build

JOB = "job"
COUNTED = {"reserved", "begun", "spent", "uncertain"}
START = 1_767_225_600.0  # 2026-01-01, midnight UTC
#: The day is the tightest, so that turning it matters most.
LIMITS = {"max_usd": 500, "max_usd_per_day": 200, "max_usd_per_month": 700}
BUDGET = Budget(**{name: Decimal(amount) / MICRO for name, amount in LIMITS.items()})
ANSWER = replace(BUDGET_ANSWER, model_served=None, request_id=None, attempts=1)


def _steps() -> tuple[PaidStep, ...]:
    made = [build(f"s{number}", "upscale", STEPS["upscale"].fields.model_validate({})) for number in range(3)]
    return tuple(step for step in made if isinstance(step, PaidStep))


UPSCALES = _steps()


@dataclass
class Call:
    """What the model knows of a reservation."""

    number: int
    run: int
    micros: int
    at: float
    fate: str = "reserved"
    kept: bool = False


class Money(RuleBasedStateMachine):
    """A run's money, with crashes."""

    reserved = Bundle("reserved")
    begun = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="money-"))
        self.stack = ExitStack()
        self.calls: dict[int, Call] = {}
        self.now = START + 3600
        self.life = 0
        self.items = 0

    @initialize()
    def first_start(self) -> None:
        self.open()

    def teardown(self) -> None:
        self.stack.close()
        shutil.rmtree(self.folder)

    def open(self) -> None:
        """Start as the command does: the lease, recovery, the run, and a budget with what counts already."""
        self.life += 1
        self.state: State = self.stack.enter_context(to_write(self.folder))
        self.state.recover(self.now)
        self.run, _ = self.state.run_to_continue(JOB)
        limits = caps(BUDGET, self.state, JOB, self.now)
        self.state.commit([RunStarted(self.run, JOB, self.now)])
        self.money = RunBudget(limits, self.run, self.state.next_call(), self.now)

    def counted(self, since: float = 0.0, run: int | None = None) -> int:
        return sum(
            call.micros
            for call in self.calls.values()
            if call.fate in COUNTED and call.at >= since and run in {None, call.run}
        )

    # What a run does

    @rule(target=reserved, prices=st.lists(st.integers(1, 150), min_size=1, max_size=3))
    def reserve(self, prices: list[int]) -> object:
        self.items += 1
        wanted = list(zip(UPSCALES, prices, strict=False))
        made = self.money.reserve(ItemId(JOB, f"{self.items}"), wanted, self.now)
        total = sum(prices)
        room = min(
            LIMITS["max_usd"] - self.counted(run=self.run),
            LIMITS["max_usd_per_day"] - self.counted(day_start(self.now)),
            LIMITS["max_usd_per_month"] - self.counted(month_start(self.now)),
        )
        assert (made is not None) == (total <= room), "refused although it fits, or taken although it does not"
        if made is None:
            return multiple()
        reservations, events = made
        self.state.commit(events)
        for reservation in reservations.values():
            assert reservation.call not in self.calls, "a call's number was given twice"
            self.calls[reservation.call] = Call(reservation.call, self.run, reservation.micros, self.now)
        return multiple(*((self.life, reservation) for reservation in reservations.values()))

    @rule(target=begun, held=consumes(reserved))
    def begin(self, held: tuple[int, Reservation]) -> object:
        life, reservation = held
        if life != self.life:
            return multiple()
        self.state.commit([Begun(reservation.call, f"{reservation.call:064}", self.now)])
        self.calls[reservation.call].fate = "begun"
        return held

    @rule(held=consumes(reserved))
    def give_back_before_sending(self, held: tuple[int, Reservation]) -> None:
        self.release(held)

    @rule(held=consumes(begun))
    def refused_unbilled(self, held: tuple[int, Reservation]) -> None:
        self.release(held)

    def release(self, held: tuple[int, Reservation]) -> None:
        life, reservation = held
        if life == self.life:
            self.state.commit([self.money.release(reservation, "refused", self.now)])
            self.calls[reservation.call].fate = "released"

    @rule(held=begun)
    def answer_is_kept(self, held: tuple[int, Reservation]) -> None:
        """The answer becomes durable; the ledger does not know yet, and may never before a crash."""
        life, reservation = held
        call = self.calls[reservation.call]
        if life == self.life and call.fate == "begun" and not call.kept:
            key = f"{reservation.call:064}"
            file = self.state.results.incoming(key)
            file.write_bytes(b"picture")
            self.state.results.keep(key, file, {})
            call.kept = True

    @rule(held=consumes(begun))
    def answered(self, held: tuple[int, Reservation]) -> None:
        life, reservation = held
        if life == self.life:
            self.state.commit([self.money.settle(reservation, ANSWER, "answered")])
            self.calls[reservation.call].fate = "spent"

    @rule(held=consumes(begun))
    def answer_is_lost(self, held: tuple[int, Reservation]) -> None:
        life, reservation = held
        if life == self.life:
            self.state.commit([self.money.mark_uncertain(reservation, "timeout", self.now)])
            self.calls[reservation.call].fate = "uncertain"

    # What happens to a run

    @rule()
    def crash_and_start_again(self) -> None:
        self.stack.close()
        for call in self.calls.values():
            if call.fate == "reserved":
                call.fate = "released"
            elif call.fate == "begun":
                call.fate = "spent" if call.kept else "uncertain"
        self.open()

    @precondition(lambda self: not any(call.fate in {"reserved", "begun"} for call in self.calls.values()))
    @rule()
    def end_in_good_order_and_start_a_new_run(self) -> None:
        self.state.commit([RunEnded(self.run, self.now, 0, closed=True)])
        self.stack.close()
        before = self.run
        self.open()
        assert self.run == before + 1

    @rule(seconds=st.sampled_from([1.0, 3600.0, 86_400.0, 20 * 86_400.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    # What must always hold

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        if not self.life:
            return
        fates = {call.id: (call.fate, call.micros, call.run) for call in self.state.calls(JOB)}
        assert fates == {call.number: (call.fate, call.micros, call.run) for call in self.calls.values()}
        assert self.state.counted_in_run(self.run) == self.counted(run=self.run)
        for since in (day_start(self.now), month_start(self.now)):
            assert self.state.counted_since(since) == self.counted(since)

    @invariant()
    def no_limit_is_ever_overrun(self) -> None:
        for run in {call.run for call in self.calls.values()}:
            assert self.counted(run=run) <= LIMITS["max_usd"]
        days = {day_start(call.at) for call in self.calls.values()}
        for day in days:
            in_day = [call for call in self.calls.values() if day_start(call.at) == day and call.fate in COUNTED]
            assert sum(call.micros for call in in_day) <= LIMITS["max_usd_per_day"]
        for month in {month_start(day) for day in days}:
            in_month = [call for call in self.calls.values() if month_start(call.at) == month and call.fate in COUNTED]
            assert sum(call.micros for call in in_month) <= LIMITS["max_usd_per_month"]

    @invariant()
    def the_budget_is_never_negative_and_knows_what_is_open(self) -> None:
        if not self.life:
            return
        still_open = sum(call.micros for call in self.calls.values() if call.fate in {"reserved", "begun"})
        assert self.money.open == still_open
        assert self.money.spent >= 0
        assert self.money.uncertain >= 0

    @invariant()
    def nothing_begun_is_forgotten(self) -> None:
        if self.life:
            ended = {"spent", "uncertain", "released"}
            for call in self.state.calls(JOB):
                assert call.fate in {"reserved", "begun"} | ended
                assert (call.fate in ended) == (call.ended_at is not None)


Money.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMoney = Money.TestCase
