"""The message about a run: which event it is, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from venice_batch.errors import Exit
from venice_batch.report.run_result import RunResult, result_text

EVENTS: Mapping[Exit, str | None] = MappingProxyType(
    {
        Exit.DONE: "success",
        Exit.BUG: "failure",
        Exit.USAGE: "failure",
        Exit.ITEMS_FAILED: "failure",
        Exit.KEY: "failure",
        Exit.MONEY: "money",
        Exit.UNAVAILABLE: "failure",
        Exit.LOCKED: "failure",
        Exit.INTERRUPTED: None,
        Exit.TERMINATED: "failure",
    }
)


def outcome(code: Exit = Exit.DONE, **more: object) -> RunResult:
    return RunResult("nightly", code, 1000.0, 1090.0, **more)  # type: ignore[arg-type]  # fields are given by name


@pytest.mark.parametrize("code", list(Exit))
def test_every_exit_code_is_one_event_or_deliberately_none(code: Exit) -> None:
    assert outcome(code).event == EVENTS[code]


def test_a_message_says_what_came_of_the_run() -> None:
    told = outcome(
        Exit.MONEY,
        items={"done": 95, "waiting": 3},
        spent=12_400_000,
        uncertain=100_000,
        left=1_000_000,
        cause="the balance does not reach",
        remedy="add credits",
        machine="web-1",
    )
    assert result_text(told).splitlines() == [
        "venice-batch nightly: stopped: money (exit code 5)",
        "items: 95 done, 3 waiting",
        "money: 12.40 USD spent, 0.10 uncertain, up to 1.00 remaining",
        "cause: the balance does not reach",
        "try: add credits",
        "took 2 min on web-1",
    ]


@pytest.mark.parametrize("code", list(Exit))
def test_every_exit_code_has_words_of_its_own(code: Exit) -> None:
    headlines = {result_text(outcome(other)).splitlines()[0].split(" (")[0] for other in Exit}
    assert len(headlines) == len(Exit)
    assert f"(exit code {int(code)})" in result_text(outcome(code))


def test_a_trial_and_a_wait_are_called_what_they_are() -> None:
    text = result_text(outcome(Exit.MONEY, waiting=True), trial=True)
    assert text.startswith("trial on the emulator: venice-batch nightly: waits for the balance\n")


def test_a_hostile_cause_cannot_control_a_terminal_nor_flood_a_chat() -> None:
    text = result_text(outcome(Exit.UNAVAILABLE, cause="\x1b[31m\u202ered\r" + "x" * 10_000 + "\n" * 50))
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 400
    assert len(text.splitlines()) < 10


def test_a_clock_that_went_backwards_gives_no_negative_time() -> None:
    assert "took 0 s" in result_text(RunResult("nightly", 0, 1000.0, 900.0))
