"""`reconcile`: the job's ledger against the account's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from venice_batch.cli import settings
from venice_batch.cli.printing import print_json
from venice_batch.errors import Exit, UsageError
from venice_batch.report.reconcile import match, reconciliation_text
from venice_batch.state import CallRow, Results, to_read
from venice_batch.venice import Api, Client
from venice_batch.venice.usage import UsageRow

#: Seconds by which the vendor may book a charge before our call began or after it ended: the two clocks differ.
_WINDOW = 60.0


def reconcile(job: Path, overrides: Sequence[str], base_url: str | None, *, as_json: bool) -> int:
    """Compare the ledger with the account's; exit 3 when something was charged twice or without an answer.

    Changes nothing, neither here nor there.

    Raises:
        CallFailed: the key is no ADMIN key (exit 4), or the API cannot be asked (exit 6).
        UsageError: the API is the bundled emulator, whose books end with each run.
    """
    loaded = settings.load_job(job, overrides)
    url = settings.base_url(base_url, loaded.api.base_url)
    if url == settings.EMULATOR:
        raise UsageError(
            "the bundled emulator's books ended with the run: there is nothing to compare with",
            remedy="run the job against `venice-batch emulator`, and name that one's address with --base-url",
        )
    with to_read(settings.state_of(loaded, base_url)) as state:
        calls = [_named(call, state.results) for call in state.calls(loaded.name) if call.begun_at is not None]
    rows: list[UsageRow] = []
    if calls:
        with settings.api(url) as api:
            rows = _account_rows(api, calls)
    found = match(calls, rows, _WINDOW)
    if as_json:
        print_json("reconcile", found)
    else:
        click.echo(reconciliation_text(loaded.name, found))
    return Exit.DONE if found.clean else Exit.ITEMS_FAILED


def _named(call: CallRow, results: Results) -> CallRow:
    """Add the request id of a result that is durable, but that a killed run had no time to write into its ledger."""
    if call.request_id is not None or call.result is None or call.fate not in {"spent", "begun"}:
        return call
    result = results.find(call.result)
    return call if result is None else replace(call, request_id=result.facts.get("request_id"))


def _account_rows(api: Api, calls: Sequence[CallRow]) -> list[UsageRow]:
    """Ask for what the account was charged from the first call to the last."""
    first = min(call.begun_at or call.reserved_at for call in calls)
    last = max(time.time() if call.ended_at is None else call.ended_at for call in calls)
    start, end = (datetime.fromtimestamp(at, UTC) for at in (first - _WINDOW, last + _WINDOW))
    notes: list[str] = []
    with Client.alone(api) as client:
        rows = list(client.usage_history(start, end, notes=notes))
    for note in notes:
        click.echo(f"warning: {note}", err=True)
    return rows
