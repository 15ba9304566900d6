"""Answers that are not fit to publish: held, failed, published or bought anew, and what a person says about them."""

from __future__ import annotations

import itertools
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.inprocess import api_of, carry_out, seeded, started, summarised, write_job
from tests.e2e.conftest import CUT, ENLARGE, Vendor, draw, durable, visible
from venice_batch.emulator import Settings, serve_in_thread
from venice_batch.errors import Locked, UsageError
from venice_batch.job import Job
from venice_batch.plan.selection import ItemFilter
from venice_batch.run.decisions import Decided, Decision, chosen, decide, held
from venice_batch.run.observer import Summary
from venice_batch.run.session import plan_only, session, state_to_write
from venice_batch.state import ItemRow, to_read

CUTS = "/image/background-remove"
GENERATE = {"generate": {"model": "z-image-turbo", "variants": 3}}


def spoil(kind: str, *nth: int, path: str = CUTS) -> dict[str, Any]:
    """A fault of these calls; of all, where none is named."""
    return {"match": {"path": path, **({"nth": list(nth)} if nth else {})}, "do": {"kind": kind}}


@dataclass
class Bench:
    """A folder, a vendor, and runs of one job in this process."""

    folder: Path
    vendor: Vendor

    def job(self, *steps: object, **sections: Any) -> Job:
        return write_job(self.folder, *(steps or (CUT,)), **sections)

    def ruled(self, rule: str, *steps: object, **sections: Any) -> Job:
        return self.job(*steps, run={"on_flagged": rule}, **sections)

    def draw(self, *names: str) -> None:
        for name in names:
            draw(self.folder / "photos" / name)

    def run(self, job: Job, *, retry_failed: bool = False) -> Summary:
        with session(job, api_of(self.vendor), ItemFilter(retry_failed=retry_failed)) as begun:
            return summarised(begun)

    def rows(self, job: Job) -> dict[str, ItemRow]:
        assert isinstance(job.state, Path)
        with to_read(job.state) as state:
            return {f"{row.key}-{row.variant}" if row.variant else row.key: row for row in state.items(job.name)}

    def states(self, job: Job) -> dict[str, str]:
        return {name: row.state for name, row in self.rows(job).items()}

    def outputs(self, job: Job) -> dict[str, bytes]:
        assert isinstance(job.output.path, Path)
        return visible(job.output.path) if job.output.path.exists() else {}

    def decide(self, job: Job, decision: Decision, *names: str) -> Decided:
        with state_to_write(job, "loopback") as state:
            state.recover(time.time())
            rows = chosen(state, job.name, names, decision) if names else held(state, job.name)
            return decide(state, rows, decision, time.time())

    def calls(self) -> int:
        return len(self.vendor.paid())


@pytest.fixture(scope="module")
def running() -> Iterator[Vendor]:
    with serve_in_thread(Settings(rpm=100_000)) as served:
        yield Vendor(served)


@pytest.fixture
def bench(running: Vendor, tmp_path: Path) -> Bench:
    running.reset()
    bench = Bench(tmp_path, running)
    bench.draw("a.jpg")
    return bench


# The job's rule


