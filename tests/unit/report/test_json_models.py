"""The public JSON: its keys are fixed, its schemas are valid, and amounts and times have one form."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from tools import schemas
from venice_batch.report.json_models import DOCUMENTS, document
from venice_batch.state.rows import ItemRow, RunRow, Spending

MONEY = "spent spent_usd uncertain uncertain_usd"
CALL = "begun_at call ended_at expected expected_usd fate instead item model request_id step variant"
#: Of each document, or of each of its list: what scripts may rely on. A key may be added; none may go unsaid.
KEYS = {
    "plan": "items calls cost balance covered eta_seconds steps warnings rest",
    "run": f"exit_code items left left_usd published_flagged cause warnings unproduced plan {MONEY}",
    "status": "items run spending state",
    "items": "key variant version fingerprint state code reason lasting updated_at result",
    "ledger": "id run key variant step endpoint model micros fate outcome result reserved_at begun_at ended_at status"
    " attempts request_id model_served balance_usd balance_diem usd",
    "report": "page failures summary notes",
    "summary": "job made_at run items in_all notes",
    "reconcile": "clean usd matched charged_twice charged_without_answer not_charged still_open unmatched credits",
    "check": "valid name steps state problems",
    "doctor": "exit_code findings",
    "gc": "dry_run freed results set_aside bytes usd needed spared unclear_items unknown_items",
    "decision": "decision items already",
    "balance": "permitted balances next_epoch rpm",
    "models": "id type spec",
    "presets": "name description checked leaves rules steps output",
    "styles": "",
}
#: Of what lies within them.
INNER = {
    ("run", "UnproducedFiles"): "inputs files deleted held_back gone edited kept",
    ("plan", "CostRange"): "low high",
    ("plan", "PlanCounts"): "new changed reused waiting invalid total",
    ("plan", "PlanStep"): "id step model calls cost",
    ("plan", "PlanWarning"): "code text",
    ("plan", "PlanRest"): "items cost",
    ("status", "LastRun"): "id started_at ended_at exit_code closed cause",
    ("status", "SpendingRow"): f"step model calls {MONEY}",
    ("summary", "SummaryRun"): "id started_at ended_at exit_code outcome cause seconds items_ended calls"
    f" latency_seconds spending unproduced {MONEY}",
    ("summary", "TotalMoney"): f"spending {MONEY}",
    ("reconcile", "MatchedCall"): f"{CALL} rows by",
    ("reconcile", "FurtherCharge"): f"{CALL} row by",
    ("reconcile", "UnchargedCall"): CALL,
    ("reconcile", "Charge"): "timestamp sku charged charged_usd currency request_id",
    ("check", "JobProblem"): "file line column what instead",
    ("check", "CheckedStep"): "id step",
    ("doctor", "DoctorFinding"): "check level found remedy",
    ("decision", "DecidedItem"): "job item flags result",
}


def _objects(node: Any, models: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that a document, or each of its list, may be."""
    if "$ref" in node:
        return _objects(models[node["$ref"].rpartition("/")[2]], models)
    if "anyOf" in node:
        return [found for choice in node["anyOf"] for found in _objects(choice, models)]
    return _objects(node["items"], models) if node.get("type") == "array" else [node]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_keys_that_scripts_rely_on_are_there(name: str) -> None:
    schema = schemas.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    found = {key for each in _objects(schema, schema.get("$defs", {})) for key in each.get("properties", {})}
    assert found == set(KEYS[name].split())


@pytest.mark.parametrize(("name", "model"), INNER)
def test_the_keys_of_the_parts_are_there(name: str, model: str) -> None:
    assert set(schemas.schema(name)["$defs"][model]["properties"]) == set(INNER[name, model].split())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_money_and_times_have_one_form_and_every_key_says_what_it_is(name: str) -> None:
    for key, kind, meaning in schemas.keys(name):
        last = key.rpartition(".")[2]
        assert meaning, key
        assert (last.endswith("_at") or last in {"timestamp", "next_epoch"}) == (kind.startswith("time")), key
        if kind.startswith("amount"):
            assert last == "usd" or last.endswith("_usd") or last in {"low", "high"}, key


def test_amounts_keep_every_digit_and_times_are_utc_to_the_second() -> None:
    run = RunRow(1, 1_790_000_000.25, None, None, closed=False)
    spending = [Spending("cut", "bria", 30_001, 0, 1)]
    shown = document("status", {"items": {}, "run": run, "spending": spending, "state": "/state"})
    assert shown["run"]["started_at"] == "2026-09-21T14:13:20Z"
    assert shown["run"]["ended_at"] is None
    assert shown["spending"][0] == {
        "step": "cut",
        "model": "bria",
        "calls": 1,
        "spent_usd": "0.030001",
        "spent": "0.030001",
        "uncertain_usd": "0.00",
        "uncertain": "0.00",
    }
    gc = dict.fromkeys(KEYS["gc"].split(), 0) | {"dry_run": True, "freed": False, "usd": Decimal("1.8")}
    assert document("gc", gc)["usd"] == "1.80"


def test_a_name_that_is_no_text_is_escaped_and_breaks_nothing() -> None:
    row = ItemRow("a\udcff.jpg", 0, "1", "f", "failed", "odd", "\x1b[31m", lasting=True, updated_at=0.0)
    text = json.dumps(document("items", [row]))
    assert "\\udcff" in text
    assert text.isascii()


def test_a_key_that_no_model_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="extra_forbidden"):
        document("report", {"page": "p", "failures": "f", "summary": "s", "notes": [], "new": 1})
