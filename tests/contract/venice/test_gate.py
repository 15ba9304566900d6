from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from tests.contract.venice.conftest import KEY, Kit, MakeKit, picture
from venice_batch.venice.error_body import response_failure
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.gate import Attempt, Gate
from venice_batch.venice.waits import Cancel


def test_the_first_cause_is_kept_and_explained_only_by_its_own_call() -> None:
    gate, first, second = Gate(), Attempt(), Attempt()
    gate.status_read(first, 402)
    gate.status_read(second, 401)
    gate.explain(second, response_failure(401, {}, b"bad key", 0))
    assert gate.cause is not None
    assert gate.cause.status == 402
    gate.explain(first, response_failure(402, {}, b"empty", 0))
    assert gate.cause.text == "empty"


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500, 504])
def test_other_statuses_leave_the_gate_open(status: int) -> None:
    gate = Gate()
    gate.status_read(Attempt(), status)
    gate.check()
    assert gate.cause is None


def test_a_closed_gate_refuses_and_frees_its_lock() -> None:
    gate = Gate()
    gate.status_read(Attempt(), 402)
    for _ in range(2):  # a lock that stayed held would hang the second time
        with pytest.raises(CallFailed) as caught:
            gate.acquire(Attempt())
        assert (caught.value.code, caught.value.failure_class) == ("gate-closed", FailureClass.RUN_STOPS)


def test_releasing_twice_is_harmless() -> None:
    gate, attempt = Gate(), Attempt()
    gate.acquire(attempt)
    gate.release(attempt)
    gate.release(attempt)
    gate.acquire(Attempt())


def test_closing_wakes_whoever_sleeps_with_a_look_at_the_gate() -> None:
    cancel = Cancel()
    gate = Gate(cancel)
    timer = threading.Timer(0.05, gate.status_read, [Attempt(), 402])
    timer.start()
    with pytest.raises(CallFailed):
        cancel.sleep(30, gate.check)
    timer.join()


def proxy(listener: socket.socket, seen: list[bytes]) -> None:
    """Refuse every tunnel with 403, as a company's proxy does."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")


def test_a_proxys_own_refusal_is_no_answer_of_the_api(make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=proxy, args=(listener, seen))
    thread.start()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
    try:
        kit = make_kit(base_url="https://venice.example/api/v1")
        with pytest.raises(CallFailed) as caught:
            kit.client.upscale(kit.source(), {}, into=kit.new(), lane="u")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
    assert (caught.value.failure_class, caught.value.code) == (FailureClass.RETRY, "proxy-failed")
    assert (kit.gate.cause, caught.value.begun_at) == (None, None)
    assert len(seen) == 4
    assert all(each.startswith(b"CONNECT venice.example:443") and KEY.encode() not in each for each in seen)


def test_a_call_that_breaks_while_sending_frees_the_gate(kit: Kit) -> None:
    kit.server.plays = [lambda talk: talk.reset(), picture()]
    answer = kit.client.upscale(kit.source(b"x" * 30_000_000), {}, into=kit.new(), lane="u")
    assert answer.attempts == 2
    kit.client.upscale(kit.source(), {}, into=kit.new("2"), lane="u")
