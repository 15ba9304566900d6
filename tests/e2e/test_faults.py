"""A vendor that fails, lies or speaks HTML: nothing unfit reaches the output, and nothing is bought without end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import CUT, ENLARGE, FAST, Vendor, Work
from venice_batch.emulator import Settings, serve_in_thread

PATH = "/image/background-remove"


def _strikes(nth: int, **do: Any) -> dict[str, Any]:
    return {"match": {"path": PATH, "nth": nth}, "do": do}


def _always(**do: Any) -> dict[str, Any]:
    return {"match": {"path": PATH}, "do": do}


def _prepared(work: Work, items: int, **sections: object) -> Work:
    work.draw(*(f"{number}.jpg" for number in range(items)))
    work.write(CUT, **sections)
    return work


def test_pictures_that_are_not_fit_to_publish_are_held_named_and_not_bought_again(work: Work) -> None:
    kinds = ("no-alpha", "wrong-type", "blank", "blurred", "violation")
    _prepared(work, 6).vendor.faults(*(_strikes(number, kind=kind) for number, kind in enumerate(kinds, 1)))
    ended = work.run("--workers", "1")
    assert ended.code == 3
    assert len(work.outputs()) == 1
    assert sorted(work.states().values()) == ["done"] + ["flagged"] * 5
    full = "full-cutout"  # Nothing was cut away from any of them, but from the blurred one.
    codes = {f"no-alpha+{full}", f"wrong-type+no-alpha+{full}", f"{full}+blank", "blurred", f"blocked+{full}+blank"}
    assert set(work.codes().values()) == {"", *codes}
    assert ended.err.count("flagged: ") == 5
    assert len(work.results()) == 6, "what was paid for is kept"
    assert work.run().code == 3
    assert work.run("--retry-failed").code == 3
    assert len(work.vendor.paid()) == 6


def test_an_enlargement_of_the_wrong_size_is_held(work: Work) -> None:
    work.draw("a.jpg")
    work.write(ENLARGE)
    work.vendor.faults({"match": {"path": "/image/upscale"}, "do": {"kind": "wrong-size"}})
    assert work.run().code == 3
    assert work.codes() == {"a.jpg": "wrong-size"}
    assert work.outputs() == {}


def test_a_held_picture_does_not_buy_the_steps_behind_it(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT, ENLARGE)
    work.vendor.faults(_always(kind="blurred"))
    assert work.run().code == 3
    assert [call["path"] for call in work.vendor.paid()] == [PATH]
    assert work.vendor.billed() == Decimal("0.03")
    assert work.fates() == ["spent"], "what was set aside for the later step is given back"


def test_html_garbage_and_half_answers_are_bought_again_once_and_never_published(work: Work) -> None:
    kinds = ("html", "garbage", "truncate", "reset-mid-body")
    rules = [_strikes(number, kind=kind) for number, kind in enumerate(kinds, 1)]
    _prepared(work, 5).vendor.faults(*rules, _strikes(5, status=504))
    ended = work.run("--workers", "1")
    assert ended.code == 0, ended.text
    assert len(work.vendor.paid()) == 10
    assert all(data.startswith(b"\x89PNG") for data in work.outputs().values())
    assert len(work.outputs()) == 5
    # Charged, or perhaps charged, whatever the answer was worth: the ledger counts every one of them.
    assert sorted(work.fates()) == ["spent"] * 7 + ["uncertain"] * 3
    assert len(list(work.state.rglob("*.bad-*"))) == 2


def test_an_answer_that_is_never_a_picture_is_bought_again_at_most_once_a_run(work: Work) -> None:
    _prepared(work, 1).vendor.faults(_always(kind="garbage"))
    for calls in (2, 3):
        assert work.run().code == 3
        assert len(work.vendor.paid()) == calls
        assert work.codes() == {"0.jpg": "bad-answer"}
    assert work.outputs() == {}
    work.vendor.faults()
    assert work.run().code == 0, "a passing reason is tried again by the next run"
    assert len(work.vendor.paid()) == 4


def test_answers_500_502_and_503_are_tried_again_and_charged_once(work: Work) -> None:
    _prepared(work, 3).vendor.faults(*(_strikes(nth, status=status) for nth, status in ((1, 500), (2, 502), (3, 503))))
    ended = work.run()
    assert ended.code == 0, ended.text
    assert len(work.vendor.bought()) == 3
    assert len(work.vendor.paid()) == 6
    assert work.fates() == ["spent"] * 3


def test_a_429_is_waited_for_until_its_reset_time_by_every_thread(work: Work) -> None:
    reset = time.time() + 2.5
    headers = {"x-ratelimit-reset-requests": str(int(reset * 1000)), "x-ratelimit-remaining-requests": "0"}
    body = {"error": "Rate limit exceeded"}
    _prepared(work, 4).vendor.faults(_strikes(1, status=429, body=body, headers=headers))
    ended = work.run("--workers", "1")
    assert ended.code == 0, ended.text
    refused, *later = work.vendor.paid()
    assert refused["status"] == 429
    assert len(later) == 4
    assert all(call["time_begun"] >= reset - 0.05 for call in later)
    assert time.time() < reset + 10


def test_an_input_that_the_api_refuses_fails_alone_and_waits_for_retry_failed(work: Work) -> None:
    body = {"error": "this picture is not to my taste"}
    rules = [_strikes(nth, status=status, body=body) for nth, status in ((1, 400), (2, 413), (3, 422))]
    _prepared(work, 4).vendor.faults(*rules)
    ended = work.run("--workers", "1")
    assert ended.code == 3
    assert ended.err.count("not to my taste") == 3
    assert sorted(work.states().values()) == ["done", "failed", "failed", "failed"]
    assert work.run().code == 3
    assert len(work.vendor.paid()) == 4
    assert work.run("--retry-failed").code == 0
    assert len(work.vendor.bought()) == 4


def test_five_inputs_refused_in_the_same_words_stop_the_run_as_a_mistake_in_the_job(work: Work) -> None:
    _prepared(work, 9).vendor.faults(_always(status=400, body={"error": "no such thing today"}))
    ended = work.run("--workers", "1")
    assert ended.code == 2
    assert "refused the first 5 inputs with the same words: no such thing today" in ended.err
    assert len(work.vendor.paid()) == 5


# Answers that were lost


def test_a_lost_answer_is_uncertain_and_bought_again_at_most_once_a_run(work: Work) -> None:
    _prepared(work, 1).vendor.faults(_always(kind="lost"))
    first = work.run()
    assert first.code == 3
    assert "0.06 uncertain" in first.out
    assert len(work.vendor.paid()) == 2
    assert work.states() == {"0.jpg": "uncertain"}
    assert work.run().code == 3
    assert len(work.vendor.paid()) == 3
    work.vendor.faults()
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 4
    assert len(work.outputs()) == 1
    assert work.fates() == ["uncertain"] * 3 + ["spent"]


def test_with_uncertain_hold_a_lost_answer_is_never_bought_again(work: Work) -> None:
    _prepared(work, 1, run={"uncertain": "hold"}).vendor.faults(_strikes(1, kind="lost"))
    for _ in range(2):
        assert work.run().code == 3
        assert work.states() == {"0.jpg": "uncertain"}
    assert len(work.vendor.paid()) == 1


def test_what_is_uncertain_counts_against_the_budget(work: Work) -> None:
    _prepared(work, 1, budget={"max_usd_per_day": "0.05"}).vendor.faults(_strikes(1, kind="lost"))
    ended = work.run()
    assert ended.code == 5, ended.text
    assert len(work.vendor.paid()) == 1
    assert work.run().code == 5
    assert len(work.vendor.paid()) == 1


def test_a_call_that_takes_longer_than_the_timeout_is_uncertain_not_awaited(work: Work) -> None:
    _prepared(work, 1, api={"timeout": "1s"}).vendor.faults(_strikes(1, kind="hang", seconds=30.0))
    began = time.monotonic()
    ended = work.run()
    assert ended.code == 0, ended.text
    assert time.monotonic() - began < 10
    assert work.fates() == ["uncertain", "spent"]


def test_a_trickling_answer_is_read_to_its_end(work: Work) -> None:
    _prepared(work, 1, api={"timeout": "10s"}).vendor.faults(_strikes(1, kind="slow", seconds=1.0))
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 1


# Servers that are down, or something else


def test_a_server_that_is_down_at_the_start_ends_with_6_soon(work: Work) -> None:
    _prepared(work, 1)
    began = time.monotonic()
    ended = work.run(env={"VENICE_BASE_URL": "http://127.0.0.1:9/api/v1"})
    assert ended.code == 6
    assert "cannot be reached" in ended.err
    assert time.monotonic() - began < 15


def test_a_server_that_speaks_html_from_the_start_ends_with_6_and_no_paid_call(work: Work) -> None:
    _prepared(work, 1).vendor.faults({"match": {"path": "/api_keys/rate_limits"}, "do": {"kind": "html"}})
    ended = work.run()
    assert ended.code == 6
    assert "does not speak the Venice API" in ended.err
    assert work.vendor.paid() == []


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Work, ExitStack]]:
    """A vendor that dies when its stack is closed."""
    with ExitStack() as stack:
        running = stack.enter_context(serve_in_thread(Settings(rpm=FAST, latency=0.3)))
        yield Work(tmp_path / "work", Vendor(running)), stack


def test_a_server_that_dies_under_way_ends_with_6_and_the_next_run_goes_on(mortal: tuple[Work, ExitStack]) -> None:
    work, stack = mortal
    _prepared(work, 12)
    process = work.start("--workers", "4")
    work.vendor.until(lambda: len(work.results()) >= 3)
    stack.close()
    _, err = process.communicate(timeout=40)
    assert process.returncode == 6, err
    assert "cannot be reached" in err
    kept = work.results()
    assert len(kept) >= 3
    with serve_in_thread(Settings(rpm=FAST)) as running:
        work.vendor = Vendor(running)
        assert work.run().code == 0
        assert len(work.vendor.paid()) == 12 - len(kept)
    assert kept.items() <= work.results().items()
    assert len(work.outputs()) == 12


def test_another_model_than_the_one_that_was_priced_stops_the_run(work: Work) -> None:
    work.draw(*(f"{number}.jpg" for number in range(4)))
    work.write({"edit": {"prompt": "on marble", "model": "qwen-image-2-edit"}})
    work.vendor.faults({"match": {"path": "/image/edit", "nth": 1}, "do": {"kind": "other-model"}})
    ended = work.run("--workers", "1")
    assert ended.code == 5
    assert "served some-other-model instead of qwen-image-2-edit" in ended.err
    assert len(work.vendor.paid()) == 1
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 4, "what was answered is kept"


def test_no_balance_is_waited_for_when_another_model_answers(work: Work) -> None:
    work.draw(*(f"{number}.jpg" for number in range(4)))
    work.write({"edit": {"prompt": "on marble", "model": "qwen-image-2-edit"}})
    work.vendor.faults({"match": {"path": "/image/edit"}, "do": {"kind": "other-model"}})
    ended = work.run("--workers", "1", "--wait-for-balance", "30s")
    assert ended.code == 5
    assert "waiting for the balance" not in ended.text
    assert len(work.vendor.paid()) == 1


def test_what_this_machine_refuses_does_not_count_as_failing_of_the_api(work: Work) -> None:
    for number in range(55):
        work.take(f"{number}.jpg", (300, 260))  # trimmed, each has too few pixels for the API
    work.write("trim", ENLARGE, run={"max_failure_rate": "10%"})
    ended = work.run()
    assert ended.code == 3, ended.text
    assert set(work.states().values()) == {"failed"}
    assert work.vendor.paid() == []


def test_a_truncated_answer_is_recorded_with_the_name_of_its_request(work: Work) -> None:
    _prepared(work, 1, run={"uncertain": "hold"}).vendor.faults(_always(kind="truncate"))
    assert work.run().code == 3
    (call,) = work.ledger()
    assert call.fate == "uncertain"
    assert call.request_id == work.vendor.paid()[0]["request_id"]


def test_nobody_listening_does_not_end_a_run(work: Work) -> None:
    _prepared(work, 6).vendor.faults(_strikes(1, status=400))
    process = work.start()
    assert process.stderr is not None
    process.stderr.close()
    with process:
        process.wait(60)
    assert sorted(work.states().values()) == ["done"] * 5 + ["failed"]
    assert len(work.vendor.bought()) == 5
