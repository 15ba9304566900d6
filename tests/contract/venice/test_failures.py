from __future__ import annotations

import inspect

import httpx2
import pytest

from venice_batch.errors import CatalogueError, Exit, KeyRefused, MoneyError, Unavailable, VeniceBatchError
from venice_batch.venice.error_body import refusal
from venice_batch.venice.failures import (
    EXCEPTION_ROWS,
    HUNDRED_ROWS,
    OWN_ROWS,
    STATUS_ROWS,
    CallFailed,
    Sent,
    clean,
    closes_gate,
    counts_as_client_error,
    exception_failure,
    row_of_status,
)
from venice_batch.venice.failures import (
    FailureClass as Fails,
)

NOW = 1_790_000_000.0


def httpx2_exceptions() -> set[type[Exception]]:
    named = (getattr(httpx2, name) for name in httpx2.__all__)
    return {each for each in named if inspect.isclass(each) and issubclass(each, Exception)}


def test_every_exception_of_httpx2_has_a_fate_of_its_own_whether_sent_or_not() -> None:
    assert set(EXCEPTION_ROWS) == httpx2_exceptions()
    assert all(set(rows) == set(Sent) for rows in EXCEPTION_ROWS.values())


def test_a_lost_request_is_uncertain_exactly_when_it_may_have_been_sent() -> None:
    for kind, rows in EXCEPTION_ROWS.items():
        if issubclass(kind, httpx2.TransportError) and rows[Sent.NO].fate is Fails.RETRY:
            before = kind in {httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout}
            assert rows[Sent.MAYBE].fate is (Fails.RETRY if before else Fails.UNCERTAIN), kind
        assert rows[Sent.NO].fate is not Fails.UNCERTAIN, kind


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_exactly_one_fate_and_only_2xx_is_an_answer(status: int) -> None:
    row = row_of_status(status)
    assert (row is None) == (200 <= status < 300)
    if row is not None:
        failure = refusal(status, {}, b"", NOW)
        assert failure.fate is row.fate
        assert failure.as_run_error().exit_code in {Exit.USAGE, Exit.KEY, Exit.MONEY, Exit.UNAVAILABLE}
        assert failure.billed == (status in {504, 520, 524})


def test_the_documented_statuses_have_the_documented_fates() -> None:
    fates = {status: row.fate for status in range(100, 600) if (row := row_of_status(status))}
    assert {s for s, fate in fates.items() if fate is Fails.WAIT} == {429}
    assert {s for s, fate in fates.items() if fate is Fails.UNCERTAIN} == {504, 520, 524}
    assert {s for s, fate in fates.items() if fate is Fails.RUN_STOPS and s >= 400} == {
        401,
        402,
        403,
        404,
        405,
        407,
        410,
        415,
    }  # fmt: skip - one line of statuses
    assert all(fates[status] is Fails.RETRY for status in (500, 502, 503, 521, 529, 599))
    assert all(fates[status] is Fails.ITEM_FAILS for status in (400, 413, 422, 451))
    assert {s for s in range(100, 600) if closes_gate(s)} == {401, 402, 403}
    assert {s for s in range(100, 600) if counts_as_client_error(s)} == set(range(400, 500)) - {429}


@pytest.mark.parametrize(
    ("status", "headers", "body", "fate", "code", "ending"),
    [
        (400, {}, '{"error":"Invalid model id"}', Fails.RUN_STOPS, "bad-model", CatalogueError),
        (404, {}, '{"error":"Model x not found, try y"}', Fails.RUN_STOPS, "bad-model", CatalogueError),
        (400, {}, '{"error":"The model \\"x\\" does not support it"}', Fails.RUN_STOPS, "bad-model", CatalogueError),
        (410, {}, '{"error":"endpoint retired"}', Fails.RUN_STOPS, "gone", CatalogueError),
        (
            400,
            {},
            '{"error":"Unrecognized key(s) in object: \'foo\'"}',
            Fails.RUN_STOPS,
            "bad-parameter",
            CatalogueError,
        ),
        (
            400,
            {},
            '{"error":"Invalid request","details":{"scale":{"_errors":["2 or 4"]}}}',
            Fails.RUN_STOPS,
            "bad-parameter",
            CatalogueError,
        ),
        (
            400,
            {},
            '{"error":"Invalid request","issues":[{"path":["modelId"],"message":"?"}]}',
            Fails.RUN_STOPS,
            "bad-model",
            CatalogueError,
        ),
        (
            400,
            {},
            '{"error":"x","issues":[{"code":"unrecognized_keys","path":[]}]}',
            Fails.RUN_STOPS,
            "bad-parameter",
            CatalogueError,
        ),
        (
            400,
            {},
            '{"error":"x","issues":[{"path":["image"],"message":"scale"}]}',
            Fails.ITEM_FAILS,
            "refused-input",
            Unavailable,
        ),
        (
            400,
            {},
            '{"error":"x","details":"a string about resolution 8K"}',
            Fails.RUN_STOPS,
            "bad-parameter",
            CatalogueError,
        ),
        (400, {}, '{"error":"Image dimensions too small for scale 2"}', Fails.ITEM_FAILS, "refused-input", Unavailable),
        (400, {}, '{"error":"Image 1 is invalid or corrupt"}', Fails.ITEM_FAILS, "refused-input", Unavailable),
        (400, {}, '{"error":"The model could not process the image"}', Fails.ITEM_FAILS, "refused-input", Unavailable),
        (
            422,
            {},
            '{"error":"Blocked by the content policy of this model"}',
            Fails.ITEM_FAILS,
            "content-policy",
            Unavailable,
        ),
        (401, {}, '{"error":"Authentication failed"}', Fails.RUN_STOPS, "key-refused", KeyRefused),
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
    status: int, headers: dict[str, str], body: str, fate: Fails, code: str, ending: type[VeniceBatchError]
) -> None:
    failure = refusal(status, headers, body.encode(), NOW)
    assert (failure.fate, failure.code) == (fate, code)
    assert type(failure.as_run_error()) is ending
    assert failure.exit_code == ending.exit_code


def test_the_error_budget_waits_at_least_its_documented_30_seconds() -> None:
    body = b'{"error":"Too many failed attempts (> 20)"}'
    assert refusal(429, {}, body, NOW).retry_after == 30
    assert refusal(429, {"x-ratelimit-resets": str(NOW + 45)}, body, NOW).retry_after == 45
    assert refusal(429, {"x-ratelimit-resets": str(NOW + 5)}, body, NOW).retry_after == 30


def test_a_strangers_text_is_one_clean_line_of_500_characters() -> None:
    assert clean("a\x1b[31m\nb\u202e c") == "a [31m b c"
    assert len(clean("x" * 5000)) == 500


def test_every_word_has_a_sentence() -> None:
    rows = [*STATUS_ROWS.values(), *OWN_ROWS.values(), *(row for row in HUNDRED_ROWS.values() if row)]
    rows += [row for cells in EXCEPTION_ROWS.values() for row in cells.values()]
    for row in rows:
        assert str(CallFailed(row.fate, row.code)) != row.code


def test_a_bug_after_sending_may_have_been_billed() -> None:
    assert exception_failure(httpx2.LocalProtocolError("x"), Sent.MAYBE, "x").billed
    assert not exception_failure(httpx2.LocalProtocolError("x"), Sent.NO, "x").billed
