"""The live catalogue decides: prices as they are billed, limits as it lists them; odd entries cost themselves alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.e2e.conftest import CUT, FAST, Vendor, Work
from tests.servers.listener import Listener
from venice_batch.emulator import Settings, serve_in_thread

UP_4 = {"upscale": {"scale": 4}}
NANO_4K = {"edit": {"prompt": "p", "model": "nano-banana-pro-edit", "resolution": "4K"}}


@pytest.fixture(scope="module")
def shared() -> Iterator[Vendor]:
    """One vendor for all: its pictures are repeated, so that large ones cost no time."""
    with serve_in_thread(Settings(rpm=FAST, pictures="canned")) as running:
        yield Vendor(running)


@pytest.fixture
def work(shared: Vendor, tmp_path: Path) -> Work:
    shared.reset()
    return Work(tmp_path / "work", shared)


def cost(plan: Mapping[str, Any]) -> tuple[str, str]:
    return plan["cost"]["low"], plan["cost"]["high"]


def codes(plan: Mapping[str, Any]) -> list[str]:
    return [warning["code"] for warning in plan["warnings"]]


def spent(work: Work) -> Decimal:
    return Decimal(sum(row.micros for row in work.ledger() if row.fate == "spent")) / 1_000_000


def rows(work: Work, *lines: Sequence[str]) -> dict[str, str]:
    """Write a prompts file; return the source that names it."""
    with (work.root / "prompts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return {"prompts": "prompts.csv"}


# Prices


def test_an_upscale_is_priced_and_billed_by_the_scale_that_is_left_below_the_cap(work: Work) -> None:
    sizes = {"poster.jpg": (2600, 2200), "square.jpg": (2048, 2048), "below.jpg": (2047, 2048), "small.jpg": (400, 300)}
    for name, size in sizes.items():
        work.take(name, size)
    work.write(UP_4)
    plan = work.asked("plan")
    assert cost(plan) == ("0.20", "0.20")
    assert "scale-capped" in codes(plan)
    work.write({"upscale": {"scale": 3}})
    assert cost(work.asked("plan")) == ("0.20", "0.20")
    ended = work.run()
    assert ended.code == 0, ended.text
    assert work.vendor.billed() == spent(work) == Decimal("0.20")


@pytest.mark.parametrize("size", [(40, 3000), (1100, 63), (5000, 3600), (4096, 4096)])
def test_what_cannot_be_enlarged_is_refused_before_an_earlier_step_is_paid(work: Work, size: tuple[int, int]) -> None:
    work.take("odd.jpg", size)
    work.take("fine.jpg", (400, 300))
    work.write(CUT, {"upscale": {"scale": 2}})
    plan = work.asked("plan")
    assert plan["items"]["invalid"] == 1
    assert cost(plan) == ("0.05", "0.05")
    assert work.run().code == 3
    assert work.states() == {"odd.jpg": "invalid", "fine.jpg": "done"}
    assert work.vendor.billed() == Decimal("0.05")


@pytest.mark.parametrize(
    ("first", "range_", "bill"),
    [
        ({"edit": {"prompt": "p"}}, ("0.06", "0.12"), "0.12"),
        (NANO_4K, ("0.37", "0.43"), "0.37"),
    ],
)
def test_an_upscale_of_unknown_size_is_a_range_and_pays_what_it_turns_out_to_cost(
    work: Work, first: dict[str, Any], range_: tuple[str, str], bill: str
) -> None:
    work.take("a.jpg", (400, 300))
    work.write(first, UP_4)
    assert cost(work.asked("plan")) == range_
    ended = work.run("--budget", range_[1])
    assert ended.code == 0, ended.text
    assert work.vendor.billed() == spent(work) == Decimal(bill)


def test_a_budget_of_exactly_the_plan_lets_a_capped_upscale_run(work: Work) -> None:
    work.take("poster.jpg", (2600, 2200))
    work.write(UP_4)
    ended = work.run("--budget", "0.02")
    assert ended.code == 0, ended.text
    assert work.vendor.billed() == Decimal("0.02")


def test_an_older_id_is_priced_as_the_model_that_runs_and_sent_as_it_is_written(work: Work) -> None:
    work.draw("a.jpg")
    work.write({"edit": {"prompt": "p", "model": "qwen-edit"}}, {"multi-edit": {"prompt": "q", "model": "qwen-edit"}})
    plan = work.asked("plan")
    assert [step["model"] for step in plan["steps"]] == ["qwen-edit-uncensored"] * 2
    ended = work.run()
    assert ended.code == 0, ended.text
    sent = [entry["params"] for entry in work.vendor.paid()]
    assert (sent[0]["model"], sent[1]["modelId"]) == ("qwen-edit", "qwen-edit")
    assert work.vendor.billed() == Decimal(plan["cost"]["high"]) == Decimal("0.08")


def test_rows_with_models_of_their_own_are_planned_and_billed_under_these(work: Work) -> None:
    listed = (("a", "x", "z-image-turbo"), ("b", "y", ""), ("c", "z", "nano-banana-pro"), ("d", "v", "qwen-image-2"))
    source = rows(work, ("id", "prompt", "model"), *listed)
    work.write({"generate": {"model": "z-image-turbo"}}, source=source)
    plan = work.asked("plan")
    shown = {step["model"]: (step["calls"], step["cost"]["high"]) for step in plan["steps"]}
    assert shown == {"z-image-turbo": (2, "0.02"), "nano-banana-pro": (1, "0.18"), "qwen-image-2": (1, "0.05")}
    ended = work.run()
    assert ended.code == 0, ended.text
    assert work.vendor.billed() == Decimal(plan["cost"]["high"]) == Decimal("0.25")


def test_a_row_whose_model_is_not_there_costs_itself_alone(work: Work) -> None:
    source = rows(work, ("id", "prompt", "model"), ("a", "x", "painter-of-old"), ("b", "y", ""), ("c", "y", "upscaler"))
    work.write({"generate": {"model": "z-image-turbo"}}, source=source)
    ended = work.run()
    assert ended.code == 3, ended.text
    assert work.states() == {"a": "invalid", "b": "done", "c": "invalid"}
    assert "the key's privacy setting may hide" in ended.text


# Limits


def test_what_the_api_answers_with_400_is_refused_at_plan_all_at_once(work: Work) -> None:
    work.draw("a.jpg")
    work.write(
        {"edit": {"prompt": "p", "resolution": "1K"}, "id": "one"},
        {"edit": {"prompt": "p", "model": "nano-banana-pro-edit", "resolution": "8K"}, "id": "two"},
        {"multi-edit": {"prompt": "p", "model": "gpt-image-2-edit", "quality": "superb"}, "id": "three"},
        {"edit": {"prompt": "p" * 1501, "model": "seedream-v4-edit"}, "id": "four"},
        {"edit": {"prompt": "p", "aspect_ratio": "7:3"}, "id": "five"},
        {"edit": {"prompt": "p", "transparent_background": True}, "id": "six"},
    )
    for command in ("plan", "run"):
        ended = work.venice(command, work.job)
        assert ended.code == 2
        for words in (
            "firered-image-edit takes no resolution",
            "resolution 8K is not offered by nano-banana-pro-edit",
            "quality superb is not offered",
            "the prompt has 1501 characters; seedream-v4-edit takes 1500",
            "aspect_ratio 7:3 is not offered",
            "firered-image-edit makes no transparent background",
        ):
            assert words in ended.err
    assert work.vendor.paid() == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"steps": 31, "model": "venice-sd35"}, "30 steps at most"),
        ({"style_references": [{"image": "https://a.example/b.png"}]}, "z-image-turbo takes none"),
        ({"negative_prompt": "x" * 1501, "model": "venice-sd35"}, "the negative_prompt has 1501 characters"),
        ({"resolution": "8K", "model": "nano-banana-pro"}, "resolution 8K is not offered"),
    ],
)
def test_generate_is_refused_where_the_model_says_no(work: Work, fields: dict[str, Any], words: str) -> None:
    work.write({"generate": {"model": "z-image-turbo", **fields}}, source=rows(work, ("id", "prompt"), ("a", "x")))
    ended = work.venice("plan", work.job)
    assert ended.code == 2
    assert words in ended.err


def test_what_the_api_drops_is_a_warning_and_the_run_goes_through(work: Work) -> None:
    dropped = {"quality": "high", "resolution": "2K", "model": "z-image-turbo"}
    work.write({"generate": dropped}, source=rows(work, ("id", "prompt"), ("a", "x")))
    assert codes(work.asked("plan")) == ["dropped-field", "dropped-field"]
    assert work.run().code == 0
    work.draw("a.jpg")
    work.write({"multi-edit": {"prompt": "p", "model": "flux-2-max-edit", "quality": "high", "resolution": "2K"}})
    plan = work.asked("plan")
    assert codes(plan) == ["dropped-field", "dropped-field"]
    assert work.run().code == 0
    assert work.vendor.billed() == Decimal("0.01") + Decimal(plan["cost"]["high"])


def price(usd: object) -> dict[str, object]:
    return {"usd": usd, "diem": usd}


def serve(work: Work, *entries: object) -> None:
    """Have the vendor's catalogue hold these entries and no others."""
    body = {"object": "list", "type": "all", "data": list(entries)}
    work.vendor.faults({"match": {"path": "/models"}, "do": {"status": 200, "body": body}})


