"""Standard streams that are closed or whose reader goes away: the same is done, told elsewhere, and returned."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import COMMAND, CUT, OpenVendor, Work, environment
from tests.servers.listener import listening


def _shell(work: Work, script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; ``$VB`` is the command, and its exit code that of a pipe's first part."""
    env = environment(work.root.with_name("scratch"), work.vendor, {"VB": str(COMMAND)})
    return subprocess.run(
        ["/bin/bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}"],
        cwd=work.root,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "where", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "| true", "2>&1 | head -n 1", "2> >(exec <&-; true)", "--json >&-"]
)
def test_a_run_whose_streams_are_closed_or_unread_does_all_and_returns_the_same(work: Work, where: str) -> None:
    work.draw("a.jpg", "b.jpg")
    (work.photos / "broken.jpg").write_bytes(b"no picture")
    with listening() as told:
        work.write(CUT, notify={"webhook": f"{told.url}/hook", "on": ["failure"]})
        done = _shell(work, f'"$VB" run job.yaml {where}')
    assert done.returncode == 3, done.stdout + done.stderr
    assert sorted(work.outputs()) == ["a.png", "b.png"]
    assert work.states() == {"a.jpg": "done", "b.jpg": "done", "broken.jpg": "invalid"}
    assert len(told.received) == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "line",
    ["plan job.yaml --json >&-", "items job.yaml | true", "plan job.yaml 2>&-", "status job.yaml <&- >&-"],
)
def test_questions_return_the_same_too(work: Work, line: str) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    done = _shell(work, f'"$VB" {line}')
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_wrong_is_returned_though_nobody_can_read_it(work: Work) -> None:
    work.write(CUT, source={"path": "nowhere"})
    assert _shell(work, '"$VB" run job.yaml >&- 2>&-').returncode == 2


def test_a_terminal_that_hangs_up_lets_calls_in_flight_land(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=1.0))
    work.draw("a.jpg", "b.jpg")
    work.write(CUT, run={"concurrency": 1})
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(work.root)
        os.execve(COMMAND, ["venice-batch", "run", "job.yaml", "--yes"], environment(Path("scratch"), work.vendor))  # noqa: S606 - a shell would get the signal, too
    work.vendor.until(lambda: bool(work.vendor.paid()))
    os.close(terminal)  # the kernel sends SIGHUP, and every write fails from now on
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM
    assert len(work.results()) == len(work.vendor.bought()) == 1
