"""`doctor`: what would keep a run from working, with the remedy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from pipeline.cli import settings
from pipeline.cli.jobs import load_job
from pipeline.errors import Exit, KeyRefused, VeniceBatchError
from pipeline.job import Job
from pipeline.plan.recipe import Recipe, make_recipe
from pipeline.plan.survey import refuse_overlap
from pipeline.report.text import shown, table
from pipeline.run.doctor import Finding, examine, gravest, machine, of_error, places, vendor
from pipeline.venice import Api

_HEAD = ("check", "", "found")


def doctor(job: Path | None, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Examine everything that can be examined, and print it; the exit code is that of the gravest thing found."""
    findings: list[Finding] = []
    loaded = None if job is None else _loaded(job, overrides, findings)
    probes = machine.probes(Path(tempfile.gettempdir()))
    with ExitStack() as stack:
        api = _api(stack, base_url, loaded, findings)
        recipe = None if loaded is None else _recipe(loaded, api, findings)
        probes += [] if api is None else vendor.probes(api, recipe)
        probes += [] if loaded is None else places.probes(loaded)
        findings += examine(probes)
    code = gravest(findings)
    click.echo(_as_json(findings, code) if as_json else _as_text(findings))
    return code


def _loaded(file: Path, overrides: Sequence[str], findings: list[Finding]) -> Job | None:
    try:
        job = load_job(file, overrides)
        refuse_overlap(job)
    except VeniceBatchError as error:
        findings.append(of_error("job", error))
        return None
    findings.append(Finding("job", "ok", f"{job.name}: valid"))
    return job


def _api(stack: ExitStack, base_url: str | None, job: Job | None, findings: list[Finding]) -> Api | None:
    """Return the API, without a key where there is none; None where it has no address. `stack` ends the emulator."""
    try:
        url = settings.base_url(base_url, None if job is None else job.api.base_url)
        if url == settings.EMULATOR:
            return stack.enter_context(settings.api(url))
        keyless = Api(url)
    except VeniceBatchError as error:
        findings.append(of_error("API", error))
        return None
    try:
        return Api(url, settings.key())
    except KeyRefused as error:
        findings.append(of_error("key", error))
        return keyless


def _recipe(job: Job, api: Api | None, findings: list[Finding]) -> Recipe | None:
    try:
        return None if api is None else make_recipe(job, api.host)
    except VeniceBatchError as error:
        findings.append(of_error("job", error))
        return None


def _as_json(findings: Sequence[Finding], code: Exit) -> str:
    listed = [
        {"check": each.check, "level": each.level, "found": each.found, "remedy": each.remedy} for each in findings
    ]
    return json.dumps({"exit_code": int(code), "findings": listed}, indent=2)


def _as_text(findings: Sequence[Finding]) -> str:
    lines = table(_HEAD, [(each.check, each.level, each.found) for each in findings]).splitlines()
    told = lines[:1]
    for line, each in zip(lines[1:], findings, strict=True):
        told.append(line)
        if each.remedy and each.level != "ok":
            told.append(f"  try: {shown(each.remedy)}")
    return "\n".join(told)
