"""What scripts rely on: JSON on stdout and nothing else there, exit codes, and a way to stop asking."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.e2e.conftest import COMMAND, CUT, ENLARGE, REPOSITORY, Work, environment

COMMANDS = (
    ["run"],
    ["plan"],
    ["check"],
    ["status"],
    ["items"],
    ["ledger"],
    ["report"],
    ["balance"],
    ["models"],
    ["styles"],
    ["init"],
    ["schema"],
    ["emulator"],
)


SCHEMAS = REPOSITORY / "docs" / "schemas"


def _check(name: str, document: Any) -> None:
    """See whether a document is one that docs/json.md describes."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []


@pytest.fixture
def done(work: Work) -> Work:
    """Two items done and one invalid."""
    work.draw("a.jpg", "b.jpg")
    (work.photos / "=cmd.jpg").write_bytes(b"")
    work.write(CUT, ENLARGE)
    return work


def test_a_plan_has_exactly_the_keys_that_scripts_rely_on(done: Work) -> None:
    ended = done.venice("plan", done.job, "--json")
    assert ended.code == 0
    plan = ended.json
    assert plan == {
        "items": {"new": 2, "changed": 0, "reused": 0, "waiting": 0, "invalid": 1, "total": 3},
        "calls": 4,
        "cost": {"low": "0.10", "high": "0.10"},
        "balance": {"diem": "0.00", "usd": "50.00"},
        "covered": True,
        "eta_seconds": plan["eta_seconds"],
        "steps": [
            {
                "id": "background-remove",
                "step": "background-remove",
                "model": "bria-bg-remover",
                "calls": 2,
                "cost": {"low": "0.06", "high": "0.06"},
            },
            {
                "id": "upscale",
                "step": "upscale",
                "model": "upscaler",
                "calls": 2,
                "cost": {"low": "0.04", "high": "0.04"},
            },
        ],
        "warnings": plan["warnings"],
    }
    assert isinstance(plan["eta_seconds"], int)
    assert done.run("--dry-run", "--json").json.keys() == plan.keys()


def test_every_question_about_a_job_is_answered_in_json_alone(done: Work) -> None:
    ended = done.run("--json")
    assert ended.code == 3
    assert (ended.json["exit_code"], ended.json["spent"], ended.json["uncertain"]) == (3, "0.10", "0.00")
    assert ended.json["items"]["done"] == 2
    assert ended.json["items"]["invalid"] == 1

    status = done.asked("status")
    assert (status["items"]["done"], status["items"]["invalid"]) == (2, 1)
    assert status["run"]["exit_code"] == 3
    assert sum(Decimal(row["spent"]) for row in status["spending"]) == Decimal("0.10")

    items = done.asked("items")
    assert {item["key"] for item in items} == {"a.jpg", "b.jpg", "=cmd.jpg"}
    assert [item["key"] for item in done.asked("items", "--state", "invalid")] == ["=cmd.jpg"]

    ledger = done.asked("ledger")
    assert len(ledger) == 4
    assert {row["fate"] for row in ledger} == {"spent"}
    assert sum(Decimal(row["usd"]) for row in ledger) == Decimal("0.10") == done.vendor.billed()
    assert {row["request_id"] for row in ledger} == {call["request_id"] for call in done.vendor.paid()}
    assert done.asked("check")["valid"] is True


def test_everything_that_is_printed_has_the_documented_form(done: Work) -> None:
    seen = {"plan": done.asked("plan", "--sample", "1"), "check": done.asked("check"), "run": done.run("--json").json}
    for command in ("status", "items", "ledger", "report"):
        seen[command] = done.asked(command)
    seen["summary"] = json.loads(Path(seen["report"]["summary"]).read_text("utf-8"))
    for command in ("gc", "reconcile", "doctor"):
        seen[command] = done.venice(command, done.job, "--json", env={"VENICE_API_KEY": done.vendor.admin_key}).json
    seen["decision"] = done.venice("release", done.job, "--all", "--json").json
    for command in ("balance", "models", "styles", "presets"):
        seen[command] = done.venice(command, "--json").json
    assert sorted(seen) == sorted(file.stem for file in SCHEMAS.glob("*.json"))
    for name, document in seen.items():
        assert document or name == "decision", name
        _check(name, document)
    (matched, *_) = seen["reconcile"]["matched"]
    assert matched["expected_usd"] == matched["expected"] == matched["rows"][0]["charged_usd"]
    assert {row["usd"] for row in seen["ledger"]} == {"0.03", "0.02"}
    assert seen["run"]["spent_usd"] == seen["run"]["spent"] == seen["summary"]["run"]["spent_usd"] == "0.10"
    _check("presets", done.venice("presets", "ebay", "--json").json)
    done.write(CUT, rum={})
    _check("check", done.venice("check", done.job, "--json").json)


