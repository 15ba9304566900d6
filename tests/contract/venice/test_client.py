from __future__ import annotations

import base64
import errno
import json
import logging
import os
import resource
import socket
import threading
import time
from decimal import Decimal
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import cast

import pytest

from tests.contract.venice.conftest import KEY, PNG, Kit, MakeKit, Play, Talk, head, picture, refuse, reply
from venice_batch.errors import KeyRefused, MoneyError
from venice_batch.venice.download import Download
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.fields import Url
from venice_batch.venice.gate import Attempt
from venice_batch.venice.waits import Cancelled


def upscale(kit: Kit, data: bytes = PNG, name: str = "answer") -> None:
    kit.client.upscale(kit.source(data), {"scale": 2}, into=kit.new(name), lane="upscaler")


def failure_of(kit: Kit, data: bytes = PNG) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        upscale(kit, data)
    return caught.value


def form(talk: Talk) -> list[tuple[str, str | None, str, bytes]]:
    raw = b"Content-Type: " + talk.headers["content-type"].encode() + b"\r\n\r\n" + talk.body
    parts = cast("list[Message]", BytesParser().parsebytes(raw).get_payload())
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            cast("bytes", part.get_payload(decode=True)),
        )
        for part in parts
    ]


def test_a_picture_goes_out_as_multipart_and_comes_back_with_its_headers(kit: Kit) -> None:
    kit.server.plays = [
        picture(
            {
                "CF-RAY": "ray-1",
                "x-venice-balance-usd": "12.5",
                "x-venice-balance-diem": "nonsense",
                "x-venice-model-id": "upscaler",
                "x-venice-is-blurred": "true",
                "x-venice-model-deprecation-warning": "soon",
            }
        )
    ]
    fields = {"scale": 2, "enhance": True, "creativity": 0.01}
    answer = kit.client.upscale(kit.source(), fields, into=kit.new(), lane="upscaler")
    assert kit.new().read_bytes() == PNG
    assert kit.new().stat().st_mode & 0o777 == 0o600
    assert (answer.content_type, answer.status, answer.bytes) == ("image/png", 200, len(PNG))
    assert (answer.balance_usd, answer.balance_diem) == (Decimal("12.5"), None)
    assert (answer.model_served, answer.request_id) == ("upscaler", "ray-1")
    assert (answer.blurred, answer.violation, answer.deprecation) == (True, False, "soon")
    assert (answer.attempts, answer.transport) == (1, "multipart")
    assert answer.begun_at <= answer.ended_at
    talk = kit.server.talks[0]
    assert talk.headers["authorization"] == f"Bearer {KEY}"
    assert "transfer-encoding" not in talk.headers
    assert form(talk) == [
        ("scale", None, "text/plain", b"2"),
        ("enhance", None, "text/plain", b"true"),
        ("creativity", None, "text/plain", b"0.01"),
        ("image", "image.png", "image/png", PNG),
    ]


def test_multi_edit_sends_every_file_under_one_name_with_the_base_first(kit: Kit) -> None:
    base, logo = kit.source(b"\xff\xd8\xffbase", "a.jpg"), kit.source(PNG, "b.png")
    kit.client.multi_edit([base, logo], {"prompt": "é", "modelId": "m"}, into=kit.new(), lane="m")
    assert form(kit.server.talks[0])[2:] == [
        ("images", "image.jpg", "image/jpeg", b"\xff\xd8\xffbase"),
        ("images", "image.png", "image/png", PNG),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 49_151, 49_152, 49_153, 200_000])
