"""What the recipes say, read into one form: which command lines they run, and on which jobs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.dockerfile import stages

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "configs" / "deploy"
COMMAND = "venice-batch"
SCRIPT = "nightly.sh"


class _Loader(yaml.SafeLoader):
    """Reads `on:` as the word that GitHub, with YAML 1.2, takes it for."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not (tag == "tag:yaml.org,2002:bool" and first in "oOyYnN")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Unit(RawConfigParser):
    """Keeps the capitals of a unit's keys."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One start of the command.

    Attributes:
        where: the file, and the place in it.
        words: without the command itself.
        job: the text of the job file that it names, as far as it lies in this repository.
    """

    where: str
    words: tuple[str, ...]
    job: str | None = None


def documents(name: str) -> list[Any]:
    """Return the YAML documents of a recipe."""
    return list(yaml.load_all((DEPLOY / name).read_text("utf-8"), _Loader))


def document(name: str) -> Any:
    """Return the one YAML document of a recipe."""
    (found,) = documents(name)
    return found


def unit(name: str) -> RawConfigParser:
    """Return a systemd unit; a key that is written twice is refused."""
    parser = _Unit(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.read_string((DEPLOY / name).read_text("utf-8"))
    return parser


def cron_lines() -> list[str]:
    """Return the crontab's lines that start something."""
    lines = (DEPLOY / "crontab").read_text("utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#") and not re.match(r"[A-Z_]+=", line)]


def cronjob() -> Any:
    """Return the Kubernetes CronJob."""
    (found,) = (found for found in documents("kubernetes-cronjob.yaml") if found["kind"] == "CronJob")
    return found


def pod() -> Any:
    """Return the pod of the CronJob."""
    return cronjob()["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def container() -> Any:
    """Return the one container of the pod."""
    (found,) = pod()["containers"]
    return found


def command_lines() -> list[CommandLine]:
    """Return every command line of the Dockerfile and the recipes."""
    return [*_of_dockerfile(), *_of_kubernetes(), *_of_compose(), *_of_crontab(), *_of_systemd(), *_of_github()]


def _of_dockerfile() -> Iterator[CommandLine]:
    last = stages(ROOT / "Dockerfile")[-1]
    job = (ROOT / "configs" / "demo.yaml").read_text("utf-8")
    yield CommandLine("Dockerfile: CMD", tuple(last.only("CMD").executed), job)


def _of_kubernetes() -> Iterator[CommandLine]:
    (jobs,) = (found for found in documents("kubernetes-cronjob.yaml") if found["kind"] == "ConfigMap")
    yield CommandLine("kubernetes-cronjob.yaml", tuple(container()["args"]), jobs["data"]["job.yaml"])


def _of_compose() -> Iterator[CommandLine]:
    job = (DEPLOY / "compose-job.yaml").read_text("utf-8")
    for name, service in document("compose.yaml")["services"].items():
        if service["image"] == COMMAND:
            words = tuple(service["command"])
            yield CommandLine(f"compose.yaml: {name}", words, job if words[0] == "run" else None)


def _of_crontab() -> Iterator[CommandLine]:
    job = (DEPLOY / "nightly-folders.yaml").read_text("utf-8")
    for line in cron_lines():
        yield from _of_shell(line.split(maxsplit=6)[6], f"crontab: {line}", job)


def _of_systemd() -> Iterator[CommandLine]:
    job = (DEPLOY / "nightly-folders.yaml").read_text("utf-8")
    yield from _of_shell(unit("venice-batch.service")["Service"]["ExecStart"], "venice-batch.service", job)


def _of_github() -> Iterator[CommandLine]:
    job = (ROOT / "configs" / "nightly-s3.yaml").read_text("utf-8")
    for step in document("github-actions.yml")["jobs"]["run"]["steps"]:
        for line in step.get("run", "").splitlines():
            yield from _of_shell(line, f"github-actions.yml: {line}", job)


def _of_shell(line: str, where: str, job: str) -> Iterator[CommandLine]:
    """Yield what a shell line starts: the command itself, or what nightly.sh makes of its arguments."""
    program, *words = shlex.split(line.removeprefix("exec "))
    if Path(program).name == COMMAND:
        yield CommandLine(where, tuple(words), job)
    elif Path(program).name == SCRIPT:
        yield CommandLine(where, ("run", *words, "--yes"), job)
