"""Who is told of a run, and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers.listener import Listener, status
from venice_batch.errors import Exit
from venice_batch.job.notify import Address, Event, Metrics, Notify, Ping
from venice_batch.report.delivery import DeliveryLimits, Message
from venice_batch.report.notify import Notifier
from venice_batch.report.run_result import RunResult

QUICK = DeliveryLimits(seconds=3.0, tries=2, pause=0.01)
ALL: frozenset[Event] = frozenset({"success", "failure", "money"})


def outcome(code: int = Exit.DONE, **more: object) -> RunResult:
    return RunResult("nightly", code, 1000.0, 1090.0, items={"done": 3}, **more)  # type: ignore[arg-type]  # by name


def everything(listener: Listener, folder: Path) -> Notify:
    return Notify(
        webhook=Address(f"{listener.url}/hook"),
        on=ALL,
        ping=Ping(url=Address(f"{listener.url}/ping/uuid")),
        metrics=Metrics(
            textfile=folder / "venice.prom",
            pushgateway=Address(f"{listener.url}/push"),
            labels=(("instance", "a/b"),),
        ),
    )


def asked(listener: Listener) -> list[str]:
    return sorted(f"{got.method} {got.path}" for got in listener.received)


def test_a_good_run_is_told_everywhere(listener: Listener, tmp_path: Path) -> None:
    notifier = Notifier(everything(listener, tmp_path), "nightly", limits=QUICK)
    assert notifier.started() == []
    assert asked(listener) == ["POST /ping/uuid/start"]
    assert notifier.ended(outcome()) == []
    assert asked(listener)[:2] == ["POST /hook", "POST /ping/uuid"]
    assert asked(listener)[3] == "POST /push/metrics/job/venice-batch/batch/nightly/instance@base64/YS9i"
    assert "venice_batch_run_exit_code" in (tmp_path / "venice.prom").read_text()


def test_a_webhook_gets_slack_json(listener: Listener) -> None:
    Notifier(Notify(webhook=Address(listener.url)), "nightly", limits=QUICK).ended(outcome(Exit.KEY, cause="<no key>"))
    document = json.loads(listener.received[0].body)
    assert document["text"].startswith("venice-batch nightly: stopped: no key, or the key was refused (exit code 4)\n")
    assert "cause: &lt;no key&gt;" in document["text"]


@pytest.mark.parametrize("code", list(Exit))
@pytest.mark.parametrize("on", ["success", "failure", "money"])
def test_a_webhook_is_told_of_its_events_only(listener: Listener, code: Exit, on: Event) -> None:
    notify = Notify(webhook=Address(listener.url), on=frozenset({on}))
    notifier = Notifier(notify, "nightly", limits=QUICK)
    notifier.started()
    assert notifier.ended(outcome(code)) == []
    assert len(listener.received) == (outcome(code).event == on)


@pytest.mark.parametrize(
    ("code", "path"),
    [(Exit.DONE, "/u"), (Exit.ITEMS_FAILED, "/u/fail"), (Exit.MONEY, "/u/fail"), (Exit.BUG, "/u/fail")],
)
def test_a_base_address_is_pinged_as_healthchecks_has_it(listener: Listener, code: Exit, path: str) -> None:
    notify = Notify(ping=Ping(url=Address(f"{listener.url}/u/?create=1")))
    Notifier(notify, "nightly", limits=QUICK).ended(outcome(code))
    (got,) = listener.received
    assert got.path == (f"{path}?create=1" if code else "/u/?create=1")
    assert b"items: 3 done" in got.body


def test_single_addresses_are_asked_as_they_are_written(listener: Listener) -> None:
    parts = {name: Address(f"{listener.url}/{name}?msg=1") for name in ("start", "success", "failure")}
    notifier = Notifier(Notify(ping=Ping(**parts)), "nightly", limits=QUICK)
    notifier.started()
    notifier.ended(outcome())
    notifier.ended(outcome(Exit.UNAVAILABLE))
    assert [f"{got.method} {got.path}" for got in listener.received] == [
        "GET /start?msg=1",
        "GET /success?msg=1",
        "GET /failure?msg=1",
    ]


def test_nothing_is_told_of_a_question_left_unanswered(listener: Listener, tmp_path: Path) -> None:
    notifier = Notifier(everything(listener, tmp_path), "nightly", limits=QUICK)
    assert notifier.ended(outcome(Exit.INTERRUPTED)) == []
    assert listener.received == []
    assert not (tmp_path / "venice.prom").exists()


def test_of_a_locked_job_the_webhook_alone_is_told(listener: Listener, tmp_path: Path) -> None:
    notifier = Notifier(everything(listener, tmp_path), "nightly", limits=QUICK)
    assert notifier.ended(outcome(Exit.LOCKED)) == []
    assert asked(listener) == ["POST /hook"]
    assert not (tmp_path / "venice.prom").exists()


def test_a_job_that_was_lost_on_the_way_is_a_failure(listener: Listener, tmp_path: Path) -> None:
    notifier = Notifier(everything(listener, tmp_path), "nightly", limits=QUICK)
    notifier.started()
    assert notifier.ended(outcome(Exit.LOCKED)) == []
    assert asked(listener)[:3] == ["POST /hook", "POST /ping/uuid/fail", "POST /ping/uuid/start"]
    assert "run_exit_code" in (tmp_path / "venice.prom").read_text()


def test_a_trial_says_that_it_is_one_and_touches_no_metrics(listener: Listener, tmp_path: Path) -> None:
    notifier = Notifier(everything(listener, tmp_path), "nightly", trial=True, limits=QUICK)
    assert not notifier.wants_metrics
    assert notifier.started() + notifier.ended(outcome()) == []
    assert asked(listener) == ["POST /hook"]
    assert b"trial on the emulator" in listener.received[0].body
    assert not (tmp_path / "venice.prom").exists()


def test_a_wait_for_the_balance_is_told_once(listener: Listener) -> None:
    notifier = Notifier(Notify(webhook=Address(listener.url)), "nightly", limits=QUICK)
    for _ in range(3):
        assert notifier.waiting(outcome(Exit.MONEY, waiting=True)) == []
    assert len(listener.received) == 1
    assert b"waits for the balance" in listener.received[0].body


def test_a_wait_is_not_told_to_who_did_not_ask_for_money(listener: Listener) -> None:
    notifier = Notifier(Notify(webhook=Address(listener.url), on=frozenset({"failure"})), "nightly", limits=QUICK)
    notifier.waiting(outcome(Exit.MONEY, waiting=True))
    assert listener.received == []


def test_what_could_not_be_told_is_a_line_each(listener: Listener, tmp_path: Path) -> None:
    listener.plays = [status("500 Oops")]
    notifier = Notifier(everything(listener, tmp_path / "missing"), "nightly", limits=QUICK)
    lines = notifier.ended(outcome())
    host = f"127.0.0.1:{listener.port}"
    assert lines == [
        f"metrics: cannot write {tmp_path / 'missing' / 'venice.prom'}: No such file or directory",
        *(f"{what} to {host}: answered 500" for what in ("webhook", "ping", "push gateway")),
    ]


@pytest.mark.parametrize(("code", "seconds"), [(Exit.TERMINATED, 3.0), (Exit.INTERRUPTED, 3.0), (Exit.MONEY, 15.0)])
def test_after_a_signal_there_is_little_time_and_one_try(code: Exit, seconds: float) -> None:
    seen: list[DeliveryLimits] = []

    def send(messages: Sequence[Message], limits: DeliveryLimits) -> list[str]:
        seen.append(limits)
        return [message.what for message in messages]

    notifier = Notifier(Notify(ping=Ping(url=Address("https://hc-ping.com/x"))), "nightly", send=send)
    notifier.started()
    seen.clear()
    assert notifier.ended(outcome(code)) == ["ping"]
    assert seen[0].seconds == seconds
    assert (seen[0].tries == 1) == (seconds < 15)


def test_a_job_that_tells_nobody_does_nothing(listener: Listener) -> None:
    notifier = Notifier(Notify(), "nightly")
    assert notifier.started() + notifier.waiting(outcome()) + notifier.ended(outcome()) == []
    assert listener.received == []


def test_the_job_of_a_push_group_can_be_chosen(listener: Listener) -> None:
    labels = (("instance", "web 1?#"), ("job", "pictures"))
    notify = Notify(metrics=Metrics(pushgateway=Address(f"{listener.url}/"), labels=labels))
    assert Notifier(notify, "nightly", limits=QUICK).ended(outcome()) == []
    assert asked(listener) == ["POST /metrics/job/pictures/batch/nightly/instance/web%201%3F%23"]