def entry(model: str, kind: str, pricing: object, constraints: object = None, **spec: object) -> dict[str, object]:
    return {"id": model, "type": kind, "model_spec": {"pricing": pricing, "constraints": constraints or {}, **spec}}


def test_a_model_with_tiers_ratios_and_qualities_that_nobody_knew_works_when_the_catalogue_lists_it(work: Work) -> None:
    tiers = {"1.5K": price(0.07), "16K": price(0.9)}
    serve(
        work,
        entry(
            "of-tomorrow-edit",
            "inpaint",
            {"resolutions": tiers, "quality": {"16K": {"ultra": price(1.25)}}},
            {
                "resolutions": ["1.5K", "16K"],
                "defaultResolution": "1.5K",
                "qualities": ["plain", "ultra"],
                "aspectRatios": ["panorama"],
                "supportsTransparentBackground": True,
                "newestLimit": [1, {"of": "all"}],
            },
        ),
    )
    work.draw("a.jpg")
    step = {"prompt": "p", "model": "of-tomorrow-edit", "aspect_ratio": "panorama"}
    work.write({"edit": {**step, "transparent_background": True, "output_format": "png"}})
    assert cost(work.asked("plan")) == ("0.07", "0.07")
    work.write({"edit": {**step, "resolution": "16K"}})
    assert cost(work.asked("plan")) == ("0.90", "0.90")
    work.write({"multi-edit": {**step, "resolution": "16K", "quality": "ultra"}})
    assert cost(work.asked("plan")) == ("1.25", "1.25")
    work.write({"multi-edit": {**step, "resolution": "1.5K", "quality": "ultra"}})
    ended = work.venice("plan", work.job)
    assert (ended.code, "no price" in ended.err) == (2, True)


