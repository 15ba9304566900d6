"""Messages to servers that are slow, broken, gone, or lead elsewhere."""

from __future__ import annotations

import logging
import socket
import threading
import time

import httpx2
import pytest

from tests.servers.listener import OK, Listener, status
from venice_batch.job.notify import Address
from venice_batch.report.delivery import DeliveryLimits, Message, deliver

SECRET = "s3cr3t-token"  # noqa: S105 - made up, to be looked for where it must not be
QUICK = DeliveryLimits(seconds=3.0, tries=3, pause=0.01)


def message(listener: Listener, body: bytes = b"{}", method: str = "POST") -> Message:
    return Message("webhook", Address(f"{listener.url}/{SECRET}"), method, body)


def dripping(talk: socket.socket) -> None:
    """A header that never ends: each byte comes well within any timeout between two of them."""
    talk.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(200):
        talk.sendall(b"y")
        time.sleep(0.02)


def test_a_message_arrives_as_it_was_written(listener: Listener) -> None:
    assert deliver([message(listener, b'{"text": "hi"}')], QUICK) == []
    (got,) = listener.received
    assert (got.method, got.path, got.body) == ("POST", f"/{SECRET}", b'{"text": "hi"}')
    assert got.headers["content-type"] == "application/json"


def test_nothing_to_send_is_no_work() -> None:
    assert deliver([], QUICK) == []


@pytest.mark.parametrize(
    "play", [status("500 Oops"), status("429 Slow down", "retry-after: 0"), None, b"garbage\r\n\r\n"]
)
def test_what_may_pass_is_tried_again(listener: Listener, play: bytes | None) -> None:
    listener.plays = [play, play, OK]
    assert deliver([message(listener)], QUICK) == []
    assert len(listener.received) == 3


def test_a_server_that_stays_broken_is_given_up_after_three_tries(listener: Listener) -> None:
    listener.plays = [status("503 Gone fishing")]
    assert deliver([message(listener)], QUICK) == [f"webhook to 127.0.0.1:{listener.port}: answered 503"]
    assert len(listener.received) == 3


@pytest.mark.parametrize("line", ["404 Not Found", "403 Forbidden", "400 invalid_payload"])
def test_a_refusal_is_not_repeated(listener: Listener, line: str) -> None:
    listener.plays = [status(line)]
    assert deliver([message(listener)], QUICK)[0].endswith(f"answered {line[:3]}")
    assert len(listener.received) == 1


def test_a_long_retry_after_is_not_waited_for(listener: Listener) -> None:
    listener.plays = [status("429 Slow down", "retry-after: 3600")]
    before = time.monotonic()
    assert deliver([message(listener)], QUICK)[0].endswith("answered 429")
    assert time.monotonic() - before < 10
    assert len(listener.received) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_never_followed(listener: Listener, code: int) -> None:
    listener.plays = [status(f"{code} Elsewhere", f"location: {listener.url}/elsewhere")]
    (line,) = deliver([message(listener)], QUICK)
    assert "redirects are not followed" in line
    assert [got.path for got in listener.received] == [f"/{SECRET}"]


def test_a_server_that_drips_for_ever_is_left_when_the_time_is_up(listener: Listener) -> None:
    listener.plays = [dripping]
    before = time.monotonic()
    (line,) = deliver([message(listener)], DeliveryLimits(seconds=0.3))
    assert time.monotonic() - before < 10
    assert line == f"webhook to 127.0.0.1:{listener.port}: not finished within 0.3 s"


def test_a_body_without_end_is_not_read(listener: Listener) -> None:
    listener.plays = [b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 1000]
    assert deliver([message(listener)], QUICK) == []


def test_messages_travel_at_once(listener: Listener) -> None:
    both = threading.Barrier(2, timeout=2)

    def meet(talk: socket.socket) -> None:
        both.wait()
        talk.sendall(OK)

    listener.plays = [meet]
    assert deliver([message(listener), message(listener)], QUICK) == []


@pytest.mark.server
def test_a_machine_that_is_not_there_is_told_by_its_host_alone() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = deliver([Message("ping", Address(f"http://127.0.0.1:{port}/{SECRET}"), "GET")], QUICK)
    assert lines == [f"ping to 127.0.0.1:{port}: cannot be reached (ConnectError)"]


def test_a_password_in_the_address_becomes_a_header_and_is_not_told(listener: Listener) -> None:
    listener.plays = [status("401 Who are you")]
    url = f"http://me:{SECRET}@127.0.0.1:{listener.port}/hook"
    (line,) = deliver([Message("webhook", Address(url))], QUICK)
    assert listener.received[0].headers["authorization"].startswith("Basic ")
    assert line == f"webhook to 127.0.0.1:{listener.port}: answered 401"


def test_no_log_shows_an_address_however_talkative_it_is_made(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener.plays = [status("500 Oops"), status("302 Elsewhere", f"location: {listener.url}/{SECRET}")]
    with caplog.at_level(logging.DEBUG):
        lines = deliver([message(listener)], QUICK)
        assert SECRET not in caplog.text + "".join(lines)
        httpx2.get(f"{listener.url}/{SECRET}")
    assert len(listener.received) == 3
    assert SECRET in caplog.text, "the client no longer logs addresses, or this test shows nothing"


def test_a_proxy_that_is_set_up_wrongly_ends_no_run(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    # The environment is what httpx2 reads its proxies from; there is no parameter to give them by.
    monkeypatch.setenv("ALL_PROXY", f"nonsense://me:{SECRET}@proxy")
    (line,) = deliver([message(listener)], QUICK)
    assert "cannot be sent" in line
    assert SECRET not in line


def test_a_message_shows_neither_its_address_nor_its_body(listener: Listener) -> None:
    assert SECRET not in repr(message(listener, SECRET.encode()))