def test_json_carries_plain_base64_of_any_length(make_kit: MakeKit, size: int) -> None:
    kit = make_kit(prefer="json")
    data = (PNG * (size // len(PNG) + 1))[:size]
    kit.client.edit(kit.source(data), {"prompt": "hé", "steps": 2}, into=kit.new(), lane="m")
    sent = json.loads(kit.server.talks[0].body)
    assert sent == {"prompt": "hé", "steps": 2, "image": base64.b64encode(data).decode()}


def test_an_address_goes_as_json_under_the_endpoints_own_name(kit: Kit) -> None:
    url = Url("https://example.com/a.png")
    kit.client.background_remove(url, into=kit.new("1"), lane="b")
    kit.client.edit(url, {"prompt": "p"}, into=kit.new("2"), lane="b")
    kit.client.multi_edit([url, kit.source()], {"prompt": "p"}, into=kit.new("3"), lane="b")
    bodies = [json.loads(talk.body) for talk in kit.server.talks]
    assert bodies[0] == {"image_url": url.url}
    assert bodies[1] == {"prompt": "p", "image": url.url}
    assert bodies[2] == {"prompt": "p", "images": [url.url, base64.b64encode(PNG).decode()]}


def test_an_address_that_the_api_cannot_read_is_told_so_that_bytes_can_be_sent(kit: Kit) -> None:
    kit.server.plays = [refuse(400, {"error": "Image 1 is invalid or corrupt"})]
    with pytest.raises(CallFailed) as caught:
        kit.client.edit(Url("https://example.com/a"), {"prompt": "p"}, into=kit.new(), lane="m")
    assert (caught.value.failure_class, caught.value.code) == (FailureClass.ITEM_FAILS, "url-unreachable")


def test_generated_pictures_land_in_their_files(kit: Kit) -> None:
    images = [base64.b64encode(PNG + bytes([n])).decode() for n in range(3)]
    kit.server.plays = [refuse(200, {"id": "x", "images": images})]
    into = [kit.new(str(n)) for n in range(3)]
    answer = kit.client.generate({"model": "m", "prompt": "p", "variants": 3}, into=into, lane="m")
    assert [path.read_bytes() for path in answer.paths] == [PNG + bytes([n]) for n in range(3)]
    assert answer.content_type == "image/png"
    assert sorted(path.name for path in kit.folder.iterdir()) == ["0", "1", "2"]
    assert json.loads(kit.server.talks[0].body) == {"model": "m", "prompt": "p", "variants": 3}


@pytest.mark.parametrize(
    ("play", "kind", "kept"),
    [
        (picture(), "image/png", PNG),
        (refuse(200, {"images": ["***"]}), "application/json", b'{"images": ["***"]}'),
        (reply(200, "<html>", {"content-type": "text/html; charset=x"}), "text/html", b"<html>"),
    ],
)
def test_a_generate_answer_without_base64_pictures_is_kept_as_it_came(
    kit: Kit, play: Play, kind: str, kept: bytes
) -> None:
    kit.server.plays = [play]
    answer = kit.client.generate({"model": "m", "prompt": "p"}, into=[kit.new()], lane="m")
    assert (answer.paths, answer.content_type) == ((kit.new(),), kind)
    assert kit.new().read_bytes() == kept
    assert [path.name for path in kit.folder.iterdir()] == ["answer"]


def test_a_415_is_answered_with_json_once_and_remembered(kit: Kit) -> None:
    kit.server.plays = [refuse(415, {"error": "no multipart"}), picture()]
    answer = kit.client.upscale(kit.source(), {"scale": 2}, into=kit.new("1"), lane="u")
    assert (answer.transport, answer.attempts) == ("json", 2)
    upscale(kit, name="2")
    kinds = [talk.headers["content-type"].split(";")[0] for talk in kit.server.talks]
    assert kinds == ["multipart/form-data", "application/json", "application/json"]


def test_a_second_415_stops_the_run(kit: Kit) -> None:
    kit.server.plays = [refuse(415, {"error": "no"})]
    failure = failure_of(kit)
    assert (failure.failure_class, failure.code, failure.attempts) == (FailureClass.RUN_STOPS, "wrong-content-type", 2)


def test_server_errors_are_repeated_up_to_four_requests(kit: Kit) -> None:
    kit.server.plays = [refuse(500, {"error": "inference failed"})]
    failure = failure_of(kit)
    assert (failure.failure_class, failure.status, failure.attempts, len(kit.server.talks)) == (
        FailureClass.RETRY,
        500,
        4,
        4,
    )
    assert not kit.new().exists()
    assert len(kit.waits) == 3


def test_a_passing_server_error_ends_in_a_picture(kit: Kit) -> None:
    kit.server.plays = [reply(503), reply(502), picture()]
    answer = kit.client.upscale(kit.source(), {"scale": 2}, into=kit.new(), lane="u")
    assert answer.attempts == 3


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "0.3"}, 0.28, 8.0),
        ({"x-ratelimit-reset-requests": "ms"}, 0.25, 8.0),
        ({"x-ratelimit-reset-requests": "0.3"}, 0.28, 8.0),
    ],
)
def test_a_rate_limit_holds_the_lane_until_its_reset(
    kit: Kit, headers: dict[str, str], least: float, most: float
) -> None:
    if "ms" in headers.values():
        headers = {"x-ratelimit-reset-requests": str(int((time.time() + 0.3) * 1000))}
    kit.server.plays = [refuse(429, {"error": "Rate limit exceeded"}, headers), picture()]
    begun = time.monotonic()
    upscale(kit)
    assert least <= time.monotonic() - begun <= most