@pytest.mark.parametrize("value", ["33.5", "true", "abc"])
def test_an_integer_stays_an_integer(work: Work, value: str) -> None:
    source = rows(work, ("id", "prompt"), ("a", "x"))
    work.write({"generate": {"model": "z-image-turbo", "lora_strength": value}}, source=source)
    ended = work.venice("check", work.job)
    assert ended.code == 2
    assert "lora_strength" in ended.err


# Fields


def test_style_references_are_sent_from_files_and_known_by_their_content(work: Work) -> None:
    style = work.root / "style.png"
    Image.new("RGB", (90, 40), "teal").save(style)
    source = rows(work, ("id", "prompt"), ("a", "a vase"))
    reference = {"image": {"file": "style.png"}, "strength": 0.5}
    step = {"generate": {"model": "qwen-image-2", "seed": 4, "style_references": [reference]}}
    work.write(step, source=source)
    assert work.run().code == 0
    style.rename(work.root / "renamed.png")
    reference["image"] = {"file": "renamed.png"}
    work.write(step, source=source)
    assert work.run().code == 0
    assert len(work.vendor.bought()) == 1
    Image.new("RGB", (90, 40), "red").save(work.root / "renamed.png")
    assert work.run().code == 0
    assert len(work.vendor.bought()) == 2
    (work.root / "renamed.png").write_text("no picture")
    ended = work.run()
    assert ended.code == 2
    assert "renamed.png" in ended.err


