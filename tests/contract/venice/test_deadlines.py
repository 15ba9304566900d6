"""No server holds a call beyond its deadline, whatever it does in whatever phase, paid or free."""

from __future__ import annotations

import itertools
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.contract.venice.conftest import PNG, Kit, MakeKit, Play, Talk, head, picture, refuse
from venice_batch.errors import Unavailable
from venice_batch.venice import connectivity, free
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.watchdog import Watchdog

#: Seconds of a request, and what may come on top of it.
TIMEOUT, SLACK = 0.6, 2.0


def trickling(start: bytes = b"", drop: bytes = b"x", *, reads: bool = True) -> Play:
    """Say `start`, then `drop` again and again, until the client goes away."""

    def play(talk: Talk) -> None:
        if reads:
            talk.read_body()
        talk.send(start)
        while True:
            time.sleep(0.02)
            talk.send(drop)

    return play


def deaf(talk: Talk) -> None:
    """Read nothing and say nothing, until the client goes away."""
    gone = select.poll()
    gone.register(talk.connection, select.POLLRDHUP)
    gone.poll()
    talk.closing = True


def timed(call: Callable[[], object]) -> tuple[CallFailed, float]:
    begun = time.monotonic()
    with pytest.raises(CallFailed) as caught:
        call()
    return caught.value, time.monotonic() - begun


def paid(kit: Kit, data: bytes = PNG) -> tuple[CallFailed, float]:
    picture = kit.source(data)
    return timed(lambda: kit.client.upscale(picture, {"scale": 2}, into=kit.new(), lane="u"))


