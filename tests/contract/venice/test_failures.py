from __future__ import annotations

import inspect
import json

import httpx2
import pytest

from venice_batch.errors import CatalogueError, Exit, KeyRefused, MoneyError, Unavailable, VeniceBatchError
from venice_batch.venice.error_body import response_failure
from venice_batch.venice.failures import (
    ENDS_IN,
    EXCEPTION_CODES,
    FAILURE_CLASS,
    REMEDIES,
    STATUS_CODES,
    CallFailed,
    Sent,
    closes_gate,
    code_of_status,
    counts_as_client_error,
    exception_failure,
    one_line,
)
from venice_batch.venice.failures import (
    FailureClass as Fails,
)

NOW = 1_790_000_000.0


def httpx2_exceptions() -> set[type[Exception]]:
    named = (getattr(httpx2, name) for name in httpx2.__all__)
    return {each for each in named if inspect.isclass(each) and issubclass(each, Exception)}


def test_every_exception_of_httpx2_has_failure_codes_of_its_own() -> None:
    assert set(EXCEPTION_CODES) == httpx2_exceptions()


def test_a_lost_request_is_uncertain_exactly_when_it_may_have_been_sent() -> None:
    for kind, (unsent, maybe_sent) in EXCEPTION_CODES.items():
        if issubclass(kind, httpx2.TransportError) and FAILURE_CLASS[unsent] is Fails.RETRY:
            before = kind in {httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout}
            assert FAILURE_CLASS[maybe_sent] is (Fails.RETRY if before else Fails.UNCERTAIN), kind
        assert FAILURE_CLASS[unsent] is not Fails.UNCERTAIN, kind


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_a_failure_class_and_only_2xx_is_an_answer(status: int) -> None:
    code = code_of_status(status)
    assert (code is None) == (200 <= status < 300)
    if code is not None:
        failure = response_failure(status, {}, b"", NOW)
        assert failure.failure_class is FAILURE_CLASS[code]
        assert failure.as_run_error().exit_code in {Exit.USAGE, Exit.KEY, Exit.MONEY, Exit.UNAVAILABLE}
        assert failure.billed == (status in {504, 520, 524})


def test_the_documented_statuses_have_the_documented_classes() -> None:
    classes = {status: FAILURE_CLASS[code] for status in range(100, 600) if (code := code_of_status(status))}
    assert {s for s, kind in classes.items() if kind is Fails.WAIT} == {429}
    assert {s for s, kind in classes.items() if kind is Fails.UNCERTAIN} == {504, 520, 524}
    assert {s for s, kind in classes.items() if kind is Fails.RUN_STOPS and s >= 400} == {
        401,
        402,
        403,
        404,
        405,
        407,
        410,
        415,
    }  # fmt: skip - one line of statuses
    assert all(classes[status] is Fails.RETRY for status in (500, 502, 503, 521, 529, 599))
    assert all(classes[status] is Fails.ITEM_FAILS for status in (400, 413, 422, 451))
    assert {s for s in range(100, 600) if closes_gate(s)} == {401, 402, 403}
    assert {s for s in range(100, 600) if counts_as_client_error(s)} == set(range(400, 500)) - {429}


@pytest.mark.parametrize(
    ("status", "headers", "body", "failure_class", "code", "ending"),
    [
        (400, {}, '{"error":"Invalid model id"}', Fails.ITEM_FAILS, "bad-model", CatalogueError),
        (410, {}, '{"error":"endpoint retired"}', Fails.RUN_STOPS, "gone", CatalogueError),
        (410, {}, '{"error":"model x was retired, use y"}', Fails.ITEM_FAILS, "bad-model", CatalogueError),
        (
            400,
            {},
            '{"error":"x","details":{"scale":{"_errors":["?"]}}}',
            Fails.ITEM_FAILS,
            "bad-parameter",
            CatalogueError,
        ),
        (400, {}, '{"error":"x","issues":[{"path":["modelId"]}]}', Fails.ITEM_FAILS, "bad-model", CatalogueError),
        (400, {}, '{"error":"x","issues":[{"path":["images",0]}]}', Fails.ITEM_FAILS, "refused-input", Unavailable),
        (
            422,
            {},
            '{"error":"moderated","issues":[{"path":["prompt"]}]}',
            Fails.ITEM_FAILS,
            "content-policy",
            Unavailable,
        ),
        (
            400,
            {},
            "{\"error\":\"'Content-Type' must be 'application/json'\"}",
            Fails.RUN_STOPS,
            "wrong-content-type",
            Unavailable,
        ),
        (
            422,
            {},
            '{"error":"blocked by the content policy of this model"}',
            Fails.ITEM_FAILS,
            "content-policy",
            Unavailable,
        ),
        (401, {}, '{"error":"Authentication failed"}', Fails.RUN_STOPS, "key-refused", KeyRefused),
        (401, {}, '{"error":"This is only available to Pro users"}', Fails.RUN_STOPS, "pro-only", KeyRefused),
        (403, {}, '{"error":"modelPrivacy of the key: PRIVATE_ONLY"}', Fails.RUN_STOPS, "private-only", KeyRefused),
        (403, {}, '{"error":"not in your region"}', Fails.RUN_STOPS, "no-rights", KeyRefused),
        (402, {}, '{"error":"Insufficient USD or Diem balance"}', Fails.RUN_STOPS, "no-money-account", MoneyError),
        (402, {}, '{"error":"API key USD spend limit exceeded"}', Fails.RUN_STOPS, "no-money-key-usd", MoneyError),
        (402, {}, '{"error":"API key DIEM spend limit exceeded"}', Fails.RUN_STOPS, "no-money-key-diem", MoneyError),
        (402, {}, '{"x402Version":1,"accepts":[]}', Fails.RUN_STOPS, "no-money-x402", MoneyError),
        (402, {"payment-required": "e30="}, "", Fails.RUN_STOPS, "no-money-x402", MoneyError),
        (429, {}, '{"error":"Rate limit exceeded"}', Fails.WAIT, "rate-limited", Unavailable),
        (429, {"retry-after": "30"}, '{"error":"Model is overloaded"}', Fails.WAIT, "overloaded", Unavailable),
        (429, {"retry-after": "30"}, "", Fails.WAIT, "overloaded", Unavailable),
        (429, {}, '{"error":"Too many failed attempts (> 50)"}', Fails.WAIT, "error-budget", Unavailable),
        (502, {}, "<html><h1>Bad gateway</h1></html>", Fails.RETRY, "server-error", Unavailable),
        (400, {}, "[" * 100_000, Fails.ITEM_FAILS, "refused-input", Unavailable),
    ],
)  # fmt: skip - a table
def test_the_servers_words_decide_what_a_status_leaves_open(  # noqa: PLR0917 - the table's columns
    status: int, headers: dict[str, str], body: str, failure_class: Fails, code: str, ending: type[VeniceBatchError]
) -> None:
    failure = response_failure(status, headers, body.encode(), NOW)
    assert (failure.failure_class, failure.code) == (failure_class, code)
    assert type(failure.as_run_error()) is ending
    assert failure.exit_code == ending.exit_code


