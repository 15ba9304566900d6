"""Money: nothing is begun that is not covered, no budget is exceeded, and the first 402 ends it (rules 6 and 7)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import CUT, ENLARGE, OpenVendor, Work
from venice_batch.emulator import Key

#: What one item costs: a cut-out and an enlargement.
EACH = Decimal("0.05")


@pytest.fixture
def four(work: Work) -> Work:
    """Four items at 0.05 USD each."""
    work.draw("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    work.write(CUT, ENLARGE)
    return work


def test_an_empty_wallet_ends_with_5_before_any_paid_call_and_says_what_is_missing(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    work = Work(tmp_path / "work", open_vendor(usd=Decimal(0)))
    work.draw("a.jpg")
    work.write(CUT, ENLARGE)
    for command in ("plan", "run"):
        ended = work.venice(command, work.job)
        assert ended.code == 5
        assert "0.05 USD are missing" in ended.err
        assert "--partial" in ended.err
    assert work.vendor.paid() == []


def test_partial_does_what_the_balance_reaches_for_and_the_rest_when_there_is_more(four: Work) -> None:
    four.vendor.balance(usd="0.12")
    first = four.run("--partial")
    assert first.code == 5, first.text
    assert len(four.outputs()) == 2
    assert four.vendor.billed() == 2 * EACH
    assert sorted(four.states().values()) == ["done", "done", "waiting", "waiting"]
    four.vendor.balance(usd="1.00")
    second = four.run("--partial")
    assert second.code == 0, second.text
    assert len(four.outputs()) == 4
    assert four.vendor.billed() == 4 * EACH


def test_partial_with_nothing_on_the_account_buys_nothing(four: Work) -> None:
    four.vendor.balance(usd="0.00")
    assert four.run("--partial").code == 5
    assert four.vendor.paid() == []


@pytest.mark.parametrize("way", ["option", "job", "day"])
def test_a_budget_refuses_the_plan_and_with_partial_is_never_exceeded(four: Work, way: str) -> None:
    name = {"job": "max_usd", "day": "max_usd_per_day"}.get(way)
    options = ["--budget", "0.10"] if name is None else []
    if name is not None:
        four.write(CUT, ENLARGE, budget={name: "0.10"})
    refused = four.run(*options)
    assert refused.code == 5
    assert f"budget.{name or 'max_usd'} is 0.10 USD" in refused.err
    assert "0.10 USD are missing" in refused.err
    assert four.vendor.paid() == []
    partial = four.run("--partial", *options)
    assert partial.code == 5, partial.text
    assert four.vendor.billed() == Decimal("0.10")
    assert len(four.outputs()) == 2


def test_a_budget_of_a_month_counts_earlier_runs(four: Work) -> None:
    four.write(CUT, ENLARGE, budget={"max_usd_per_month": "0.12"})
    assert four.run("--limit", "2").code == 0
    refused = four.run()
    assert refused.code == 5
    assert "0.10 of it already counted" in refused.err
    assert four.vendor.billed() == Decimal("0.10")


def test_a_budget_of_a_run_begins_anew_with_the_next_run(four: Work) -> None:
    assert four.run("--budget", "0.10", "--limit", "2").code == 0
    assert four.run("--budget", "0.10").code == 0
    assert len(four.outputs()) == 4


@pytest.mark.parametrize("amount", ["much", "0", "NaN"])
def test_a_budget_that_is_no_amount_is_refused(four: Work, amount: str) -> None:
    ended = four.run(f"--budget={amount}")
    assert ended.code == 2
    assert "--budget" in ended.err


def _no_money_after(work: Work, run: Any) -> None:
    """The first cause is shown, and no paid request began once its answer could have been read."""
    assert run.code == 5, run.text
    assert "balance does not cover the call (402)" in run.err
    assert "Too many failed attempts" not in run.err
    calls = work.vendor.paid()
    refused = [call for call in calls if call["status"] == 402]
    assert refused
    read = min(call["time_answered"] for call in refused) + 0.1
    assert [call for call in calls if call["time_begun"] > read] == []


def test_when_the_balance_runs_out_under_way_no_further_call_begins_and_the_first_cause_is_shown(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    # So small an error budget that a second 402 would already hide behind 429s.
    work = Work(tmp_path / "work", open_vendor(latency=0.2, error_budget=1))
    work.draw(*(f"{number}.jpg" for number in range(30)))
    work.write(CUT, ENLARGE)
    process = work.start("--workers", "4")
    work.vendor.until(lambda: len(work.vendor.bought()) >= 3)
    work.vendor.balance(usd="0.01")
    out, err = process.communicate(timeout=30)
    run = type("Run", (), {"code": process.returncode, "err": err, "text": out + err})
    _no_money_after(work, run)
    kept = len(work.results())
    assert kept == len(work.vendor.bought()), "what was in flight landed and is kept"
    work.vendor.reset()
    assert work.run().code == 0
    assert len(work.vendor.bought()) == 60 - kept


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(402, 5, "402"), (401, 4, "refused the key (401)"), (403, 4, "(403)")],
)
def test_the_first_refusal_of_key_or_money_stops_the_run_and_nothing_else_is_sent(
    work: Work, status: int, code: int, words: str
) -> None:
    work.draw(*(f"{number}.jpg" for number in range(8)))
    work.write(CUT)
    work.vendor.faults({"match": {"path": "/image/background-remove", "nth": 3}, "do": {"status": status}})
    run = work.run("--workers", "1")
    assert run.code == code, run.text
    assert words in run.err
    assert len(work.vendor.paid()) == 3
    states = work.states().values()
    assert sorted(states)[:2] == ["done"] * 2
    assert set(states) == {"done", "pending"}
    work.vendor.faults()
    assert work.run("--limit", "1").code == 0, "once the cause is gone, it goes on"
    assert len(work.vendor.bought()) == 3


def test_a_key_that_may_not_spend_ends_with_5(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(keys=(Key("VENICE_INFERENCE_KEY_shut", permitted=False),)))
    work.draw("a.jpg")
    work.write(CUT)
    ended = work.run()
    assert ended.code == 5
    assert "accessPermitted: false" in ended.err
    assert work.vendor.paid() == []


def test_the_limit_of_the_key_counts_as_its_balance(tmp_path: Path, open_vendor: OpenVendor) -> None:
    key = Key("VENICE_INFERENCE_KEY_small", usd_limit=Decimal("0.04"))
    work = Work(tmp_path / "work", open_vendor(keys=(key,)))
    work.draw("a.jpg")
    work.write(CUT, ENLARGE)
    ended = work.run()
    assert ended.code == 5
    assert "0.01 USD are missing" in ended.err


def test_a_balance_in_two_currencies_that_may_not_suffice_is_said_and_tried(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    work = Work(tmp_path / "work", open_vendor(usd=Decimal("0.04"), diem=Decimal("0.03")))
    work.draw("a.jpg", "b.jpg")
    work.write(CUT)
    plan = work.asked("plan")
    assert plan["covered"] is True
    assert "split-balance" in [warning["code"] for warning in plan["warnings"]]
    assert work.run().code == 0


def test_a_model_without_a_price_is_refused_not_taken_as_free(work: Work) -> None:
    entry = {"id": "mystery-edit", "type": "inpaint", "model_spec": {"name": "Mystery", "constraints": {}}}
    body = {"object": "list", "type": "all", "data": [entry]}
    work.vendor.faults({"match": {"path": "/models"}, "do": {"status": 200, "body": body}})
    work.draw("a.jpg")
    work.write({"edit": {"prompt": "on marble", "model": "mystery-edit"}})
    for command in ("plan", "run"):
        ended = work.venice(command, work.job)
        assert ended.code == 2, ended.text
        assert "price" in ended.err
        assert "mystery-edit" in ended.err
    assert work.vendor.paid() == []


# A balance that falls faster than the prices


def _dear(open_vendor: OpenVendor, work: Work, **budget: object) -> Work:
    """A vendor who charges a dollar more than its catalogue says for each of twenty cut-outs."""
    work.vendor = open_vendor(surcharge=Decimal(1))
    for number in range(20):
        work.take(f"{number:02}.jpg", (300, 220 + number))
    work.write(CUT, budget=budget)
    return work


def test_a_balance_that_falls_faster_than_the_prices_is_told_and_stops_at_max_usd(
    open_vendor: OpenVendor, work: Work
) -> None:
    _dear(open_vendor, work, max_usd=2)
    ended = work.run("--workers", "1", "--json")
    assert ended.code == 5, ended.text
    assert Decimal("2.00") < work.vendor.billed() <= Decimal("5.00")
    assert "warning: the balance fell by 1.03 USD while calls worth 0.03 USD were made" in ended.err
    assert "shared_account: true" in ended.err
    assert [warning["code"] for warning in ended.json["warnings"]] == ["overcharged"]
    assert "fell by" in ended.json["cause"]
    assert sorted(set(work.states().values())) == ["done", "pending"]
    waiting = work.run("--workers", "1", "--wait-for-balance", "30s")
    assert waiting.code == 5
    assert "waiting for the balance" not in waiting.text


def test_without_a_limit_it_stops_at_three_times_the_plan(open_vendor: OpenVendor, work: Work) -> None:
    ended = _dear(open_vendor, work).run("--workers", "1")
    assert ended.code == 5, ended.text
    assert Decimal("1.80") < work.vendor.billed() <= Decimal("4.20"), "the plan said 0.60"


def test_on_a_shared_account_it_is_told_and_all_is_done(open_vendor: OpenVendor, work: Work) -> None:
    ended = _dear(open_vendor, work, max_usd=2, shared_account=True).run("--workers", "1")
    assert ended.code == 0, ended.text
    assert ended.err.count("warning: the balance fell by") == 1
    assert len(work.outputs()) == 20


def test_the_fall_counts_over_all_starts_of_a_run(open_vendor: OpenVendor, work: Work) -> None:
    _dear(open_vendor, work, max_usd=4)
    work.vendor.faults({"match": {"path": "/image/background-remove", "nth": 3}, "do": {"status": 401}})
    assert work.run("--workers", "1").code == 4
    work.vendor.faults()
    assert work.run("--workers", "1").code == 5
    assert Decimal("4.00") < work.vendor.billed() <= Decimal("7.30")
