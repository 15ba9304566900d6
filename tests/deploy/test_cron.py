"""The crontab, and the script that it starts: what is tried again, and what is not."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.recipes import DEPLOY, cron_lines, cronjob, document
from venice_batch.errors import Exit

#: Minute, hour, day, month, weekday (0 and 7 are Sunday).
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
SCRIPT = DEPLOY / "nightly.sh"
SCHEDULES = [
    *(" ".join(line.split()[:5]) for line in cron_lines()),
    cronjob()["spec"]["schedule"],
    *(found["cron"] for found in document("github-actions.yml")["on"]["schedule"]),
]


def moments(field: str, low: int, high: int) -> set[int]:
    """Return what a field of a schedule names; ValueError when it is none. Numbers, ``*``, ranges, steps and lists."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        begin, end = int(first), int(last or first)
        if not low <= begin <= end <= high:
            raise ValueError(f"{part} is not within {low}-{high}")
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_names_moments_that_exist(schedule: str) -> None:
    fields = schedule.split()
    assert len(fields) == len(RANGES)
    assert all(moments(field, *span) for field, span in zip(fields, RANGES, strict=True))


@pytest.mark.parametrize("field", ["60", "5-1", "x", "", "*/0", "1-99"])
def test_a_wrong_field_would_be_noticed(field: str) -> None:
    with pytest.raises(ValueError, match=r"within|invalid literal|must not be zero"):
        moments(field, *RANGES[0])


def test_a_line_of_cron_d_names_its_user_and_has_no_percent_sign_which_cron_takes_for_a_line_end() -> None:
    lines = cron_lines()
    assert lines
    assert all(line.split()[5] == "venice" for line in lines)
    assert not any("%" in line for line in lines)


def test_the_file_ends_in_a_line_end_or_cron_would_not_take_its_last_line() -> None:
    assert (DEPLOY / "crontab").read_text("utf-8").endswith("\n")


def test_a_variable_is_written_without_expansion_which_cron_does_not_do() -> None:
    lines = (DEPLOY / "crontab").read_text("utf-8").splitlines()
    variables = dict(line.split("=", 1) for line in lines if "=" in line and line.split("=")[0].isupper())
    assert variables.keys() == {"SHELL", "PATH", "MAILTO", "VENICE_API_KEY_FILE", "TMPDIR"}
    assert not any("$" in value for value in variables.values())


class Night:
    """The script with a stand-in for the command that ends with the codes of a list, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts = folder / "starts"

    def command(self, body: str) -> None:
        command = self.folder / "venice-batch"
        command.write_text(f'#!/bin/sh\necho "$*" >> {self.starts}\n{body}\n', "utf-8")
        command.chmod(0o755)

    def codes(self, *codes: int) -> None:
        """Let the command end with these codes, the last one for ever."""
        lines = "".join(f"{number}) exit {code};; " for number, code in enumerate(codes, 1))
        self.command(f"case $(grep -c . {self.starts}) in {lines} *) exit {codes[-1]};; esac")

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        path = f"{self.folder}:{os.environ['PATH']}"
        return subprocess.Popen(
            [SCRIPT, "job.yaml", "--limit", "3"], env={"PATH": path, "PAUSE": "0", **variables}, start_new_session=True
        )

    def ended(self, **variables: str) -> int:
        with self.start(**variables) as process:
            return process.wait(timeout=20)

    @property
    def started(self) -> list[str]:
        return self.starts.read_text("utf-8").splitlines() if self.starts.exists() else []

    def until_started(self) -> None:
        end = time.monotonic() + 10
        while not self.started:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


@pytest.mark.parametrize("code", sorted(set(Exit) - {Exit.UNAVAILABLE}))
def test_a_run_that_ends_with_anything_but_6_is_not_started_again(night: Night, code: Exit) -> None:
    night.codes(code)
    assert night.ended() == code
    assert night.started == ["run job.yaml --limit 3 --yes"]


def test_after_6_the_run_is_started_again_until_it_ends_otherwise(night: Night) -> None:
    night.codes(Exit.UNAVAILABLE, Exit.UNAVAILABLE, Exit.DONE)
    assert night.ended() == Exit.DONE
    assert len(night.started) == 3


def test_money_that_runs_out_at_the_second_try_ends_it(night: Night) -> None:
    night.codes(Exit.UNAVAILABLE, Exit.MONEY)
    assert night.ended() == Exit.MONEY
    assert len(night.started) == 2


def test_after_as_many_tries_as_allowed_it_gives_up_with_6(night: Night) -> None:
    night.codes(Exit.UNAVAILABLE)
    assert night.ended(TRIES="2") == Exit.UNAVAILABLE
    assert len(night.started) == 2


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_run_which_gets_its_time_and_is_not_started_again(
    night: Night, sent: signal.Signals
) -> None:
    night.command("trap 'sleep 0.2; echo landed >> \"$0.log\"; exit 143' TERM\nwhile :; do sleep 0.05; done")
    with night.start() as process:
        night.until_started()
        time.sleep(0.1)
        process.send_signal(sent)
        assert process.wait(timeout=20) == Exit.TERMINATED
    assert (night.folder / "venice-batch.log").read_text("utf-8") == "landed\n"
    assert len(night.started) == 1


def test_a_signal_between_two_tries_ends_it(night: Night) -> None:
    night.codes(Exit.UNAVAILABLE)
    with night.start(PAUSE="60") as process:
        night.until_started()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == Exit.TERMINATED
    assert len(night.started) == 1
