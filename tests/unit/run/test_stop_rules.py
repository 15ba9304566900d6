"""When a run is going wrong as a whole."""

from __future__ import annotations

import pytest

from venice_batch.errors import CatalogueError, Unavailable
from venice_batch.run.stop_rules import StopRules

DOWN = Unavailable("the API cannot be reached")


def rules(rate: float = 0.5) -> StopRules:
    return StopRules(rate)


def test_five_first_inputs_refused_with_the_same_words_stop_the_run() -> None:
    watched = rules()
    assert [watched.refused("edit", "bad prompt") for _ in range(4)] == [None] * 4
    stop = watched.refused("edit", "bad prompt")
    assert isinstance(stop, CatalogueError)
    assert "'edit'" in stop.message
    assert "bad prompt" in stop.message
    assert stop.remedy


def test_one_answer_or_other_words_among_the_first_five_let_it_go_on() -> None:
    answered, other, silent = rules(), rules(), rules()
    answered.answered("edit")
    other.refused("edit", "something else")
    for _ in range(10):
        assert answered.refused("edit", "bad prompt") is None
        assert other.refused("edit", "bad prompt") is None
        assert silent.refused("edit", "") is None


def test_steps_are_judged_apart() -> None:
    watched = rules()
    for _ in range(4):
        watched.refused("edit", "no")
        watched.refused("upscale", "no")
    assert watched.refused("multi-edit", "no") is None
    assert watched.refused("edit", "no") is not None


def test_only_the_first_five_count() -> None:
    watched = rules()
    for _ in range(5):
        watched.answered("edit")
    assert all(watched.refused("edit", "no") is None for _ in range(20))


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
        watched.answered("edit")
    else:
        watched.refused("edit", "no")
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
