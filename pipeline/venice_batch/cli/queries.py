"""The commands that only ask: about a job file, a state, an account, a catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from venice_batch.cli import settings
from venice_batch.cli.printing import print_json, print_rows
from venice_batch.errors import Exit, JobError, UsageError
from venice_batch.plan.model import cents, dollars
from venice_batch.plan.money import usd
from venice_batch.report.text import counts_text, item_name, model_of, run_text, shown, spending_text, when
from venice_batch.run.session import preflight
from venice_batch.state import to_read
from venice_batch.state.events import STATES
from venice_batch.venice import Catalogue, Client
from venice_batch.venice.catalogue import Model

_ITEM_HEAD = ("item", "state", "code", "reason")
_CALL_HEAD = ("time", "item", "step", "model", "usd", "outcome", "code", "attempts", "request")
#: As scripts know them: the keys of `ledger --json`.
_CALL_CSV_HEAD = ("time", "item", "step", "model", "usd", "fate", "outcome", "attempts", "request")


def check(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Validate the job file and say what it would do; with `as_json` also what is wrong with it, for editors.

    Raises:
        JobError: it cannot be carried out.
    """
    try:
        loaded = settings.load_job(job, overrides)
    except JobError as error:
        if as_json:
            print_json("check", {"valid": False, "problems": error.problems})
        raise
    settings.base_url(base_url, loaded.api.base_url)
    if as_json:
        about = {"name": loaded.name, "steps": loaded.steps, "state": str(loaded.state)}
        print_json("check", {"valid": True, **about})
    else:
        chain = " -> ".join(step.id for step in loaded.steps)
        click.echo(f"{shown(str(job))}: ok: {loaded.name}: {chain}")
    return Exit.DONE


def status(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Show what the state knows."""
    loaded = settings.load_job(job, overrides)
    root = settings.state_of(loaded, base_url)
    with to_read(root) as state:
        counts, last, spending = state.counts(loaded.name), state.last_run(loaded.name), state.spending(loaded.name)
    items = {name: counts.get(name, 0) for name in STATES}
    if as_json:
        found = {"items": items, "run": last, "spending": spending, "state": str(root)}
        print_json("status", found)
        return Exit.DONE
    click.echo(f"{loaded.name}: {counts_text(items) or 'no items yet'}")
    click.echo(run_text(last))
    click.echo(spending_text(spending))
    return Exit.DONE


def items(
    job: Path, overrides: Sequence[str], base_url: str | None, state: str | None, *, as_json: bool, as_csv: bool
) -> int:
    """List the items."""
    if state is not None and state not in STATES:
        raise UsageError(f"there is no state {state!r}", remedy=f"one of {', '.join(STATES)}")
    loaded = settings.load_job(job, overrides)
    with to_read(settings.state_of(loaded, base_url)) as opened:
        rows = list(opened.items(loaded.name, state))
    if as_json:
        print_json("items", rows)
    else:
        cells = [(item_name(row), row.state, row.code, row.reason) for row in rows]
        print_rows(_ITEM_HEAD, cells, as_csv=as_csv, empty="no items")
    return Exit.DONE


def ledger(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool, as_csv: bool) -> int:
    """List the calls."""
    loaded = settings.load_job(job, overrides)
    with to_read(settings.state_of(loaded, base_url)) as opened:
        rows = list(opened.calls(loaded.name))
    if as_json:
        print_json("ledger", rows)
        return Exit.DONE
    cells = [
        (
            when(row.begun_at or row.reserved_at),
            item_name(row),
            row.step,
            model_of(row),
            usd(row.micros),
            row.fate,
            row.outcome,
            str(row.attempts),
            row.request_id or "",
        )
        for row in rows
    ]
    print_rows(_CALL_HEAD, cells, as_csv=as_csv, csv_head=_CALL_CSV_HEAD, empty="no calls", right=frozenset({4, 7}))
    return Exit.DONE


def balance(base_url: str | None, *, as_json: bool) -> int:
    """Show what the key may spend."""
    with settings.api(settings.base_url(base_url, None)) as api:
        account = preflight(api).account
    if as_json:
        print_json("balance", account)
        return Exit.DONE
    held = [(currency, cents(amount)) for currency, amount in account.balances.items()]
    print_rows(("currency", "balance"), held, right=frozenset({1}), empty="no balance")
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
        print_json("models", [model.as_json() for model in chosen])
    else:
        rows = [(model.id, model.type, _prices(model), _retirement(model)) for model in chosen]
        print_rows(("model", "type", "USD", ""), rows, empty="")
    for note in catalogue.notes:
        click.echo(f"note: {shown(note)}", err=True)
    return Exit.DONE


def styles(base_url: str | None, *, as_json: bool) -> int:
    """List the style presets."""
    with settings.api(settings.base_url(base_url, None), needs_key=False) as api, Client.alone(api) as client:
        names = client.styles()
    if as_json:
        print_json("styles", names)
    else:
        click.echo("\n".join(map(shown, names)))
    return Exit.DONE


def _prices(model: Model) -> str:
    return ", ".join(f"{name} {dollars(price)}".strip() for name, price in model.prices())


def _retirement(model: Model) -> str:
    if model.spec.offline:
        return "offline"
    going = model.spec.deprecation
    return "" if going is None else f"retired {going.removed_on() or ''}; use {going.replacement or 'another'}"
