"""Presets: what they stand for in a job, and that they follow the rules they name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml
from PIL import Image

from venice_batch.job import Job
from venice_batch.job.presets import CHECKED, PRESETS, Preset
from venice_batch.steps.local import LocalStep, renderer
from venice_batch.steps.table import build

Loader = Callable[..., Job]
Complaints = Callable[..., list[str]]

HEAD = "version: 1\nname: a\nsource: ./in\noutput: ./out\n"
EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)


def steps_of(job: Job) -> list[object]:
    return [build(step.id, step.name, step.fields, step.when) for step in job.steps]


@EACH
def test_a_preset_is_what_its_yaml_says(job: Loader, preset: Preset) -> None:
    short = job(HEAD + f"steps: [background-remove]\npreset: {preset.name}\n")
    spelt = {
        "version": 1,
        "name": "a",
        "source": "./in",
        "steps": ["background-remove", *preset.job_steps()],
        "output": {"path": "./out", "renditions": [dict(each) for each in preset.renditions]},
    }
    long = job(yaml.safe_dump(spelt, sort_keys=False, default_flow_style=None))
    assert steps_of(short) == steps_of(long)
    assert short.output == long.output


@EACH
def test_a_preset_alone_makes_a_job(job: Loader, preset: Preset) -> None:
    loaded = job(HEAD + f"preset: {preset.name}\n")
    assert [step.name for step in loaded.steps] == [name for name, _ in preset.steps]
    assert loaded.output.renditions


@EACH
def test_a_preset_names_its_sources_and_stands_in_the_documents(preset: Preset) -> None:
    document = (Path(__file__).parents[3] / "docs" / "presets.md").read_text("utf-8")
    assert preset.rules
    for rule in preset.rules:
        assert rule.source.startswith("https://")
        assert rule.source in document
    assert f"`{preset.name}`" in document
    assert CHECKED in document
    assert date.fromisoformat(CHECKED) <= date.today()  # noqa: DTZ011 - a day, not a moment


def test_amazons_main_picture_is_a_white_square_that_the_product_fills(job: Loader, tmp_path: Path) -> None:
    cutout = Image.new("RGBA", (900, 700))
    cutout.paste((30, 60, 160, 255), (100, 300, 500, 420))
    cutout.save(tmp_path / "cutout.png")
    loaded = job(HEAD + "preset: amazon-main\n")
    steps = [step for step in steps_of(loaded) if isinstance(step, LocalStep)]
    rendition = loaded.output.renditions[0].rendition
    with renderer(steps, tmp_path / "cutout.png", tmp_path / "work", several=False) as write:
        facts = write(tmp_path / "made", rendition)
    assert (facts.format, facts.has_alpha, facts.width) == ("JPEG", False, facts.height)
    with Image.open(tmp_path / "made") as made:
        assert made.getpixel((0, 0)) == (255, 255, 255)
        left, _, right, _ = made.convert("L").point([255] * 200 + [0] * 56).getbbox() or (0, 0, 0, 0)
    assert 0.85 <= (right - left) / facts.width <= 0.95


def test_a_preset_stands_behind_the_jobs_own_steps(job: Loader) -> None:
    loaded = job(HEAD + "steps: [background-remove, trim]\npreset: amazon-main\n")
    assert [step.id for step in loaded.steps] == ["background-remove", "trim", "trim-2", "pad"]


def test_a_preset_beside_renditions_is_refused(complaints: Complaints) -> None:
    text = "version: 1\nname: a\nsource: ./in\npreset: ebay\noutput: {path: ./out, renditions: [{format: png}]}\n"
    (found,) = complaints(text)
    assert found == (
        "/jobs/a.yaml:5:23: preset ebay brings renditions of its own;"
        " keep one of the two; venice-batch presets ebay shows what it stands for"
    )


def test_an_unknown_preset_is_refused_with_the_nearest(complaints: Complaints) -> None:
    (found,) = complaints(HEAD + "steps: [upscale]\npreset: amazon\n")
    assert found.startswith('/jobs/a.yaml:6:9: preset: "amazon" is not offered; did you mean amazon-main?')


def test_a_name_that_promises_another_format_is_refused_at_the_preset(complaints: Complaints) -> None:
    text = "version: 1\nname: a\nsource: ./in\npreset: etsy\noutput: {path: ./out, name: '{stem}.png'}\n"
    (found,) = complaints(text)
    assert found.startswith("/jobs/a.yaml:4:1: ")
    assert "ends in .png" in found


def test_a_preset_can_be_chosen_on_the_command_line(job: Loader) -> None:
    loaded = job(HEAD + "steps: [background-remove]\n", overrides=["preset=shopify-product"])
    assert [step.name for step in loaded.steps] == ["background-remove", "pad"]
