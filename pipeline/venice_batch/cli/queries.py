"""The commands that only ask: about a job file, a state, an account, a catalogue. And `init`, `schema`, `emulator`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from venice_batch.cli import settings
from venice_batch.cli.jobs import load_job
from venice_batch.errors import Exit, JobError, UsageError
from venice_batch.job import Job
from venice_batch.plan.model import dollars
from venice_batch.report.text import as_csv as csv_text
from venice_batch.report.text import run_text, shown, spending_text, table, usd, when
from venice_batch.run.session import preflight, state_root
from venice_batch.state import CallRow, to_read
from venice_batch.state.events import STATES
from venice_batch.storage import Place
from venice_batch.venice import Account, Catalogue, Client

_ITEM_HEAD = ("item", "state", "code", "reason")
_CALL_HEAD = ("time", "item", "step", "model", "usd", "fate", "outcome", "attempts", "request")


def check(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Validate the job file and say what it would do; with `as_json` also what is wrong with it, for editors.

    Raises:
        JobError: it cannot be carried out.
    """
    try:
        loaded = load_job(job, overrides)
    except JobError as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "problems": [asdict(each) for each in error.problems]}, indent=2))
        raise
    settings.base_url(base_url, loaded.api.base_url)
    steps = [{"id": step.id, "step": step.name} for step in loaded.steps]
    if as_json:
        click.echo(
            json.dumps({"valid": True, "name": loaded.name, "steps": steps, "state": str(loaded.state)}, indent=2)
        )
    else:
        chain = " -> ".join(step["id"] for step in steps)
        click.echo(f"{shown(str(job))}: ok: {loaded.name}: {chain}")
    return Exit.DONE


