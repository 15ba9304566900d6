"""The job's ledger against the account's: what was charged, for what, and for nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.conftest import CUT, ENLARGE, Ended, OpenVendor, Work, tree


@pytest.fixture
def three(work: Work) -> Work:
    """Three items at 0.03 and 0.02 USD each."""
    work.draw("a.jpg", "b.jpg", "c.jpg")
    work.write(CUT, ENLARGE)
    return work


def reconciled(work: Work, *options: str) -> Ended:
    return work.venice("reconcile", work.job, *options, env={"VENICE_API_KEY": work.vendor.admin_key})


def test_after_a_normal_run_every_charge_has_its_call(three: Work) -> None:
    assert three.run().code == 0
    before = tree(three.root)
    ended = reconciled(three, "--json")
    assert ended.code == 0, ended.text
    found = ended.json
    assert found["clean"] is True
    assert {match["by"] for match in found["matched"]} == {"request id"}
    assert sorted(match["expected"] for match in found["matched"]) == ["0.02"] * 3 + ["0.03"] * 3
    assert found["usd"]["matched"] == "0.15"
    assert [found[part] for part in ("charged_twice", "charged_without_answer", "not_charged", "unmatched")] == [[]] * 4
    assert tree(three.root) == before, "it only looks"
    said = reconciled(three)
    assert said.code == 0
    assert "nothing was charged twice or without an answer" in said.out


def test_a_lost_answer_is_shown_as_charged_without_one(three: Work) -> None:
    path = "/image/background-remove"
    three.vendor.faults({"match": {"path": path, "nth": 2}, "do": {"kind": "lost"}})
    assert three.run("--workers", "1").code in {0, 3}
    (lost,) = [row for row in three.ledger() if row.fate == "uncertain"]
    (charged,) = [entry for entry in three.vendor.bought() if entry["fault"] == "lost"]
    ended = reconciled(three, "--json")
    assert ended.code == 3, ended.text
    found = ended.json
    (finding,) = found["charged_without_answer"]
    assert (finding["call"], finding["item"], finding["by"]) == (lost.id, lost.key, "amount and time")
    assert [row["request_id"] for row in finding["rows"]] == [charged["request_id"]]
    assert found["usd"]["charged_without_answer"] == "0.03"
    assert [found[part] for part in ("charged_twice", "not_charged", "unmatched")] == [[]] * 3
    assert Decimal(found["usd"]["matched"]) + Decimal("0.03") == three.vendor.billed()
    said = reconciled(three)
    assert said.code == 3
    assert "charged without an answer:" in said.out
    assert charged["request_id"] in said.out


def test_a_lost_answer_that_was_not_charged_is_no_reason_to_worry(three: Work) -> None:
    fault = {"kind": "lost", "billed": False}
    three.vendor.faults({"match": {"path": "/image/upscale", "nth": 1}, "do": fault})
    three.run("--workers", "1")
    ended = reconciled(three, "--json")
    assert ended.code == 0, ended.text
    (missing,) = ended.json["not_charged"]
    assert (missing["fate"], missing["step"], missing["expected"]) == ("uncertain", "upscale", "0.02")


def test_after_a_kill_every_charge_still_has_its_call(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.2))
    work.draw(*(f"{number}.jpg" for number in range(8)))
    work.write(CUT, ENLARGE)
    process = work.start("--workers", "4")
    work.vendor.until(lambda: len(work.vendor.paid()) >= 6)
    process.kill()
    process.communicate(timeout=10)
    work.vendor.until_quiet()
    open_calls = [row.id for row in work.ledger() if row.fate == "begun"]
    killed = reconciled(work, "--json")
    assert killed.code == 0, killed.text
    assert [one["call"] for one in killed.json["still_open"]] == open_calls
    assert killed.json["unmatched"] == []

    assert work.run().code == 0
    found = reconciled(work, "--json").json
    assert Decimal(found["usd"]["matched"]) + Decimal(found["usd"]["charged_without_answer"]) == work.vendor.billed()
    assert (found["charged_twice"], found["unmatched"]) == ([], [])
    assert {match["by"] for match in found["matched"]} == {"request id"}
    lost = [one["call"] for part in ("charged_without_answer", "not_charged") for one in found[part]]
    assert sorted(lost) == [row.id for row in work.ledger() if row.fate == "uncertain"]


def test_what_somebody_else_bought_meanwhile_belongs_to_no_call(three: Work) -> None:
    assert three.run().code == 0
    other = Work(three.root.with_name("other"), three.vendor)
    other.draw("z.jpg")
    other.write(CUT)
    assert other.run().code == 0
    ended = reconciled(three, "--json")
    assert ended.code == 0, ended.text
    assert [row["charged"] for row in ended.json["unmatched"]] == ["0.03"]
    assert len(ended.json["matched"]) == 6


def test_an_inference_key_ends_with_4_and_the_remedy(three: Work) -> None:
    assert three.run().code == 0
    ended = three.venice("reconcile", three.job)
    assert ended.code == 4, ended.text
    assert "ADMIN key" in ended.err
    assert ended.out == ""


def test_a_job_that_never_ran_has_nothing_to_compare_and_needs_no_key(three: Work) -> None:
    ended = three.venice("reconcile", three.job, env={"VENICE_API_KEY": None})
    assert ended.code == 0, ended.text
    assert three.vendor.log() == []


def test_the_bundled_emulator_has_no_books_to_compare_with(three: Work) -> None:
    ended = reconciled(three, "--base-url", "emulator")
    assert ended.code == 2, ended.text
    assert "books ended with the run" in ended.err
