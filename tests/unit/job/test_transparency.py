"""JPEG files of pictures that are all transparent: refused before anything is paid."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from venice_batch.job import Job
from venice_batch.job.transparency import at_risk

Loader = Callable[..., Job]
Complaints = Callable[..., list[str]]

JPEG = "{path: ./out, renditions: [{format: jpeg}]}"
PLAIN = "{path: ./out, renditions: [{format: jpeg, background: white}]}"
WEBP = "{path: ./out, renditions: [{format: webp}]}"
WHAT = "every picture is transparent here, and JPEG cannot keep that"


def text(steps: str, output: str) -> str:
    return f"version: 1\nname: a\nsource: ./in\noutput: {output}\nsteps: [{steps}]\n"


@pytest.mark.parametrize(
    ("steps", "output", "place"),
    [
        ("background-remove", JPEG, "4:45: output.renditions[0].format"),
        ("background-remove, upscale, trim", JPEG, "4:45: output.renditions[0].format"),
        ("background-remove, {pad: {margin: 5%, color: transparent}}", JPEG, "4:45: output.renditions[0].format"),
        ("background-remove", "{path: o, name: '{stem}.jpg'}", "4:25: output.name"),
        ("background-remove, {convert: {format: jpeg}}", "./out", "5:47: convert.format"),
        ("background-remove, {flatten: , when: {has_alpha: false}}", JPEG, "4:45: output.renditions[0].format"),
    ],
)
def test_what_every_item_would_fail_by_is_refused_with_its_place(
    complaints: Complaints, steps: str, output: str, place: str
) -> None:
    (found,) = complaints(text(steps, output))
    assert found.startswith(f"/jobs/a.yaml:{place}: {WHAT}; ")
    assert "flatten: {color: white}" in found


@pytest.mark.parametrize(
    ("steps", "output"),
    [
        ("upscale", JPEG),
        ("background-remove", PLAIN),
        ("background-remove", WEBP),
        ("background-remove", "./out"),
        ("background-remove, flatten", JPEG),
        ("background-remove, {flatten: , when: {has_alpha: true}}", JPEG),
        ("background-remove, {pad: {aspect_ratio: '1:1', color: white}}", JPEG),
        ("background-remove, {edit: {prompt: x}}", JPEG),
        ("background-remove, flatten, {convert: {format: jpeg}}", "./out"),
    ],
)
def test_what_does_not_lose_transparency_for_certain_is_taken(job: Loader, steps: str, output: str) -> None:
    assert not at_risk(job(text(steps, output)))


@pytest.mark.parametrize(
    ("steps", "output"),
    [
        ("{background-remove: , when: {width_below: 900}}", JPEG),
        ("background-remove, {flatten: , when: {width_below: 900}}", JPEG),
        ("{background-remove: , when: {width_below: 900}}, {convert: {format: jpeg}}", "./out"),
        ("background-remove, {convert: {format: jpeg}, when: {width_below: 900}}", "./out"),
    ],
)
def test_what_some_items_may_fail_by_is_a_risk(job: Loader, steps: str, output: str) -> None:
    assert at_risk(job(text(steps, output)))
