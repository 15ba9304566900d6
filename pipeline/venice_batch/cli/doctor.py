"""`doctor`: what would keep a run from working, with the remedy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from venice_batch.cli import settings
from venice_batch.cli.jobs import load_job
from venice_batch.errors import Exit, KeyRefused, VeniceBatchError
from venice_batch.job import Job
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.reading.sources import refuse_overlap
from venice_batch.report.text import shown, table
from venice_batch.run.doctor import Finding, examine, machine, most_serious, of_error, places, vendor
from venice_batch.venice import Api

_HEAD = ("check", "", "found")


def doctor(job: Path | None, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Examine everything that can be examined, and print it; the exit code is that of the gravest thing found."""
    problems_found: list[Finding] = []
    loaded = None if job is None else _loaded(job, overrides, problems_found)
    probes = machine.probes(Path(tempfile.gettempdir()))
    with ExitStack() as stack:
        api = _api(stack, base_url, loaded, problems_found)
        pipeline = None if loaded is None else _pipeline(loaded, api, problems_found)
        probes += [] if api is None else vendor.probes(api, pipeline)
        probes += [] if loaded is None else places.probes(loaded)
        problems_found += examine(probes)
    code = most_serious(problems_found)
    click.echo(_as_json(problems_found, code) if as_json else _as_text(problems_found))
    return code


def _loaded(file: Path, overrides: Sequence[str], problems_found: list[Finding]) -> Job | None:
    try:
        job = load_job(file, overrides)
        refuse_overlap(job)
    except VeniceBatchError as error:
        problems_found.append(of_error("job", error))
        return None
    problems_found.append(Finding("job", "ok", f"{job.name}: valid"))
    return job


def _api(stack: ExitStack, base_url: str | None, job: Job | None, problems_found: list[Finding]) -> Api | None:
    """Return the API, without a key where there is none; None where it has no address. `stack` ends the emulator."""
    try:
        url = settings.base_url(base_url, None if job is None else job.api.base_url)
        if url == settings.EMULATOR:
            return stack.enter_context(settings.api(url))
        keyless = Api(url)
    except VeniceBatchError as error:
        problems_found.append(of_error("API", error))
        return None
    try:
        return Api(url, settings.key())
    except KeyRefused as error:
        problems_found.append(of_error("key", error))
        return keyless


def _pipeline(job: Job, api: Api | None, problems_found: list[Finding]) -> Pipeline | None:
    try:
        return None if api is None else make_pipeline(job, api.host)
    except VeniceBatchError as error:
        problems_found.append(of_error("job", error))
        return None


def _as_json(problems_found: Sequence[Finding], code: Exit) -> str:
    listed = [
        {"check": each.check, "level": each.level, "found": each.found, "remedy": each.remedy}
        for each in problems_found
    ]
    return json.dumps({"exit_code": int(code), "findings": listed}, indent=2)


def _as_text(problems_found: Sequence[Finding]) -> str:
    lines = table(_HEAD, [(each.check, each.level, each.found) for each in problems_found]).splitlines()
    told = lines[:1]
    for line, each in zip(lines[1:], problems_found, strict=True):
        told.append(line)
        if each.remedy and each.level != "ok":
            told.append(f"  try: {shown(each.remedy)}")
    return "\n".join(told)
