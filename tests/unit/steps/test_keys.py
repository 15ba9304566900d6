"""What names a purchase: whatever changes the answer, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.steps.conftest import HOST, SOURCE, key, paid, step
from venice_batch.steps.chain import Chain, Purchase, Step
from venice_batch.steps.conditions import Known
from venice_batch.steps.fields import MultiEditFields
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.local import orient
from venice_batch.steps.paid import Generate, PaidStep
from venice_batch.steps.table import build, for_row

OTHER = InputKey("source", "7" * 64)


def bought(*steps: Step, source: InputKey = SOURCE, files: dict[Path, str] | None = None) -> Purchase:
    """Return the first purchase of a chain."""
    chain = Chain(HOST, steps, files or {})
    _, stop = chain.advance(chain.start(source, Known(1000, 1000)))
    assert isinstance(stop, Purchase)
    return stop


def test_a_key_never_changes_between_versions() -> None:
    # Written down on purpose: results are found by this for years, and a change would buy every picture again.
    described = '{"endpoint":"/image/upscale","host":"api.venice.ai","input":[{"local":[],"source":"%s"}],'
    assert key("upscale", {"scale": 4}) == _sha256(described % ("5" * 64) + '"parameters":{"scale":4}}')


def _sha256(text: str) -> str:
    import hashlib  # noqa: PLC0415 - only the test above reckons by itself

    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_inputs_give_the_same_key_whatever_the_step_is_called() -> None:
    fields = {"prompt": "p", "safe_mode": False}
    same = {"safe_mode": False, "prompt": "p"}
    named = paid("edit", same, named="other", when={"width_below": 5}).key(HOST, [SOURCE])
    assert key("edit", fields) == named == key("edit", fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"scale": 2}, {"scale": 2.0}),
        ({"scale": 4}, {"scale": "4"}),
        ({"creativity": 0}, {"creativity": 0.0}),
        ({"creativity": 0}, {"creativity": -0.0}),
        ({"creativity": 0.01}, {"creativity": "0.010"}),
        ({"enhance": True, "scale": 1}, {"enhance": "true", "scale": 1}),
    ],
)
def test_two_spellings_of_a_value_are_one_purchase(one: dict[str, object], other: dict[str, object]) -> None:
    assert key("upscale", one) == key("upscale", other)


WRITTEN: list[dict[str, object]] = [
    {},
    {"scale": 2},
    {"scale": 4},
    {"creativity": 0.01},
    {"scale": 2, "enhance": True},
]


def test_every_field_that_is_sent_is_part_of_the_key() -> None:
    assert len({key("upscale", fields) for fields in WRITTEN}) == len(WRITTEN)


def test_host_endpoint_and_input_are_part_of_the_key() -> None:
    keys = {
        key("edit", {"prompt": "p"}),
        key("edit", {"prompt": "q"}),
        key("multi-edit", {"prompt": "p"}),
        key("edit", {"prompt": "p"}, host="emulator"),
        key("edit", {"prompt": "p"}, OTHER),
        key("edit", {"prompt": "p"}, InputKey("result", SOURCE.value)),
        key("edit", {"prompt": "p"}, InputKey("url", SOURCE.value)),
    }
    assert len(keys) == 7


def test_a_model_that_was_not_written_is_neither_sent_nor_in_the_key() -> None:
    unset = paid("edit", {"prompt": "p"})
    assert unset.model is None
    assert unset.sent == {"prompt": "p"}
    assert unset.key(HOST, [SOURCE]) != key("edit", {"prompt": "p", "model": "firered-image-edit"})


@pytest.mark.parametrize(("step_name", "sent_as"), [("edit", "model"), ("multi-edit", "modelId")])
def test_both_names_of_the_model_are_one_purchase(step_name: str, sent_as: str) -> None:
    one, other = (paid(step_name, {"prompt": "p", name: "m"}) for name in ("model", "modelId"))
    assert one.sent == other.sent == {"prompt": "p", sent_as: "m"}
    assert one.model == other.model == "m"
    assert one.key(HOST, [SOURCE]) == other.key(HOST, [SOURCE])


def test_local_steps_count_by_name_parameters_and_revision() -> None:
    at = key("upscale", None, SOURCE.then("fit", '{"max_side":100}', 1))
    assert at == key("upscale", None, SOURCE.then("fit", '{"max_side":100}', 1))
    others = [
        key("upscale"),
        key("upscale", None, SOURCE.then("orient", '{"max_side":100}', 1)),
        key("upscale", None, SOURCE.then("fit", '{"max_side":101}', 1)),
        key("upscale", None, SOURCE.then("fit", '{"max_side":100}', 2)),
        key("upscale", None, SOURCE.then("fit", '{"max_side":100}', 1).then("fit", '{"max_side":100}', 1)),
    ]
    assert len({at, *others}) == 6


def test_a_fit_in_the_chain_changes_the_key_and_its_spelling_does_not() -> None:
    upscale = step("upscale")
    plain = bought(upscale).claim
    kilobytes = bought(step("fit", {"max_bytes": "500KB"}), upscale).claim
    as_bytes = bought(step("fit", {"max_bytes": 500_000}), upscale).claim
    assert kilobytes == as_bytes != plain
    assert bought(orient(), upscale).claim not in {plain, kilobytes}


def test_a_step_that_is_left_out_is_not_in_the_key() -> None:
    upscale = step("upscale")
    skipped = step("fit", {"max_side": 100}, when={"width_below": 1000})
    assert bought(skipped, upscale).claim == bought(upscale).claim


# multi-edit


def multi_edit(images: list[object], folder: Path = Path("/job")) -> Step:
    written = {"prompt": "p", "images": images}
    return build("multi-edit", "multi-edit", MultiEditFields.model_validate(written, context={"folder": folder}))


def test_the_order_of_pictures_matters() -> None:
    files = {Path("/job/a.png"): "a" * 64, Path("/job/b.png"): "b" * 64}
    one = bought(multi_edit(["current", {"file": "a.png"}, {"file": "b.png"}]), files=files)
    other = bought(multi_edit(["current", {"file": "b.png"}, {"file": "a.png"}]), files=files)
    assert one.claim != other.claim


def test_files_count_by_content_and_not_by_name() -> None:
    one = bought(multi_edit(["current", {"file": "a.png"}]), files={Path("/job/a.png"): "a" * 64})
    moved = bought(multi_edit(["current", {"file": "/else/b.png"}]), files={Path("/else/b.png"): "a" * 64})
    changed = bought(multi_edit(["current", {"file": "a.png"}]), files={Path("/job/a.png"): "c" * 64})
    assert one.claim == moved.claim != changed.claim


def test_addresses_count_as_they_are() -> None:
    one = bought(multi_edit(["current", {"url": "https://a.example/x.png"}]))
    other = bought(multi_edit(["current", {"url": "https://a.example/y.png"}]))
    assert one.claim != other.claim
    assert bought(multi_edit(["current"])).claim == bought(multi_edit(["source"])).claim


# generate


def generated(fields: dict[str, object], row: str, **columns: str) -> Purchase:
    first = step("generate", {"model": "m", **fields})
    assert isinstance(first, Generate)
    return bought(for_row(first, row, columns), source=InputKey("unread", row))


def test_without_a_seed_each_row_is_a_purchase_of_its_own() -> None:
    assert generated({"prompt": "p"}, "1").claim != generated({"prompt": "p"}, "2").claim
    assert generated({"prompt": "p"}, "1").claim == generated({"prompt": "p"}, "1").claim


def test_with_a_seed_rows_that_ask_for_the_same_share_the_answer() -> None:
    assert generated({"prompt": "p", "seed": 7}, "1").claim == generated({"prompt": "p", "seed": 7}, "2").claim
    assert generated({"prompt": "p", "seed": 7}, "1").claim != generated({"prompt": "p", "seed": 8}, "1").claim
    assert generated({"prompt": "p"}, "1", seed="7").claim == generated({"prompt": "p", "seed": 7}, "2").claim


def test_columns_fill_the_fields_and_empty_ones_do_not() -> None:
    first = step("generate", {"model": "m", "prompt": "job's own", "width": 512})
    assert isinstance(first, Generate)
    filled = for_row(first, "1", {"id": "1", "prompt": "row's", "width": "", "steps": "9", "title": "unknown"})
    assert filled.sent == {"model": "m", "prompt": "row's", "width": 512, "steps": 9}
    assert filled.row == "1"


def test_a_column_that_does_not_fit_its_field_is_refused() -> None:
    first = step("generate", {"model": "m"})
    assert isinstance(first, Generate)
    with pytest.raises(ValueError, match="is not a number"):
        for_row(first, "1", {"seed": "seven"})


def test_variants_are_one_call_with_a_result_each() -> None:
    chain = Chain(HOST, (paid("generate", {"model": "m", "prompt": "p", "variants": 3}),))
    start = chain.start(InputKey("unread", "row"), Known())
    found = [chain.advance(start, variant)[1] for variant in (1, 2, 3)]
    assert all(isinstance(stop, Purchase) for stop in found)
    purchases = [stop for stop in found if isinstance(stop, Purchase)]
    (claim,) = {purchase.claim for purchase in purchases}
    assert [purchase.result for purchase in purchases] == [f"{claim}.0", f"{claim}.1", f"{claim}.2"]
    assert {purchase.results for purchase in purchases} == {(f"{claim}.0", f"{claim}.1", f"{claim}.2")}
    assert purchases[0].step.variants == 3


def test_one_picture_has_the_key_of_its_call() -> None:
    purchase = bought(paid("generate", {"model": "m", "prompt": "p", "variants": 1}))
    assert purchase.results == (purchase.claim,)
    assert purchase.result == purchase.claim


def test_a_later_step_is_keyed_by_the_result_before_it() -> None:
    first, second = paid("upscale"), paid("edit", {"prompt": "p"})
    chain = Chain(HOST, (first, second))
    position, stop = chain.advance(chain.start(SOURCE, Known()))
    assert isinstance(stop, Purchase)
    _, later = chain.advance(chain.bought(position, stop, Known()))
    assert isinstance(later, Purchase)
    assert isinstance(later.step, PaidStep)
    assert later.claim == second.key(HOST, [InputKey("result", stop.result)])