def status(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Show what the state knows."""
    loaded, root = _state_of(job, overrides, base_url)
    with to_read(root) as state:
        counts, last, spending = state.counts(loaded.name), state.last_run(loaded.name), state.spending(loaded.name)
    if as_json:
        shown_run = None if last is None else asdict(last)
        money = [{**asdict(row), "spent": usd(row.spent), "uncertain": usd(row.uncertain)} for row in spending]
        items = {name: counts.get(name, 0) for name in STATES}
        click.echo(json.dumps({"items": items, "run": shown_run, "spending": money, "state": str(root)}, indent=2))
        return Exit.DONE
    known = ", ".join(f"{counts[name]} {name}" for name in STATES if counts.get(name))
    click.echo(f"{loaded.name}: {known or 'no items yet'}")
    click.echo(run_text(last))
    click.echo(spending_text(spending))
    return Exit.DONE


def items(
    job: Path, overrides: Sequence[str], base_url: str | None, state: str | None, *, as_json: bool, as_csv: bool
) -> int:
    """List the items."""
    if state is not None and state not in STATES:
        raise UsageError(f"there is no state {state!r}", remedy=f"one of {', '.join(STATES)}")
    loaded, root = _state_of(job, overrides, base_url)
    with to_read(root) as opened:
        rows = list(opened.items(loaded.name, state))
    if as_json:
        listed = [{**asdict(row), "updated_at": when(row.updated_at)} for row in rows]
        click.echo(json.dumps(listed, indent=2))
        return Exit.DONE
    cells = [(_name(row.key, row.variant), row.state, row.code, row.reason) for row in rows]
    _print(_ITEM_HEAD, cells, as_csv=as_csv, empty="no items")
    return Exit.DONE


def ledger(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool, as_csv: bool) -> int:
    """List the calls."""
    loaded, root = _state_of(job, overrides, base_url)
    with to_read(root) as opened:
        rows = list(opened.calls(loaded.name))
    if as_json:
        click.echo(json.dumps([_call_json(row) for row in rows], indent=2))
        return Exit.DONE
    cells = [
        (
            when(row.begun_at or row.reserved_at),
            _name(row.key, row.variant),
            row.step,
            row.model_served or row.model or "",
            usd(row.micros),
            row.fate,
            row.outcome,
            str(row.attempts),
            row.request_id or "",
        )
        for row in rows
    ]
    _print(_CALL_HEAD, cells, as_csv=as_csv, empty="no calls", right=frozenset({4, 7}))
    return Exit.DONE


def balance(base_url: str | None, *, as_json: bool) -> int:
    """Show what the key may spend."""
    with settings.api(settings.base_url(base_url, None)) as api:
        account = preflight(api).account
    if as_json:
        click.echo(json.dumps(_account_json(account), indent=2))
        return Exit.DONE
    held = [(currency, dollars(amount)) for currency, amount in account.balances.items()]
    click.echo(table(("currency", "balance"), held, right=frozenset({1})) or "no balance")
    click.echo(f"may spend: {'yes' if account.permitted else 'no'}")
    if account.next_epoch is not None:
        click.echo(f"DIEM is refilled: {account.next_epoch.isoformat()}")
    return Exit.DONE


def models(base_url: str | None, kind: str | None, *, as_json: bool) -> int:
    """List the catalogue."""
    url = settings.base_url(base_url, None)
    with settings.api(url, needs_key=False) as api, Client.alone(api) as client:
        catalogue = Catalogue.fetch(client)
    chosen = [model for model in catalogue.models.values() if kind in {None, model.type}]
    chosen.sort(key=lambda model: (model.type, model.id))
    if as_json:
        listed = [model.model_dump(mode="json", exclude_none=True) for model in chosen]
        click.echo(json.dumps(listed, indent=2))
        return Exit.DONE
    rows = [(model.id, model.type, ", ".join(model.prices()), _going(model)) for model in chosen]
    click.echo(table(("model", "type", "USD", ""), rows))
    return Exit.DONE


def styles(base_url: str | None, *, as_json: bool) -> int:
    """List the style presets."""
    with settings.api(settings.base_url(base_url, None), needs_key=False) as api, Client.alone(api) as client:
        names = client.styles()
    click.echo(json.dumps(names, indent=2) if as_json else "\n".join(map(shown, names)))
    return Exit.DONE


def init(file: Path) -> int:
    """Write the starter job; never over something that is there."""
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(_STARTER)
    except FileExistsError:
        raise UsageError(f"{file} exists already", remedy="name another file") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", remedy="name another file") from error
    click.echo(f"wrote {shown(str(file))}; next: venice-batch plan {shown(str(file))}")
    return Exit.DONE


def schema() -> int:
    """Print the JSON Schema of the job file."""
    from venice_batch.job.json_schema import json_schema  # noqa: PLC0415 - no other command needs it

    click.echo(json.dumps(json_schema(), indent=2))
    return Exit.DONE


def emulator(*, host: str, port: int, latency: float, rpm: int, usd: str, diem: str) -> int:
    """Serve the emulator until it is interrupted."""
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - no other command needs it

    try:
        from venice_batch.emulator import Settings, serve  # noqa: PLC0415 - an extra that few commands need

        served = Settings(latency=latency, rpm=rpm, usd=Decimal(usd), diem=Decimal(diem))
    except ImportError as error:
        raise UsageError("the emulator is not installed", remedy="pip install 'venice-batch[emulator]'") from error
    except InvalidOperation as error:
        raise UsageError("a balance is no number", remedy="write --usd 50") from error
    try:
        serve(served, host, port, announce=click.echo)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}", remedy="choose another --port") from error
    return Exit.DONE


def _state_of(job: Path, overrides: Sequence[str], base_url: str | None) -> tuple[Job, Place]:
    loaded = load_job(job, overrides)
    return loaded, state_root(loaded, settings.host(settings.base_url(base_url, loaded.api.base_url)))


def _name(key: str, variant: int) -> str:
    return f"{key}-{variant}" if variant else key


def _call_json(row: CallRow) -> dict[str, Any]:
    times = {name: when(getattr(row, name)) or None for name in ("reserved_at", "begun_at", "ended_at")}
    return {**asdict(row), **times, "usd": usd(row.micros)}


def _account_json(account: Account) -> dict[str, Any]:
    return {
        "permitted": account.permitted,
        "balances": {currency.lower(): dollars(amount) for currency, amount in account.balances.items()},
        "next_epoch": None if account.next_epoch is None else account.next_epoch.isoformat(),
        "rpm": dict(account.rpm),
    }


def _going(model: Any) -> str:
    if model.spec.offline:
        return "offline"
    going = model.spec.deprecation
    return "" if going is None else f"retired {going.removed_on() or ''}; use {going.replacement or 'another'}"


def _print(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    as_csv: bool,
    empty: str,
    right: frozenset[int] = frozenset(),
) -> None:
    if as_csv:
        # Else click takes what looks like a colour out of names when the output is no terminal.
        click.echo(csv_text(head, rows), nl=False, color=True)
    else:
        click.echo(table(head, rows, right=right) or empty)


_STARTER = """\
# A job for venice-batch. Try it without money first:  venice-batch run job.yaml --base-url emulator
version: 1
name: my-first-job                 # names the job's memory

source:
  path: ./photos                   # relative to this file; nothing in it is ever changed

steps:                             # done in this order, for every picture
  - background-remove
  # - upscale: {scale: 2}
  # - edit: {prompt: "on white marble", model: nano-banana-pro-edit, resolution: 2K}

output:
  path: ./finished
  name: "{dir}/{stem}.{ext}"

budget:
  max_usd: 5                       # a run never spends more
"""
