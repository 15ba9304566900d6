"""Several finished files of every item: their names, when they are done, and when they collide."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.unit.plan.conftest import Bench, statuses
from venice_batch.plan.model import Plan
from venice_batch.state import ItemId, OutputWritten

OUTPUT = "{path: ./out, renditions: [{format: jpeg, background: white}, {suffix: -s, format: webp, max_side: 99}]}"
CUT = "background-remove"


def outputs(plan: Plan) -> list[tuple[str, ...]]:
    return [item.outputs for item in plan.items]


def finish(bench: Bench, plan: Plan) -> None:
    """Leave every item as done, with all its files."""
    for item in plan.items:
        for name in item.outputs:
            (bench.folder / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (bench.folder / "out" / name).touch()
            bench.state.commit([OutputWritten(ItemId("job", item.key), name, "1", "hash")])
        bench.record(item, "done")


def codes(plan: Plan) -> list[str]:
    return [warning.code for warning in plan.warnings]


def test_every_item_has_a_name_for_each_file(bench: Bench) -> None:
    bench.picture("x/a.png")
    assert outputs(bench.plan(CUT, output=OUTPUT)) == [("x/a.jpg", "x/a-s.webp")]


def test_without_renditions_the_last_step_decides(bench: Bench) -> None:
    bench.picture("a.jpg")
    assert outputs(bench.plan(CUT)) == [("a.png",)]
    assert outputs(bench.plan(CUT, "flatten", "convert: {format: webp}")) == [("a.webp",)]


def test_an_item_is_done_when_all_its_files_are_there(bench: Bench) -> None:
    bench.picture("a.png")
    bench.picture("b.png", colour="blue")
    finish(bench, bench.plan(CUT, output=OUTPUT))
    plan = bench.plan(CUT, output=OUTPUT)
    assert (plan.items, plan.done, plan.dropped) == ((), 2, ())


@pytest.mark.parametrize("gone", ["a.jpg", "a-s.webp"])
def test_an_item_of_which_one_file_is_gone_is_done_again_and_no_other(bench: Bench, gone: str) -> None:
    bench.picture("a.png")
    bench.picture("b.png", colour="blue")
    finish(bench, bench.plan(CUT, output=OUTPUT))
    (bench.folder / "out" / gone).unlink()
    plan = bench.plan(CUT, output=OUTPUT)
    assert (statuses(plan), plan.done) == ({"a.png": "new"}, 1)


def test_another_rendition_changes_every_item_and_another_budget_none(bench: Bench) -> None:
    bench.picture("a.png")
    finish(bench, bench.plan(CUT, output=OUTPUT))
    assert statuses(bench.plan(CUT, output=OUTPUT.replace("99", "98"))) == {"a.png": "changed"}
    assert statuses(bench.plan(CUT, output=OUTPUT.replace("jpeg,", "jpeg, quality: 90,"))) == {"a.png": "changed"}
    assert bench.plan(CUT, output=OUTPUT, more="budget: {max_usd: 9}").done == 1


def test_a_file_that_no_rendition_makes_any_more_is_told(bench: Bench) -> None:
    bench.picture("a.png")
    finish(bench, bench.plan(CUT, output=OUTPUT))
    fewer = "{path: ./out, renditions: [{format: jpeg, background: white}]}"
    assert bench.plan(CUT, output=fewer).dropped == ("a-s.webp",)


def test_items_collide_by_any_of_their_files(bench: Bench) -> None:
    for key, colour in (("a.png", "red"), ("A-s.png", "blue"), ("b.png", "green")):
        bench.picture(key, colour=colour)
    output = "{path: ./out, renditions: [{format: png}, {suffix: -s, format: png, max_side: 99}]}"
    plan = bench.plan(CUT, output=output)
    assert statuses(plan) == {"a.png": "invalid", "A-s.png": "invalid", "b.png": "new"}
    reasons = {item.key: item.reason for item in plan.items}
    assert "'a-s.png'" in reasons["a.png"]
    assert "'A-s.png'" in reasons["A-s.png"]


def test_an_item_that_is_done_collides_with_a_new_one_by_its_second_file(bench: Bench) -> None:
    bench.picture("a.png")
    output = "{path: ./out, renditions: [{format: png}, {suffix: -s, format: png, max_side: 99}]}"
    finish(bench, bench.plan(CUT, output=output))
    bench.picture("a-s.png", colour="blue")
    plan = bench.plan(CUT, output=output)
    assert (statuses(plan), plan.done) == ({"a.png": "invalid", "a-s.png": "invalid"}, 0)


def test_a_name_that_the_suffix_makes_too_long_is_refused(bench: Bench) -> None:
    bench.picture("x" * 250 + ".png")
    (item,) = bench.plan(CUT, output=OUTPUT).items
    assert (item.status, item.code, item.outputs) == ("invalid", "name", ())


def test_pictures_that_may_lose_their_transparency_are_warned_of(bench: Bench) -> None:
    bench.picture("a.png")
    some = "background-remove:\n    when: {width_below: 900}"
    jpeg = "{path: ./out, renditions: [{format: jpeg}]}"
    assert "alpha-at-risk" in codes(bench.plan(some, output=jpeg))
    assert "alpha-at-risk" not in codes(bench.plan(some, output=OUTPUT))


def test_animations_are_warned_of(bench: Bench) -> None:
    bench.picture("still.gif")
    for number, colours in enumerate((["blue"], ["blue", "green"])):
        frames = [Image.new("RGB", (300, 300), colour) for colour in colours]
        bench.picture(f"moving-{number}.gif", save_all=True, append_images=frames)
        told = [warning.text for warning in bench.plan("upscale").warnings if warning.code == "first-only"]
        files = ("1 file", "2 files")[number]
        assert told == [
            f"only the first picture of {files} is used: the rest of an animation or of further pages is left out"
        ]