def test_a_held_answer_is_kept_back_with_its_flags_and_named_by_the_item(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.job(CUT, ENLARGE)
    assert bench.run(job).exit_code == 3
    row = bench.rows(job)["a.jpg"]
    assert (row.state, row.code, row.lasting) == ("flagged", "blurred", True)
    assert isinstance(job.state, Path)
    assert list(durable(job.state)) == [row.result]
    assert bench.outputs(job) == {}


def test_with_fail_the_item_fails_for_good_and_is_never_bought_again(bench: Bench) -> None:
    bench.vendor.faults(spoil("blank"))
    job = bench.ruled("fail")
    assert bench.run(job).exit_code == 3
    row = bench.rows(job)["a.jpg"]
    assert (row.state, row.code, row.lasting) == ("failed", "full-cutout+blank", True)
    for retry_failed in (False, True):
        assert bench.run(job, retry_failed=retry_failed).exit_code == 3
    assert bench.states(job) == {"a.jpg": "failed"}
    assert bench.outputs(job) == {}
    assert bench.calls() == 1


def test_flagged_items_that_fail_do_not_count_as_failures_of_the_api(bench: Bench) -> None:
    rows = "".join(f"{number},a cat\n" for number in range(50))
    (bench.folder / "p.csv").write_text(f"id,prompt\n{rows}")
    bench.vendor.faults(spoil("blurred", path="/image/generate"))
    smallest = {"generate": {"model": "z-image-turbo", "width": 64, "height": 64}}
    summary = bench.run(bench.ruled("fail", smallest, source={"prompts": "p.csv"}))
    assert summary.cause is None
    assert summary.ended["failed"] == 50


def test_with_publish_the_item_is_done_and_its_flags_are_told(bench: Bench) -> None:
    bench.draw("b.jpg")
    bench.vendor.faults(spoil("blurred", 1))
    job = bench.ruled("publish", CUT, ENLARGE)
    summary = bench.run(job)
    assert (summary.exit_code, summary.published_flagged) == (0, 1)
    assert len(bench.outputs(job)) == 2
    told = {(row.state, row.code, row.reason) for row in bench.rows(job).values()}
    assert told == {
        ("done", "", ""),
        ("done", "blurred", "step 'background-remove': published although flagged: blurred"),
    }
    assert bench.calls() == 4


def test_with_retry_a_flagged_answer_is_put_aside_and_the_new_one_published(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred", 1))
    job = bench.ruled("retry", CUT, ENLARGE)
    assert bench.run(job).exit_code == 0
    assert len(bench.outputs(job)) == 1
    assert len(bench.vendor.paid(CUTS)) == 2
    assert isinstance(job.state, Path)
    assert [path.suffix for path in job.state.rglob("*.bad-*")] == [".bad-1"]
    with to_read(job.state) as state:
        assert Counter(call.fate for call in state.calls(job.name))["spent"] == 3


def test_with_retry_the_second_flagged_answer_is_held_and_no_run_buys_a_third(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.ruled("retry")
    for _ in range(2):
        assert bench.run(job).exit_code == 3
        assert bench.states(job) == {"a.jpg": "flagged"}
    # Also where it is looked at anew, because a later step changed.
    changed = bench.ruled("retry", CUT, ENLARGE)
    assert bench.run(changed).exit_code == 3
    assert bench.calls() == 2
    assert bench.outputs(job) == {}


def test_what_the_content_policy_refused_is_never_retried(bench: Bench) -> None:
    bench.vendor.faults(spoil("violation"))
    job = bench.ruled("retry")
    assert bench.run(job).exit_code == 3
    assert bench.rows(job)["a.jpg"].code.startswith("blocked")
    assert bench.calls() == 1


def test_a_retry_that_gives_no_picture_is_the_last_of_the_run(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred", 1), spoil("garbage"))
    job = bench.ruled("retry")
    assert bench.run(job).exit_code == 3
    assert bench.rows(job)["a.jpg"].code == "bad-answer"
    assert bench.calls() == 2


@pytest.mark.parametrize("limit", ["0.03", "0.05"])
def test_where_the_money_does_not_reach_for_a_retry_the_answer_is_held_not_lost(bench: Bench, limit: str) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.ruled("retry", budget={"max_usd": limit})
    bench.run(job)
    assert bench.states(job) == {"a.jpg": "flagged"}
    assert isinstance(job.state, Path)
    assert len(durable(job.state)) == 1
    assert bench.calls() == 1


def test_twins_share_one_retry(bench: Bench) -> None:
    for number in range(9):
        shutil.copy2(bench.folder / "photos" / "a.jpg", bench.folder / "photos" / f"{number}.jpg")
    bench.vendor.faults(spoil("blurred", 1))
    job = bench.ruled("retry")
    assert bench.run(job).exit_code == 0
    assert len(bench.outputs(job)) == 10
    assert bench.calls() == 2


def test_the_variants_of_one_call_share_one_retry(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt\ncat,a cat\n")
    bench.vendor.faults(spoil("blurred", 1, path="/image/generate"))
    job = bench.ruled("retry", GENERATE, source={"prompts": "p.csv"})
    assert bench.run(job).exit_code == 0
    assert bench.states(job) == dict.fromkeys(("cat-1", "cat-2", "cat-3"), "done")
    assert bench.calls() == 2


def test_a_changed_rule_leaves_alone_what_is_held_already(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    bench.run(bench.job())
    for rule in ("retry", "publish", "fail"):
        job = bench.ruled(rule)
        assert bench.run(job).exit_code == 3
        assert bench.states(job) == {"a.jpg": "flagged"}
    assert bench.outputs(bench.job()) == {}
    assert bench.calls() == 1


# Expectations of the job


def test_what_falls_short_of_expect_is_held_and_a_changed_expectation_buys_nothing(bench: Bench) -> None:
    strict = bench.job({"upscale": {"scale": 2}, "expect": {"min_side": 2000}})
    assert bench.run(strict).exit_code == 3
    assert bench.rows(strict)["a.jpg"].code == "too-small"
    lenient = bench.job({"upscale": {"scale": 2}, "expect": {"min_side": 20}})
    assert bench.run(lenient).exit_code == 3, "an answer keeps the verdict that it was bought under"
    bench.draw("b.jpg")
    assert bench.run(lenient).exit_code == 3
    assert bench.states(lenient) == {"a.jpg": "flagged", "b.jpg": "done"}
    assert bench.calls() == 2


# A person's decision


def test_a_release_at_the_last_step_is_published_by_the_next_run_without_a_call(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.job()
    bench.run(job)
    done = bench.decide(job, "released", "a.jpg")
    assert [(item.key, row.code) for item, row in done.rows] == [("a.jpg", "blurred")]
    assert bench.outputs(job) == {}, "a decision alone writes no file"
    plan = plan_only(job, api_of(bench.vendor), ItemFilter())
    assert (str(plan.cost.high), plan.counts()["reused"]) == ("0", 1)
    summary = bench.run(job)
    assert (summary.exit_code, summary.published_flagged) == (0, 0)
    assert len(bench.outputs(job)) == 1
    row = bench.rows(job)["a.jpg"]
    assert (row.state, row.reason) == ("done", "step 'background-remove': released although flagged: blurred")
    assert bench.calls() == 1


def test_a_release_lets_the_steps_behind_it_be_bought_once(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.job(CUT, ENLARGE)
    bench.run(job)
    bench.decide(job, "released", "a.jpg")
    assert bench.run(job).exit_code == 0
    assert [call["path"] for call in bench.vendor.paid()] == [CUTS, "/image/upscale"]


def test_a_release_outlives_changed_later_steps_and_deleted_files(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.job()
    bench.run(job)
    bench.decide(job, "released", "a.jpg")
    changed = bench.job(CUT, {"fit": {"max_side": 100}})
    assert bench.run(changed).exit_code == 0
    for name in bench.outputs(changed):
        (bench.folder / "finished-work" / name).unlink()
    assert bench.run(changed).exit_code == 0
    assert len(bench.outputs(changed)) == 1
    assert bench.calls() == 1


def test_a_rejected_answer_is_bought_anew_and_the_new_one_judged_by_itself(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred", 1, 2))
    job = bench.job()
    bench.run(job)
    bench.decide(job, "released", "a.jpg")
    bench.decide(job, "rejected", "a.jpg")
    assert bench.run(job).exit_code == 3, "the release was for other bytes, however alike"
    assert bench.states(job) == {"a.jpg": "flagged"}
    bench.decide(job, "rejected", "a.jpg")
    assert bench.run(job).exit_code == 0
    assert bench.calls() == 3
    assert isinstance(job.state, Path)
    assert sorted(path.suffix for path in job.state.rglob("*.bad-*")) == [".bad-1", ".bad-2"]


def test_a_rejection_of_what_was_retried_already_is_not_retried_by_itself(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.ruled("retry")
    bench.run(job)
    bench.decide(job, "rejected", "a.jpg")
    assert bench.run(job).exit_code == 3
    assert bench.states(job) == {"a.jpg": "flagged"}
    assert bench.calls() == 3


def test_twins_and_other_jobs_of_the_state_share_a_decision(bench: Bench) -> None:
    shutil.copy2(bench.folder / "photos" / "a.jpg", bench.folder / "photos" / "twin.jpg")
    bench.vendor.faults(spoil("blurred"))
    job, other = (bench.job(name=name, state="memory", output={"path": f"out-{name}"}) for name in ("one", "two"))
    bench.run(job)
    bench.run(other)
    done = bench.decide(job, "released", "twin.jpg")
    assert sorted((item.job, item.key) for item, _ in done.rows) == sorted(
        itertools.product(("one", "two"), ("a.jpg", "twin.jpg"))
    )
    for each in (job, other):
        assert bench.run(each).exit_code == 0
        assert len(bench.outputs(each)) == 2
    assert bench.calls() == 1


def test_deciding_twice_changes_nothing_more_and_says_so(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.job()
    bench.run(job)
    for decision in ("released", "rejected"):
        assert len(bench.decide(job, decision, "a.jpg").rows) == 1
        before = bench.rows(job)
        again = bench.decide(job, decision, "a.jpg")
        assert (again.rows, again.already) == ((), ("a.jpg",))
        assert bench.rows(job) == before


def test_what_is_not_held_is_refused_by_name_and_nothing_is_changed(bench: Bench) -> None:
    bench.draw("b.jpg", "c.jpg")
    bench.vendor.faults(spoil("blurred", 1), spoil("garbage", 2, 3, 4))
    job = bench.job(run={"concurrency": 1})
    bench.run(job)
    by_state = {row.code or row.state: name for name, row in bench.rows(job).items()}
    assert by_state.keys() == {"blurred", "bad-answer", "done"}
    names = (by_state["blurred"], by_state["bad-answer"], by_state["done"], "missing.jpg")
    before = bench.rows(job)
    with pytest.raises(UsageError) as caught:
        bench.decide(job, "released", *names)
    lines = caught.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(names[1:])
    assert "no picture" in lines[0]
    assert "it is done" in lines[1]
    assert "no such item" in lines[2]
    assert bench.rows(job) == before


def test_a_variant_is_named_as_items_names_it(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt\ncat,a cat\n")
    bench.vendor.faults(spoil("blurred", 1, path="/image/generate"))
    job = bench.job(GENERATE, source={"prompts": "p.csv"})
    bench.run(job)
    bench.decide(job, "released", "cat-1", "cat-3")
    assert bench.run(job).exit_code == 3
    assert bench.states(job) == {"cat-1": "done", "cat-2": "flagged", "cat-3": "done"}
    kept = bench.outputs(job)
    bench.decide(job, "rejected", "cat-2")
    assert bench.run(job).exit_code == 0
    assert bench.calls() == 2
    assert kept.items() <= bench.outputs(job).items()


def test_a_run_that_holds_the_state_keeps_decisions_away(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred"))
    job = bench.job()
    bench.run(job)
    with started(job, bench.vendor), pytest.raises(Locked):
        bench.decide(job, "released", "a.jpg")


def test_a_rejection_that_was_cut_short_is_completed_by_doing_it_again(bench: Bench) -> None:
    bench.vendor.faults(spoil("blurred", 1))
    job = bench.job()
    bench.run(job)
    with state_to_write(job, "loopback") as state:
        (row,) = held(state, job.name)
        found = state.results.find(row.result)
        assert found is not None
        state.results.set_aside(found)
    with pytest.raises(UsageError, match="removed by somebody"):
        bench.decide(job, "released", "a.jpg")
    bench.decide(job, "rejected", "a.jpg")
    assert bench.run(job).exit_code == 0
    assert bench.calls() == 2


# However a run ends


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("rule", ["hold", "retry"])
def test_a_held_picture_never_gets_out_however_often_the_run_dies(bench: Bench, rule: str, *, after: bool) -> None:
    bench.draw("b.jpg", "c.jpg")
    bench.vendor.faults(spoil("blurred"))
    job, chance = bench.ruled(rule), seeded(f"held {rule} {after}")
    for dies_at in itertools.count(1):
        with started(job, bench.vendor) as begun:
            lived = carry_out(begun, chance, dies_at=dies_at, after=after)
        assert bench.outputs(job) == {}
        if lived:
            break
    bench.vendor.until_quiet()
    assert bench.run(job).exit_code == 3
    assert set(bench.states(job).values()) == {"flagged"}
    calls = bench.calls()
    bench.decide(job, "released")
    assert bench.run(job).exit_code == 0
    assert len(bench.outputs(job)) == 3
    assert bench.calls() == calls