def test_a_run_that_money_stops_says_so_in_json_too(done: Work) -> None:
    ended = done.run("--json", "--partial", "--budget", "0.05")
    assert ended.code == 5
    assert ended.json["exit_code"] == 5
    assert ended.json["spent"] == "0.05"
    assert ended.json["cause"]


def test_questions_about_the_account_are_answered_in_json(work: Work) -> None:
    balance = work.venice("balance", "--json").json
    assert balance["permitted"] is True
    assert balance["balances"] == {"diem": "0.00", "usd": "50.00"}
    assert balance["rpm"]["upscaler"] == 6000
    models = {model["id"] for model in work.venice("models", "--json").json}
    assert {"upscaler", "bria-bg-remover", "nano-banana-pro-edit", "z-image-turbo"} <= models
    edits = work.venice("models", "--json", "--type", "inpaint").json
    assert {model["type"] for model in edits} == {"inpaint"}
    assert "Photographic" in work.venice("styles", "--json", env={"VENICE_API_KEY": None}).json


def test_the_schema_describes_every_config(work: Work) -> None:
    schema = work.venice("schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    for config in (REPOSITORY / "configs").glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(config.read_text("utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "name": "x", "nonsense": True}, schema)


def test_csv_is_made_so_that_a_spreadsheet_runs_nothing_of_it(done: Work) -> None:
    assert done.run().code == 3
    rows = list(csv.reader(io.StringIO(done.venice("items", done.job, "--csv").out)))
    assert rows[0][0] == "item"
    assert {row[0] for row in rows[1:]} == {"a.jpg", "b.jpg", "'=cmd.jpg"}
    assert len(done.venice("ledger", done.job, "--csv").out.splitlines()) == 5


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=lambda command: " ".join(command) or "venice-batch")
def test_help_is_given_for_every_command(work: Work, command: list[str]) -> None:
    ended = work.venice(*command, "--help")
    assert ended.code == 0
    assert ended.out.startswith("Usage: venice-batch")
    assert ended.err == ""


def test_the_help_names_every_exit_code(work: Work) -> None:
    text = " ".join(work.venice("--help").out.split())
    for code in (
        "0 all done",
        "2 ",
        "3 some items",
        "4 the key",
        "5 money",
        "6 ",
        "7 another run",
        "130/143",
        "1 a bug",
    ):
        assert code in text


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run"], ["run", "job.yaml", "--limit", "0"], ["run", "job.yaml", "--wrong"]]
)
def test_a_wrong_command_line_ends_with_2(work: Work, arguments: list[str]) -> None:
    ended = work.venice(*arguments)
    assert ended.code == 2
    assert ended.err
    assert ended.out == ""


def test_a_set_option_replaces_a_value_and_a_wrong_one_is_refused(work: Work) -> None:
    work.draw("a.jpg")
    work.write(ENLARGE)
    plan = work.asked("plan", "--set", "steps.0.scale=4")
    assert plan["cost"]["high"] == "0.08"
    refused = work.venice("plan", work.job, "--set", "steps.0.scale=5")
    assert refused.code == 2


def test_a_reader_that_goes_away_does_not_break_the_command(done: Work) -> None:
    script = f"'{COMMAND}' models --json | head -c 10"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        env=environment(done.root.with_name("scratch"), done.vendor),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == b""
    assert len(ended.stdout) == 10


def test_a_run_without_a_terminal_asks_nothing_and_shows_plain_lines(done: Work) -> None:
    ended = done.run()
    assert "\r" not in ended.text
    assert "\x1b" not in ended.text
    assert json.loads(done.venice("status", done.job, "--json").out)["items"]["done"] == 2


def test_check_tells_scripts_every_problem_with_its_place(work: Work) -> None:
    work.write(CUT, source={"pth": "photos"}, rum={})
    ended = work.venice("check", work.job, "--json")
    assert ended.code == 2
    assert ended.json["valid"] is False
    places = {(problem["line"], problem["instead"]) for problem in ended.json["problems"]}
    assert len(places) >= 2
    assert all(str(line) in ended.err for line, _ in places), "and people as always"
