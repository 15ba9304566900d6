"""Taking inputs in and buying: what was read is what is keyed, what was paid is what is kept."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from typing import Any

import pytest

from tests.contract.run.conftest import Shop
from tests.unit.steps.conftest import step
from venice_batch.errors import ItemError
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run.tasks import (
    Bought,
    Buy,
    CallEnded,
    CheckAnswer,
    InputRead,
    InputRef,
    ItemFailed,
    ProbeStage,
    ReadInput,
    ResultsUpdated,
    RunFailed,
    StageProbed,
)
from venice_batch.steps.chain import Stage
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.references import BesideRef, FileRef
from venice_batch.venice import FailureClass


def leftovers(shop: Shop) -> list[str]:
    return [path.name for path in (shop.folder / "results").rglob(".vb-*")]


# Taking in


def test_an_input_is_copied_hashed_and_looked_at(shop: Shop) -> None:
    source = shop.picture()
    outcome = shop.worker.do(ReadInput(1, shop.ref(source, read=False)))
    assert isinstance(outcome, InputRead)
    assert shop.copies() == [source.read_bytes()]
    assert outcome.sha256 == file_hash(source)
    assert outcome.facts.size == (300, 260)


def test_a_copy_stays_until_the_last_item_with_these_bytes_ends(shop: Shop) -> None:
    source = shop.picture()
    twin = shop.folder / "in" / "twin.png"
    twin.write_bytes(source.read_bytes())
    for path in (source, twin, source):
        assert isinstance(shop.worker.do(ReadInput(1, shop.ref(path, read=False))), InputRead)
    assert len(shop.copies()) == 1, "one for both"
    shop.worker.release(shop.ref(source))
    shop.worker.release(shop.ref(source))
    assert len(shop.copies()) == 1
    shop.worker.release(shop.ref(twin))
    assert (shop.scratch(), shop.copies()) == ([], [])


def test_a_worker_without_the_copy_reads_the_input_again(shop: Shop) -> None:
    source = shop.picture()
    before, stage = shop.ref(source), Stage(InputKey("source", file_hash(source)), Known())
    assert isinstance(shop.worker.do(ProbeStage(1, stage, before)), StageProbed)
    assert shop.copies() == [source.read_bytes()]
    # With the copy, the source is not looked at any more.
    shop.picture(size=(400, 400))
    assert isinstance(shop.worker.do(ProbeStage(1, stage, before)), StageProbed)
    shop.worker.release(before)
    outcome = shop.worker.do(ProbeStage(1, stage, before))
    assert isinstance(outcome, ItemFailed)
    assert (outcome.error.code, outcome.error.lasting) == ("changed", False)


def test_an_input_whose_bytes_are_not_those_that_were_read_first_is_not_sent(shop: Shop) -> None:
    source = shop.picture()
    task = shop.buy(source, "upscale")
    outcome = shop.worker.do(replace(task, input=replace(task.input, sha256="0" * 64)))
    assert isinstance(outcome, ItemFailed)
    assert outcome.error.code == "changed"
    assert (shop.requests(), shop.copies()) == (0, [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.unlink(),
    ],
)
def test_an_input_that_is_not_as_it_was_listed_is_left_for_the_next_run(shop: Shop, spoil: Any) -> None:
    source = shop.picture()
    listed = shop.ref(source, read=False)
    spoil(source)
    outcome = shop.worker.do(ReadInput(1, listed))
    assert isinstance(outcome, ItemFailed), outcome
    assert (outcome.error.code, outcome.error.lasting) == ("changed", False)


def test_a_truncated_picture_is_refused_for_good(shop: Shop) -> None:
    source = shop.picture()
    source.write_bytes(source.read_bytes()[:-40])
    outcome = shop.worker.do(ReadInput(1, shop.ref(source, read=False)))
    assert isinstance(outcome, ItemFailed)
    assert outcome.error.lasting


def test_measuring_looks_at_the_picture_with_its_local_steps_done(shop: Shop) -> None:
    source = shop.picture()
    made = step("fit", {"max_side": 150})
    stage = Stage(InputKey("source", "x"), Known(), local=(made,))  # type: ignore[arg-type]  # fit is a local step
    outcome = shop.worker.do(ProbeStage(1, stage, shop.ref(source)))
    assert isinstance(outcome, StageProbed)
    assert outcome.facts.size == (150, 130)
    assert shop.scratch() == []


# Buying


def test_a_bought_answer_is_durable_with_facts_and_verdict(shop: Shop) -> None:
    source = shop.picture()
    task = shop.buy(source, "upscale")
    outcome = shop.worker.do(task)
    assert isinstance(outcome, Bought)
    assert outcome.reason == ""
    found = shop.results.find(task.purchase.result)
    assert found is not None
    assert found.flags == ()
    assert found.facts["verdict"]["facts"]["width"] == 600
    assert found.facts["price_usd"] == "0.02"
    assert found.facts["request_id"] == outcome.answer.request_id
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301 - its own bytes
    assert str(shop.folder) not in repr(outcome), "a path of this machine's disk"
    assert (shop.scratch(), leftovers(shop)) == ([], [])


def test_every_variant_is_kept_under_its_own_name(shop: Shop) -> None:
    fields = {"model": "z-image-turbo", "prompt": "p", "variants": 3}
    task = shop.buy(None, "generate", fields, lane="z-image-turbo")
    assert isinstance(shop.worker.do(task), Bought)
    assert sorted(shop.results.keys()) == sorted(task.purchase.results)
    spare = shop.folder / "unused"
    assert len({shop.results.bytes(key, spare).read_bytes() for key in task.purchase.results}) == 3
    assert leftovers(shop) == []


@pytest.mark.parametrize("kind", ["garbage", "html"])
@pytest.mark.parametrize(
    ("name", "fields"), [("upscale", {}), ("generate", {"model": "z-image-turbo", "prompt": "p", "variants": 2})]
)
def test_an_answer_that_is_no_picture_is_set_aside_and_counted(
    shop: Shop, kind: str, name: str, fields: dict[str, Any]
) -> None:
    shop.fault(do={"kind": kind})
    task = shop.buy(None if name == "generate" else shop.picture(), name, fields, lane="z-image-turbo")
    outcome = shop.worker.do(task)
    assert isinstance(outcome, Bought), outcome
    assert outcome.reason
    assert shop.results.find(task.purchase.result) is None
    assert [path.name for path in (shop.folder / "results").rglob("*.bad-1")]
    assert leftovers(shop) == []


@pytest.mark.parametrize(("kind", "flag"), [("blurred", "blurred"), ("violation", "blocked"), ("blank", "blank")])
def test_a_picture_that_is_not_fit_is_kept_and_held_back(shop: Shop, kind: str, flag: str) -> None:
    shop.fault(do={"kind": kind})
    task = shop.buy(shop.picture(), "upscale")
    assert isinstance(shop.worker.do(task), Bought)
    found = shop.results.find(task.purchase.result)
    assert found is not None
    assert flag in found.flags


@pytest.mark.parametrize(
    ("kind", "name", "flag"), [("wrong-size", "upscale", "size"), ("no-alpha", "background-remove", "alpha")]
)
def test_a_broken_promise_is_flagged(shop: Shop, kind: str, name: str, flag: str) -> None:
    shop.fault(do={"kind": kind})
    task = shop.buy(shop.picture(), name)
    assert isinstance(shop.worker.do(task), Bought)
    found = shop.results.find(task.purchase.result)
    assert found is not None
    assert any(flag in each for each in found.flags), found.flags


@pytest.mark.parametrize(
    ("fault", "failure_class"),
    [
        ({"kind": "lost"}, FailureClass.UNCERTAIN),
        ({"kind": "truncate"}, FailureClass.UNCERTAIN),
        ({"status": 504}, FailureClass.UNCERTAIN),
        ({"status": 422, "body": {"error": "blocked"}}, FailureClass.ITEM_FAILS),
        ({"status": 402, "body": {"error": "Insufficient USD or Diem balance"}}, FailureClass.RUN_STOPS),
        ({"status": 500}, FailureClass.RETRY),
    ],
)
def test_a_call_without_an_answer_tells_its_fate_and_leaves_nothing(
    shop: Shop, fault: dict[str, Any], failure_class: FailureClass
) -> None:
    shop.fault(do=fault)
    task = shop.buy(shop.picture(), "upscale")
    outcome = shop.worker.do(task)
    assert isinstance(outcome, CallEnded), outcome
    assert outcome.failure.failure_class is failure_class
    assert shop.results.find(task.purchase.result) is None
    assert (shop.scratch(), leftovers(shop)) == ([], [])


def test_a_picture_too_small_for_the_api_is_never_sent(shop: Shop) -> None:
    task = shop.buy(shop.picture(size=(100, 100)), "upscale")
    outcome = shop.worker.do(task)
    assert isinstance(outcome, ItemFailed)
    assert outcome.error.code == "too-small"
    assert shop.requests() == 0


def test_an_answer_that_cannot_be_kept_was_billed_all_the_same(shop: Shop) -> None:
    task = shop.buy(shop.picture(), "upscale")
    # A folder where the facts belong: writing them fails after the answer has arrived.
    place = shop.folder / "results" / task.purchase.result[:2] / f"{task.purchase.result}.json"
    place.mkdir(parents=True)
    outcome = shop.worker.do(task)
    assert isinstance(outcome, RunFailed)
    assert outcome.billed
    assert outcome.error.exit_code == 6


def test_bytes_of_an_earlier_step_that_are_gone_are_no_call(shop: Shop) -> None:
    stage = Stage(InputKey("result", "gone"), Known(), "gone")
    outcome = shop.worker.do(ProbeStage(1, stage, InputRef("a.png", "v")))
    assert isinstance(outcome, ItemFailed)
    assert (outcome.error.code, outcome.error.lasting) == ("result-gone", False)


def test_an_answer_that_was_never_judged_is_judged_later_without_a_call(shop: Shop) -> None:
    task = shop.buy(shop.picture(), "upscale")
    assert isinstance(shop.worker.do(task), Bought)
    found = shop.results.find(task.purchase.result)
    assert found is not None
    facts = {name: value for name, value in found.facts.items() if name != "verdict"}
    stored = shop.folder / "results" / found.key[:2] / f"{found.key}.json"
    stored.write_text(json.dumps(facts))
    before = shop.requests()
    outcome = shop.worker.do(CheckAnswer(1, task.purchase.result))
    assert isinstance(outcome, ResultsUpdated), outcome
    assert len(outcome.events) == 1
    judged = shop.results.find(task.purchase.result)
    assert judged is not None
    assert judged.judged
    assert shop.requests() == before


# Files beside the picture


def masked(shop: Shop, **change: str) -> Buy:
    """Return a multi-edit of a picture and the mask beside it; `change` spoils what the plan knew of the mask."""
    source, mask = shop.picture("x/a.png"), shop.picture("x/a_mask.png", (400, 300))
    task = shop.buy(source, "multi-edit", {"prompt": "p"}, lane="firered-image-edit")
    ref = BesideRef("a_mask.png", "x/a_mask.png", shop.ref(mask).version, file_hash(mask))
    inputs = (replace(ref, **change), *task.purchase.inputs)
    return replace(task, purchase=replace(task.purchase, inputs=inputs))


def test_a_mask_beside_the_picture_is_sent_with_it(shop: Shop) -> None:
    assert isinstance(shop.worker.do(masked(shop)), Bought)
    (sent,) = [entry for entry in shop.running.state.log if entry.path == "/image/multi-edit"]
    # The emulator notes the first picture alone, so the mask goes first here.
    assert sent.image_sha256 == file_hash(shop.folder / "in" / "x" / "a_mask.png")
    assert shop.scratch() == []


@pytest.mark.parametrize("change", [{"version": "1-1"}, {"sha256": "0" * 64}, {"key": "x/gone.png"}])
def test_a_mask_that_is_not_what_was_planned_is_not_sent(shop: Shop, change: dict[str, str]) -> None:
    outcome = shop.worker.do(masked(shop, **change))
    assert isinstance(outcome, ItemFailed)
    assert (outcome.error.code, outcome.error.lasting) == ("changed", False)
    assert shop.requests() == 0


# What this machine does wrong


def test_a_copy_of_a_damaged_input_does_not_stay(shop: Shop) -> None:
    source = shop.picture()
    source.write_bytes(source.read_bytes()[:-40])
    assert isinstance(shop.worker.do(ReadInput(1, shop.ref(source, read=False))), ItemFailed)
    assert (shop.scratch(), shop.copies()) == ([], [])


def test_an_answer_that_cannot_be_looked_at_right_now_is_kept_and_counted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_files(*_: object) -> None:
        raise ItemError("unreadable", "too many open files", lasting=False)

    task = shop.buy(shop.picture(), "upscale")
    monkeypatch.setattr("venice_batch.run.materialize.check_answer", short_of_files)
    outcome = shop.worker.do(task)
    assert isinstance(outcome, Bought)
    assert outcome.reason == "", "it is no bad answer"
    found = shop.results.find(task.purchase.result)
    assert found is not None
    assert not found.judged, "it is judged when it is needed"


def test_whatever_goes_wrong_once_a_call_was_made_is_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("venice_batch.venice.client.read_answer", no_memory)
    outcome = shop.worker.do(shop.buy(shop.picture(), "upscale"))
    assert shop.requests() == 1
    assert isinstance(outcome, RunFailed)
    assert outcome.billed


def test_a_file_that_a_step_names_is_only_sent_as_the_plan_saw_it(shop: Shop) -> None:
    logo = shop.picture("logo.png", (300, 300))
    task = shop.buy(shop.picture(), "multi-edit", {"prompt": "p"}, lane="firered-image-edit")
    for sha256, kind in ((file_hash(logo), Bought), ("0" * 64, ItemFailed)):
        inputs = (*task.purchase.inputs, FileRef(logo, sha256))
        outcome = shop.worker.do(replace(task, purchase=replace(task.purchase, inputs=inputs, results=(sha256,))))
        assert isinstance(outcome, kind), outcome
    assert shop.requests() == 1
    assert shop.scratch() == []