def free_call(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> tuple[CallFailed, float]:
    monkeypatch.setattr(free, "_TIMEOUT", TIMEOUT)
    return timed(kit.client.rate_limits)


OK = {"content-type": "image/png"}
ANSWERS: dict[str, Play] = {
    "response headers": trickling(b"HTTP/1.1 200 OK\r\nx-slow: "),
    "many headers": trickling(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "interim responses": trickling(drop=b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
    "body with a length": trickling(head(200, {**OK, "content-length": "400000"})),
    "body in chunks": trickling(head(200, {**OK, "transfer-encoding": "chunked"}), b"1\r\nx\r\n"),
    "body until the end": trickling(head(200, OK)),
}


@pytest.mark.parametrize("phase", ANSWERS)
def test_an_answer_that_trickles_leaves_a_paid_call_uncertain_at_its_deadline(make_kit: MakeKit, phase: str) -> None:
    kit = make_kit(timeout=TIMEOUT)
    kit.server.plays = [ANSWERS[phase]]
    failure, seconds = paid(kit)
    assert (failure.failure_class, failure.code) == (FailureClass.UNCERTAIN, "timeout-after-sending")
    assert TIMEOUT - 0.1 <= seconds <= TIMEOUT + SLACK
    assert len(kit.server.talks) == 1


@pytest.mark.parametrize("phase", ANSWERS)
def test_an_answer_that_trickles_ends_a_free_call_at_its_deadline(
    kit: Kit, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.server.plays = [ANSWERS[phase]]
    failure, seconds = free_call(kit, monkeypatch)
    assert failure.code == "timeout-after-sending"
    assert seconds <= TIMEOUT + SLACK
    assert len(kit.server.talks) == 1, "it is not asked again: it would take as long"


@pytest.mark.parametrize(
    ("status", "code", "failure_class"),
    [
        (402, "no-money-account", FailureClass.RUN_STOPS),
        (400, "refused-input", FailureClass.ITEM_FAILS),
        (500, "server-error", FailureClass.RETRY),
        (504, "timeout-after-sending", FailureClass.UNCERTAIN),
    ],
)
def test_an_errors_text_that_trickles_is_not_waited_for_and_its_status_counts(
    make_kit: MakeKit, status: int, code: str, failure_class: FailureClass
) -> None:
    kit = make_kit(timeout=TIMEOUT)
    kit.server.plays = [trickling(head(status, {"content-length": "60000"}))]
    failure, seconds = paid(kit)
    assert (failure.status, failure.code, failure.failure_class) == (status, code, failure_class)
    assert failure.billed == (status == 504)
    assert seconds <= failure.attempts * (TIMEOUT + SLACK)
    assert failure.attempts <= 2, "what took all its time is repeated once"


def test_an_errors_text_that_trickles_ends_a_free_call(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.server.plays = [trickling(head(500, {"content-length": "60000"}))]
    failure, seconds = free_call(kit, monkeypatch)
    assert failure.status == 500
    assert seconds <= TIMEOUT + SLACK


def test_a_server_that_never_reads_costs_nothing_and_no_more_than_the_deadline(make_kit: MakeKit) -> None:
    kit = make_kit(timeout=TIMEOUT)
    kit.server.plays = [deaf]
    failure, seconds = paid(kit, b"x" * 30_000_000)
    assert (failure.failure_class, failure.code) == (FailureClass.RETRY, "deadline-while-sending")
    assert not failure.billed
    assert failure.attempts == 2
    assert seconds <= failure.attempts * (TIMEOUT + SLACK)


@contextmanager
def accepting(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A port that accepts connections and does what it is told with each."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def slow_handshake(connection: socket.socket) -> None:
    # The beginning of a record of 16 KB, as long as somebody listens.
    connection.sendall(b"\x16\x03\x03\x40\x00")
    for _ in itertools.count():
        time.sleep(0.02)
        connection.sendall(b"x")


def test_a_handshake_that_trickles_costs_nothing_and_no_more_than_the_deadline(make_kit: MakeKit) -> None:
    with accepting(slow_handshake) as address:
        kit = make_kit(timeout=TIMEOUT, base_url=f"https://{address}/api/v1")
        failure, seconds = paid(kit)
    assert (failure.failure_class, failure.billed, failure.begun_at) == (FailureClass.RETRY, False, None)
    assert TIMEOUT <= seconds <= 2 * (TIMEOUT + SLACK)


def test_the_doctors_probes_end_at_their_deadline(make_kit: MakeKit) -> None:
    with accepting(slow_handshake) as address:
        api = make_kit(base_url=f"https://{address}/api/v1").client.api
        for probe in (connectivity.handshake, connectivity.ping):
            begun = time.monotonic()
            with pytest.raises(Unavailable):
                probe(api, TIMEOUT)
            assert time.monotonic() - begun <= TIMEOUT + SLACK


def test_a_port_that_does_not_accept_costs_no_more_than_the_deadline(make_kit: MakeKit) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]  # the queue is full: who comes now is not answered
        for each in waiting:
            each.settimeout(0)
            with suppress(BlockingIOError):
                each.connect(address)
        kit = make_kit(timeout=TIMEOUT, base_url=f"http://127.0.0.1:{address[1]}/api/v1")
        failure, seconds = paid(kit)
        for each in waiting:
            each.close()
    assert (failure.failure_class, failure.billed, failure.begun_at) == (FailureClass.RETRY, False, None)
    assert seconds <= 2 * (TIMEOUT + SLACK)


def test_a_connection_that_is_made_when_the_time_is_up_is_ended_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watchdog = Watchdog()
        with watchdog.watch(0.01) as watch:
            while not watch.expired:
                time.sleep(0.005)
            watch.bind(ours)
            assert theirs.recv(1) == b""
        watchdog.close()


def test_a_call_that_is_over_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watchdog = Watchdog()
        with watchdog.watch(0.05) as first:
            first.bind(ours)
        with watchdog.watch(0.1) as second:
            while not second.expired:
                time.sleep(0.005)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
        watchdog.close()


def test_a_rate_limit_that_says_to_wait_for_nothing_is_waited_for_all_the_same(make_kit: MakeKit) -> None:
    kit = make_kit(timeout=5)
    kit.server.plays = [refuse(429, {"error": "Rate limit exceeded"}, {"Retry-After": "0"})] * 2 + [picture()]
    begun = time.monotonic()
    kit.client.upscale(kit.source(), {"scale": 2}, into=kit.new(), lane="u")
    assert time.monotonic() - begun >= 2.0
    assert [seconds for _, seconds in kit.waits] == [1.0, 1.0]


def test_no_pause_before_a_retry_is_nothing(kit: Kit) -> None:
    kit.server.plays = [refuse(503, {"error": "at capacity"}, {"Retry-After": "0"})]
    failure, seconds = paid(kit)
    assert failure.attempts == 4
    assert seconds >= 0.1 + 0.2 + 0.4, "and this is the least that chance makes of it"
    assert all(pause > 0 for _, pause in kit.waits)
