"""One buyer for a call at a time, and as many calls in flight as the lanes allow."""

from __future__ import annotations

from decimal import Decimal

from tests.unit.steps.conftest import HOST, SOURCE, paid
from venice_batch.plan.model import Candidate, PlannedItem
from venice_batch.run.queues import InFlightItem, Queues
from venice_batch.run.tasks import Buy, InputRef, ReadInput
from venice_batch.steps.chain import Chain, Purchase
from venice_batch.steps.conditions import Known
from venice_batch.venice import Cancel, Lanes

REF = InputRef("a.png", "v")
CHAIN = Chain(HOST, (paid("upscale"),))


def in_flight(number: int) -> InFlightItem:
    candidate = Candidate(f"{number}.png", "v")
    item = PlannedItem(candidate, 0, "new", "f", CHAIN, SOURCE, Known())
    return InFlightItem.admitted(number, item)


def purchase() -> Purchase:
    _, stop = CHAIN.advance(CHAIN.start(SOURCE, Known()))
    assert isinstance(stop, Purchase)
    return stop


def queues(most: int = 64, **limits: int) -> Queues:
    return Queues(Lanes(limits, cancel=Cancel(), default_rpm=6000), most)


def buy(number: int, lane: str = "l") -> Buy:
    return Buy(number, purchase(), REF, Decimal("0.02"), lane)


# Single flight


def test_the_first_leads_and_the_others_wait_in_order() -> None:
    these = queues()
    first, second, third = in_flight(1), in_flight(2), in_flight(3)
    assert these.lead_or_park(first, "key")
    assert not these.lead_or_park(second, "key")
    assert not these.lead_or_park(third, "key")
    assert first.claim == "key"
    assert second.claim == ""
    assert these.end_lead(first) == [second, third]
    assert first.claim == ""


def test_the_leader_may_ask_again() -> None:
    these, first = queues(), in_flight(1)
    assert these.lead_or_park(first, "key")
    assert these.lead_or_park(first, "key")
    assert these.end_lead(first) == []


def test_when_the_leader_is_gone_the_next_one_leads() -> None:
    these = queues()
    first, second, third = in_flight(1), in_flight(2), in_flight(3)
    for each in (first, second, third):
        these.lead_or_park(each, "key")
    waiting = these.end_lead(first)
    assert [these.lead_or_park(each, "key") for each in waiting] == [True, False]
    assert these.end_lead(second) == [third]


def test_keys_have_leaders_of_their_own() -> None:
    these = queues()
    assert these.lead_or_park(in_flight(1), "a")
    assert these.lead_or_park(in_flight(2), "b")


def test_who_leads_nothing_frees_nothing() -> None:
    these = queues()
    first, second, third = in_flight(1), in_flight(2), in_flight(3)
    these.lead_or_park(first, "key")
    these.lead_or_park(second, "key")
    assert these.end_lead(third) == []
    assert these.end_lead(second) == []
    assert these.end_lead(first) == [second]


# Tasks


def test_a_task_is_dispatched_once_and_until_it_is_complete() -> None:
    these = queues()
    task = ReadInput(1, REF)
    these.enqueue(task)
    assert these.busy() == {1}
    assert these.dispatched == {}
    assert these.dispatch() == ([task], [])
    assert these.dispatch() == ([], [])
    assert these.dispatched == {1: task}
    assert these.busy() == {1}
    these.complete(task)
    assert these.busy() == set()


def test_only_calls_are_in_flight() -> None:
    these = queues()
    these.enqueue(ReadInput(1, REF))
    these.enqueue(buy(2))
    assert these.calls_in_flight == 1
    these.dispatch()
    these.complete(buy(2))
    assert these.calls_in_flight == 0


def sent(these: Queues) -> list[int]:
    """Take what may be sent, as the driver does."""
    numbers = []
    for each, bought, lane in these.next_purchases():
        these.enqueue(Buy(each.number, bought, REF, Decimal(1), lane))
        numbers.append(each.number)
    these.dispatch()
    return numbers


def test_purchases_leave_in_order_and_not_more_than_the_concurrency() -> None:
    these = queues(most=3)
    for number in range(1, 6):
        these.make_ready(in_flight(number), purchase(), "l")
    assert sent(these) == [1, 2, 3]
    assert sent(these) == []
    these.complete(these.dispatched[2])
    assert sent(these) == [4]


def test_a_lane_takes_no_more_than_its_window_and_holds_no_other_back() -> None:
    these = queues(most=64, slow=1, fast=6000)
    for number in range(1, 11):
        these.make_ready(in_flight(number), purchase(), "slow")
    for number in range(11, 16):
        these.make_ready(in_flight(number), purchase(), "fast")
    window = Lanes({"slow": 1}, cancel=Cancel()).lane("slow").window()
    assert window < 10
    assert sent(these) == [*range(1, window + 1), *range(11, 16)]
