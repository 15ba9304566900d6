"""What YAML can do besides describing a job: refuse it, in bounded time, with a place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from venice_batch.errors import JobError
from venice_batch.job import load

Complaints = Callable[..., list[str]]

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !!python/object/apply:os.system [id]\n", "1:4: tags (!name) are not supported"),
        ("!!python/object:os.system {}\n", "1:1: tags (!name) are not supported"),
        ("a: !x y\n", "1:4: tags (!name) are not supported"),
        ("a: !!str 5\n", "1:4: tags (!name) are not supported"),
        (BOMB, "1:4: anchors (&name) are not supported"),
        ("a: *b\n", "1:4: aliases (*name) are not supported"),
        ("include: [*.jpg]\n", "1:12: a value cannot start with *; put it in quotes"),
        ("include: **/*.jpg\n", "1:11: a value cannot start with *; put it in quotes"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document starts here; write one job per file"),
        ("a:\n\tb: 1\n", "2:1: a tab where YAML wants spaces; indent with spaces"),
        ("a: b: c\n", "1:5: a colon and a space inside a value; put the value in quotes"),
        ('a: "b\n', "2:1: a quote is opened and never closed; close it"),
        ("a: [1, 2\nb: 3\n", "2:2: a list that is not closed"),
        ("a: 1\n  b: 2\n", "2:4: a colon and a space inside a value"),
        ("a:\n  - 1\n b: 2\n", "3:2: indented differently from the lines above"),
        ("a: @b\n", "1:4: a value cannot start with this character; put the value in quotes"),
        ("a: ${VAR}{\n? [x]\n: y\n", "2:3: a key must be one word"),
        ("a: {{b}: c}\n", "1:5: a key must be one word"),
        ("a: 1\nb: \x00\n", "2:4: the character U+0000 cannot stand in a job file"),
        ("a: 1\r\nbc\x1b: 2\r\n", "2:3: the character U+001B cannot stand in a job file"),
        ('name: "a\\0b"\n', "1:7: the text holds a control character"),
        ('name: "\\ud800"\n', "1:7: the text holds a control character"),
        ("name: " + "[" * 1000, "1:31: nested more than 24 levels deep"),
        ("- " * 1000, "1:51: nested more than 24 levels deep"),
        ("%YAML 9.1\n---\na: 1\n", "1:1: not valid YAML"),
    ],
)
def test_text_that_is_no_job_is_refused_where_it_goes_wrong(complaints: Complaints, text: str, expected: str) -> None:
    lines = complaints(text)
    assert any(line.startswith(f"/jobs/a.yaml:{expected}") for line in lines), lines


@pytest.mark.parametrize("piece", ["[", "{a: ", "- ", "a: 'x\n", "? ", "a: &a [*a]\n", "x" * 100 + "\n", "#\n"])
def test_a_file_of_five_megabytes_is_refused_at_once(tmp_path: Path, piece: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(piece * (5_000_000 // len(piece)))
    before = time.process_time()
    with pytest.raises(JobError, match="more than 500,000"):
        load(file, environ={})
    assert time.process_time() - before < 2


@pytest.mark.parametrize("piece", ["[", "{a: ", "- ", "? ", "&a ", "!a ", "a: ", "'", "|", "a:\n "])
def test_the_longest_hostile_text_ends_in_an_error_about_the_file(complaints: Complaints, piece: str) -> None:
    limit = sys.getrecursionlimit()
    assert complaints(piece * (40_000 // len(piece)))
    assert sys.getrecursionlimit() == limit


def test_a_chain_without_end_is_refused_as_one_problem(complaints: Complaints) -> None:
    head = "version: 1\nname: a\nsource: ./in\noutput: ./out\nsteps:\n"
    lines = complaints(head + "  - upscale\n" * 101)
    assert lines == ["/jobs/a.yaml:5:1: 101 steps, more than 100; split the work into several jobs"]


def test_problems_before_a_syntax_error_are_kept(complaints: Complaints) -> None:
    lines = complaints("a: {b: 1, b: 2}\nc: [\n")
    assert [line.split(":")[1] for line in lines] == ["1", "3"]


def test_escape_codes_in_values_do_not_reach_the_terminal(complaints: Complaints) -> None:
    lines = complaints('"\\e[31m": "\\e[2J"\n')
    assert "\x1b" not in "".join(lines)
