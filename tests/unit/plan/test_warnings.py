"""What is said before anything is paid: the API's limits, and models that are not on offer."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.plan.conftest import Bench
from tests.unit.steps.conftest import MODELS, catalogue_of
from venice_batch.errors import JobError, SourceError
from venice_batch.plan.model import Plan

TIERED = "edit: {prompt: p, model: nano-banana-pro-edit, resolution: 2K}"


def codes(plan: Plan) -> list[str]:
    return [warning.code for warning in plan.warnings]


def test_a_sound_job_has_no_warnings(bench: Bench) -> None:
    bench.picture("a.png")
    assert codes(bench.plan("upscale", TIERED, "background-remove")) == []


def test_a_rule_that_buys_flagged_answers_anew_is_told(bench: Bench) -> None:
    assert codes(bench.plan("upscale", more="run: {on_flagged: retry}")) == ["flagged-retry"]


def test_pixels_that_an_edit_throws_away_are_told(bench: Bench) -> None:
    plan = bench.plan("upscale", "edit: {prompt: p}")
    assert codes(plan) == ["pixels-lost"]
    assert "'upscale'" in plan.warnings[0].text
    assert "'edit'" in plan.warnings[0].text
    assert codes(bench.plan("edit: {prompt: p}", "upscale")) == []
    assert codes(bench.plan("upscale", "edit: {prompt: p, model: two-tiers}")) == []


def test_transparency_that_an_edit_may_lose_is_told(bench: Bench) -> None:
    assert codes(bench.plan("background-remove", TIERED)) == ["alpha-lost"]
    assert codes(bench.plan(TIERED, "background-remove")) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("{scale: 2, creativity: 0.02}", []),
        ("{creativity: 0.5}", ["clamped"]),
        ("{enhance: true, replication: 0.3}", ["ignored-field"]),
        ("{scale: 1, enhance: true}", ["ignored-field", "scale-1"]),
    ],
)
def test_fields_that_the_api_treats_otherwise_are_told(bench: Bench, fields: str, expected: list[str]) -> None:
    assert codes(bench.plan(f"upscale: {fields}")) == expected


def test_a_model_that_will_go_is_told_with_its_day_and_what_comes_instead(bench: Bench) -> None:
    (warning,) = bench.plan("edit: {prompt: p, model: old-edit}").warnings
    assert warning.code == "deprecated-model"
    assert "2027-06-30" in warning.text
    assert "firered-image-edit" in warning.text


def test_a_scale_beyond_the_cap_is_told_with_the_number_of_pictures(bench: Bench) -> None:
    bench.picture("large.png", (1025, 1024))
    bench.picture("larger.png", (2200, 2000))
    bench.picture("small.png", (1024, 1024))
    plan = bench.plan("upscale: {scale: 4}")
    assert codes(plan) == ["scale-capped"]
    assert plan.warnings[0].text.startswith("2 pictures")
    plan = bench.plan("upscale: {scale: 2}")
    assert plan.warnings[0].text.startswith("1 picture gives")


def test_pictures_that_are_converted_first_are_told(bench: Bench) -> None:
    bench.picture("a.png")
    bench.picture("b.gif")
    bench.picture("c.bmp")
    plan = bench.plan("upscale")
    assert codes(plan) == ["fitted"]
    assert plan.warnings[0].text.startswith("2 pictures are")


def test_a_balance_in_crumbs_is_told(bench: Bench) -> None:
    bench.picture("a.png")
    bench.balances = {"USD": Decimal("0.01"), "DIEM": Decimal("0.01")}
    plan = bench.plan("upscale")
    assert plan.coverage.covered
    assert codes(plan) == ["split-balance"]
    bench.balances = {"USD": Decimal("0.01")}
    plan = bench.plan("upscale")
    assert not plan.coverage.covered
    assert codes(plan) == []


# Models that are not on offer


def refused(bench: Bench, *steps: str) -> list[str]:
    with pytest.raises(JobError) as caught:
        bench.plan(*steps)
    assert caught.value.exit_code == 2
    return [str(problem).removeprefix(f"{bench.folder}/") for problem in caught.value.problems]


def test_a_model_that_is_gone_is_told_with_its_place_and_replacement(bench: Bench) -> None:
    (line,) = refused(bench, "upscale", "edit: {prompt: p, model: qwen-edit}")
    assert line.startswith("job.yaml:9:30:")
    assert "no model 'qwen-edit'" in line
    assert "write firered-image-edit instead" in line


def test_an_unknown_model_is_told_with_those_there_are(bench: Bench) -> None:
    (line,) = refused(bench, "edit: {prompt: p, model: nonsense}")
    assert line.startswith("job.yaml:8:30:")
    assert "nano-banana-pro-edit" in line
    assert "z-image-turbo" not in line


def test_every_problem_is_told_at_once(bench: Bench) -> None:
    lines = refused(
        bench,
        "edit: {prompt: p, model: z-image-turbo}",
        "edit: {prompt: p, model: nano-banana-pro-edit, aspect_ratio: 9:16, resolution: 2K}",
        "edit: {prompt: p, model: sleeping-edit}",
    )
    places = [line.split(":")[1] for line in lines]
    assert places == ["8", "9", "10"]
    assert "is no model for edit" in lines[0]
    assert "9:16 is not offered" in lines[1]
    assert "offline" in lines[2]


def test_a_catalogue_without_a_price_refuses_the_step(bench: Bench) -> None:
    bench.catalogue = catalogue_of(*(model for model in MODELS if model.type != "upscale"))
    (line,) = refused(bench, "upscale")
    assert "upscaler" in line


def test_a_file_that_a_step_names_must_be_there(bench: Bench) -> None:
    with pytest.raises(SourceError, match=r"logo\.png") as caught:
        bench.plan("multi-edit: {prompt: p, images: [current, {file: logo.png}]}")
    assert "images" in caught.value.remedy
