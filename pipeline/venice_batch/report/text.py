"""Tables for people. Whatever comes from file names, responses or metadata is data: it cannot control the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from venice_batch.plan.model import Plan, PlannedItem, Range, Remainder, cents
from venice_batch.plan.money import usd_cents
from venice_batch.state import CallRow, ItemRow, RunRow, Spending, Unproduced

#: The first characters that make a spreadsheet take a cell for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MINUTE, _HOUR = 60, 3600
_LISTED = 20


def shown(text: str) -> str:
    """Return `text` with every control or unprintable character spelt out, fit for a terminal."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Return a table with aligned columns; those in `right` are flush right. Empty without rows."""
    body = [[shown(cell) for cell in row] for row in rows]
    if not body:
        return ""
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]
    lines = []
    for line in (head, *body):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV that a spreadsheet opens as plain text: a cell that looks like a formula gets a leading quote mark."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue()


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    # Spelt out, as everywhere: a name may hold the escape codes of a terminal.
    return shown("'" + cell if cell.startswith(_FORMULA) else cell)


def when(at: float | None) -> str:
    """Return Unix seconds as UTC, to the second; empty for None."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def item_name(row: ItemRow | CallRow) -> str:
    """Return how people call an item: its key, and its variant where there are several."""
    return f"{row.key}-{row.variant}" if row.variant else row.key


def model_of(call: CallRow) -> str:
    """Return the model that was served, else the one asked for; empty where neither is known."""
    return call.model_served or call.model or ""


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


def plan_text(name: str, plan: Plan) -> str:
    """Return a plan for people: items, price by step, balance, warnings, and items that cannot be processed."""
    counts = plan.counts()
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("new", "changed", "reused", "waiting", "invalid"))
    total = "1 item" if counts["total"] == 1 else f"{counts['total']} items"
    parts = [f"{name}: {total}: {kinds}"]
    parts += _price_lines(plan)
    if plan.remainder is not None:
        parts.append(f"left for later: {rest_text(plan.remainder)}")
    parts += [f"warning: {shown(warning.text)}" for warning in plan.warnings]
    parts += _item_lines(plan.items, "invalid") + _item_lines(plan.items, "waiting")
    if plan.vanished:
        parts.append(f"no longer in source: {len(plan.vanished)}")
    if plan.dropped:
        parts.append(f"finished files that no item produces any more: {len(plan.dropped)}")
    if plan.vanished or plan.dropped:
        parts[-1] += "; `output.on_vanished` says what becomes of their files"
    return "\n".join(parts)


def rest_text(rest: Remainder) -> str:
    """Return what a sample leaves for later."""
    items = "1 item" if rest.items == 1 else f"{rest.items} items"
    return f"{items}, {_range(rest.cost)} USD" if rest.items else "nothing"


def _price_lines(plan: Plan) -> list[str]:
    rows = [(step.id, step.model, _calls(step.calls_low, step.calls), _range(step.cost)) for step in plan.steps]
    total = (
        "total",
        "",
        _calls(sum(step.calls_low for step in plan.steps), sum(step.calls for step in plan.steps)),
        _range(plan.cost),
    )
    lines = [_indented(table(("step", "model", "calls", "USD"), [*rows, total], right=frozenset({2, 3})))]
    held = ", ".join(f"{cents(amount)} {currency.upper()}" for currency, amount in plan.balances.items())
    coverage, balance = plan.coverage, f"balance: {held or 'none'}"
    if coverage.covered:
        lines.append(f"{balance}: enough")
    elif coverage.by_budget:
        reason = coverage.reason.removeprefix("budget.")
        lines += [balance, f"budget: {cents(coverage.shortfall)} USD short ({reason})"]
    else:
        lines.append(f"{balance}: {cents(coverage.shortfall)} USD short ({coverage.reason})")
    if plan.cost.high:
        lines.append(f"time: about {duration(plan.eta_seconds)} at the API's rate limits")
    return lines


def _item_lines(items: Iterable[PlannedItem], status: str) -> list[str]:
    chosen = [item for item in items if item.status == status]
    lines = [f"{status}: {shown(item.name)}: {shown(item.reason)}" for item in chosen[:_LISTED]]
    if len(chosen) > _LISTED:
        lines.append(f"{status}: and {len(chosen) - _LISTED} more; `venice-batch items` lists them after a run")
    return lines


def summary_text(totals: Mapping[str, int], spent: int, uncertain: int, left: int, published_flagged: int = 0) -> str:
    """Return the result of a run: how many items are in which state, and millionths of a US dollar."""
    ended = counts_text(dict(sorted(totals.items())))
    more = f", and {usd_cents(uncertain)} uncertain" if uncertain else ""
    although = f"\nflagged: {published_flagged} published although flagged" if published_flagged else ""
    text = f"result: {ended or 'nothing to do'}{although}\nspent: {usd_cents(spent)} USD{more}"
    return f"{text}\nremaining: up to {usd_cents(left)} USD" if left else text


def unproduced_text(found: Unproduced) -> str:
    """Return what became of finished files that no item produces any more; the parts add up."""
    names = {
        "deleted": "deleted",
        "held_back": "held back by output.max_deleted",
        "gone": "gone already",
        "edited": "kept, changed by somebody",
        "kept": "kept",
    }
    parts = [f"{getattr(found, name)} {word}" for name, word in names.items() if getattr(found, name)]
    return (
        f"no longer in source: {found.inputs}; finished files that no item produces: {found.files} ({', '.join(parts)})"
    )


def counts_text(counts: Mapping[str, int]) -> str:
    """Return how many items are in which state, in the order given; states without items are left out."""
    names = {"vanished": "no longer in source"}
    return ", ".join(f"{count} {names.get(state, state)}" for state, count in counts.items() if count)


def run_text(run: RunRow | None) -> str:
    """Return a line about the last run."""
    if run is None:
        return "last run: none yet"
    if run.exit_code is None or run.ended_at is None:
        return f"last run: {run.id}, started {when(run.started_at)}, not ended (under way, or killed)"
    because = f": {shown(run.cause)}" if run.cause else ""
    times = f"started {when(run.started_at)}, ended {when(run.ended_at)}"
    return f"last run: {run.id}, {times}, exit code {run.exit_code}{because}"


def spending_text(spending: Sequence[Spending]) -> str:
    """Return the money by step and model."""
    rows = [(row.step, row.model, str(row.calls), usd_cents(row.spent), usd_cents(row.uncertain)) for row in spending]
    if not rows:
        return "spent: nothing yet"
    spent, uncertain = sum(row.spent for row in spending), sum(row.uncertain for row in spending)
    calls = sum(row.calls for row in spending)
    rows.append(("total", "", str(calls), usd_cents(spent), usd_cents(uncertain)))
    return table(("step", "model", "calls", "spent", "uncertain"), rows, right=frozenset({2, 3, 4}))


def _calls(low: int, high: int) -> str:
    return str(high) if low == high else f"{low}..{high}"


def _range(cost: Range) -> str:
    return cents(cost.high) if cost.low == cost.high else f"{cents(cost.low)}..{cents(cost.high)}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
