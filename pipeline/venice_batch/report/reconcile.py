"""The job's ledger against the account's: what was charged as expected, twice, without an answer, or not at all.

A row of the account and a call of the job belong together for certain when they name the same request. Where they do
not (a lost answer tells no request), amount and time must do: such a pair is the likeliest one, never a proof, so every
finding says by what it was made and which other calls it could as well be about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from venice_batch.plan.model import dollars
from venice_batch.plan.money import MICRO
from venice_batch.report.charge_matching import Further, Match, Pairing, charged
from venice_batch.report.text import table, usd, when
from venice_batch.state import CallRow
from venice_batch.venice.usage import UsageRow

#: Charges of strangers, and calls without a charge, that are listed for people; JSON has all.
_LISTED = 20
#: Other calls that are named for people where a finding may be about any of them.
_NAMED = 3
_CALL_HEAD = ("call", "begun", "item", "step", "model")


@dataclass(frozen=True, slots=True)
class NotCharged:
    """A call without a charge; `instead` names charged calls without an answer whose charge could be this one's."""

    call: CallRow
    instead: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Every charge and every call that may have been charged, each in exactly one place.

    Attributes:
        matched: answered calls, charged once.
        charged_twice: charges beyond the first of a call, whatever its fate.
        charged_without_answer: calls whose answer was lost, or that the API refused, and that were charged.
        not_charged: answered or lost calls without a charge (or with one that is not booked yet).
        still_open: calls of a run that is under way or was killed; `rows` is empty where nothing was charged yet.
        unmatched: charges that belong to no call of this job: other users of the account, or other jobs.
        credits: rows that took nothing, such as refunds; they are matched with nothing.
    """

    matched: tuple[Match, ...]
    charged_twice: tuple[Further, ...]
    charged_without_answer: tuple[Match, ...]
    not_charged: tuple[NotCharged, ...]
    still_open: tuple[Match, ...]
    unmatched: tuple[UsageRow, ...]
    credits: tuple[UsageRow, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was charged twice or without an answer."""
        return not self.charged_twice and not self.charged_without_answer

    @property
    def sums(self) -> dict[str, Decimal]:
        """The US dollars of each part by its name; of `not_charged`, what was expected."""
        return {
            "matched": _sum(match.charged for match in self.matched),
            "charged_twice": charged(further.row for further in self.charged_twice),
            "charged_without_answer": _sum(match.charged for match in self.charged_without_answer),
            "not_charged": _sum(Decimal(missing.call.micros) / MICRO for missing in self.not_charged),
            "still_open": _sum(match.charged for match in self.still_open),
            "unmatched": charged(self.unmatched),
            "credits": _sum(row.amount for row in self.credits),
        }


def match(calls: Sequence[CallRow], rows: Sequence[UsageRow], window: float) -> Reconciliation:
    """Find for every call what was charged for it, and for every charge the call it belongs to.

    Request ids first; then rows of the catalogue's price, booked while the call was open, the nearest in time first
    and answered calls before lost ones. As many calls as possible get a row, and no two get the same.

    Args:
        calls: the job's ledger; those that were never begun are passed over.
        rows: the account's ledger, in any order.
        window: seconds by which a row may be booked before a call began or after it ended: clocks differ.
    """
    begun = [call for call in calls if call.begun_at is not None and call.fate != "reserved"]
    charges = sorted((row for row in rows if row.charged > 0), key=_order)
    pairing = Pairing(charges, window)
    pairing.by_request_id(begun)
    hoping = [call for call in begun if call.fate != "released" and call.id not in pairing.own]
    pairing.by_amount([call for call in hoping if call.fate == "spent"])
    pairing.by_amount([call for call in hoping if call.fate != "spent"])
    further, unmatched = pairing.rest([call for call in begun if call.id in pairing.own])
    return _sorted_out(begun, pairing, further, unmatched, tuple(row for row in rows if row.charged <= 0))


def _order(row: UsageRow) -> tuple[datetime, str, str, Decimal]:
    # By more than time: what is found must not depend on the order in which the account tells its rows.
    return row.timestamp, row.sku, row.request_id or "", row.amount


def _sorted_out(
    begun: Sequence[CallRow],
    pairing: Pairing,
    further: Sequence[Further],
    unmatched: Sequence[UsageRow],
    credited: tuple[UsageRow, ...],
) -> Reconciliation:
    missing = [call for call in begun if call.id not in pairing.own and call.fate in {"spent", "uncertain"}]
    found = [pairing.match(call) for call in begun if call.id in pairing.own]
    without = [match for match in found if match.call.fate in {"uncertain", "released"}]
    without, uncharged = _in_doubt(without, missing, pairing)
    return Reconciliation(
        matched=tuple(match for match in found if match.call.fate == "spent"),
        charged_twice=tuple(further),
        charged_without_answer=tuple(without),
        not_charged=tuple(uncharged),
        still_open=tuple(pairing.match(call) for call in begun if call.fate == "begun"),
        unmatched=tuple(unmatched),
        credits=credited,
    )


