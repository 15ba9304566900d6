"""The README and docs/ stay true: commands, options, keys, steps, exit codes, environment, examples and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import pytest
import yaml

from tools import mutants, pictures, reference
from tools.__main__ import stale
from tools.reference import DOCS, ROOT, SCHEMA
from venice_batch.cli.commands import cli
from venice_batch.errors import Exit
from venice_batch.job import loads
from venice_batch.job.json_schema import json_schema
from venice_batch.job.load import TOP_KEYS
from venice_batch.state.events import STATES
from venice_batch.steps.answer_checks.verdict import FLAGS
from venice_batch.steps.table import STEPS

README = ROOT / "README.md"
DEVELOPERS = [ROOT / "CONTRIBUTING.md", DOCS / "architecture.md"]
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
PACKAGE = ROOT / "pipeline" / "venice_batch"
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
_REMEDY = "run `make docs` and commit what it wrote"
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
#: What an example leaves out.
_REST = {"version": 1, "name": "example", "source": "./in", "output": "./out", "steps": ["trim"]}
_PROMPTS = {"source": {"prompts": "p.csv"}}


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _blocks(page: Path, *kinds: str) -> Iterator[str]:
    """Yield the text of each block of code, without its indentation."""
    for indent, kind, text in _BLOCK.findall(page.read_text("utf-8")):
        if kind in kinds:
            yield re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


# What repeats the code


def test_nothing_generated_differs_from_what_the_code_says() -> None:
    assert [_named(file) for file in stale()] == [], _REMEDY


def test_every_section_of_the_job_file_is_on_its_page() -> None:
    parts = reference.parts((DOCS / "job.md").read_text("utf-8"))
    shown = {section for part in parts if part.startswith("keys ") for section in part.split()[1:]}
    assert shown == set(TOP_KEYS) == set(json_schema()["properties"])
    assert "conditions" in parts


def test_every_key_of_the_job_file_is_on_its_page() -> None:
    page = (DOCS / "job.md").read_text("utf-8")
    keys = reference.job_keys()
    assert {"source.exclude", "steps[].expect.min_side", "output.renditions[].suffix"} <= set(keys)
    assert [key for key in keys if f"| `{key}` |" not in page] == []


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_its_fields_on_the_page_of_steps(step: str) -> None:
    assert f"fields {step}" in reference.parts((DOCS / "steps.md").read_text("utf-8"))


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_and_option_is_on_the_page_of_commands(command: str) -> None:
    page = (DOCS / "commands.md").read_text("utf-8")
    section = page[page.index(f"### {command}\n") :].partition("\n### ")[0]
    options = [name for one in cli.commands[command].params if isinstance(one, click.Option) for name in one.opts]
    assert [name for name in options if f"`{name}" not in section] == []
    # In the table of when to type what, too.
    assert re.search(rf"`[^`]*\b{command}\b[^`]*`", page.partition("## All commands")[0])


# What is written by hand


@pytest.mark.parametrize("code", sorted(Exit))
def test_every_exit_code_is_documented_and_in_the_help(code: Exit) -> None:
    assert f"| {int(code)} |" in (DOCS / "exit-codes.md").read_text("utf-8")
    assert re.search(rf"\b{int(code)}\b", cli.help or "")


def test_every_variable_of_the_environment_that_the_command_reads_is_documented() -> None:
    page = (DOCS / "environment.md").read_text("utf-8")
    source = "".join(file.read_text("utf-8") for file in (PACKAGE / "cli").glob("*.py"))
    read = set(re.findall(r'"(VENICE_[A-Z_]+)"', source))
    assert read >= {"VENICE_API_KEY", "VENICE_BASE_URL"}
    assert [name for name in sorted(read) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_an_item_is_documented(state: str) -> None:
    assert f"| `{state}` |" in (DOCS / "state.md").read_text("utf-8")


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_an_answer_is_documented(flag: str) -> None:
    assert f"`{flag}`" in (DOCS / "how-to" / "sample-and-approve.md").read_text("utf-8")


def test_there_is_a_rule_for_each_number_that_tests_and_code_name() -> None:
    rules = re.findall(r"^\*\*(\d)\. ", (DOCS / "rules.md").read_text("utf-8"), re.MULTILINE)
    assert rules == [str(number) for number in range(1, 9)]


# Links, commands and examples of every page


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]+)?\)", page.read_text("utf-8"))
    wrong = [link + anchor for link, anchor in links if not _leads(page, link, anchor)]
    assert wrong == []


def _leads(page: Path, link: str, anchor: str) -> bool:
    target = (page.parent / link).resolve() if link else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    heads = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE) if anchor else []
    return not anchor or anchor[1:] in {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_page_is_reached_from_the_index() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    assert sorted(name for name in pages if f"({name}" not in index) == []


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_command_line_of_a_page_is_one_that_the_command_takes(page: Path) -> None:
    for line in _command_lines(page):
        name, *arguments = shlex.split(line, comments=True)[1:]
        assert name in cli.commands, line
        cli.commands[name].make_context(name, arguments)


def _command_lines(page: Path) -> Iterator[str]:
    text = page.read_text("utf-8")
    blocks = "\n".join(_blocks(page, "sh", "console")).replace("\\\n", " ")
    for line in blocks.splitlines():
        for part in re.split(r"[;|]|&&", re.sub(r"\s#.*|[<>].*", "", line).removeprefix("$ ")):
            if part.strip().startswith("venice-batch "):
                yield part.strip()
    # In running text, where it is a whole command and not just named.
    yield from (line for line in re.findall(r"`(venice-batch [^`]+)`", text) if not re.search(r"[A-Z]{4,}|-h", line))


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_piece_of_a_job_file_on_a_page_is_valid(page: Path, tmp_path: Path) -> None:
    for text in _blocks(page, "yaml"):
        piece = yaml.safe_load(text)
        if piece is None or not piece.keys() <= set(TOP_KEYS):
            continue
        first = str(next(iter(piece.get("steps", [""]))))
        rest = {**_REST, **(_PROMPTS if "generate" in first else {})}
        if "s3://" in str(piece.get("output")):
            rest["state"] = "s3://b/state/"
        if "preset" in piece:
            del rest["steps"]
        missing = {key: value for key, value in rest.items() if key not in piece}
        loads(text + (yaml.safe_dump(missing) if missing else ""), tmp_path / "job.yaml", environ={})


def test_the_make_targets_that_pages_name_are_those_that_there_are() -> None:
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z0-9-]+)`", page.read_text("utf-8"))}
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    # What the others do beside their work.
    assert named == targets - {"lint", "clean"}


@pytest.mark.parametrize("page", DEVELOPERS, ids=_named)
def test_every_file_and_folder_that_a_developer_is_sent_to_exists(page: Path) -> None:
    named = re.findall(r"`([\w./-]+(?:\.py|\.md|\.yaml|/))`", page.read_text("utf-8"))
    assert len(named) > 20
    assert [name for name in named if not any((root / name).exists() for root in (ROOT, PACKAGE))] == []


@pytest.mark.parametrize("name", mutants.MODULES)
def test_the_modules_that_are_mutated_and_their_tests_exist(name: str) -> None:
    module, tests = mutants.MODULES[name]
    assert (PACKAGE / module).is_file()
    assert [path for path in tests if not (ROOT / path).exists()] == []


# Editors


@pytest.mark.parametrize("config", CONFIGS, ids=_named)
def test_a_job_file_leads_editors_to_the_schema_and_fits_it(config: Path) -> None:
    text = config.read_text("utf-8")
    documents = list(yaml.safe_load_all(text))
    if len(documents) > 1 or not {"version", "source", "output"} <= documents[0].keys():
        assert "yaml-language-server" not in text
        return
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (config.parent / named[1]).resolve() == SCHEMA
    errors = jsonschema.Draft202012Validator(json_schema()).iter_errors(documents[0])
    assert [f"{error.json_path}: {error.message[:100]}" for error in errors] == []


# Pictures


@pytest.mark.slow
def test_every_drawn_picture_is_shown_and_small(tmp_path: Path) -> None:
    page = (DOCS / "steps.md").read_text("utf-8")
    names = [name for name, _, _ in pictures.SHOWN]
    assert sorted(file.stem for file in pictures.FOLDER.iterdir()) == sorted(names)
    pictures.draw(tmp_path)
    for name in names:
        assert f"(pictures/{name}.png)" in page
        assert (pictures.FOLDER / f"{name}.png").stat().st_size <= 40_000
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
