"""`doctor`: what would keep a run from working, with the remedy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from venice_batch.cli import network_environment, settings
from venice_batch.cli.printing import print_json
from venice_batch.errors import KeyRefused, VeniceBatchError
from venice_batch.job import Job
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.reading.sources import refuse_overlap
from venice_batch.report.text import shown, table
from venice_batch.run.doctor import Finding, finding_of, machine, most_serious, places, run_checks, vendor
from venice_batch.venice import Api

_HEAD = ("check", "", "found")


def doctor(job: Path | None, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Examine everything that can be examined, and print it; the exit code is that of the most serious finding."""
    findings: list[Finding] = []
    loaded = None if job is None else _loaded(job, overrides, base_url, findings)
    checks = machine.checks(Path(tempfile.gettempdir()))
    with ExitStack() as stack:
        api = _api(stack, base_url, loaded, findings)
        pipeline = None if loaded is None else _pipeline(loaded, api, findings)
        checks += [] if api is None else vendor.checks(api, pipeline)
        checks += [] if loaded is None else places.checks(loaded)
        findings += run_checks(checks)
    code = most_serious(findings)
    if as_json:
        print_json("doctor", {"exit_code": code, "findings": findings})
    else:
        click.echo(_as_text(findings))
    return code


def _loaded(file: Path, overrides: Sequence[str], base_url: str | None, findings: list[Finding]) -> Job | None:
    try:
        job = settings.load_job(file, overrides, base_url=base_url)
        refuse_overlap(job)
    except VeniceBatchError as error:
        findings.append(finding_of("job", error))
        return None
    findings.append(Finding("job", "ok", f"{job.name}: valid"))
    return job


def _api(stack: ExitStack, base_url: str | None, job: Job | None, findings: list[Finding]) -> Api | None:
    """Return the API, without a key where there is none; None where it cannot be asked. `stack` ends the emulator."""
    try:
        network_environment.check(os.environ)
    except VeniceBatchError as error:
        findings.append(finding_of("network", error))
        return None
    try:
        url = settings.base_url(base_url, None if job is None else job.api.base_url)
        if url == settings.EMULATOR:
            return stack.enter_context(settings.api(url))
        keyless = Api(url)
    except VeniceBatchError as error:
        findings.append(finding_of("API", error))
        return None
    try:
        return Api(url, settings.key())
    except KeyRefused as error:
        findings.append(finding_of("key", error))
        return keyless


def _pipeline(job: Job, api: Api | None, findings: list[Finding]) -> Pipeline | None:
    try:
        return None if api is None else make_pipeline(job, api.host)
    except VeniceBatchError as error:
        findings.append(finding_of("job", error))
        return None


def _as_text(findings: Sequence[Finding]) -> str:
    lines = table(_HEAD, [(each.check, each.level, each.found) for each in findings]).splitlines()
    parts = lines[:1]
    for line, each in zip(lines[1:], findings, strict=True):
        parts.append(line)
        if each.remedy and each.level != "ok":
            parts.append(f"  try: {shown(each.remedy)}")
    return "\n".join(parts)
