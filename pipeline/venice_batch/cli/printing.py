"""One way to print what a command found: JSON for scripts, else CSV, else a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click

from venice_batch.report.text import as_csv as csv_text
from venice_batch.report.text import table


def print_json(name: str, value: object, *, indent: int | None = 2) -> None:
    """Print `value` as the document `name` of docs/json.md; all ASCII, so nothing in a name can colour a terminal."""
    from venice_batch.report.json_models import document  # noqa: PLC0415 - people, who read tables, need not wait for it

    click.echo(json.dumps(document(name, value), indent=indent))


def print_rows(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    empty: str,
    as_csv: bool = False,
    csv_head: Sequence[str] | None = None,
    right: frozenset[int] = frozenset(),
) -> None:
    """Print a table whose columns in `right` are flush right, or `empty` without rows; or CSV.

    `csv_head`, which scripts rely on, names the columns in CSV where it is not `head`.
    """
    if as_csv:
        # Else click takes what looks like a colour out of names when the output is no terminal.
        click.echo(csv_text(csv_head or head, rows), nl=False, color=True)
    else:
        click.echo(table(head, rows, right=right) or empty)
