"""The service and its timer: taken by systemd without a word, and right about exit codes, rights and the key."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.recipes import DEPLOY, unit
from venice_batch.errors import Exit

ANALYZE = shutil.which("systemd-analyze")
NEEDS_SYSTEMD = pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze on this machine")
SERVICE, TIMER = unit("venice-batch.service"), unit("venice-batch.timer")


def verified(folder: Path, replaced: tuple[str, str] = ("", "")) -> str:
    """Return what systemd has to say about both units; it says it, but ends with 0."""
    for name in ("venice-batch.service", "venice-batch.timer"):
        text = (DEPLOY / name).read_text("utf-8").replace(*replaced)
        # It also looks whether the program is there, which is installed on no developer's machine.
        (folder / name).write_text(text.replace("/opt/venice-batch/bin/venice-batch", "/bin/true"), "utf-8")
    command = [str(ANALYZE), "verify", "--man=no", *map(str, sorted(folder.glob("venice-batch.*")))]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def codes(key: str) -> set[int]:
    return {int(word) for word in SERVICE["Service"][key].split()}


@NEEDS_SYSTEMD
def test_systemd_has_nothing_to_say_about_them(tmp_path: Path) -> None:
    assert verified(tmp_path) == ""


@NEEDS_SYSTEMD
@pytest.mark.parametrize("wrong", [("PrivateTmp", "PrivatTmp"), ("on-failure", "sometimes"), ("02:30:00", "25:30:00")])
def test_systemd_would_notice_a_mistake(tmp_path: Path, wrong: tuple[str, str]) -> None:
    assert verified(tmp_path, wrong)


@NEEDS_SYSTEMD
def test_the_sandbox_is_a_tight_one_by_systemds_own_measure(tmp_path: Path) -> None:
    verified(tmp_path)
    command = [str(ANALYZE), "security", "--offline=true", "--threshold=25", str(tmp_path / "venice-batch.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_only_what_passes_is_started_again() -> None:
    assert SERVICE["Service"]["Restart"] == "on-failure"
    good = {Exit.DONE, *codes("SuccessExitStatus")}
    again = set(Exit) - good - codes("RestartPreventExitStatus") - {Exit.INTERRUPTED}  # nobody presses Ctrl-C there
    assert again == {Exit.UNAVAILABLE}


def test_every_exit_code_that_is_named_is_one_of_the_command() -> None:
    assert codes("RestartPreventExitStatus") | codes("SuccessExitStatus") <= set(Exit)


def test_stopping_it_is_no_failure() -> None:
    assert codes("SuccessExitStatus") == {Exit.TERMINATED}


def test_tries_are_numbered_and_paused() -> None:
    assert 1 < int(SERVICE["Unit"]["StartLimitBurst"]) <= 6
    assert SERVICE["Service"]["RestartSec"] == "30min"


def test_the_key_comes_as_a_credential_and_in_no_variable() -> None:
    name, _, file = SERVICE["Service"]["LoadCredential"].partition(":")
    assert SERVICE["Service"]["Environment"] == f"VENICE_API_KEY_FILE=%d/{name}"
    assert file == "/etc/venice-batch/api-key"


def test_the_folders_of_the_job_are_open_to_it_and_no_others() -> None:
    job = (DEPLOY / "nightly-folders.yaml").read_text("utf-8")
    assert f"path: {SERVICE['Service']['ReadWritePaths']}\n" in job
    assert f"state: /var/lib/{SERVICE['Service']['StateDirectory']}/" in job
    assert SERVICE["Service"]["ProtectSystem"] == "strict"
    assert SERVICE["Service"]["User"] != "root"


def test_the_timer_starts_the_service_of_its_name_at_a_moment_that_exists() -> None:
    assert TIMER["Timer"]["OnCalendar"] == "*-*-* 02:30:00 UTC"
    assert TIMER["Install"]["WantedBy"] == "timers.target"
    assert "Unit" not in TIMER["Timer"]
