from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from venice_batch.job import FolderSource, Job
from venice_batch.steps.fields import as_sent
from venice_batch.storage import LocalPlace

Loader = Callable[..., Job]
Complaints = Callable[..., list[str]]

TEXT = """\
version: 1
name: a
source: ./in
steps:
  - upscale
  - edit: {prompt: x, modelId: m}
    when: {width_below: 10}
  - orient:
output: ./out
"""


@pytest.mark.parametrize(
    ("option", "step", "sent"),
    [
        ("steps.0.scale=4", 0, {"scale": 4}),
        ("steps.0.upscale.scale=4", 0, {"scale": 4}),
        ("steps.1.prompt=a: [b] #c", 1, {"prompt": "a: [b] #c", "model": "m"}),
        ('steps.1.prompt="a\\tb"', 1, {"prompt": "a\tb", "model": "m"}),
        ("steps.1.prompt='1.10'", 1, {"prompt": "1.10", "model": "m"}),
        ('steps.1.prompt="a" or b', 1, {"prompt": '"a" or b', "model": "m"}),
        ("steps.1.prompt=a=b", 1, {"prompt": "a=b", "model": "m"}),
        ("steps.1.safe_mode=false", 1, {"prompt": "x", "model": "m", "safe_mode": False}),
        ("steps.1.modelId=n", 1, {"prompt": "x", "model": "n"}),
        ("steps.1.model=n", 1, {"prompt": "x", "model": "n"}),
    ],
)
def test_an_option_sets_a_field(job: Loader, option: str, step: int, sent: dict[str, object]) -> None:
    assert as_sent(job(TEXT, {}, [option]).steps[step].fields) == sent


def test_options_set_sections_that_are_missing_or_short(job: Loader) -> None:
    loaded = job(
        TEXT,
        {"OUT": "there"},
        ["budget.max_usd=5", "run.concurrency=3", "source.path=/p", "output.existing=skip", "output.path=${OUT}"],
    )
    assert loaded.budget.max_usd == Decimal(5)
    assert loaded.run.concurrency == 3
    assert loaded.source == FolderSource(path=Path("/p"))
    assert (loaded.output.path, loaded.output.existing) == (LocalPlace("/jobs/there"), "skip")


def test_the_last_of_two_options_counts_and_an_id_is_set_beside_the_step(job: Loader) -> None:
    loaded = job(TEXT, {}, ["name=b", "name=c", "steps.0.id=big", "steps.1.when.width_below=20"])
    assert (loaded.name, loaded.steps[0].id) == ("c", "big")
    assert loaded.steps[1].when is not None
    assert loaded.steps[1].when.to_json() == {"width_below": "20"}


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("steps.0.scale=5", "--set steps.0.scale:1:15: upscale.scale: 5 is not offered by the API; write 2 to 4"),
        ("steps.0.scal=4", '--set steps.0.scal:1:14: unknown key "scal" in upscale; did you mean scale?'),
        ("steps.7.scale=4", "--set steps.7.scale:1:15: there is no item 7 in this list; write 0 to 2"),
        ("steps.x=4", "--set steps.x:1:9: there is no item x in this list; write 0 to 2"),
        ("steps.\u0663.scale=4", "--set steps.\u0663.scale:1:15: there is no item \u0663 in this list; write 0 to 2"),
        ("name.x=4", "--set name.x:1:8: x lies below a single value; replace the whole value"),
        ("foo=1", '--set foo:1:5: unknown key "foo"; known: version, name, '),
        ("scale", "--set scale:1:7: not of the form PATH=VALUE; write --set steps.0.scale=4"),
        ("=4", "--set :1:2: not of the form PATH=VALUE; write --set steps.0.scale=4"),
        ("a..b=4", "--set a..b:1:6: not of the form PATH=VALUE; write --set steps.0.scale=4"),
        ("budget.max_usd=${NOPE}", "--set budget.max_usd:1:16: the variable NOPE is not set; "),
        ("name=", "--set name:1:6: name has no value; write one, or remove the line"),
        (".".join("a" * 5000) + "=1", "--set a.a.a"),
    ],
)
def test_an_option_that_does_not_fit_is_named(complaints: Complaints, option: str, line: str) -> None:
    lines = complaints(TEXT, {}, [option])
    assert len(lines) == 1
    assert lines[0].startswith(line), lines


def test_the_path_of_a_section_written_as_one_text_has_the_place_of_that_text(complaints: Complaints) -> None:
    assert complaints(TEXT.replace("./out", "s3://x"), {}, ["output.existing=skip"])[0].startswith("/jobs/a.yaml:9:9:")


def test_a_later_check_points_at_the_option_that_set_the_value(job: Loader) -> None:
    problem = job(TEXT, {}, ["steps.1.model=n"]).problem(("steps", 1, "model"), "no such model")
    assert str(problem) == "--set steps.1.model:1:15: no such model"
