"""`release` and `reject`: a person's decisions on results that are held back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from venice_batch.cli import settings
from venice_batch.cli.printing import print_json
from venice_batch.errors import Exit, UsageError
from venice_batch.job import Job
from venice_batch.report.text import shown, table
from venice_batch.run import decisions
from venice_batch.run.decisions import Decided, Decision, chosen, held, name_of
from venice_batch.run.session import state_to_write
from venice_batch.state import to_read

_NEXT: Mapping[Decision, str] = {
    "released": "the next `venice-batch run` publishes them",
    "rejected": "the next `venice-batch run` regenerates them (charged again)",
}


def decide(
    decision: Decision,
    job: Path,
    keys: Sequence[str],
    overrides: Sequence[str],
    base_url: str | None,
    *,
    everything: bool,
    as_json: bool,
) -> int:
    """Record the decision and show which items it changed.

    Raises:
        UsageError: no key is given, or the result of one is not held back; nothing is changed then (exit 2).
        Locked: a run holds the job (exit 7).
    """
    if bool(keys) == everything:
        raise UsageError("name the items, or give --all", remedy="`venice-batch items JOB --state flagged` lists them")
    loaded = settings.load_job(job, overrides)
    # Read without the lease first: a mistyped key makes no state where there is none, and waits for nobody.
    with to_read(settings.state_of(loaded, base_url)) as state:
        found = held(state, loaded.name) if everything else chosen(state, loaded.name, keys, decision)
    done = Decided((), ())
    if found:
        host = settings.host(settings.base_url(base_url, loaded.api.base_url))
        with state_to_write(loaded, host) as state:
            state.recover(time.time())
            rows = held(state, loaded.name) if everything else chosen(state, loaded.name, keys, decision)
            done = decisions.decide(state, rows, decision, time.time())
    if as_json:
        items = [
            {"job": item.job, "item": name_of(item), "flags": row.code.split("+"), "result": row.result}
            for item, row in done.rows
        ]
        print_json("decision", {"decision": decision, "items": items, "already": done.already})
    else:
        click.echo(_text(loaded, decision, done))
    return Exit.DONE


def _text(job: Job, decision: Decision, done: Decided) -> str:
    lines = [f"{shown(name)}: {decision} already" for name in done.already]
    if done.rows:
        cells = [(decision, name_of(item), row.code, _elsewhere(item.job, job.name)) for item, row in done.rows]
        lines.append(table(("decision", "item", "flags", ""), cells))
        lines.append(f"{_NEXT[decision]}{_cost(job, decision)}")
    return "\n".join(lines) or "nothing is held back"


def _elsewhere(job: str, here: str) -> str:
    return "" if job == here else f"of the job {job}"


def _cost(job: Job, decision: Decision) -> str:
    if decision == "rejected":
        return "; `venice-batch plan` says for how much"
    several = sum(step.paid for step in job.steps) > 1
    return "; only paid steps behind the held one cost anything" if several else "; nothing is bought for that"
