"""The review page: one HTML file that needs no network, with thumbnails, a CSV and a JSON file beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from venice_batch.plan.money import usd, usd_cents
from venice_batch.report.charts import charts
from venice_batch.report.json_models import document
from venice_batch.report.page_payload import page_payload
from venice_batch.report.report_data import NEEDS_A_LOOK, ReportData, ReportItem
from venice_batch.report.summary import summarize, summary_values
from venice_batch.report.text import as_csv, duration, when
from venice_batch.report.thumbnails import FOLDER, sweep
from venice_batch.storage import DISK

PAGE, FAILURES, SUMMARY = "index.html", "failures.csv", "summary.json"
_FAILURES_HEAD = ("item", "state", "code", "reason", "lasting", "time", "usd", "step", "status", "attempts", "request")


def write_report(data: ReportData, folder: Path) -> Path:
    """Write page, `failures.csv` and `summary.json`, each in one step; then remove thumbnails that nothing shows.

    Args:
        data: from `gather`, which made the thumbnails in the same folder.
        folder: of the report; made if need be.

    Returns:
        The page.

    Raises:
        OSError: the folder cannot be written; what was there before is whole.
    """
    DISK.make_folder(folder)
    DISK.write_whole(folder / FAILURES, failures_csv(data))
    DISK.write_whole(folder / SUMMARY, json.dumps(document("summary", summary_values(data)), indent=2) + "\n")
    DISK.write_whole(folder / PAGE, _storable(render(data)))
    sweep(folder, data.thumbnails)
    return folder / PAGE


def render(data: ReportData) -> str:
    """Return the page; everything that comes from names, reasons and responses is text in it, never markup."""
    script, style = _part("page.js"), _part("page.css")
    return (
        _environment()
        .get_template("page.html")
        .render(
            data=data,
            numbers=summarize(data),
            charts=charts(data.calls_of_run()),
            all_runs=charts(data.calls) if len({call.run for call in data.calls}) > 1 else (),
            payload=Markup(page_payload(data)),  # noqa: S704 - no `<` is left in it
            script=Markup(script),  # noqa: S704 - a file of this package
            style=Markup(style),  # noqa: S704 - a file of this package
            script_hash=_hash(script),
            style_hash=_hash(style),
            thumbnails=FOLDER,
            failures=FAILURES,
            summary=SUMMARY,
        )
    )


def failures_csv(data: ReportData) -> str:
    """Return what needs a look as CSV, one line an item, with the last call that had to do with it."""
    chosen = [item for item in data.items if item.row.state in NEEDS_A_LOOK]
    chosen.sort(key=lambda item: (NEEDS_A_LOOK.index(item.row.state), item.name))
    return as_csv(_FAILURES_HEAD, map(_failure, chosen))


def _failure(item: ReportItem) -> tuple[object, ...]:
    row = item.row
    head = (item.name, row.state, row.code, row.reason, "yes" if row.lasting else "no", when(row.updated_at))
    if not item.calls:
        return (*head, usd(item.micros), None, None, None, None)
    last = item.calls[-1]
    return (*head, usd(item.micros), last.step, last.status, last.attempts, last.request_id)


def _storable(text: str) -> str:
    """Spell out what UTF-8 cannot hold: the cause of an end may name a file whose name is no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@cache
def _part(name: str) -> str:
    return (files("venice_batch.report") / "templates" / name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the source expression by which a content security policy lets exactly this text in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("venice_batch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(usd=usd_cents, when=when, duration=duration)
    return environment