def test_the_error_budget_holds_every_lane(kit: Kit) -> None:
    kit.server.plays = [refuse(429, {"error": "Too many failed attempts (> 20)"}), picture()]
    thread = threading.Thread(target=failure_of, args=(kit,))
    thread.start()
    while not kit.waits:
        time.sleep(0.01)
    other = kit.lanes.lane("another")
    blocked = threading.Event()

    def start() -> None:
        with pytest.raises(Cancelled), other.permit():
            blocked.set()

    waiting = threading.Thread(target=start)
    waiting.start()
    assert not blocked.wait(0.1)
    kit.cancel.set()
    waiting.join(2)
    thread.join(2)
    assert not thread.is_alive()
    assert not waiting.is_alive()
    assert kit.waits == [(kit.waits[0][0], 30.0)]
    assert len(kit.server.talks) == 1


def then_cancelled(kit: Kit, play: Play) -> Play:
    """Cancel once the answer is on its way: what the client does next is to wait."""

    def both(talk: Talk) -> None:
        play(talk)
        kit.cancel.set()

    return both


def test_a_cancelled_wait_sends_nothing_more(kit: Kit) -> None:
    kit.server.plays = [then_cancelled(kit, refuse(429, {"error": "overloaded"}, {"Retry-After": "60"}))]
    failure = failure_of(kit)
    assert (failure.code, failure.failure_class, failure.billed) == ("cancelled", FailureClass.RUN_STOPS, False)
    assert len(kit.server.talks) == 1
    assert failure_of(kit).code == "cancelled"
    assert len(kit.server.talks) == 1


