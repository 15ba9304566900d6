"""The CronJob: valid by the schema of Kubernetes, and right about exit codes, rights and disks."""

from __future__ import annotations

from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no annotations
import pytest

from tests.deploy.recipes import container, cronjob, documents, pod
from venice_batch.errors import Exit

#: The oldest that is worth supporting, since podFailurePolicy is stable (1.31), and a recent one.
VERSIONS = ("1.31", "1.34")


def job() -> Any:
    return cronjob()["spec"]["jobTemplate"]["spec"]


def fate(code: int) -> str:
    """Return what becomes of a Job whose container ends with this code: the first rule that fits decides."""
    for rule in job()["podFailurePolicy"]["rules"]:
        condition = rule.get("onExitCodes")
        if condition and (code in condition["values"]) == (condition["operator"] == "In"):
            return str(rule["action"])
    return "Count"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", documents("kubernetes-cronjob.yaml"), ids=lambda found: found["kind"])
def test_it_is_valid_by_the_schema_and_has_no_unknown_key(document: Any, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_would_notice_a_wrong_key() -> None:
    wrong = cronjob()
    wrong["spec"]["concurencyPolicy"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("code", [Exit.BUG, Exit.USAGE, Exit.ITEMS_FAILED, Exit.KEY, Exit.MONEY, Exit.LOCKED])
def test_what_another_pod_would_only_meet_again_is_not_retried(code: Exit) -> None:
    assert fate(code) == "FailJob"


@pytest.mark.parametrize("code", [Exit.UNAVAILABLE, Exit.TERMINATED])
def test_what_passes_is_retried_a_few_times(code: Exit) -> None:
    assert fate(code) == "Count"
    assert 1 <= job()["backoffLimit"] <= 6


def test_every_exit_code_that_is_named_is_one_of_the_command_or_sigkill() -> None:
    rules = [rule["onExitCodes"] for rule in job()["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    named = [code for rule in rules for code in rule["values"]]
    assert set(named) - {137} <= set(Exit)
    assert all(rule["values"] == sorted(rule["values"]) for rule in rules)  # the API server demands it
    assert {rule["containerName"] for rule in rules} == {container()["name"]}


def test_a_pod_that_lost_its_node_is_replaced_without_counting() -> None:
    first = job()["podFailurePolicy"]["rules"][0]
    assert first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_a_pod_failure_policy_needs_pods_that_are_not_restarted_in_place() -> None:
    assert pod()["restartPolicy"] == "Never"


def test_runs_do_not_overlap_and_none_lasts_into_the_next_night() -> None:
    assert cronjob()["spec"]["concurrencyPolicy"] == "Forbid"
    assert job()["activeDeadlineSeconds"] < 24 * 3600


def test_it_has_no_rights_and_no_writable_root() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_key_is_a_mounted_file_and_in_no_variable() -> None:
    names = {variable["name"]: variable["value"] for variable in container()["env"]}
    assert "VENICE_API_KEY" not in names
    (mount,) = (found for found in container()["volumeMounts"] if found["name"] == "key")
    (volume,) = (found for found in pod()["volumes"] if found["name"] == "key")
    assert names["VENICE_API_KEY_FILE"] == f"{mount['mountPath']}/api-key"
    assert mount["readOnly"] is True
    assert volume["secret"]["defaultMode"] == 0o440


def test_every_mount_has_its_volume_and_the_only_writable_one_is_thrown_away_and_bounded() -> None:
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    mounts = {mount["name"]: mount for mount in container()["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    (writable,) = (name for name, mount in mounts.items() if not mount.get("readOnly"))
    assert volumes[writable]["emptyDir"]["sizeLimit"]
    (config,) = (found for found in documents("kubernetes-cronjob.yaml") if found["kind"] == "ConfigMap")
    assert volumes["job"]["configMap"]["name"] == config["metadata"]["name"]
