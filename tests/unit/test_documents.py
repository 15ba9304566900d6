"""The README stays true: commands, exit codes, environment and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.cli.commands import cli
from pipeline.errors import Exit

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"venice-batch {command}" in README


@pytest.mark.parametrize("code", sorted(Exit))
def test_every_exit_code_is_in_the_readme_and_in_the_help(code: Exit) -> None:
    table = README[README.index("| exit code |") : README.index("| environment |")]
    assert re.search(rf"\b{int(code)}\b", table)
    assert re.search(rf"\b{int(code)}\b", cli.help or "")


def test_every_variable_of_the_environment_that_the_command_reads_is_in_the_readme() -> None:
    source = "".join(file.read_text("utf-8") for file in (ROOT / "pipeline" / "cli").glob("*.py"))
    for name in set(re.findall(r'"(VENICE_[A-Z_]+)"', source)):
        assert f"`{name}`" in README


def test_every_link_within_the_project_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("target", ["demo", "test", "bench"])
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
