"""The status of an item by what the manifest knows of it, and what the command line asks for."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.plan.conftest import Bench, statuses
from venice_batch.imaging import Facts
from venice_batch.plan.selection import ItemFilter
from venice_batch.state import ItemId, ItemMoved, OutputWritten

HOLD = "run: {uncertain: hold}"


def after(bench: Bench, state: str, code: str = "", *, lasting: bool = False, more: str = "", **change: str) -> str:
    """Return the status of one picture after a run left it in `state`."""
    bench.picture("a.png")
    (item,) = bench.plan("upscale", more=more).items
    bench.record(item, state, code, lasting=lasting, **change)
    return statuses(bench.plan("upscale", more=more)).get("a.png", "done")


def test_a_new_item_is_new(bench: Bench) -> None:
    bench.picture("a.png")
    plan = bench.plan("upscale")
    assert statuses(plan) == {"a.png": "new"}
    assert plan.counts() == {"new": 1, "changed": 0, "reused": 0, "waiting": 0, "invalid": 0, "total": 1}


@pytest.mark.parametrize("state", ["pending", "running", "waiting", "vanished"])
def test_what_was_not_finished_is_taken_up_again(bench: Bench, state: str) -> None:
    assert after(bench, state) == "new"


def test_what_is_done_is_left_if_its_file_is_there(bench: Bench) -> None:
    (bench.folder / "out").mkdir()
    (bench.folder / "out" / "a.png").write_bytes(b"x")
    assert after(bench, "done") == "done"
    plan = bench.plan("upscale")
    assert (plan.items, plan.done, plan.counts()["reused"], plan.counts()["total"]) == ((), 1, 1, 1)


def test_what_is_done_is_written_again_if_its_file_is_gone(bench: Bench) -> None:
    assert after(bench, "done") == "new"


def test_a_folder_of_that_name_is_not_the_file_and_stands_in_its_way(bench: Bench) -> None:
    (bench.folder / "out" / "a.png").mkdir(parents=True)
    assert after(bench, "done") == "invalid"


@pytest.mark.parametrize("change", [{"version": "another"}, {"fingerprint": "another"}])
@pytest.mark.parametrize("state", ["done", "failed", "flagged", "uncertain", "invalid", "running"])
def test_a_new_version_or_pipeline_makes_it_changed(bench: Bench, state: str, change: dict[str, str]) -> None:
    assert after(bench, state, "refused-input", lasting=True, more=HOLD, **change) == "changed"


def test_a_transient_failure_is_tried_again(bench: Bench) -> None:
    assert after(bench, "failed", "server-error") == "new"


def test_a_permanent_failure_waits_until_asked_for(bench: Bench) -> None:
    assert after(bench, "failed", "refused-input", lasting=True) == "waiting"
    (item,) = bench.plan("upscale").items
    assert (item.code, item.reason) == ("refused-input", "why")
    assert statuses(bench.plan("upscale", item_filter=ItemFilter(retry_failed=True))) == {"a.png": "new"}


def test_a_flagged_item_waits_for_a_person(bench: Bench) -> None:
    assert after(bench, "flagged", "blurred", lasting=True) == "waiting"
    assert statuses(bench.plan("upscale", item_filter=ItemFilter(retry_failed=True))) == {"a.png": "waiting"}


def test_a_flagged_item_is_planned_anew_where_nobody_recorded_which_result_it_is(bench: Bench) -> None:
    assert after(bench, "flagged", "blurred", lasting=True, result="") == "new"


def test_an_uncertain_item_is_bought_again_unless_the_job_says_hold(bench: Bench) -> None:
    assert after(bench, "uncertain", "uncertain") == "new"
    assert statuses(bench.plan("upscale", more=HOLD)) == {"a.png": "waiting"}


@pytest.mark.parametrize(("code", "status"), [("broken", "invalid"), ("too-small", "invalid"), ("collision", "new")])
def test_an_invalid_item_stays_so_only_for_a_reason_in_its_bytes(bench: Bench, code: str, status: str) -> None:
    assert after(bench, "invalid", code, lasting=True) == status


def test_items_of_other_jobs_in_the_same_state_do_not_count(bench: Bench) -> None:
    bench.picture("a.png")
    (item,) = bench.plan("upscale").items
    bench.record(item, "failed", lasting=True)
    # The steps are the same, the name is not.
    job = bench.job("upscale")
    other = type(job)(**{**{name: getattr(job, name) for name in job.__dataclass_fields__}, "name": "other"})
    assert statuses(bench.plan_of(other)) == {"a.png": "new"}


# Filters


def four(bench: Bench) -> None:
    for number in range(4):
        bench.picture(f"{'ab'[number % 2]}/{number}.png", colour=f"#{number}0{number}0{number}0")


def test_a_limit_takes_so_many_in_order(bench: Bench) -> None:
    four(bench)
    plan = bench.plan("upscale", item_filter=ItemFilter(limit=3))
    assert statuses(plan) == {"a/0.png": "new", "a/2.png": "new", "b/1.png": "new"}
    assert sum(step.calls for step in plan.steps) == 3


def test_a_limit_counts_only_what_is_to_be_done(bench: Bench) -> None:
    four(bench)
    first, second, *_ = bench.plan("upscale").items
    bench.record(first, "failed", lasting=True)
    bench.record(second, "flagged")
    plan = bench.plan("upscale", item_filter=ItemFilter(limit=1))
    assert statuses(plan) == {"a/0.png": "waiting", "a/2.png": "waiting", "b/1.png": "new"}


def test_only_leaves_out_the_rest(bench: Bench) -> None:
    four(bench)
    plan = bench.plan("upscale", item_filter=ItemFilter(only="b/*"))
    assert statuses(plan) == {"b/1.png": "new", "b/3.png": "new"}
    assert statuses(bench.plan("upscale", item_filter=ItemFilter(only="b/*", limit=1))) == {"b/1.png": "new"}


def test_what_only_leaves_out_has_not_vanished(bench: Bench) -> None:
    four(bench)
    for item in bench.plan("upscale").items:
        bench.record(item, "pending")
    (bench.folder / "in" / "a" / "0.png").unlink()
    assert bench.plan("upscale", item_filter=ItemFilter(only="b/*")).vanished == ()
    assert bench.plan("upscale", item_filter=ItemFilter(limit=1)).vanished == ()
    assert bench.plan("upscale").vanished == (("a/0.png", 0),)


def test_an_item_that_vanished_is_told_once(bench: Bench) -> None:
    bench.picture("a.png")
    (item,) = bench.plan("upscale").items
    bench.record(item, "vanished")
    (bench.folder / "in" / "a.png").unlink()
    assert bench.plan("upscale").vanished == ()


def test_finished_files_that_nothing_produces_any_more_are_told(bench: Bench) -> None:
    bench.picture("a.png")
    bench.state.commit([OutputWritten(ItemId("job", "a.png"), name, "v", "s") for name in ("a.png", "old.jpg")])
    assert bench.plan("upscale").dropped == ("old.jpg",)
    assert bench.plan("upscale", item_filter=ItemFilter(limit=1)).dropped == ()


# Since


def touched(bench: Bench, key: str, at: float, colour: str) -> None:
    os.utime(bench.picture(key, colour=colour), (at, at))


def test_since_leaves_out_what_was_written_before(bench: Bench) -> None:
    touched(bench, "old.png", 1000, "red")
    touched(bench, "exact.png", 2000, "blue")
    touched(bench, "young.png", 3000, "white")
    plan = bench.plan("upscale", item_filter=ItemFilter(since=2000))
    assert statuses(plan) == {"exact.png": "new", "young.png": "new"}
    assert plan.counts()["total"] == 2
    assert statuses(bench.plan("upscale", item_filter=ItemFilter(since=2000.5))) == {"young.png": "new"}


@pytest.mark.parametrize(
    ("state", "lasting", "taken"),
    [
        ("pending", False, True),
        ("running", False, True),
        ("waiting", False, True),
        ("uncertain", False, True),
        ("failed", False, True),
        ("failed", True, False),
        ("flagged", True, False),
        ("invalid", True, False),
        ("done", False, False),
        ("vanished", False, False),
    ],
)
def test_since_takes_up_what_an_earlier_run_left_unfinished(
    bench: Bench,
    state: str,
    lasting: bool,  # noqa: FBT001 - a table
    taken: bool,  # noqa: FBT001 - a table
) -> None:
    touched(bench, "old.png", 1000, "red")
    bench.record(bench.plan("upscale").items[0], state, lasting=lasting)
    found = statuses(bench.plan("upscale", item_filter=ItemFilter(since=2000, retry_failed=True)))
    assert found == ({"old.png": "new"} if taken else {})


def test_nothing_has_vanished_for_a_plan_since_some_time(bench: Bench) -> None:
    gone = ItemId("job", "gone.png")
    bench.state.commit([ItemMoved(gone, "v", "f", "done", 1.0), OutputWritten(gone, "gone.png", "v", "s")])
    plan = bench.plan("upscale", item_filter=ItemFilter(since=2000))
    assert (plan.vanished, plan.dropped) == ((), ())
    assert bench.plan("upscale").vanished == (("gone.png", 0),)


def test_since_says_nothing_of_rows_that_have_no_time(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt\ncat,x\n")
    item_filter = ItemFilter(since=2000)
    plan = bench.plan("generate: {model: z-image-turbo}", source="{prompts: p.csv}", item_filter=item_filter)
    assert statuses(plan) == {"cat": "new"}


# Many


@pytest.mark.slow
def test_every_item_of_many_batches_is_met_once(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt\n" + "".join(f"{number},x\n" for number in range(1101)))
    step, source = "generate: {model: z-image-turbo, variants: 2}", "{prompts: p.csv}"
    items = bench.plan(step, source=source).items
    assert [item.name for item in items] == [f"{number}-{variant}" for number in range(1101) for variant in (1, 2)]
    events = (
        ItemMoved(ItemId("job", i.key, i.variant), i.candidate.version, i.fingerprint, "done", 1.0) for i in items
    )
    bench.state.commit(events)
    (bench.folder / "out").mkdir()
    for item in items:
        (bench.folder / "out" / item.outputs[0]).touch()
    plan = bench.plan(step, source=source)
    assert (plan.items, plan.done, plan.vanished, plan.dropped) == ((), 2202, (), ())
    one = bench.plan("generate: {model: z-image-turbo}", source=source)
    assert len(one.vanished) == 2202
    assert one.counts() == {"new": 1101, "changed": 0, "reused": 0, "waiting": 0, "invalid": 0, "total": 1101}


# Names


def test_a_new_input_makes_that_of_a_finished_file_of_the_same_name_invalid_too(bench: Bench) -> None:
    for key, colour in (("a.png", "red"), ("b.png", "blue")):
        bench.picture(key, colour=colour)
    for item in bench.plan("upscale").items:
        bench.record(item, "done")
    (bench.folder / "out").mkdir()
    for name in ("a.png", "b.png"):
        (bench.folder / "out" / name).touch()
    assert bench.plan("upscale").done == 2
    bench.picture("A.jpg", colour="white")
    plan = bench.plan("upscale")
    assert statuses(plan) == {"A.jpg": "invalid", "a.png": "invalid"}
    assert plan.done == 1
    assert (bench.plan("upscale", item_filter=ItemFilter(only="A*")).done, statuses(plan)["A.jpg"]) == (0, "invalid")
    assert statuses(bench.plan("upscale", item_filter=ItemFilter(only="a*"))) == {"a.png": "invalid"}


def test_items_whose_files_would_be_one_are_all_invalid_and_the_rest_runs(bench: Bench) -> None:
    for key, colour in (("a.jpg", "red"), ("a.png", "blue"), ("A.webp", "green"), ("b.png", "white")):
        bench.picture(key, colour=colour)
    plan = bench.plan("upscale")
    assert statuses(plan) == {"A.webp": "invalid", "a.jpg": "invalid", "a.png": "invalid", "b.png": "new"}
    assert {item.code for item in plan.items if item.status == "invalid"} == {"collision"}
    assert sum(step.calls for step in plan.steps) == 1


def test_what_the_listing_found_wrong_is_invalid_with_its_reason(bench: Bench) -> None:
    bench.picture("whole.png")
    (bench.folder / "secret.png").write_bytes(b"x")
    (bench.folder / "in" / "link.png").symlink_to("../secret.png")
    plan = bench.plan("upscale")
    assert statuses(plan) == {"link.png": "invalid", "whole.png": "new"}
    assert "leads out" in plan.items[0].reason


def test_a_row_that_does_not_suit_the_step_is_invalid_and_says_which_column(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt,seed,variants\n1,x,seven,\n2,x,,9\n3,x,5,\n")
    plan = bench.plan("generate: {model: z-image-turbo}", source="{prompts: p.csv}")
    assert statuses(plan) == {"1": "invalid", "2": "invalid", "3": "new"}
    assert "column 'seed'" in plan.items[0].reason
    assert "column 'variants'" in plan.items[1].reason


def test_a_row_that_breaks_a_rule_between_fields_is_invalid_and_says_so(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt,variants\n1,x,2\n2,x,\n")
    plan = bench.plan("generate: {model: z-image-turbo, return_binary: true}", source="{prompts: p.csv}")
    assert statuses(plan) == {"1": "invalid", "2": "new"}
    assert "variants and return_binary exclude each other" in plan.items[0].reason


def test_variants_are_items_of_their_own_and_one_call(bench: Bench) -> None:
    (bench.folder / "p.csv").write_text("id,prompt\ncat,x\n")
    plan = bench.plan("generate: {model: z-image-turbo, variants: 3}", source="{prompts: p.csv}")
    assert [(item.name, *item.outputs) for item in plan.items] == [
        ("cat-1", "cat-1.webp"),
        ("cat-2", "cat-2.webp"),
        ("cat-3", "cat-3.webp"),
    ]
    assert [step.calls for step in plan.steps] == [1]
    assert (plan.cost.low, plan.cost.high) == (Decimal("0.03"), Decimal("0.03"))


# Fingerprints


def fingerprint(bench: Bench, *steps: str, **job: Any) -> str:
    bench.picture("a.png")
    (item,) = bench.plan(*steps, **job).items
    return item.fingerprint


def test_the_fingerprint_changes_with_its_steps_and_names_only(bench: Bench) -> None:
    base = fingerprint(bench, "upscale")
    same = [
        fingerprint(bench, "upscale", more="budget: {max_usd: 5}\nrun: {concurrency: 3}"),
        fingerprint(bench, "{upscale: , id: big}"),
        fingerprint(bench, "upscale", source="{path: ./in, include: ['*.png']}"),
    ]
    assert set(same) == {base}
    others = [
        fingerprint(bench, "upscale: {scale: 4}"),
        fingerprint(bench, "upscale", "background-remove"),
        fingerprint(bench, "{upscale: , when: {width_below: 5000}}"),
        fingerprint(bench, "fit: {max_side: 5000}", "upscale"),
        fingerprint(bench, "upscale", output="{path: ./out, name: 'x-{stem}.{ext}'}"),
    ]
    assert len({base, *others}) == 6


def test_the_fingerprint_changes_with_the_bytes_of_a_file_that_it_names(bench: Bench) -> None:
    step = "multi-edit: {prompt: p, images: [current, {file: logo.png}]}"
    bench.picture("../logo.png", colour="red")
    one = fingerprint(bench, step)
    bench.picture("../logo.png", colour="blue")
    assert fingerprint(bench, step) != one


def test_facts_of_a_picture_survive_being_written_down() -> None:
    facts = Facts(4, 3, "JPEG", "CMYK", has_alpha=False, orientation=6, frames=2, bytes=99)
    assert Facts.from_json(facts.to_json()) == facts
