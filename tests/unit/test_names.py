"""The field's words: retired names and phrases come back neither in code nor in what people read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from venice_batch.cli.commands import cli

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline" / "venice_batch"
#: Modules that have a better name by now, as folder/module.
MODULES = """
    plan/stock plan/standing plan/looking plan/traces plan/ahead plan/beside plan/personal plan/survey
    plan/needs run/journey run/books run/wallet run/conductor run/tools run/tidying run/deciding run/stopping
    run/collecting venice/fate venice/refusal venice/persistence venice/landing venice/reach venice/answers
    cli/asking cli/keeping cli/voices cli/starts cli/ending cli/running cli/jobs cli/completing cli/amounts
    cli/told report/outcome report/letter report/filing report/pairing report/review report/payload
    report/figures report/telling state/conditions state/patience steps/lineage steps/settling steps/written
    steps/filling steps/strict imaging/opening imaging/verdict imaging/rendering
"""
#: Classes and functions, as words that are nothing else.
NAMES = """
    Stock Taking Wishes Eyes Sight Neighbours Personal Journey Books Wallet Conductor Voice Herald Effort Filed
    Pairing Starts _poor end_the_poor _sorted_out _in_doubt output_for file_report outcome_text
"""
#: What people read, anywhere: in messages, on the page, in docs and help.
PHRASES = (
    r"covers it\b",
    r"short of \d",
    r"\bin all\b(?! runs)",
    r"\b(buy|buys|bought|buying)( it| them| one| the \w+)? anew\b",
    r"\bmoney (does|did) not reach",
    r"\b(money|it) reaches for\b",
    r"\blasting reason",
    r"\ba spread of\b",
    r"\bby lots?\b",
    r"\bof no use\b",
    r"\bgravest\b",
    r"\bdear(er|est)?\b",
    r"\bis no (amount|duration|size|time)\b",
    r"\bobject a line\b",
    r"\bform of stderr\b",
    r"\bas the API's\b",
    r"\b95 in 100\b",
    r"\bleft to buy\b",
    r"\bheld answers?\b",
    r"\bnot told\b",
)
#: And in docs, on the page and in the help alone: in code `lane` and `fate` name a column, a key or a label.
DOCS_ONLY = (r"\blanes?\b", r"(?<![`.])\bfates?\b(?!`)", r"\ba recipe\b", r"\bor recipe\b", r"\bthe recipe\b")

CODE = sorted(PACKAGE.rglob("*.py"))
TEMPLATES = [*(PACKAGE / "report" / "templates").iterdir()]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "configs").rglob("*.yaml"))]


def _text(file: Path) -> str:
    # A phrase may stand across a line's end, in a comment too.
    return re.sub(r"\s+(# )?", " ", file.read_text("utf-8"))


def _found(patterns: tuple[str, ...], texts: dict[str, str]) -> list[str]:
    return [
        f"{name}: {match[0]}"
        for name, text in texts.items()
        for pattern in patterns
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


def _help(group: click.Group) -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        yield f"{name} --help", " ".join(command.get_help(click.Context(command)).split())


@pytest.mark.parametrize("module", MODULES.split())
def test_no_module_has_a_retired_name(module: str) -> None:
    dotted = f"venice_batch.{module.replace('/', '.')}"
    assert not (PACKAGE / f"{module}.py").exists()
    assert [file for file in CODE if re.search(rf"\b{re.escape(dotted)}\b", file.read_text("utf-8"))] == []


def test_no_class_or_function_has_a_retired_name() -> None:
    names = "|".join(NAMES.split())
    pattern = re.compile(rf"\b(?:class|def) (?:{names})\b")
    assert [
        f"{file.name}: {found}"
        for file in CODE
        if "emulator" not in file.parts
        for found in pattern.findall(file.read_text("utf-8"))
    ] == []


def test_no_retired_phrase_is_in_code_page_docs_or_help() -> None:
    files = [*CODE, *TEMPLATES, *DOCS]
    texts = {str(file.relative_to(ROOT)): _text(file) for file in files if "emulator" not in file.parts}
    assert _found(PHRASES, {**texts, **dict(_help(cli))}) == []


def test_people_read_settings_rate_limiter_and_outcome() -> None:
    page = {file.name: file.read_text("utf-8") for file in TEMPLATES if file.suffix == ".html"}
    # For developers, who meet `Lane` in the code.
    users = [file for file in DOCS if file.suffix == ".md" and file.name != "architecture.md"]
    docs = {str(file.relative_to(ROOT)): _text(file) for file in users}
    assert _found(DOCS_ONLY, {**page, **docs, **dict(_help(cli))}) == []


@pytest.mark.parametrize("text", ["balance: 1.00 USD: covers it", "the dearest call", "bought anew", "total in all"])
def test_the_phrases_are_found_where_they_are(text: str) -> None:
    assert _found(PHRASES, {"text": text})
