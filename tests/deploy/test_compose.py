"""The compose file: valid by its schema, closed off, and complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.recipes import DEPLOY, ROOT, document

FILE = DEPLOY / "compose.yaml"
SERVICES = document("compose.yaml")["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "venice-batch"]


def test_it_is_valid_by_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_specification_would_notice_a_wrong_key(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text("utf-8").replace("stop_grace_period", "stop_grace"), "utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_no_rights_and_no_writable_root(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount.split(":")[0] for mount in service["tmpfs"]] == ["/tmp"]  # noqa: S108 - of the container
    assert service["networks"] == ["inside"]


def test_nothing_of_ours_reaches_the_internet() -> None:
    assert document("compose.yaml")["networks"]["inside"] == {"internal": True}


def test_money_and_lock_are_not_retried() -> None:
    # Compose's on-failure knows no exit codes.
    assert SERVICES["nightly"]["restart"] == "no"
    assert not any(service.get("restart", "no") != "no" for service in SERVICES.values())


def test_the_run_waits_until_both_servers_answer() -> None:
    awaited = {name: told["condition"] for name, told in SERVICES["nightly"]["depends_on"].items()}
    assert awaited == {"emulator": "service_healthy", "s3": "service_healthy"}
    assert all("healthcheck" in SERVICES[name] for name in awaited)


def test_every_file_that_is_mounted_is_there_and_what_is_built_has_a_dockerfile() -> None:
    files = [volume.split(":")[0] for name in OURS for volume in SERVICES[name].get("volumes", [])]
    assert files == ["./compose-job.yaml"]
    assert all((DEPLOY / file).is_file() for file in files)
    assert {(DEPLOY / SERVICES[name]["build"]).resolve() for name in OURS} == {ROOT}


def test_the_keys_of_both_sides_are_the_same_and_no_secret() -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert [SERVICES["s3"]["environment"][name] for name in names] == ["local", "local-only"]
    assert [SERVICES["nightly"]["environment"][name] for name in names] == ["local", "local-only"]
