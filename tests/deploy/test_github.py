"""The workflow: valid by the schema of GitHub Actions, with few rights, and never two at a time. The issue forms."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.deploy.recipes import DEPLOY, ROOT, document

FILE = DEPLOY / "github-actions.yml"
WORKFLOW = document("github-actions.yml")
STEPS = WORKFLOW["jobs"]["run"]["steps"]


def validated(file: Path, schema: str = "workflows") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_valid_by_the_schema() -> None:
    done = validated(FILE)
    assert done.returncode == 0, done.stdout


def test_the_schema_would_notice_a_wrong_key(tmp_path: Path) -> None:
    wrong = tmp_path / "workflow.yml"
    wrong.write_text(FILE.read_text("utf-8").replace("timeout-minutes", "timeout"), "utf-8")
    assert validated(wrong).returncode == 1


def test_it_may_read_the_repository_and_take_a_role_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read", "id-token": "write"}
    assert set(WORKFLOW["on"]) == {"schedule", "workflow_dispatch"}  # no pull request of a stranger gets the key


def test_two_never_run_at_a_time_and_none_is_cut_short_by_the_next() -> None:
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is False


def test_the_key_is_a_secret_and_known_to_the_steps_that_need_it_alone() -> None:
    knowing = [step for step in STEPS if "VENICE_API_KEY" in step.get("env", {})]
    assert [step["env"]["VENICE_API_KEY"] for step in knowing] == ["${{ secrets.VENICE_API_KEY }}"] * len(knowing)
    assert all(set(re.findall(r"venice-batch (\w+)|(nightly\.sh)", step["run"])) for step in knowing)
    assert "VENICE_API_KEY" not in WORKFLOW["jobs"]["run"]["env"]


def test_no_expression_is_put_into_a_script() -> None:
    assert not any("${{" in step.get("run", "") for step in STEPS)


def test_the_job_and_the_script_are_where_it_looks_for_them() -> None:
    (run,) = (step["run"] for step in STEPS if step.get("name") == "Run")
    _, script, job, *_ = run.split()
    assert (ROOT / script).stat().st_mode & 0o111
    assert (ROOT / job).is_file()


def test_what_fills_the_places_of_the_job_is_passed_on() -> None:
    job = (ROOT / "configs" / "nightly-s3.yaml").read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+)", job)) == set(WORKFLOW["jobs"]["run"]["env"])


def test_the_issue_forms_are_valid_by_their_schema() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").iterdir())
    assert {form.name: validated(form, "issue-forms").returncode for form in forms} == {"bug.yml": 0, "idea.yml": 0}
