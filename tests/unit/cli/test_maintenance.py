"""`unlock` and `gc` as they are called: exit codes, and what is refused before anything is looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.servers.bucket import Bucket
from venice_batch.cli import run
from venice_batch.cli.commands import cli
from venice_batch.state import LeasePolicy, to_write
from venice_batch.state.bucket_lease import BucketLease, find
from venice_batch.storage import S3Place, open_store

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(name: str = "work", **sections: object) -> Path:
        document = {
            "version": 1,
            "name": name,
            "source": {"path": "photos"},
            "steps": ["background-remove"],
            "output": {"path": "finished"},
            **sections,
        }
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document), "utf-8")
        return file

    (tmp_path / "photos").mkdir()
    return made


def called(*arguments: str | Path) -> int:
    return run(cli, [*map(str, arguments), "--base-url", "http://127.0.0.1:9"])


def test_a_lease_in_a_folder_is_never_broken(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = write(state="memory")
    assert called("unlock", job) == 0
    assert not (tmp_path / "memory").exists()
    with to_write(tmp_path / "memory"):
        assert called("unlock", job, "--force") == 7
        said = capsys.readouterr().err
        assert '"pid"' in said
        assert "end that process" in said
    assert called("unlock", job) == 0


def test_a_lease_in_a_bucket_is_broken_when_it_is_dead_or_by_force(
    write: Write, seaweed: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    place = S3Place(seaweed.name, seaweed.fresh().prefix, seaweed.access)
    job = write(state=str(place), output={"path": "finished", "s3": {"endpoint_url": seaweed.endpoint}}, lease="60s")
    store = open_store(place)
    assert called("unlock", job) == 0
    holder = BucketLease(store, LeasePolicy(60))
    holder.acquire()
    try:
        assert called("unlock", job) == 7
        said = capsys.readouterr().err
        assert '"pid"' in said
        assert "--force breaks it now" in said
        assert called("unlock", job, "--force") == 0
        assert "broken: the lease" in capsys.readouterr().out
        assert find(store, LeasePolicy(60)) is None
    finally:
        holder.release()


@pytest.mark.parametrize("option", ["--older-than=soon", "--older-than=5", "--larger-than=big", "--older-than="])
def test_gc_refuses_what_is_no_time_and_no_size(write: Write, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("gc", write(), option) == 2
    assert "try: write" in capsys.readouterr().err


def test_gc_takes_only_jobs_of_one_state_together(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("gc", write("one", state="memory"), write("two", state="elsewhere")) == 2
    assert "name jobs of one state only" in capsys.readouterr().err


def test_gc_of_a_state_that_does_not_exist_makes_none(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("gc", write(state="memory"), "--yes") == 0
    assert "nothing to free" in capsys.readouterr().out
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["completion", shell]) == 0
    assert "_VENICE_BATCH_COMPLETE" in capsys.readouterr().out


def test_the_doctor_goes_on_without_a_usable_job_and_without_a_key(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VENICE_API_KEY", "VENICE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert called("doctor", write(steps=["no-such-step"])) == 4
    said = capsys.readouterr().out
    assert "no-such-step" in said
    assert "there is no API key" in said
    assert "cannot connect to 127.0.0.1:9" in said
    assert "MB/s" in said
