"""Every command line in the Dockerfile and the recipes is one that the command takes, on a job that is valid."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.deploy.recipes import CommandLine, command_lines, container, document, pod, unit
from venice_batch.cli.commands import cli
from venice_batch.job import Job, load

LINES = command_lines()
EACH = pytest.mark.parametrize("line", LINES, ids=lambda line: line.where)
RUNS = [line for line in LINES if line.words[0] == "run"]
EACH_RUN = pytest.mark.parametrize("line", RUNS, ids=lambda line: line.where)
#: Seconds from the signal to SIGKILL, or to the second signal, which ends a run at once.
GRACE = {
    "kubernetes": 60.0,
    "compose": 60.0,
    "venice-batch.service": 60.0,
    "github": 7.5,
}


def parsed(line: CommandLine) -> click.Context:
    """Parse the line as the command would, without doing anything."""
    context = click.Context(cli)
    name, command, rest = cli.resolve_command(context, list(line.words))
    assert command is not None
    return command.make_context(name, rest, parent=context)


def loaded(line: CommandLine, folder: Path) -> Job:
    """Load the job that the line names, with the line's overrides."""
    assert line.job is not None
    file = folder / "job.yaml"
    file.write_text(line.job, "utf-8")
    return load(file, environ={}, overrides=parsed(line).params["overrides"])


def test_every_recipe_starts_the_command() -> None:
    found = {line.where.split(":")[0] for line in RUNS}
    recipes = {"kubernetes-cronjob.yaml", "compose.yaml", "crontab", "venice-batch.service", "github-actions.yml"}
    assert found == {"Dockerfile", *recipes}


@EACH
def test_a_command_line_is_one_that_the_command_takes(line: CommandLine) -> None:
    parsed(line)


@pytest.mark.parametrize("words", [("run", "job.yaml", "--nonsense"), ("walk", "job.yaml"), ("run",)])
def test_a_wrong_command_line_would_be_noticed(words: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        parsed(CommandLine("here", words))


@EACH_RUN
def test_the_job_of_a_run_is_valid(line: CommandLine, tmp_path: Path) -> None:
    loaded(line, tmp_path)


@EACH_RUN
def test_an_unattended_run_says_that_it_may_spend(line: CommandLine) -> None:
    assert parsed(line).params["yes"] is True


@pytest.mark.parametrize("recipe", GRACE)
def test_calls_in_flight_may_land_before_the_recipe_kills(recipe: str, tmp_path: Path) -> None:
    (line,) = (line for line in RUNS if line.where.startswith(recipe))
    # The rest of the time is for what a run writes when its calls have landed.
    assert loaded(line, tmp_path).run.drain <= GRACE[recipe] - 2


def test_the_times_above_are_those_of_the_recipes() -> None:
    assert pod()["terminationGracePeriodSeconds"] == GRACE["kubernetes"]
    assert document("compose.yaml")["services"]["nightly"]["stop_grace_period"] == f"{GRACE['compose']:.0f}s"
    assert float(unit("venice-batch.service")["Service"]["TimeoutStopSec"]) == GRACE["venice-batch.service"]


@pytest.mark.parametrize("recipe", ["kubernetes", "compose", "github"])
def test_a_recipe_without_a_disk_remembers_in_a_bucket(recipe: str, tmp_path: Path) -> None:
    (line,) = (line for line in RUNS if line.where.startswith(recipe))
    assert str(loaded(line, tmp_path).state).startswith("s3://")


def test_the_job_lies_where_the_command_looks_for_it() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert container()["args"][1] == f"{mounts['job']}/job.yaml"
    nightly = document("compose.yaml")["services"]["nightly"]
    assert f"./compose-job.yaml:{nightly['command'][1]}:ro" in nightly["volumes"]
