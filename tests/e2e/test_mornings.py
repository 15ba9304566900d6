"""What people hear the morning after: the money of the whole run, refused nights, news apart from what is known."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import CUT, OpenVendor, Work
from tests.servers.listener import Listener, listening

NO_KEY = {"VENICE_API_KEY": None}


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


def notifying(work: Work, listener: Listener, *steps: object, **sections: object) -> None:
    on = ["success", "failure", "money"]
    work.write(*(steps or (CUT,)), notify={"webhook": f"{listener.url}/hook", "on": on}, **sections)


def told(listener: Listener) -> str:
    """The last message of the webhook."""
    text: str = json.loads(listener.received[-1].body)["text"]
    return text


def summary(work: Work) -> Any:
    return json.loads((work.state / "report" / "summary.json").read_text("utf-8"))


# Money


def test_money_of_a_killed_start_and_what_is_uncertain_are_told_everywhere(
    tmp_path: Path, open_vendor: OpenVendor, listener: Listener
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.7))
    work.draw("a.jpg", "b.jpg")
    notifying(work, listener)
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) == 2)
    process.kill()
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    ended = work.run("--json")
    assert ended.code == 0, ended.text
    assert (ended.json["spent_usd"], ended.json["uncertain_usd"]) == ("0.06", "0.06")
    assert "0.06 USD spent, 0.06 uncertain" in told(listener)
    run = summary(work)["run"]
    assert (run["spent_usd"], run["uncertain_usd"]) == ("0.06", "0.06")
    assert "0.00 USD spent" in (work.run(), told(listener))[1], "and the next run begins anew"


def test_a_start_that_is_refused_after_a_killed_one_tells_its_money_and_keeps_its_run_open(
    tmp_path: Path, open_vendor: OpenVendor, listener: Listener
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.7))
    work.draw("a.jpg", "b.jpg")
    notifying(work, listener, budget={"max_usd": "0.06"})
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) == 2)
    process.kill()
    process.communicate(timeout=10)
    for _ in range(2):
        assert work.run().code == 5
        assert "0.06 uncertain" in told(listener)
        assert "0.06 of it already counted" in told(listener)
    assert len(work.vendor.paid()) == 2


def test_amounts_are_cents_for_people_and_exact_for_scripts(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    work.vendor.balance(usd="989.3700000097")
    plan = work.venice("plan", work.job)
    assert "989.37 USD" in plan.out
    assert "989.370" not in plan.out
    assert work.venice("plan", work.job, "--json").json["balance"]["usd"].startswith("989.37000000")


# Refused nights


def test_a_night_without_money_is_a_run_with_its_cause_and_what_waits(work: Work, listener: Listener) -> None:
    work.draw("a.jpg")
    notifying(work, listener)
    assert work.run().code == 0
    work.draw("b.jpg", "c.jpg")
    work.vendor.balance(usd="0.01")
    assert work.run().code == 5
    status = work.asked("status")
    assert (status["run"]["exit_code"], status["items"]["waiting"], status["items"]["done"]) == (5, 2, 1)
    assert "0.05 USD are missing" in status["run"]["cause"]
    assert "0.05 USD are missing" in work.venice("status", work.job).out
    run = summary(work)["run"]
    assert (run["exit_code"], run["spent_usd"]) == (5, "0.00")
    assert "missing" in run["cause"]
    assert "items: 1 done, 2 waiting" in told(listener)
    assert "up to 0.06 remaining" in told(listener)
    work.vendor.balance(usd="1.00")
    assert work.run().code == 0
    assert work.asked("status")["run"]["cause"] == ""
    assert len(work.vendor.paid()) == 3


@pytest.mark.parametrize("refusal", ["no key", "key refused", "no source", "API away"])
def test_every_refused_night_is_a_run_with_its_exit_code(work: Work, listener: Listener, refusal: str) -> None:
    work.draw("a.jpg")
    notifying(work, listener)
    assert work.run().code == 0
    env: dict[str, str | None] = {}
    if refusal == "no source":
        work.photos.rename(work.root / "elsewhere")
    elif refusal == "no key":
        env = {"VENICE_API_KEY": None}
    elif refusal == "key refused":
        env = {"VENICE_API_KEY": "another-key"}
    else:
        env = {"VENICE_BASE_URL": "http://127.0.0.1:9/api/v1"}
    ended = work.run(env=env)
    assert ended.code in {2, 4, 6}, ended.text
    root = work.state
    run = work.asked("status")["run"]
    assert (run["id"], run["exit_code"]) == (2, ended.code)
    assert run["cause"]
    assert run["cause"] in ended.err
    assert summary(work)["run"]["exit_code"] == ended.code
    assert run["cause"][:60] in told(listener)
    assert root == work.state


def test_a_first_night_that_is_refused_for_its_job_file_leaves_nothing_behind(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    assert work.run(env=NO_KEY).code == 4
    assert not work.finished.exists()


def test_of_a_locked_job_the_webhook_alone_is_told(tmp_path: Path, open_vendor: OpenVendor, listener: Listener) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.5))
    work.draw("a.jpg")
    notifying(work, listener)
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) == 1)
    process.send_signal(signal.SIGSTOP)
    assert work.run().code == 7
    assert "another run holds the job" in told(listener)
    assert work.asked("status")["run"]["exit_code"] is None, "nothing is written into the other's state"
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=20)
    assert process.returncode == 0


# News


def test_a_notification_names_what_is_new_and_counts_what_is_known(work: Work, listener: Listener) -> None:
    work.draw("a.jpg")
    (work.photos / "bad.jpg").write_bytes(b"no picture")
    notifying(work, listener)
    assert work.run().code == 3
    assert "new: invalid: bad.jpg: " in told(listener)
    assert "known" not in told(listener)
    assert work.run().code == 3
    assert "new:" not in told(listener)
    assert "known, unchanged since the last run: 1" in told(listener)
    for number in range(12):
        (work.photos / f"x{number}.jpg").write_bytes(b"no picture either")
    assert work.run().code == 3
    assert told(listener).count("new: invalid: x") == 10
    assert "new: and 2 more" in told(listener)
    (work.photos / "bad.jpg").write_bytes(b"another broken one")
    assert work.run().code == 3
    assert told(listener).count("new: ") == 1, "what changed is news"


@pytest.mark.parametrize(("share", "deleted", "held"), [("100%", 2, 0), ("10%", 0, 2)])
def test_files_that_nothing_produces_add_up_and_are_told_everywhere(
    work: Work, listener: Listener, share: str, deleted: int, held: int
) -> None:
    work.draw("a.jpg", "b.jpg", "c.jpg")
    thumb = {"suffix": "-thumb", "format": "webp", "max_side": 100}
    output: dict[str, object] = {"path": "finished", "on_vanished": "delete", "max_deleted": share}
    notifying(work, listener, output={**output, "renditions": [{"format": "png"}, thumb]})
    assert work.run().code == 0
    (work.photos / "b.jpg").unlink()
    notifying(work, listener, output={**output, "renditions": [{"format": "png"}]})
    ended = work.run("--json")
    assert ended.code == 0, ended.text
    expected = {"inputs": 1, "files": 4, "deleted": deleted, "held_back": held, "gone": 0, "edited": 0, "kept": 2}
    assert ended.json["unproduced"] == expected
    assert summary(work)["run"]["unproduced"] == expected
    word = "2 deleted, 2 kept" if deleted else "2 held back by output.max_deleted, 2 kept"
    line = f"no longer in source: 1; finished files that no item produces: 4 ({word})"
    assert line in told(listener)
    assert line in (work.state / "report" / "index.html").read_text("utf-8")
    assert (line in work.run().out) == (not deleted)
