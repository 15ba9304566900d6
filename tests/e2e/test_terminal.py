"""On a terminal a run shows its plan and asks before it spends."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

from tests.e2e.conftest import COMMAND, CUT, Work, environment

CTRL_C = b"\x03"


def _on_a_terminal(work: Work, answer: bytes, *options: str) -> tuple[int, str]:
    """Run the job on a terminal of its own and type `answer` when it asks; return exit code and what was shown."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    process = subprocess.Popen(
        [COMMAND, "run", str(work.job), *options],
        env=environment(work.root.with_name("scratch"), work.vendor, {"TERM": "xterm"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := _read(ours):
            shown += chunk
            if answer and shown.rstrip().endswith(b"[y/N]:"):
                # The prompt is written a moment before it is waited for; nobody is as quick as this test.
                time.sleep(0.2)
                if answer == CTRL_C:
                    process.send_signal(signal.SIGINT)
                else:
                    os.write(ours, answer)
                answer = b""
    finally:
        os.close(ours)
    return process.wait(timeout=20), shown.decode("utf-8", "replace")


def _read(terminal: int) -> bytes:
    """Return what was written to the terminal, empty when its other end was closed."""
    assert select.select([terminal], [], [], 20)[0], "it waits for ever"
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""  # what Linux says to a reader when the other end is closed


@pytest.fixture
def asked(work: Work) -> Work:
    work.draw("a.jpg", "b.jpg")
    work.write(CUT)
    return work


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 0), (b"\n", 0), (CTRL_C, 130)])
def test_without_a_yes_nothing_is_spent(asked: Work, answer: bytes, code: int) -> None:
    ended, shown = _on_a_terminal(asked, answer)
    assert ended == code, shown
    assert "Spend up to 0.06 USD?" in shown
    assert asked.vendor.paid() == []


def test_with_a_yes_the_run_goes_ahead_behind_a_bar_with_items_and_money(asked: Work) -> None:
    ended, shown = _on_a_terminal(asked, b"y\n")
    assert ended == 0, shown
    assert "2/2" in shown
    assert "0.06 USD spent" in shown
    assert len(asked.vendor.paid()) == 2


def test_the_yes_option_asks_nothing(asked: Work) -> None:
    ended, shown = _on_a_terminal(asked, b"", "--yes")
    assert ended == 0, shown
    assert "[y/N]" not in shown
    assert len(asked.outputs()) == 2
