"""Files that a job names: regular, bounded, without secrets, and near the job where it alone says where lines go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.conftest import CUT, ENLARGE, Ended, Work
from tests.servers.canned import Canned

KEY = "VENICE_INFERENCE_KEY_never.seen-4711"
#: Looks like nothing in particular: only what it says may give it away.
PASSWORD = "correct-horse-battery"  # noqa: S105 - opens nothing
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE"  # noqa: S105 - likewise


def _sources(file: Path | str) -> list[Mapping[str, object]]:
    """Every key of a source that names a file."""
    return [
        {"path": "photos", "keys": str(file)},
        {"path": "photos", "metadata": str(file)},
        {"prompts": str(file)},
        {"urls": str(file)},
    ]


def _plan(work: Work, source: Mapping[str, object], step: object = CUT, env: Mapping[str, str] | None = None) -> Ended:
    first = {"generate": {"model": "venice-sd35"}} if "prompts" in source else step
    work.write(first, source=source)
    ended = work.venice("plan", work.job, env=env)  # what hangs ends as a timeout
    assert "Traceback" not in ended.text
    return ended


@pytest.mark.parametrize(
    ("file", "number"), [("pipe", 0), ("/dev/zero", 1), ("/proc/self/environ", 2), ("/dev/zero", 3), ("pipe", 2)]
)
def test_pipes_devices_and_kernel_files_are_refused_at_once(work: Work, file: str, number: int) -> None:
    work.draw("a.jpg")
    os.mkfifo(work.root / "pipe")
    ended = _plan(work, _sources(file)[number])
    assert (ended.code, ended.out) == (2, ""), ended.text
    assert work.vendor.key not in ended.text
    assert "not a regular file" in ended.err or "belongs to the kernel" in ended.err


def test_a_pipe_as_picture_job_or_key_file_is_refused_at_once(work: Work) -> None:
    work.draw("a.jpg")
    pipe = work.root / "pipe"
    os.mkfifo(pipe)
    images = ["current", {"file": "pipe"}]
    edit = {"multi-edit": {"prompt": "x", "images": images, "model": "nano-banana-pro-edit"}}
    named = _plan(work, {"path": "photos"}, edit)
    by_row = work.root / "rows.csv"
    by_row.write_text("key,logo\na.jpg,pipe\n", "utf-8")
    images[1] = {"file": "{logo}"}
    celled = _plan(work, {"path": "photos", "metadata": "rows.csv"}, edit)
    assert "not a regular file" in named.err
    assert "not a regular file" in celled.text
    assert work.venice("plan", pipe).code == 2
    work.write(CUT)
    keyless = work.venice("plan", work.job, env={"VENICE_API_KEY": None, "VENICE_API_KEY_FILE": str(pipe)})
    assert keyless.code == 4
    assert "not a regular file" in keyless.err


@pytest.mark.parametrize(
    ("file", "number"), [("key", 0), ("link", 1), ("other-name", 2), ("copy", 3), ("aws", 1), ("copy", 2), ("link", 0)]
)
def test_a_file_of_secrets_is_never_read_under_whatever_name(work: Work, file: str, number: int) -> None:
    work.draw("a.jpg")
    key, aws = work.root / "key", work.root / "aws"
    key.write_text(f"{KEY}\n", "utf-8")
    aws.write_text(f"[default]\naws_secret_access_key = {AWS_SECRET}\n", "utf-8")
    (work.root / "link").symlink_to(key)
    os.link(key, work.root / "other-name")
    (work.root / "copy").write_text(f"key,prompt,id\n{AWS_SECRET},x,y\n", "utf-8")
    env = {"VENICE_API_KEY_FILE": str(key), "AWS_SHARED_CREDENTIALS_FILE": str(aws)}
    ended = _plan(work, _sources(file)[number], env=env)
    assert ended.code == 2, ended.text
    assert "holds a key or another secret" in ended.err
    assert "never.seen" not in ended.text
    assert AWS_SECRET not in ended.text


def test_what_a_file_holds_that_is_no_list_is_not_shown(work: Work) -> None:
    work.draw("a.jpg")
    secret = work.root.with_name("passwords")
    secret.write_text(f"{PASSWORD}\n{PASSWORD}\nadmin:{PASSWORD}\n", "utf-8")
    picture = {"multi-edit": {"prompt": "x", "images": ["current", {"file": str(secret)}]}}
    shown = [_plan(work, source) for source in _sources(secret)] + [_plan(work, {"path": "photos"}, picture)]
    assert all(ended.code == 2 for ended in shown)
    assert not [ended.text for ended in shown if PASSWORD[:8] in ended.text]


def test_lines_do_not_go_to_a_server_that_the_job_alone_names(work: Work, canned: Canned) -> None:
    secret = work.root.with_name("passwords")
    secret.write_text(f"{PASSWORD}\n", "utf-8")
    (work.root / "near").symlink_to(secret)
    env = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": AWS_SECRET}
    endpoint = canned.bucket.endpoint
    for file in (str(secret), "near", "../passwords"):
        source = {"path": "s3://bkt/", "keys": file, "include": ["**"], "s3": {"endpoint_url": endpoint}}
        ended = _plan(work, source, ENLARGE, env)
        assert ended.code == 2, ended.text
        assert "--allow-read" in ended.err
    assert not [request for request in canned.requests if PASSWORD in request.path]
    allowed = work.venice("plan", work.job, "--allow-read", str(secret.parent), env=env)
    assert "--allow-read" not in allowed.err
    assert [request for request in canned.requests if PASSWORD in request.path], "the user trusts this job"
    canned.requests.clear()
    work.venice("plan", work.job, env={**env, "VENICE_ALLOW_READ": f"/nowhere:{secret.parent}"})
    assert [request for request in canned.requests if PASSWORD in request.path]
    canned.requests.clear()
    work.venice("plan", work.job, env={**env, "AWS_ENDPOINT_URL_S3": endpoint})
    assert [request for request in canned.requests if PASSWORD in request.path], "the user names the server, too"


def test_an_endpoint_that_only_the_job_names_is_https_or_this_machine(work: Work) -> None:
    env = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_SESSION_TOKEN": "t" * 40}
    far = "http://192.0.2.1:9"
    reads = {"source": {"path": "s3://bkt/", "s3": {"endpoint_url": far}}}
    writes = {"output": {"path": "s3://bkt/", "s3": {"endpoint_url": far}}, "state": "state"}
    keeps = {"output": {"path": "finished", "s3": {"endpoint_url": far}}, "state": "s3://bkt/"}
    for sections in (reads, writes, keeps):
        work.write(CUT, **sections)
        ended = work.venice("check", work.job, env=env)
        assert ended.code == 2, ended.text
        assert "neither https nor this machine" in ended.err
        assert work.venice("check", work.job, env={**env, "AWS_ENDPOINT_URL_S3": far}).code == 0