def test_a_user_id_goes_along_and_small_pictures_are_cut_out(work: Work) -> None:
    work.take("icon.png", (20, 30))
    work.write({"background-remove": {"anon_user_id": "u-7"}})
    ended = work.run()
    assert ended.code in {0, 3}, ended.text  # what is cut out of so small a picture may be flagged
    (call,) = work.vendor.bought()
    assert call["params"]["anon_user_id"] == "u-7"


def test_jpg_means_jpeg_everywhere(work: Work) -> None:
    work.draw("a.jpg")
    step = {"prompt": "p", "output_format": "jpg"}
    output = {"path": "finished", "renditions": [{"format": "jpg"}]}
    work.write({"edit": step}, {"convert": {"format": "jpg"}}, output=output)
    assert work.run().code == 0
    assert set(work.outputs()) == {"a.jpg"}
    assert [call["params"]["output_format"] for call in work.vendor.bought()] == ["jpeg"]
    work.write({"edit": {**step, "output_format": "jpeg"}}, {"convert": {"format": "jpeg"}}, output=output)
    assert work.asked("plan")["cost"]["high"] == "0.00"


# Odd entries

GOOD = (
    entry("upscaler", "upscale", {"upscale": {"2x": price(0.02), "4x": price(0.08)}}),
    entry("fine-edit", "inpaint", {"inpaint": price(0.04)}),
)
ODD: tuple[object, ...] = (
    entry("odd-1", "inpaint", {"resolutions": None, "inpaint": price(0.04)}),
    entry("odd-2", "inpaint", {"quality": {"2K": None}}),
    entry("odd-3", "inpaint", {"inpaint": price(0.04), "inputImages": {"included": None, "additional": price(1)}}),
    entry("odd-4", "inpaint", {"inpaint": price("contact us")}),
    entry("odd-5", "inpaint", {"inpaint": price("")}),
    entry("odd-6", "inpaint", {"inpaint": price(0)}),
    entry("odd-7", "inpaint", {"inpaint": price(-1)}, {"maxInputImages": "three"}),
    entry("odd-8", "inpaint", {"inpaint": "0.04", "resolutions": "all"}),
    entry("odd-9", "inpaint", [1, 2, 3], "none", traits={"a": 1}, deprecation="soon", offline="perhaps"),
    {"id": "odd-10", "type": "inpaint", "model_spec": None},
    {"id": "odd-11", "type": None, "model_spec": "later"},
    {"type": "inpaint", "model_spec": {"pricing": {"inpaint": price(0.04)}}},
    {"id": 7, "type": "inpaint"},
    None,
    "text",
    [],
)


def test_odd_entries_of_others_are_named_and_cost_a_job_nothing(work: Work) -> None:
    serve(work, *ODD, *GOOD)
    work.draw("a.jpg")
    work.write({"upscale": {"scale": 2}}, {"edit": {"prompt": "p", "model": "fine-edit"}})
    plan = work.asked("plan")
    assert cost(plan) == ("0.06", "0.06")
    (warning,) = [each["text"] for each in plan["warnings"] if each["code"] == "odd-catalogue"]
    assert "odd-4: not to be read: inpaint.usd 'contact us'" in warning
    listed = work.venice("models")
    assert listed.code == 0
    assert "fine-edit" in listed.out
    assert "note: odd-4: not to be read: inpaint.usd 'contact us'" in listed.err
    assert "has no id that can be read" in listed.err


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_an_odd_entry_is_refused_by_the_job_that_needs_it(work: Work, number: int) -> None:
    serve(work, *ODD, *GOOD)
    work.draw("a.jpg")
    work.write({"edit": {"prompt": "p", "model": f"odd-{number}"}})
    ended = work.venice("plan", work.job)
    assert ended.code == 2, ended.text
    assert f"odd-{number}" in ended.err
    assert "price" in ended.err