def test_a_refused_connection_is_repeated_and_never_billed(make_kit: MakeKit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    failure = failure_of(make_kit(base_url=url))
    assert (failure.failure_class, failure.code, failure.billed) == (FailureClass.RETRY, "no-connection", False)
    assert failure.begun_at is None


def test_a_connection_reset_before_the_body_was_read_is_repeated(kit: Kit) -> None:
    # 30 MB fit in no socket buffer, so the client cannot have sent them all.
    kit.server.plays = [Talk.reset, picture()]
    answer = kit.client.upscale(kit.source(b"x" * 30_000_000), {}, into=kit.new(), lane="u")
    assert answer.attempts == 2


def test_a_refusal_that_comes_before_the_body_was_read_is_read(kit: Kit) -> None:
    def early(talk: Talk) -> None:
        talk.send(head(413, {"content-length": "0"}))
        talk.read_body()

    kit.server.plays = [early]
    failure = failure_of(kit, b"x" * 3_000_000)
    assert (failure.failure_class, failure.code) == (FailureClass.ITEM_FAILS, "too-large")


def after_body(then: Play) -> Play:
    def play(talk: Talk) -> None:
        talk.read_body()
        then(talk)

    return play


def truncated(talk: Talk) -> None:
    talk.send(head(200, {"content-type": "image/png", "content-length": "4096"}) + PNG)
    talk.closing = True


def truncated_chunks(talk: Talk) -> None:
    talk.send(head(200, {"content-type": "image/png", "transfer-encoding": "chunked"}) + b"8\r\n\x89PNG")
    talk.closing = True


def trickle(talk: Talk) -> None:
    talk.send(head(200, {"content-type": "image/png", "content-length": "4096"}))
    for _ in range(40):
        talk.send(b"x")
        time.sleep(0.02)
    talk.closing = True


@pytest.mark.parametrize(
    ("play", "code", "kept"),
    [
        (after_body(Talk.reset), "lost-answer", None),
        (after_body(lambda talk: setattr(talk, "closing", True)), "lost-answer", None),
        (after_body(lambda _: time.sleep(0.6)), "timeout-after-sending", None),
        (after_body(truncated), "lost-answer", PNG),
        (after_body(truncated_chunks), "lost-answer", b"\x89PNG"),
        (after_body(trickle), "timeout-after-sending", b"x"),
        (after_body(lambda talk: talk.send(b"\x00garbage\r\n\r\n")), "lost-answer", None),
        (reply(504), "timeout-after-sending", None),
        (reply(524), "timeout-after-sending", None),
        (reply(200, b"x" * 2_000_000), "answer-too-large", None),
    ],
)
def test_an_answer_lost_after_sending_is_uncertain_and_not_repeated(
    make_kit: MakeKit, play: Play, code: str, kept: bytes | None
) -> None:
    kit = make_kit(timeout=0.4)
    kit.server.plays = [play]
    failure = failure_of(kit)
    assert (failure.failure_class, failure.code, failure.billed) == (FailureClass.UNCERTAIN, code, True)
    assert len(kit.server.talks) == 1
    assert failure.begun_at is not None
    left = kit.new().read_bytes() if kit.new().exists() else None
    assert left is None if kept is None else left is not None and left.startswith(kept)


def test_a_200_that_comes_before_the_request_was_read_is_never_repeated(kit: Kit) -> None:
    def early(talk: Talk) -> None:
        talk.send(head(200, {"content-type": "image/png", "content-length": "4096"}) + PNG[:8])
        time.sleep(0.05)
        talk.closing = True

    kit.server.plays = [early]
    failure = failure_of(kit, b"x" * 30_000_000)
    assert (failure.failure_class, failure.code) == (FailureClass.UNCERTAIN, "lost-answer")
    assert len(kit.server.talks) == 1
    assert kit.new().read_bytes() == PNG[:8]


def test_a_pause_before_a_retry_ends_at_once_on_cancel(kit: Kit) -> None:
    kit.server.plays = [then_cancelled(kit, refuse(503, {"error": "at capacity"}, {"Retry-After": "60"}))]
    begun = time.monotonic()
    assert failure_of(kit).code == "cancelled"
    assert time.monotonic() - begun < 10
    assert len(kit.server.talks) == 1


def test_a_deadline_that_passes_while_sending_is_repeated(make_kit: MakeKit) -> None:
    kit = make_kit(timeout=0.6)

    def stall(talk: Talk) -> None:
        time.sleep(0.8)
        talk.closing = True

    kit.server.plays = [stall, picture()]
    answer = kit.client.upscale(kit.source(b"x" * 12_000_000), {}, into=kit.new(), lane="u")
    assert answer.attempts == 2


def test_a_200_of_html_is_an_answer_for_others_to_judge(kit: Kit) -> None:
    kit.server.plays = [reply(200, "<html>", {"content-type": "text/html"})]
    answer = kit.client.upscale(kit.source(), {}, into=kit.new(), lane="u")
    assert (answer.content_type, kit.new().read_bytes()) == ("text/html", b"<html>")


def test_a_redirect_is_not_followed(kit: Kit) -> None:
    kit.server.plays = [reply(307, "", {"location": "https://elsewhere.example/"})]
    assert failure_of(kit).code == "redirected"


def test_an_existing_file_is_never_replaced_and_nothing_is_bought_for_it(kit: Kit) -> None:
    kit.new().write_bytes(b"mine")
    failure = failure_of(kit)
    assert (failure.code, failure.billed, kit.server.talks) == ("disk", False, [])
    assert kit.new().read_bytes() == b"mine"


def test_an_input_that_is_gone_fails_its_item_before_anything_is_sent(kit: Kit) -> None:
    with pytest.raises(CallFailed) as caught:
        kit.client.upscale(kit.folder / "gone.png", {}, into=kit.new(), lane="u")
    assert (caught.value.failure_class, caught.value.code) == (FailureClass.ITEM_FAILS, "input-unreadable")
    assert kit.server.talks == []


def test_a_machine_without_a_free_descriptor_is_told_as_such_and_nothing_is_lasting(kit: Kit) -> None:
    picture = kit.source()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    # Whatever is opened next would get this number.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(CallFailed) as caught:
            kit.client.upscale(picture, {"scale": 2}, into=kit.new(), lane="u")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    failure = caught.value
    assert (failure.failure_class, failure.code, failure.status) == (FailureClass.RETRY, "short-here", None)
    assert "the API" not in failure.message
    assert "ulimit" in failure.remedy
    assert kit.server.talks == []


def test_the_key_is_in_no_text_repr_or_log(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    kit.server.plays = [refuse(401, {"error": f"Invalid key {KEY} VENICE_ADMIN_KEY_abc"})]
    failure = failure_of(kit)
    texts = [str(failure), repr(failure), failure.text, str(failure.as_run_error()), caplog.text]
    texts += [repr(kit.client), repr(kit.client.api), str(kit.client.api), repr(vars(kit.client))]
    for text in texts:
        assert "sesame" not in text
        assert "KEY_abc" not in text
    assert isinstance(failure.as_run_error(), KeyRefused)


def test_a_remote_api_without_a_key_is_never_called(tmp_path: Path, make_kit: MakeKit) -> None:
    kit = make_kit(base_url="https://venice.example/api/v1")
    kit.client.api = type(kit.client.api)("https://venice.example/api/v1")
    (tmp_path / "in.png").write_bytes(PNG)
    with pytest.raises(CallFailed) as caught:
        kit.client.upscale(tmp_path / "in.png", {}, into=kit.new(), lane="u")
    assert isinstance(caught.value.as_run_error(), KeyRefused)


def test_nothing_begins_after_a_402_was_read_by_any_of_64_threads(make_kit: MakeKit) -> None:
    kit = make_kit(rpm=600_000)
    kit.server.plays = [picture(delay=0.02)] * 150 + [refuse(402, {"error": "Insufficient USD balance"})]
    begun: list[float] = []
    codes: list[str] = []
    source = kit.source()

    def work(thread: int) -> None:
        for number in range(20):
            into = kit.new(f"{thread}-{number}")
            try:
                answer = kit.client.upscale(source, {"scale": 2}, into=into, lane="u")
                begun.append(answer.begun_at)
            except CallFailed as failure:
                codes.append(failure.code)
                if failure.begun_at is not None:
                    begun.append(failure.begun_at)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kit.gate.closed_at is not None
    assert len(begun) >= 151
    assert max(begun) <= kit.gate.closed_at
    assert len(kit.server.talks) == len(begun)
    assert set(codes) == {"no-money-account", "gate-closed"}
    assert kit.gate.cause is not None
    assert kit.gate.cause.text == "Insufficient USD balance"
    assert isinstance(kit.gate.cause.as_run_error(), MoneyError)


def test_a_closed_gate_lets_nothing_through_and_frees_waiting_threads(make_kit: MakeKit) -> None:
    kit = make_kit(rpm=1)
    upscale(kit, name="first")
    timer = threading.Timer(0.1, kit.gate.status_read, [Attempt(), 402])
    timer.start()
    begun = time.monotonic()
    assert failure_of(kit).code == "gate-closed"
    assert time.monotonic() - begun < 10
    timer.join()
    assert len(kit.server.talks) == 1


def test_a_wait_that_the_closed_gate_ends_is_not_reported(make_kit: MakeKit) -> None:
    kit = make_kit(rpm=1000)
    blocked = json.dumps({"error": "Too many failed attempts (> 20)"})
    kit.server.plays = [reply(402, json.dumps({"error": "Insufficient USD balance"}), delay=0.1)]
    kit.server.plays.append(reply(429, blocked, {"content-type": "application/json"}, delay=0.4))
    first = threading.Thread(target=failure_of, args=(kit,))
    first.start()
    while not kit.server.talks:
        time.sleep(0.001)
    with pytest.raises(CallFailed) as caught:
        upscale(kit, name="second")
    first.join()
    assert caught.value.code == "gate-closed"
    assert len(kit.server.talks) == 2
    assert kit.waits == []


def test_a_disk_that_fails_behind_the_last_byte_is_counted(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = Download.__exit__

    def full(self: Download, kind: type[BaseException] | None, error: object, trace: object) -> None:
        leave(self, kind, error, trace)
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(Download, "__exit__", full)
    failure = failure_of(kit)
    assert (failure.code, failure.failure_class, failure.billed) == ("failed-here", FailureClass.RUN_STOPS, True)
    assert "Disk quota exceeded" in failure.message


def test_a_balance_that_no_sum_can_be_made_with_is_none(kit: Kit) -> None:
    kit.server.plays = [picture({"x-venice-balance-usd": "1e999999", "x-venice-balance-diem": "2.50"})]
    answer = kit.client.upscale(kit.source(), {}, into=kit.new(), lane="u")
    assert (answer.balance_usd, answer.balance_diem) == (None, Decimal("2.50"))


def test_a_signed_address_that_comes_back_in_an_error_is_blanked(kit: Kit) -> None:
    echo = "cannot read https://shop.s3.example/raw/a.jpg?X-Amz-Signature=abc&X-Amz-Security-Token=def, sorry"
    kit.server.plays = [refuse(400, {"error": echo})]
    assert "X-Amz" not in failure_of(kit).message
