"""Sidecars: masks and the like beside an item's picture, found by name, and part of what is bought."""

from __future__ import annotations

import os

import pytest

from tests.unit.plan.conftest import Bench
from tests.unit.plan.test_metadata import codes, only, pictures
from venice_batch.errors import JobError
from venice_batch.steps.chain import Purchase

MASKED = "multi-edit: {prompt: p, images: [current, {beside: '{stem}_mask.png'}]}"
WITHOUT_MASKS = "{path: ./in, exclude: ['**/*_mask.png']}"


def test_a_mask_beside_the_picture_is_part_of_what_is_bought(bench: Bench) -> None:
    pictures(bench, "x/a.png", "x/a_mask.png", "b.png", "b_mask.png")

    before = masked(bench)
    bench.picture("b_mask.png", (777, 300), "blue")
    after = masked(bench)
    assert before["x/a.png"] == after["x/a.png"]
    assert before["b.png"][0] != after["b.png"][0]
    assert before["b.png"][1] != after["b.png"][1]


def test_a_mask_with_a_new_date_and_the_same_bytes_buys_nothing(bench: Bench) -> None:
    pictures(bench, "a.png", "a_mask.png")
    before = masked(bench)
    os.utime(bench.folder / "in" / "a_mask.png", ns=(1, 1))
    after = masked(bench)
    assert before["a.png"][0] != after["a.png"][0]
    assert before["a.png"][1] == after["a.png"][1]


def masked(bench: Bench) -> dict[str, tuple[str, str]]:
    """Return each item's fingerprint and the key of its call."""
    made = bench.plan(MASKED, source=WITHOUT_MASKS)
    assert {item.status for item in made.items} == {"new"}
    found = {}
    for item in made.items:
        _, stop = item.chain.advance(item.chain.start(item.input_key, item.known))
        assert isinstance(stop, Purchase)
        found[item.key] = item.fingerprint, stop.claim
    return found


def test_a_missing_mask_is_named(bench: Bench) -> None:
    pictures(bench, "x/a.png")
    item = only(bench.plan(MASKED, source=WITHOUT_MASKS))
    assert (item.status, item.code) == ("invalid", "beside")
    assert "x/a_mask.png" in item.reason


@pytest.mark.parametrize(("spoil", "said"), [("small", "10x10"), ("text", "not a picture")])
def test_a_mask_that_the_api_would_refuse_is_named_before_anything_is_paid(bench: Bench, spoil: str, said: str) -> None:
    pictures(bench, "a.png", "a_mask.png")
    if spoil == "small":
        bench.picture("a_mask.png", (10, 10))
    else:
        (bench.folder / "in" / "a_mask.png").write_text("no picture at all")
    item = only(bench.plan("background-remove", MASKED, source=WITHOUT_MASKS))
    assert (item.status, item.code) == ("invalid", "beside")
    assert "its file a_mask.png: " in item.reason
    assert said in item.reason


def test_a_mask_that_is_an_item_too_is_warned_of(bench: Bench) -> None:
    pictures(bench, "a.png", "a_mask.png")
    assert "a_mask.png" in codes(bench.plan(MASKED))["beside-and-item"]
    assert "beside-and-item" not in codes(bench.plan(MASKED, source=WITHOUT_MASKS))


def test_masks_are_looked_up_one_by_one_where_keys_are_listed(bench: Bench) -> None:
    pictures(bench, "a.png", "a_mask.png")
    (bench.folder / "keys.txt").write_text("a.png\n")
    assert only(bench.plan(MASKED, source="{path: ./in, keys: keys.txt}")).status == "new"


@pytest.mark.parametrize("name", ["../{stem}.png", "/{stem}.png", "mask.png", "a//{stem}.png"])
def test_a_name_beside_the_picture_that_makes_no_sense_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(JobError, match=":8:"):
        bench.job(f"multi-edit: {{prompt: p, images: [current, {{beside: '{name}'}}]}}")


def test_there_is_nothing_beside_a_prompt(bench: Bench) -> None:
    with pytest.raises(JobError, match="beside"):
        bench.job("generate: {model: z-image-turbo}", MASKED, source="{prompts: p.csv}")
