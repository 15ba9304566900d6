"""What a run says: lines for people, one object a line for log collectors, and data alone on stdout."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from venice_batch.cli.output import RunOutput
from venice_batch.errors import Exit, MoneyError
from venice_batch.plan.model import Coverage, Plan, PlanWarning, Range, Remainder, StepCost
from venice_batch.report.run_result import RunResult
from venice_batch.run.observer import Summary

COST = Range(Decimal("0.09"), Decimal("0.12"))
PLAN = Plan(
    items=(),
    done=2,
    vanished=(),
    dropped=(),
    steps=(StepCost("cut", "background-remove", "bria", 3, 4, COST),),
    balances={"usd": Decimal(50)},
    coverage=Coverage(covered=True),
    eta_seconds=4.0,
    warnings=(PlanWarning("odd", "look \x1b[31mtwice"),),
    remainder=Remainder(7, Range(Decimal("0.21"), Decimal("0.21"))),
)
SUMMARY = Summary({"done": 3}, 2, {}, 90_000, 0)
BROKE = MoneyError("no money\nat all", remedy="add credits")


def spoken(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    found = capsys.readouterr()
    return found.out, found.err


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_people_read_plan_result_and_rest_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    output = RunOutput("text", as_json=False)
    output.planned("job", PLAN, 0)
    output.result(SUMMARY, PLAN)
    output.report("/state/report/index.html")
    out, err = spoken(capsys)
    assert err == ""
    assert out.splitlines()[-4:] == [
        "result: 5 done",
        "spent: 0.09 USD",
        "left for later: 7 items, 0.21 USD; `run` without --sample goes on",
        "report: /state/report/index.html",
    ]
    assert "look \\x1b[31mtwice" in out


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_with_json_stdout_holds_one_document_and_nothing_else(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    output = RunOutput(log_format, as_json=True)
    output.planned("job", PLAN, 2)
    output.result(SUMMARY, PLAN)
    output.report("/state/report/index.html")
    output.ended(RunResult("job", Exit.DONE, 0.0, 1.0))
    out, err = spoken(capsys)
    assert json.loads(out)["plan"]["rest"] == {"items": 7, "cost": {"low": "0.21", "high": "0.21"}}
    assert (out.count("\n") == 1) == (log_format == "json"), "a log is read line by line"
    assert "2 calls of a killed run are uncertain" in err
    assert "report: /state/report/index.html" in err


def test_people_read_every_line_of_an_error_and_each_remedy_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output = RunOutput("text", as_json=False)
    output.error(BROKE, "wait: refilled at noon", "")
    output.warning("notify", "webhook: nobody there")
    output.warning("report", "cannot be written: no room")
    out, err = spoken(capsys)
    assert out == ""
    assert err.splitlines() == [
        "error: no money",
        "error: at all",
        "  try: add credits",
        "  try: wait: refilled at noon",
        "warning: not delivered: webhook: nobody there",
        "warning: report: cannot be written: no room",
    ]


def test_a_log_has_one_object_a_line_whatever_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    output = RunOutput("json", as_json=False)
    output.planned("job", PLAN, 1)
    output.watcher(3).note("one\ntwo")
    output.waiting(60.0)
    output.result(SUMMARY, PLAN)
    output.error(BROKE, "wait: refilled at noon")
    output.crash(ValueError("a\nb"))
    output.warning("report", "cannot be written")
    output.ended(RunResult("job", Exit.MONEY, 0.0, 1.0))
    out, err = spoken(capsys)
    assert out == ""
    told = lines(err)
    assert [line["event"] for line in told] == [
        "note",
        "plan",
        "plan",
        "note",
        "wait",
        "error",
        "note",
        "error",
        "report",
        "end",
    ]
    assert (told[1]["high_usd"], told[1]["later"], told[1]["later_usd"]) == ("0.12", 7, "0.21")
    assert told[2]["code"] == "odd"
    assert told[5]["remedy"] == "add credits"
    assert "ValueError" in told[7]["traceback"]


def test_a_crash_shows_people_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    RunOutput("text", as_json=False).crash(ValueError("odd"))
    assert spoken(capsys)[1].endswith("ValueError: odd\n")