def _in_doubt(
    without: Sequence[Match], missing: Sequence[CallRow], pairing: Pairing
) -> tuple[list[Match], list[NotCharged]]:
    """Say of each lost call which other lost call may have been the charged one in its place."""
    uncertain = {match.call.id for match in without if match.by == "amount and time"}
    could: dict[int, list[int]] = defaultdict(list)
    for call in missing:
        if call.fate != "uncertain":
            continue
        for row in pairing.fitting(call):
            owner = pairing.owner.get(row)
            if owner is not None and owner.id in uncertain:
                could[call.id].append(owner.id)
                could[owner.id].append(call.id)
    doubted = [replace(match, instead=tuple(could[match.call.id])) for match in without]
    return doubted, [NotCharged(call, tuple(could[call.id])) for call in missing]


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def reconciliation_text(name: str, found: Reconciliation) -> str:
    """Return a reconciliation for people: the sums, then what needs a look, the worst first."""
    sums = found.sums
    counts = {part: len(getattr(found, part)) for part in sums}
    rows = [
        (part.replace("_", " "), str(counts[part]), dollars(sums[part]))
        for part in sums
        if counts[part] or part == "matched"
    ]
    verdict = "nothing was charged twice or without an answer" if found.clean else "charges that need a look"
    parts = [f"{name}: {verdict}", table(("", "rows", "USD"), rows, right=frozenset({1, 2}))]
    parts += _further_lines(found.charged_twice)
    parts += _match_lines("charged without an answer", found.charged_without_answer)
    parts += _match_lines("charged another amount", [match for match in found.matched if match.differs])
    parts += _match_lines("still open: under way, or of a killed run that the next run settles", found.still_open)
    parts += _missing_lines(found.not_charged)
    parts += _row_lines("of no call of this job: another job or user of the account", found.unmatched)
    parts += _row_lines("credits", found.credits)
    return "\n".join(parts)


def _further_lines(found: Sequence[Further]) -> list[str]:
    cells = [
        (*_call_cells(further.call), *_row_cells(further.row), further.by, _or(further.instead)) for further in found
    ]
    return _section("charged twice", (*_CALL_HEAD, "USD", "booked", "sku", "request", "by", "or call"), cells, usd_at=5)


def _match_lines(title: str, found: Sequence[Match]) -> list[str]:
    cells = [
        (*_call_cells(match.call), usd(match.call.micros), *row, match.by if match.rows else "", _or(match.instead))
        for match in found
        for row in ([_row_cells(row) for row in match.rows] or [("", "", "", "")])
    ]
    head = (*_CALL_HEAD, "expected", "USD", "booked", "sku", "request", "by", "or call")
    return _section(title, head, cells, usd_at=6)


def _missing_lines(found: Sequence[NotCharged]) -> list[str]:
    cells = [
        (*_call_cells(missing.call), usd(missing.call.micros), missing.call.fate, _or(missing.instead))
        for missing in found
    ]
    head = (*_CALL_HEAD, "expected", "fate", "or call")
    return _section("not charged, or not booked yet", head, cells, usd_at=5, most=_LISTED)


def _row_lines(title: str, rows: Sequence[UsageRow]) -> list[str]:
    cells = [_row_cells(row) for row in rows]
    return _section(title, ("USD", "booked", "sku", "request"), cells, usd_at=0, most=_LISTED)


def _section(
    title: str, head: Sequence[str], cells: Sequence[Sequence[str]], *, usd_at: int, most: int | None = None
) -> list[str]:
    if not cells:
        return []
    kept = [column for column in range(len(head)) if any(line[column] for line in cells)]
    body = [[line[column] for column in kept] for line in cells[:most]]
    right = frozenset(kept.index(column) for column in (0, usd_at) if column in kept)
    lines = ["", f"{title}:", table([head[column] for column in kept], body, right=right)]
    if most is not None and len(cells) > most:
        lines.append(f"and {len(cells) - most} more; --json lists them")
    return lines


def _call_cells(call: CallRow) -> tuple[str, ...]:
    item = f"{call.key}-{call.variant}" if call.variant else call.key
    return str(call.id), when(call.begun_at), item, call.step, call.model_served or call.model or ""


def _row_cells(row: UsageRow) -> tuple[str, ...]:
    return dollars(row.charged), when(row.timestamp.timestamp()), row.sku, row.request_id or ""


def _or(calls: Sequence[int]) -> str:
    """Name the other calls that a finding may be about."""
    more = len(calls) - _NAMED
    return ", ".join(map(str, calls[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def reconciliation_json(found: Reconciliation) -> dict[str, Any]:
    """Return a reconciliation for scripts; amounts are decimal strings in USD, times ISO 8601 in UTC."""
    return {
        "clean": found.clean,
        "usd": {part: dollars(amount) for part, amount in found.sums.items()},
        "matched": [_match_json(match) for match in found.matched],
        "charged_twice": [
            {**_call_json(one.call), "row": _row_json(one.row), "by": one.by, "instead": list(one.instead)}
            for one in found.charged_twice
        ],
        "charged_without_answer": [_match_json(match) for match in found.charged_without_answer],
        "not_charged": [{**_call_json(one.call), "instead": list(one.instead)} for one in found.not_charged],
        "still_open": [_match_json(match) for match in found.still_open],
        "unmatched": [_row_json(row) for row in found.unmatched],
        "credits": [_row_json(row) for row in found.credits],
    }


def _match_json(match: Match) -> dict[str, Any]:
    by = match.by if match.rows else None
    rows = [_row_json(row) for row in match.rows]
    return {**_call_json(match.call), "rows": rows, "by": by, "instead": list(match.instead)}


def _call_json(call: CallRow) -> dict[str, Any]:
    return {
        "call": call.id,
        "item": call.key,
        "variant": call.variant,
        "step": call.step,
        "model": call.model_served or call.model,
        "begun_at": when(call.begun_at),
        "ended_at": when(call.ended_at) or None,
        "fate": call.fate,
        "expected": usd(call.micros),
        "request_id": call.request_id,
    }


def _row_json(row: UsageRow) -> dict[str, Any]:
    return {
        "timestamp": when(row.timestamp.timestamp()),
        "sku": row.sku,
        "charged": dollars(row.charged),
        "currency": row.currency,
        "request_id": row.request_id,
    }
