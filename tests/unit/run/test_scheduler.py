"""The scheduler as a table: an outcome goes in, and tasks, events, ended states and money come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.run.conftest import CALL, FACTS, Desk, OpenDesk
from tests.unit.run.test_budget import ANSWER
from tests.unit.steps.conftest import HOST, paid
from venice_batch.errors import (
    BudgetReached,
    CatalogueError,
    ItemError,
    KeyRefused,
    ModelSwitched,
    MoneyError,
    Unavailable,
)
from venice_batch.plan.model import Candidate
from venice_batch.run.stop_rules import interrupted
from venice_batch.run.tasks import (
    Bought,
    Buy,
    CheckAnswer,
    InputRead,
    ItemFailed,
    Outcome,
    Published,
    ResultsUpdated,
    RunFailed,
    SetAside,
    Task,
)
from venice_batch.state import ItemMoved, Released
from venice_batch.steps.chain import Chain, Stage
from venice_batch.steps.input_key import InputKey
from venice_batch.venice.gate import Attempt
from venice_batch.venice.waits import Cancelled

DISK = Unavailable("the disk is full")
EDIT = {"edit": {"prompt": "p", "model": "firered-image-edit"}}
BROKEN = ItemError("broken", "is broken", lasting=True)
AWAY = ItemError("changed", "was changed", lasting=False)


def kinds(tasks: list[Task]) -> list[str]:
    return [type(task).__name__ for task in tasks]


# After a call

Make = Callable[[Desk, Task], Outcome]
LEFT = ["a.png pending stopped"]
AFTER_CALL: dict[str, tuple[Make, list[str], list[str], dict[str, int], tuple[int, int, int], type | None]] = {
    "answered": (
        lambda desk, call: desk.bought(call),
        ["Publish"],
        ["ResultStored", "spent: answered", "OutputPlanned"],
        {},
        (0, 2, 0),
        None,
    ),
    "not a picture": (
        lambda desk, call: desk.bought(call, reason="it is text"),
        ["Buy"],
        ["spent: bad answer", "a.png running", "reserved upscale", "begun"],
        {},
        (2, 2, 0),
        None,
    ),
    "answer lost": (
        lambda desk, call: desk.failed(call, "lost-answer"),
        ["Buy"],
        ["uncertain: lost-answer", "a.png running", "reserved upscale", "begun"],
        {},
        (2, 0, 2),
        None,
    ),
    "input refused": (
        lambda desk, call: desk.failed(call, "refused-input", status=400),
        [],
        ["released: refused-input", "a.png failed refused-input"],
        {"failed": 1},
        (0, 0, 0),
        None,
    ),
    "input refused and billed": (
        lambda desk, call: desk.failed(call, "refused-input", billed=True),
        [],
        ["uncertain: refused-input", "a.png failed refused-input"],
        {"failed": 1},
        (0, 0, 2),
        None,
    ),
    "given up": (
        lambda desk, call: desk.failed(call, "server-error"),
        [],
        ["released: server-error", "a.png failed server-error"],
        {"failed": 1},
        (0, 0, 0),
        None,
    ),
    "no money": (
        lambda desk, call: desk.failed(call, "no-money-account"),
        [],
        ["released: no-money-account", *LEFT],
        {"pending": 1},
        (0, 0, 0),
        MoneyError,
    ),
    "key refused": (
        lambda desk, call: desk.failed(call, "key-refused"),
        [],
        ["released: key-refused", *LEFT],
        {"pending": 1},
        (0, 0, 0),
        KeyRefused,
    ),
    "not sent": (
        lambda desk, call: desk.failed(call, "gate-closed"),
        [],
        ["released: gate-closed", *LEFT],
        {"pending": 1},
        (0, 0, 0),
        None,
    ),
    "answered, not kept": (
        lambda _, call: RunFailed(call, DISK, billed=True),
        [],
        ["uncertain: answered, but not kept", *LEFT],
        {"pending": 1},
        (0, 0, 2),
        Unavailable,
    ),
    "disk full before it was sent": (
        lambda _, call: RunFailed(call, DISK),
        [],
        [*LEFT, "released: the run stopped"],
        {"pending": 1},
        (0, 0, 0),
        Unavailable,
    ),
    "refused here": (
        lambda _, call: ItemFailed(call, BROKEN),
        [],
        ["a.png failed broken", "released: not needed"],
        {"failed": 1},
        (0, 0, 0),
        None,
    ),
}


@pytest.mark.parametrize("row", AFTER_CALL.values(), ids=AFTER_CALL)
def test_after_a_call(open_desk: OpenDesk, row: tuple[Any, ...]) -> None:
    make, tasks, events, ended, money, cause = row
    desk = open_desk()
    (call,) = desk.buying()
    assert desk.money == (2, 0, 0)
    assert kinds(desk.complete(make(desk, call))) == tasks
    assert (desk.told(), desk.ended, desk.money) == (events, ended, money)
    assert desk.scheduler.cause is None if cause is None else isinstance(desk.scheduler.cause, cause)
    assert desk.scheduler.in_flight == 1 - sum(ended.values())


# After other tasks

AFTER_READING: dict[str, tuple[Make, list[str], list[str]]] = {
    "read": (
        lambda desk, task: desk.read(task),
        ["Buy"],
        ["SourceRead", "a.png running", "reserved upscale", "begun"],
    ),
    "damaged": (lambda _, task: ItemFailed(task, BROKEN), [], ["a.png invalid broken"]),
    "changed": (lambda _, task: ItemFailed(task, AWAY), [], ["a.png failed changed"]),
    "disk full": (lambda _, task: RunFailed(task, DISK), [], LEFT),
}


@pytest.mark.parametrize("row", AFTER_READING.values(), ids=AFTER_READING)
def test_after_reading(open_desk: OpenDesk, row: tuple[Any, ...]) -> None:
    make, tasks, events = row
    desk = open_desk()
    (task,) = desk.start(desk.item())
    assert kinds(desk.complete(make(desk, task))) == tasks
    assert desk.told() == events


AFTER_PUBLISHING: dict[str, tuple[Make, list[str]]] = {
    "all files": (lambda desk, task: desk.published(task), ["OutputWritten", "a.png done"]),
    "a name is taken": (lambda _, task: ItemFailed(task, AWAY), ["a.png failed changed"]),
    "the second name is taken": (
        lambda desk, task: Published(desk.published(task).task, desk.published(task).files, AWAY),
        ["OutputWritten", "a.png failed changed"],
    ),
    "the disk is full": (
        lambda desk, task: Published(desk.published(task).task, desk.published(task).files, DISK),
        ["OutputWritten", *LEFT],
    ),
}


@pytest.mark.parametrize("row", AFTER_PUBLISHING.values(), ids=AFTER_PUBLISHING)
def test_after_publishing(open_desk: OpenDesk, row: tuple[Any, ...]) -> None:
    make, events = row
    desk = open_desk()
    (call,) = desk.buying()
    (task,) = desk.complete(desk.bought(call))
    desk.told()
    assert desk.complete(make(desk, task)) == []
    assert desk.told() == events
    assert desk.scheduler.in_flight == 0
    assert desk.used() == [(1, False), (1, "a.png done" in events)], "before the call, and at the end"


def test_the_input_of_an_ended_item_is_released_once(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    desk.scheduler.complete([ItemFailed(call, BROKEN)])
    assert desk.queues.dispatch() == ([], [call.input])


def test_a_stored_result_is_checked_before_it_is_used_and_never_bought(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    key = call.purchase.result
    file = desk.state.results.incoming(key)
    file.write_bytes(b"a picture")
    desk.state.results.keep(key, file, {"sha256": "0" * 64, "price_usd": "0.02"})
    (check,) = desk.complete(desk.failed(call, "lost-answer"))
    assert isinstance(check, CheckAnswer)
    assert check.result == key
    (again,) = desk.complete(ResultsUpdated(check, (desk.store(key),)))
    assert kinds([again]) == ["Publish"]
    assert desk.money == (0, 0, 2)


# Rule 6


def test_once_money_is_refused_no_further_call_is_given(open_desk: OpenDesk) -> None:
    desk = open_desk(calls=1)
    (call,) = desk.buying(desk.item("a.png"), desk.item("bb.png"), desk.item("ccc.png"))
    assert desk.complete(desk.failed(call, "no-money-account")) == []
    assert desk.ended == {"pending": 3}
    assert desk.tasks() == []
    assert desk.money == (0, 0, 0)


def test_calls_in_flight_at_a_402_are_kept_and_nothing_follows_them(open_desk: OpenDesk) -> None:
    desk = open_desk("upscale", EDIT)
    first, second = desk.buying(desk.item("a.png"), desk.item("bb.png"))
    assert desk.complete(desk.failed(first, "no-money-account"), desk.bought(second)) == []
    assert desk.ended == {"pending": 2}
    assert desk.money == (0, 2, 0)


def test_the_first_cause_is_kept(open_desk: OpenDesk) -> None:
    desk = open_desk()
    calls = desk.buying(*(desk.item("x" * number) for number in (1, 2, 3)))
    desk.complete(desk.failed(calls[0], "no-money-account"))
    desk.complete(desk.failed(calls[1], "key-refused"), RunFailed(calls[2], DISK))
    assert type(desk.scheduler.cause) is MoneyError
    desk.scheduler.stop(DISK)
    assert type(desk.scheduler.cause) is MoneyError


def test_the_status_that_closed_the_gate_is_the_cause_whichever_outcome_comes_first(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    desk.context.gate.status_read(Attempt(), 402)
    desk.complete(desk.failed(call, "key-refused"))
    assert isinstance(desk.scheduler.cause, MoneyError)


def test_a_stop_wakes_whoever_waits_for_the_api(open_desk: OpenDesk) -> None:
    desk = open_desk()
    desk.scheduler.stop(DISK)
    with pytest.raises(Cancelled):
        desk.context.cancel.check()


def test_items_that_fail_more_often_than_the_job_allows_stop_the_run(open_desk: OpenDesk) -> None:
    desk = open_desk(max_failure_rate="20%")
    calls = desk.buying(*(desk.item(f"{number}.png", digest=f"{number:064}") for number in range(50)))
    publishing = desk.complete(*(desk.bought(call) for call in calls[:39]))
    desk.complete(*map(desk.published, publishing))
    desk.complete(*(desk.failed(call, "refused-input", f"{call.item}", status=400) for call in calls[39:49]))
    before = desk.scheduler.cause
    assert before is None
    desk.complete(desk.failed(calls[49], "refused-input", status=400))
    assert isinstance(desk.scheduler.cause, Unavailable)
    assert "11 of 50" in desk.scheduler.cause.message


def test_a_signal_takes_the_place_of_the_cause(open_desk: OpenDesk) -> None:
    desk = open_desk()
    desk.scheduler.stop(DISK)
    stop = interrupted(15)
    desk.scheduler.interrupt(stop)
    assert desk.scheduler.cause is stop


def test_a_model_that_was_not_priced_stops_the_run_and_its_answer_is_used(open_desk: OpenDesk) -> None:
    desk = open_desk(EDIT)
    (call,) = desk.buying()
    assert kinds(desk.complete(desk.bought(call, model_served="dearer"))) == ["Publish"]
    assert isinstance(desk.scheduler.cause, ModelSwitched)


def test_five_inputs_refused_alike_stop_the_run(open_desk: OpenDesk) -> None:
    desk = open_desk()
    calls = desk.buying(*(desk.item("x" * number) for number in range(1, 8)))
    for call in calls[:4]:
        desk.complete(desk.failed(call, "refused-input", "no", status=400))
    assert desk.scheduler.cause is None
    desk.complete(desk.failed(calls[4], "refused-input", "no", status=400))
    assert isinstance(desk.scheduler.cause, CatalogueError)


@pytest.mark.parametrize("code", ["input-unreadable", "input-changed"])
def test_what_this_machine_could_not_do_is_no_word_of_the_api(open_desk: OpenDesk, code: str) -> None:
    desk = open_desk(max_failure_rate="10%")
    calls = desk.buying(*(desk.item(f"{number}.png", digest=f"{number:064}") for number in range(55)))
    for call in calls:
        desk.complete(desk.failed(call, code, "Too many open files"))
    assert desk.scheduler.cause is None
    assert desk.ended == {"failed": 55}
    desk.recorder.commit()
    assert not any(event.lasting for event in desk.state.log if isinstance(event, ItemMoved))


def test_three_calls_given_up_in_a_row_stop_the_run(open_desk: OpenDesk) -> None:
    desk = open_desk()
    calls = desk.buying(*(desk.item("x" * number) for number in (1, 2, 3)))
    for call in calls:
        assert desk.scheduler.cause is None
        desk.complete(desk.failed(call, "server-error"))
    assert isinstance(desk.scheduler.cause, Unavailable)


def test_what_is_left_to_pay_for_is_what_the_unfinished_items_still_need(open_desk: OpenDesk) -> None:
    desk = open_desk("upscale", EDIT, calls=1)
    (call,) = desk.buying(desk.item("a.png"), desk.item("bb.png"))
    (edit,) = [task for task in desk.complete(desk.bought(call)) if isinstance(task, Buy)]
    desk.complete(desk.failed(edit, "no-money-account"))
    assert desk.recorder.left == Decimal("0.04") + Decimal("0.06"), "one edit, and one whole chain"


def test_what_is_interrupted_a_second_time_leaves_its_calls_uncertain(open_desk: OpenDesk) -> None:
    desk = open_desk(calls=1)
    desk.buying(desk.item("a.png"), desk.item("bb.png"))
    desk.scheduler.interrupt(interrupted(2))
    desk.scheduler.abandon()
    assert desk.told() == [
        "bb.png pending stopped",
        "released: the run stopped",
        "uncertain: left when the run was interrupted",
        *LEFT,
    ]
    assert desk.money == (0, 0, 2)


# Single flight


def test_items_with_the_same_bytes_share_one_call(open_desk: OpenDesk) -> None:
    desk = open_desk()
    twins = [desk.item(name, digit="7") for name in ("a.png", "b.png", "c.png")]
    (call,) = desk.buying(*twins)
    assert desk.money == (2, 0, 0), "nothing is reserved for those that are parked"
    assert kinds(desk.complete(desk.bought(call))) == ["Publish"] * 3
    assert desk.money == (0, 2, 0)


@pytest.mark.parametrize("code", ["refused-input", "server-error"])
def test_where_the_leader_fails_the_next_one_leads(open_desk: OpenDesk, code: str) -> None:
    desk = open_desk()
    (call,) = desk.buying(*(desk.item(name, digit="7") for name in ("a.png", "b.png")))
    (read,) = desk.complete(desk.failed(call, code))
    (second,) = desk.complete(desk.read(read))
    assert isinstance(second, Buy)
    assert (second.item, second.input.key) == (call.item + 1, "b.png")
    assert desk.ended == {"failed": 1}


def test_where_the_run_stops_parked_items_are_left_too(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying(*(desk.item(name, digit="7") for name in ("a.png", "b.png", "c.png")))
    assert desk.complete(desk.failed(call, "no-money-account")) == []
    assert desk.ended == {"pending": 3}
    assert desk.scheduler.in_flight == 0


# Money


def test_who_cannot_be_afforded_waits_for_money_that_others_release(open_desk: OpenDesk) -> None:
    desk = open_desk(cents=3)
    (call,) = desk.buying(desk.item("a.png"), desk.item("bb.png"))
    assert desk.scheduler.has_unaffordable
    assert desk.observer.notes == ["not enough money for all items; processing as many as it covers"]
    (second,) = desk.complete(desk.failed(call, "refused-input", status=400))
    assert isinstance(second, Buy)
    assert second.input.key == "bb.png"
    assert not desk.scheduler.has_unaffordable


def test_who_cannot_be_afforded_ends_waiting_and_names_the_limit(open_desk: OpenDesk) -> None:
    desk = open_desk(cents=3)
    (call,) = desk.buying(desk.item("a.png"), desk.item("bb.png"))
    (publish,) = desk.complete(desk.bought(call))
    desk.complete(desk.published(publish))
    desk.told()
    before = desk.scheduler.budget_stop
    assert before is None
    desk.scheduler.end_unaffordable()
    assert desk.told() == ["bb.png waiting money"]
    assert isinstance(desk.scheduler.budget_stop, BudgetReached)
    assert "max_usd" in desk.scheduler.budget_stop.message
    assert desk.recorder.left == CALL
    # From here on items that cost anything end at once, and free ones go on.
    assert desk.start(desk.item("ccc.png")) == []
    assert desk.told() == ["ccc.png waiting money"]
    assert desk.recorder.left == 2 * CALL
    assert kinds(desk.start(desk.item("dddd.png", high=CALL * 0))) == ["ReadInput"]
    assert desk.scheduler.cause is None


def test_a_chain_is_reserved_whole_or_not_at_all(open_desk: OpenDesk) -> None:
    desk = open_desk("upscale", EDIT, cents=5)
    (read,) = desk.start(desk.item())
    assert desk.complete(desk.read(read)) == []
    assert desk.money == (0, 0, 0)
    assert desk.scheduler.has_unaffordable


# Retries


@pytest.mark.parametrize(("size", "cents"), [((4096, 3072), 2), ((300, 260), 8)])
def test_a_call_is_reserved_and_booked_at_the_price_of_the_picture_that_it_gets(
    open_desk: OpenDesk, size: tuple[int, int], cents: int
) -> None:
    desk = open_desk({"edit": {"prompt": "p"}}, {"upscale": {"scale": 4}}, cents=12)
    (edit,) = desk.buying()
    assert desk.money == (12, 0, 0)
    stored = desk.store(edit.purchase.result, facts=replace(FACTS, width=size[0], height=size[1]))
    (upscale,) = desk.complete(Bought(edit, replace(ANSWER, paths=(), model_served=None), "", (stored,)))
    assert isinstance(upscale, Buy)
    assert (desk.money, upscale.price) == ((cents, 4, 0), Decimal(cents) / 100)
    assert ("released: its price is known by now" in desk.told()) is (cents == 2)
    desk.complete(desk.bought(upscale))
    assert desk.money == (0, 4 + cents, 0)


def test_a_deprecation_that_a_response_tells_is_a_warning_of_the_run_once(open_desk: OpenDesk) -> None:
    desk = open_desk()
    for name in ("a.png", "bb.png"):
        (call,) = desk.buying(desk.item(name))
        desk.complete(desk.bought(call, deprecation="upscaler goes; use another"))
    assert [str(warning.text) for warning in desk.recorder.warnings] == ["step 'upscale': upscaler goes; use another"]
    assert desk.observer.notes == ["deprecated-model: step 'upscale': upscaler goes; use another"]


def test_a_lost_answer_is_bought_once_more_and_then_left_to_the_next_start(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    (again,) = desk.complete(desk.failed(call, "lost-answer"))
    assert desk.complete(desk.failed(again, "timeout-after-sending")) == []
    assert desk.ended == {"uncertain": 1}
    assert desk.money == (0, 0, 4)


def test_an_answer_that_an_earlier_start_lost_is_bought_once(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    desk.scheduler.abandon()
    desk.recorder.commit()
    assert desk.state.uncertain_results() == {call.purchase.result}
    desk = open_desk(after=desk)
    (again,) = desk.buying()
    assert desk.complete(desk.failed(again, "lost-answer")) == []
    assert desk.ended == {"uncertain": 1}


def test_with_hold_a_lost_answer_is_never_bought_again(open_desk: OpenDesk) -> None:
    desk = open_desk(uncertain="hold")
    (call,) = desk.buying()
    assert desk.complete(desk.failed(call, "lost-answer")) == []
    assert desk.ended == {"uncertain": 1}


def test_a_second_answer_that_is_not_a_picture_fails_the_item_and_its_twins(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying(*(desk.item(name, digit="7") for name in ("a.png", "b.png")))
    (again,) = desk.complete(desk.bought(call, reason="it is text"))
    assert desk.complete(desk.bought(again, reason="it is text")) == []
    assert desk.ended == {"failed": 2}
    assert desk.money == (0, 4, 0)


def test_a_bad_answer_of_an_earlier_start_was_the_first_of_two(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    desk.store(call.purchase.result)
    found = desk.state.results.find(call.purchase.result)
    assert found is not None
    desk.scheduler.abandon()
    desk.recorder.record(desk.state.results.set_aside(found))
    desk.recorder.commit()
    desk = open_desk(after=desk)
    (again,) = desk.buying()
    assert desk.complete(desk.bought(again, reason="it is text")) == []
    assert desk.ended == {"failed": 1}


def test_a_picture_that_the_api_cannot_read_at_its_address_is_sent_as_the_same_purchase(open_desk: OpenDesk) -> None:
    desk = open_desk(EDIT)
    address = "https://shop.example/a.png"
    chain = replace(desk.pipeline.chain, steps=desk.pipeline.chain.paid)
    item = replace(desk.item(), input_key=InputKey("url", address), candidate=Candidate("a.png", "v", url=address))
    (call,) = desk.start(replace(item, chain=chain))
    assert isinstance(call, Buy)
    (read,) = desk.complete(desk.failed(call, "url-unreachable"))
    (again,) = desk.complete(desk.read(read))
    assert isinstance(again, Buy)
    assert again.purchase == call.purchase
    assert again.input == replace(call.input, sha256=desk.hashes["a.png"])
    assert desk.complete(desk.failed(again, "url-unreachable")) == []
    assert desk.ended == {"failed": 1}


# Flagged results


@pytest.mark.parametrize(
    ("rule", "tasks", "events"),
    [
        ("hold", [], ["a.png flagged blurred"]),
        ("fail", [], ["a.png failed blurred"]),
        ("publish", ["Publish"], ["OutputPlanned"]),
        ("retry", ["SetAside"], ["a.png running", "reserved upscale"]),
    ],
)
def test_a_flagged_result_goes_by_the_jobs_rule(
    open_desk: OpenDesk, rule: str, tasks: list[str], events: list[str]
) -> None:
    desk = open_desk(on_flagged=rule)
    (call,) = desk.buying()
    assert kinds(desk.complete(desk.bought(call, "blurred"))) == tasks
    assert desk.told()[2:] == events


def test_the_item_names_the_result_that_is_held_back(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    desk.complete(desk.bought(call, "blurred"))
    (row,) = desk.state.items("work")
    assert (row.state, row.lasting, row.result) == ("flagged", True, call.purchase.result)


def test_with_publish_the_item_is_done_with_its_flags_and_counted(open_desk: OpenDesk) -> None:
    desk = open_desk(on_flagged="publish")
    (call,) = desk.buying()
    (publish,) = desk.complete(desk.bought(call, "blurred"))
    desk.complete(desk.published(publish))
    (row,) = desk.state.items("work")
    assert (row.state, row.code) == ("done", "blurred")
    assert desk.scheduler.published_flagged == 1


def test_what_a_person_released_goes_on_and_is_not_counted(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (call,) = desk.buying()
    desk.state.commit([Released(call.purchase.result, "0" * 64, 1.0)])
    (publish,) = desk.complete(desk.bought(call, "blurred"))
    desk.complete(desk.published(publish))
    assert desk.ended == {"done": 1}
    assert desk.scheduler.published_flagged == 0


def test_with_retry_the_second_flagged_result_is_held(open_desk: OpenDesk) -> None:
    desk = open_desk(on_flagged="retry")
    (call,) = desk.buying()
    (aside,) = desk.complete(desk.bought(call, "blurred"))
    assert isinstance(aside, SetAside)
    (again,) = desk.complete(ResultsUpdated(aside, desk.set_aside(aside)))
    assert isinstance(again, Buy)
    assert desk.complete(desk.bought(again, "blurred")) == []
    assert desk.ended == {"flagged": 1}
    assert desk.money == (0, 4, 0)


def test_a_retry_that_gives_no_picture_is_the_last(open_desk: OpenDesk) -> None:
    desk = open_desk(on_flagged="retry")
    (call,) = desk.buying()
    (aside,) = desk.complete(desk.bought(call, "blurred"))
    assert isinstance(aside, SetAside)
    (again,) = desk.complete(ResultsUpdated(aside, desk.set_aside(aside)))
    assert desk.complete(desk.bought(again, reason="it is text")) == []
    assert desk.ended == {"failed": 1}


def test_a_retry_sets_aside_only_the_variants_that_are_flagged(open_desk: OpenDesk) -> None:
    desk = open_desk(on_flagged="retry")
    chain = Chain(HOST, (paid("generate", {"model": "z-image-turbo", "prompt": "p", "variants": 3}),))
    row = Candidate("cat", "v", columns={"prompt": "p"})
    (call,) = desk.start(replace(desk.item(), candidate=row, chain=chain, input_key=InputKey("row", "cat"), variant=2))
    assert isinstance(call, Buy)
    first, second, third = call.purchase.results
    stored = desk.store(first), desk.store(second, "blurred"), desk.store(third, "blank")
    desk.state.commit([Released(third, "0" * 64, 1.0)])
    (aside,) = desk.complete(Bought(call, replace(ANSWER, paths=()), "", stored))
    assert isinstance(aside, SetAside)
    assert aside.results == (second,)


def test_where_a_retry_cannot_be_afforded_the_result_is_held(open_desk: OpenDesk) -> None:
    desk = open_desk(on_flagged="retry", cents=3)
    (call,) = desk.buying()
    assert desk.complete(desk.bought(call, "blurred")) == []
    assert desk.ended == {"flagged": 1}


def test_an_input_that_turns_out_to_be_another_is_keyed_by_what_was_read(open_desk: OpenDesk) -> None:
    desk = open_desk()
    (read,) = desk.start(desk.item())
    outcome = desk.read(read)
    (call,) = desk.complete(InputRead(outcome.task, "9" * 64, outcome.facts))
    assert isinstance(call, Buy)
    (picture,) = call.purchase.inputs
    assert isinstance(picture, Stage)
    assert picture.input_key.value == "9" * 64
    assert call.input.sha256 == "9" * 64