def test_a_catalogue_with_nan_and_huge_numbers_is_read(work: Work) -> None:
    text = json.dumps({"data": [*GOOD, entry("odd", "inpaint", {"inpaint": price(float("nan"))})]})
    text = text.replace('"fine-edit", "type"', '"fine-edit", "huge": 1e400, "type"')
    work.vendor.faults({"match": {"path": "/models"}, "do": {"status": 200, "body": text}})
    work.draw("a.jpg")
    work.write({"edit": {"prompt": "p", "model": "fine-edit"}})
    assert cost(work.asked("plan")) == ("0.04", "0.04")


LIMITS = {"accessPermitted": True, "apiTier": {"id": "paid", "isCharged": True}, "balances": {"USD": 50}}


@pytest.mark.parametrize(
    "change",
    [
        {"rateLimits": None, "keyExpiration": "some day", "nextEpochBegins": 3.5},
        {"rateLimits": [None, {"apiModelId": None}, {"apiModelId": "upscaler", "rateLimits": [None, {"type": "RPM"}]}]},
        {"rateLimits": [{"apiModelId": "upscaler", "rateLimits": [{"type": "RPM", "amount": "HUGE"}]}], "apiTier": 1},
        {"balances": {"USD": 50, "DIEM": "none", "NEW": {"of": 1}}, "rateLimits": {"upscaler": 20}},
    ],
)
def test_odd_rate_limits_are_read_for_what_they_hold(work: Work, change: dict[str, Any]) -> None:
    body = json.dumps({"data": {**LIMITS, **change}}).replace('"HUGE"', "1e400")
    work.vendor.faults({"match": {"path": "/api_keys/rate_limits"}, "do": {"status": 200, "body": body}})
    work.draw("a.jpg")
    work.write(UP_4)
    plan = work.asked("plan")
    assert plan["covered"]
    assert plan["eta_seconds"] == 3
    assert "odd-limits" in codes(plan)


# What people read


def test_models_shows_each_models_own_prices_in_plain_decimals(work: Work) -> None:
    account_wide = {"upscale": {"2x": price(0.02), "4x": price(0.08)}}
    further = {"included": 1, "additional": price(0.0034500000000000004)}
    serve(
        work,
        entry("upscaler", "upscale", account_wide),
        entry("painter", "image", {"generation": price(0.09375), **account_wide}),
        entry("mixer", "inpaint", {"inpaint": price(0.1 + 0.2), "inputImages": further, **account_wide}),
    )
    lines = {line.split()[0]: line for line in work.venice("models").out.splitlines()}
    assert "2x" not in lines["painter"]
    assert "0.09375" in lines["painter"]
    assert "0.30, further image 0.00345" in lines["mixer"]
    assert "2x 0.02, 4x 0.08" in lines["upscaler"]
    listed = {model["id"]: model["spec"]["pricing"] for model in work.venice("models", "--json").json}
    assert "upscale" not in listed["painter"]
    assert listed["mixer"]["input_images"]["additional"]["usd"] == "0.00345"


@pytest.mark.parametrize("where", ["catalogue", "headers"])
def test_a_model_that_will_be_retired_is_told_wherever_people_look(work: Work, listener: Listener, where: str) -> None:
    if where == "headers":
        serve(work, entry("seedream-v4-edit", "inpaint", {"inpaint": price(0.05)}))
    work.draw("a.jpg")
    step = {"edit": {"prompt": "p", "model": "seedream-v4-edit"}}
    work.write(step, notify={"webhook": f"{listener.url}/hook", "on": ["success"]})
    told = ["deprecated-model"] if where == "catalogue" else []
    assert codes(work.asked("plan")) == told
    ended = work.run("--json")
    assert ended.code == 0, ended.text
    (message,) = [json.loads(each.body)["text"] for each in listener.received]
    summary = json.loads((work.state / "report" / "summary.json").read_text("utf-8"))
    page = (work.state / "report" / "index.html").read_text("utf-8")
    warned = " ".join(warning["text"] for warning in ended.json["warnings"])
    for text in (warned, ended.err, message, " ".join(summary["notes"]), page):
        assert "qwen-image-3-edit" in text
