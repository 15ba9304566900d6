"""When a run is going wrong as a whole."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import JsonValue

from venice_batch.errors import CatalogueError, ModelSwitched, Unavailable
from venice_batch.run.stop_rules import StopRules, served_another, stopped_by
from venice_batch.steps.chain import Purchase, Stage
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.paid import Edit, Generate, MultiEdit, Upscale
from venice_batch.venice import CallFailed

DOWN = Unavailable("the API cannot be reached")
FIELDS = {"prompt": "on marble", "model": "m", "resolution": "2K"}
STEPS = {
    "edit": Edit("edit", "edit", FIELDS),
    "upscale": Upscale("upscale", "upscale", {"scale": 4}),
    "multi-edit": MultiEdit("multi-edit", "multi-edit", {"prompt": "on {surface}", "modelId": "m"}),
    "generate": Generate("generate", "generate", {"model": "m"}),
}
_numbers = itertools.count()


def rules(rate: float = 0.5) -> StopRules:
    return StopRules(rate, STEPS.values())


def buying(step: str, *, picture: str = "", **sent: JsonValue) -> Purchase:
    """One call of a step: for a picture of its own unless one is named, with the fields of its item."""
    input_key = InputKey("source", picture or f"picture {next(_numbers)}")
    own = replace(STEPS[step], sent={**STEPS[step].sent, **sent})
    key = own.key("host", [input_key])
    return Purchase(own, key, key, (key,), (Stage(input_key, Known()),) if own.images else ())


def said(text: str, code: str = "refused-input", *fields: str) -> CallFailed:
    return CallFailed(code, text, status=400, fields=frozenset(fields))


def test_five_first_inputs_refused_with_the_same_words_stop_the_run() -> None:
    watched = rules()
    assert [watched.refused(buying("edit"), said("bad prompt")) for _ in range(4)] == [None] * 4
    stop = watched.refused(buying("edit"), said("bad prompt"))
    assert isinstance(stop, CatalogueError)
    assert "bad prompt" in stop.message
    assert stop.remedy
    named = stopped_by(stop, STEPS["edit"], "a.jpg")
    assert isinstance(named, CatalogueError)
    assert named.message.startswith("step 'edit'")
    assert "a.jpg" in named.message


def test_one_answer_or_other_words_among_the_first_five_let_it_go_on() -> None:
    answered, other, silent = rules(), rules(), rules()
    answered.answered(buying("edit"))
    other.refused(buying("edit"), said("something else"))
    for _ in range(10):
        assert answered.refused(buying("edit"), said("bad prompt")) is None
        assert other.refused(buying("edit"), said("bad prompt")) is None
        assert silent.refused(buying("edit"), said("")) is None


def test_one_picture_that_many_items_have_is_one_input() -> None:
    watched = rules()
    for number in range(10):
        assert watched.refused(buying("multi-edit", picture="twin", prompt=f"on {number}"), said("no")) is None


def test_steps_are_judged_apart() -> None:
    watched = rules()
    for _ in range(4):
        watched.refused(buying("edit"), said("no"))
        watched.refused(buying("upscale"), said("no"))
    assert watched.refused(buying("multi-edit"), said("no")) is None
    assert watched.refused(buying("edit"), said("no")) is not None


def test_only_the_first_five_count() -> None:
    watched = rules()
    for _ in range(5):
        watched.answered(buying("edit"))
    assert all(watched.refused(buying("edit"), said("no")) is None for _ in range(20))


@pytest.mark.parametrize(
    ("purchase", "failure", "stops"),
    [
        (buying("edit"), said("?", "bad-parameter", "resolution"), True),
        (buying("edit"), said("?", "bad-parameter", "prompt"), True),
        (buying("edit"), said("?", "bad-parameter", "output_format"), False),  # which the step does not send
        (buying("edit", prompt="a row's own"), said("?", "bad-parameter", "prompt"), False),
        (buying("edit", prompt="a row's own"), said("?", "bad-parameter", "prompt", "resolution"), True),
        (buying("multi-edit", prompt="on oak"), said("?", "bad-parameter", "prompt"), False),
        (buying("generate", width=1001), said("?", "bad-parameter", "width"), False),
        (buying("generate"), said("?", "bad-model"), True),
        (buying("generate", model="a row's own"), said("?", "bad-model"), False),
        (buying("upscale"), said("?", "bad-model"), True),  # no model is sent, which is the same for all
        (buying("edit"), said("?"), False),
    ],
)
def test_what_every_item_must_meet_stops_the_run_and_nothing_else(
    purchase: Purchase, failure: CallFailed, *, stops: bool
) -> None:
    stop = rules().refused(purchase, failure)
    assert isinstance(stop, CatalogueError) if stops else stop is None


def test_a_field_that_rows_may_set_is_not_the_jobs_even_where_a_row_leaves_it_to_the_job() -> None:
    assert rules().refused(buying("generate"), said("?", "bad-model"), {"prompt": "x", "model": ""}) is None


PORTAL = "text/html"


def test_three_calls_in_a_row_with_the_same_answer_that_is_no_picture_stop_the_run() -> None:
    watched = rules()
    assert [watched.answered(buying("edit"), PORTAL) for _ in range(2)] == [None] * 2
    stop = watched.answered(buying("upscale"), PORTAL)
    assert isinstance(stop, Unavailable)
    assert PORTAL in stop.message
    assert "sign in" in stop.remedy


@pytest.mark.parametrize("between", ["", "application/json 123"])
def test_a_picture_or_another_answer_in_between_is_no_portal(between: str) -> None:
    watched = rules()
    for _ in range(5):
        assert [watched.answered(buying("edit"), PORTAL) for _ in range(2)] == [None] * 2
        assert watched.answered(buying("edit"), between) is None


def test_one_call_that_is_repeated_is_no_portal() -> None:
    watched, purchase = rules(), buying("edit")
    assert [watched.answered(purchase, PORTAL) for _ in range(5)] == [None] * 5


@pytest.mark.parametrize(("served", "stops"), [("0.04", False), ("0.03", False), ("0.05", True), (None, True)])
def test_another_model_stops_the_run_where_it_is_dearer_or_unknown(served: str | None, *, stops: bool) -> None:
    price = None if served is None else Decimal(served)
    stop = served_another(Decimal("0.04"), "alias", "real", price)
    assert isinstance(stop, ModelSwitched) if stops else stop is None


def test_three_calls_given_up_in_a_row_stop_the_run_with_their_own_words() -> None:
    watched = rules()
    assert watched.gave_up(DOWN) is None
    assert watched.gave_up(DOWN) is None
    assert watched.gave_up(DOWN) is DOWN


@pytest.mark.parametrize("sign_of_life", ["answered", "refused"])
def test_a_sign_of_life_in_between_starts_the_count_anew(sign_of_life: str) -> None:
    watched = rules()
    watched.gave_up(DOWN)
    watched.gave_up(DOWN)
    if sign_of_life == "answered":
        watched.answered(buying("edit"))
    else:
        watched.refused(buying("edit"), said("no"))
    assert watched.gave_up(DOWN) is None
    assert watched.gave_up(DOWN) is None
    assert watched.gave_up(DOWN) is not None


def ended(watched: StopRules, done: int, failed: int) -> list[bool]:
    found = [watched.item_ended(failed=False) for _ in range(done)]
    found += [watched.item_ended(failed=True) for _ in range(failed)]
    return [stop is not None for stop in found]


def test_the_failure_rate_is_judged_from_fifty_outcomes_on() -> None:
    assert not any(ended(rules(), 0, 49))
    assert ended(rules(), 0, 50)[-1]


def test_a_rate_that_is_reached_is_allowed_and_one_above_is_not() -> None:
    assert not any(ended(rules(0.5), 25, 25))
    assert ended(rules(0.5), 25, 26)[-1]
    assert ended(rules(0.0), 49, 1)[-1]
    assert not any(ended(rules(1.0), 0, 200))


def test_the_message_says_how_many_and_what_the_job_allows() -> None:
    watched = rules(0.1)
    stops = [watched.item_ended(failed=number % 2 == 0) for number in range(50)]
    (stop,) = [stop for stop in stops if stop is not None]
    assert isinstance(stop, Unavailable)
    assert "25 of 50 items failed" in stop.message
    assert "(10%)" in stop.message