#: What an API may say of one picture or one prompt, with the words in it that a job's fields have.
ABOUT_ONE_INPUT = (
    "Image height exceeds the supported maximum of 4096",
    "width must be a multiple of 8",
    "The model does not support this image",
    "model could not find a face in the picture",
    "Unknown parameter in the EXIF block of the image",
    "Aspect ratio of the input is not supported",
    "Unrecognized key in the color profile",
    "The prompt asks for a style the model is not allowed to draw",
    "format not recognized",
    "seed picture is missing",
    "This model is overloaded for pictures of that resolution",
    "quality of the picture is too low",
    "Invalid model output, try another image",
)


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("text", ABOUT_ONE_INPUT)
def test_no_sentence_speaks_of_more_than_its_input(status: int, text: str) -> None:
    failure = response_failure(status, {}, json.dumps({"error": text}).encode(), NOW, endpoint="image/edit")
    assert failure.failure_class is Fails.ITEM_FAILS
    assert failure.code not in {"bad-model", "bad-parameter"}
    assert failure.text == text


@pytest.mark.parametrize("endpoint", ["image/edit", "image/multi-edit", "image/upscale", "image/background-remove"])
def test_a_404_of_a_call_with_pictures_is_about_its_picture(endpoint: str) -> None:
    for text in ("Failed to download the file from the provided URL", "the model cannot find the image"):
        failure = response_failure(404, {}, json.dumps({"error": text}).encode(), NOW, endpoint=endpoint)
        assert (failure.failure_class, failure.code) == (Fails.ITEM_FAILS, "input-not-found")


def test_a_404_of_generate_is_about_the_model_where_it_names_one() -> None:
    for text, code in (("Model x not found, did you mean y?", "bad-model"), ("No such style", "refused-input")):
        failure = response_failure(404, {}, json.dumps({"error": text}).encode(), NOW, endpoint="image/generate")
        assert (failure.failure_class, failure.code) == (Fails.ITEM_FAILS, code)


def test_a_422_of_a_paid_call_may_have_been_charged() -> None:
    assert response_failure(422, {}, b"{}", NOW, endpoint="image/edit").billed
    assert not response_failure(422, {}, b"{}", NOW).billed
    assert not response_failure(400, {}, b"{}", NOW, endpoint="image/edit").billed


def test_the_error_budget_waits_at_least_its_documented_30_seconds() -> None:
    body = b'{"error":"Too many failed attempts (> 20)"}'
    assert response_failure(429, {}, body, NOW).retry_after == 30
    assert response_failure(429, {"x-ratelimit-resets": str(NOW + 45)}, body, NOW).retry_after == 45
    assert response_failure(429, {"x-ratelimit-resets": str(NOW + 5)}, body, NOW).retry_after == 30


def test_a_strangers_text_is_one_clean_line_of_500_characters() -> None:
    assert one_line("a\x1b[31m\nb\u202e c") == "a [31m b c"
    assert len(one_line("x" * 5000)) == 500


def test_every_failure_code_has_a_class_and_a_headline() -> None:
    used = {
        *STATUS_CODES.values(),
        *ENDS_IN,
        *REMEDIES,
        *(code for codes in EXCEPTION_CODES.values() for code in codes),
    }
    assert used <= FAILURE_CLASS.keys()
    assert all(str(CallFailed(code)) != code for code in FAILURE_CLASS)


def test_a_bug_after_sending_may_have_been_billed() -> None:
    assert exception_failure(httpx2.LocalProtocolError("x"), Sent.MAYBE, "x").billed
    assert not exception_failure(httpx2.LocalProtocolError("x"), Sent.NO, "x").billed
