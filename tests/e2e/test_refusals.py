"""What the API refuses costs one item, named with the API's own words; only what every item must meet stops the run."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import cycle
from typing import Any

import pytest

from tests.e2e.conftest import CUT, OpenVendor, Work
from venice_batch.state import ItemRow

EDIT = {"edit": {"prompt": "on white marble", "model": "qwen-image-2-edit", "aspect_ratio": "1:1"}}
GENERATE = {"generate": {"model": "z-image-turbo"}}
PATHS = {"cut": "/image/background-remove", "edit": "/image/edit", "generate": "/image/generate"}
STEPS = {"cut": CUT, "edit": EDIT, "generate": GENERATE}

#: What an API says of one picture or one prompt; fields, models and parameters are named in most of it.
TEXTS = (
    (400, "Image height exceeds the supported maximum of 4096"),
    (400, "Image 1 is invalid or corrupt"),
    (400, "width must be divisible by 8"),
    (400, "The model does not support this image"),
    (400, "Unknown parameter in the color profile"),
    (404, "Failed to download the file from the provided URL: input media not found"),
    (413, "Request entity too large"),
    (422, "The model refused to process this picture"),
    (422, "Content policy violation in the style of this prompt"),
    (400, "aspect ratio of the picture is not supported by the model"),
    (400, "Unsupported image format"),
    (400, "the picture has no face to edit"),
    (404, "Image not found"),
    (400, "The prompt mentions a model that is not allowed"),
    (422, "resolution of the input is too low for quality high"),
    (400, "seed image missing"),
    (413, "file of more than 25 MB"),
    (400, "EXIF block unreadable"),
    (422, "Output was blocked by safe_mode"),
    (400, "decode error: steps exceeded"),
    (400, "negative_prompt contains a prohibited word"),
    (422, "the prompt was moderated"),
    (400, "Prompt asks for a public figure"),
    (404, "Referenced style was not found"),
    (400, "the prompt is not in a supported language"),
    (413, "prompt too long for this format"),
    (400, "unknown key in the prompt's template"),
    (422, "generation failed on the given seed"),
    (400, "model output could not be validated"),
    (400, "cfg_scale and prompt disagree"),
)


def _refusal(nth: int, status: int, error: str, path: str, **body: Any) -> dict[str, Any]:
    return {"match": {"path": path, "nth": nth}, "do": {"status": status, "body": {"error": error, **body}}}


def _schema(nth: int, field: str, path: str) -> dict[str, Any]:
    issue = {"code": "custom", "path": [field], "message": "is not to be had"}
    return _refusal(nth, 400, "Invalid request parameters", path, issues=[issue])


def _prompts(work: Work, count: int, **columns: str) -> None:
    head = ",".join(["id", "prompt", *columns])
    rows = [",".join([f"row-{number}", f"a thing {number}", *columns.values()]) for number in range(count)]
    (work.root / "prompts.csv").write_text("\n".join([head, *rows]), "utf-8")


def _prepare(work: Work, kind: str, count: int) -> None:
    if kind == "generate":
        _prompts(work, count)
        work.write(STEPS[kind], source={"prompts": "prompts.csv"})
    else:
        for number in range(count):
            work.take(f"{number}.jpg", (300, 220 + number))  # a picture of its own each
        work.write(STEPS[kind])


@pytest.fixture
def quick(open_vendor: OpenVendor, work: Work) -> Work:
    """With a vendor who draws nothing."""
    work.vendor = open_vendor(rpm=600_000, pictures="canned")
    return work


def _refuse_each(work: Work, kind: str, count: int, texts: Sequence[tuple[int, str]]) -> None:
    """Run a job in which one call after another is refused in other words, and check that nothing else suffers."""
    _prepare(work, kind, count)
    every = count // len(texts)
    refused = [_refusal(every + every * number, *each, PATHS[kind]) for number, each in enumerate(texts)]
    work.vendor.faults(*refused)
    ended = work.run()
    assert ended.code == 3, ended.text
    failed = [row for row in work.rows() if row.state == "failed"]
    assert sorted(work.states().values()) == ["done"] * (count - len(texts)) + ["failed"] * len(texts)
    for status, text in texts:
        (row,) = [row for row in failed if text in row.reason]
        assert f"({status})" in row.reason
        assert any(row.key in line and text in line for line in ended.err.splitlines())
    assert len(work.vendor.paid()) == count
    assert all(row.lasting for row in failed), "no next run sends them again by itself"
    assert work.fates().count("uncertain") == sum(status == 422 for status, _ in texts)


def test_a_night_with_one_refusal_in_twenty_does_all_the_rest_and_names_each(quick: Work) -> None:
    _refuse_each(quick, "cut", 200, TEXTS[::3])


@pytest.mark.parametrize(("kind", "texts"), [("edit", TEXTS[1::3]), ("generate", TEXTS[2::3])])
def test_whatever_words_refuse_an_input_of_another_step_they_refuse_it_alone(
    quick: Work, kind: str, texts: tuple[tuple[int, str], ...]
) -> None:
    _refuse_each(quick, kind, 12, texts)


def _stopped(work: Work) -> ItemRow:
    """The one item that met what stopped the run; all others wait for the next one."""
    states = sorted(work.states().values())
    assert states.count("failed") == 1
    assert set(states) <= {"failed", "pending", "done"}
    return next(row for row in work.rows() if row.state == "failed")


@pytest.mark.parametrize(
    ("kind", "fault", "words"),
    [
        ("edit", _schema(2, "aspect_ratio", PATHS["edit"]), "aspect_ratio"),
        ("edit", _schema(2, "prompt", PATHS["edit"]), "Invalid request"),
        ("edit", _refusal(2, 400, "Invalid model id", PATHS["edit"]), "Invalid model id"),
        ("generate", _refusal(2, 404, "Model z-image-turbo not found", PATHS["generate"]), "not found"),
        ("generate", _schema(2, "model", PATHS["generate"]), "Invalid request"),
        ("cut", _refusal(2, 410, "This endpoint was retired, use v2", PATHS["cut"]), "retired"),
    ],
)
def test_what_every_item_must_meet_stops_the_run_and_names_who_met_it(
    work: Work, kind: str, fault: dict[str, Any], words: str
) -> None:
    _prepare(work, kind, 4)
    work.vendor.faults(fault)
    ended = work.run("--workers", "1")
    assert ended.code == 2, ended.text
    row = _stopped(work)
    assert f"met by {row.key}" in ended.err
    assert "Invalid request" in row.reason or words in row.reason
    assert len(work.vendor.paid()) == 2
    assert work.run().code == 0, "what stopped the run is tried again by the next"


def test_a_column_of_the_rows_never_stops_the_run(work: Work) -> None:
    widths = (1008, 1001, 512, 504)
    rows = [f"{number},a thing {number},{width}" for number, width in enumerate(widths)]
    (work.root / "prompts.csv").write_text("\n".join(["id,prompt,width", *rows]), "utf-8")
    work.write(GENERATE, source={"prompts": "prompts.csv"})
    work.vendor.faults(_schema(2, "width", PATHS["generate"]))
    ended = work.run("--workers", "1")
    assert ended.code == 3, ended.text
    assert sorted(work.states().values()) == ["done", "done", "done", "failed"]
    assert work.codes()["1"] == "bad-parameter"


def test_a_model_of_a_rows_own_never_stops_the_run(work: Work) -> None:
    _prompts(work, 4, model="z-image-turbo")
    work.write(GENERATE, source={"prompts": "prompts.csv"})
    work.vendor.faults(_refusal(2, 404, "Model z-image-turbo not found", PATHS["generate"]))
    ended = work.run("--workers", "1")
    assert ended.code == 3, ended.text
    assert sorted(work.states().values()) == ["done", "done", "done", "failed"]


def test_a_prompt_that_is_filled_in_never_stops_the_run(work: Work) -> None:
    work.draw(*(f"{number}.jpg" for number in range(4)))
    (work.root / "shop.csv").write_text("\n".join(["stem,title", *(f"{number},vase" for number in range(4))]), "utf-8")
    source = {"path": "photos", "metadata": "shop.csv"}
    work.write({"edit": {"prompt": "a {title} on marble", "model": "qwen-image-2-edit"}}, source=source)
    work.vendor.faults(_schema(2, "prompt", PATHS["edit"]))
    ended = work.run("--workers", "1")
    assert ended.code == 3, ended.text
    assert sorted(work.states().values()) == ["done", "done", "done", "failed"]


def test_twins_of_one_bad_picture_are_one_input(work: Work) -> None:
    work.draw(*(f"{number}.jpg" for number in range(3)))
    for number in range(8):
        (work.photos / f"a-twin-{number}.jpg").write_bytes((work.photos / "0.jpg").read_bytes())
    work.write(EDIT)
    rules = [_refusal(nth, 400, "no face in it", PATHS["edit"]) for nth in range(1, 9)]
    work.vendor.faults(*rules)
    ended = work.run("--workers", "1")
    assert ended.code == 3, ended.text
    assert "with the same words" not in ended.text


# Charged or not


def test_a_422_counts_as_perhaps_charged_and_is_sent_for_all_twins_as_often_as_a_lost_call(work: Work) -> None:
    work.draw("a.jpg")
    for number in range(3):
        (work.photos / f"twin-{number}.jpg").write_bytes((work.photos / "a.jpg").read_bytes())
    work.write(CUT, run={"uncertain": "hold"}, budget={"max_usd_per_day": "0.05"})
    work.vendor.faults({"match": {"path": PATHS["cut"]}, "do": {"status": 422, "body": {"error": "not this one"}}})
    ended = work.run()
    assert ended.code == 3, ended.text
    assert set(work.codes().values()) == {"refused-input"}
    assert work.fates() == ["uncertain"]
    assert len(work.vendor.paid()) == 1
    assert work.run().code == 3
    assert len(work.vendor.paid()) == 1
    work.vendor.faults()
    assert work.run("--retry-failed").code == 5, "it counts against the budget of the day"
    work.write(CUT, run={"uncertain": "hold"})
    assert work.run("--retry-failed").code == 0, "it was refused, not lost: who asks for it may buy it"


def test_what_generate_blacks_out_is_held_and_costs_nothing(work: Work) -> None:
    _prompts(work, 2)
    work.write(GENERATE, source={"prompts": "prompts.csv"})
    work.vendor.faults({"match": {"path": PATHS["generate"], "nth": 1}, "do": {"kind": "violation", "billed": False}})
    ended = work.run("--workers", "1")
    assert ended.code == 3, ended.text
    assert sorted(work.states().values()) == ["done", "flagged"]
    released, spent = sorted(work.ledger(), key=lambda row: row.fate)
    assert (released.fate, spent.fate) == ("released", "spent")
    assert (released.status, released.request_id is not None) == (200, True)
    assert Decimal(spent.micros) / 1_000_000 == work.vendor.billed()


# Something else in the API's place


@pytest.mark.parametrize("kind", ["cut", "generate"])
def test_a_captive_portal_is_recognised_after_a_few_calls(work: Work, kind: str) -> None:
    _prepare(work, kind, 40)
    pages = cycle(("<html>sign in, guest 1</html>", "<html>sign in, guest 2</html>"))
    rules = [
        {
            "match": {"path": PATHS[kind], "nth": nth},
            "do": {"status": 200, "body": next(pages), "headers": {"content-type": "text/html"}},
        }
        for nth in range(1, 200)
    ]
    work.vendor.faults(*rules)
    ended = work.run("--workers", "2")
    assert ended.code == 6, ended.text
    assert "text/html" in ended.err
    assert "sign in to this network" in ended.err
    assert len(work.vendor.paid()) <= 10
    work.vendor.faults()
    assert work.run().code == 0


def test_an_answer_of_json_for_every_picture_is_recognised_like_a_page(work: Work) -> None:
    _prepare(work, "cut", 20)
    reply = {"status": 200, "body": {"success": True}, "headers": {"content-type": "application/json"}}
    work.vendor.faults({"match": {"path": PATHS["cut"]}, "do": reply})
    ended = work.run("--workers", "1")
    assert ended.code == 6, ended.text
    assert len(work.vendor.paid()) <= 6


# Remedies


@pytest.mark.parametrize(
    ("status", "error", "code", "remedy"),
    [
        (401, "Authentication failed", 4, "check VENICE_API_KEY"),
        (401, "This model is only available to Pro users", 4, "Pro account"),
        (403, "Forbidden by the key's modelPrivacy (PRIVATE_ONLY)", 4, "`venice-batch models` calls private"),
        (403, "Access from your region is not allowed", 4, "region"),
        (402, "Insufficient USD or Diem balance to complete request", 5, "add credits"),
        (402, "API key USD spend limit exceeded", 5, "raise the key's USD limit"),
        (402, "API key DIEM spend limit exceeded", 5, "raise the key's DIEM limit"),
    ],
)
def test_each_cause_has_its_own_remedy(work: Work, status: int, error: str, code: int, remedy: str) -> None:
    _prepare(work, "cut", 1)
    work.vendor.faults({"match": {"path": PATHS["cut"]}, "do": {"status": status, "body": {"error": error}}})
    ended = work.run()
    assert ended.code == code, ended.text
    assert error in ended.err
    assert remedy in ended.err
    assert "refilled" not in ended.err, "this account has no DIEM"
    assert work.states() == {"0.jpg": "pending"}


def test_diem_is_said_to_be_refilled_where_the_account_has_some(open_vendor: OpenVendor, work: Work) -> None:
    work.vendor = open_vendor(diem=Decimal(5), usd=Decimal(5))
    _prepare(work, "cut", 1)
    reply = {"status": 402, "body": {"error": "Insufficient USD or Diem balance"}}
    work.vendor.faults({"match": {"path": PATHS["cut"]}, "do": reply})
    assert "DIEM is refilled" in work.run().err
