"""The job's ledger against the account's: what was charged as expected, twice, without an answer, or not at all.

A row of the account and a call of the job belong together for certain when they name the same request. Where they do
not (a lost response names no request), amount and time must do: such a match is the likeliest, never a proof, so every
finding says how it was made and which other calls it could as well be about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from venice_batch.plan.model import dollars
from venice_batch.plan.money import MICRO, usd
from venice_batch.report.charge_matching import ChargeMatcher, ExtraCharge, Match, charged
from venice_batch.report.text import item_name, model_of, table, when
from venice_batch.state import CallRow
from venice_batch.venice.usage import UsageRow

#: Charges of no call of this job, and calls without a charge, that are listed for people; JSON has all.
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
        charged_twice: charges beyond the first of a call, whatever its outcome.
        charged_without_answer: calls whose response was lost, or that the API refused, and that were charged.
        not_charged: answered or lost calls without a charge (or with one that is not booked yet).
        still_open: calls of a run that is under way or was killed; `rows` is empty where nothing was charged yet.
        unmatched: charges that belong to no call of this job: other users of the account, or other jobs.
        credits: rows that took nothing, such as refunds; they are matched with nothing.
    """

    matched: tuple[Match, ...]
    charged_twice: tuple[ExtraCharge, ...]
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
            "charged_twice": charged(extra.row for extra in self.charged_twice),
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
    matcher = ChargeMatcher(charges, window)
    matcher.by_request_id(begun)
    open_calls = [call for call in begun if call.fate != "released" and call.id not in matcher.own]
    if not matcher.shares_names:
        matcher.by_parts(open_calls)
    matcher.by_amount([call for call in open_calls if call.fate == "spent"])
    matcher.by_amount([call for call in open_calls if call.fate != "spent"])
    extra, unmatched = matcher.split_rest([call for call in begun if call.id in matcher.own])
    return _classify(begun, matcher, extra, unmatched, tuple(row for row in rows if row.charged <= 0))


def _order(row: UsageRow) -> tuple[datetime, str, str, Decimal]:
    # By more than time: what is found must not depend on the order in which the account lists its rows.
    return row.timestamp, row.sku, row.request_id or "", row.amount


def _classify(
    begun: Sequence[CallRow],
    matcher: ChargeMatcher,
    extra: Sequence[ExtraCharge],
    unmatched: Sequence[UsageRow],
    credited: tuple[UsageRow, ...],
) -> Reconciliation:
    missing = [call for call in begun if call.id not in matcher.own and call.fate in {"spent", "uncertain"}]
    found = [matcher.match(call) for call in begun if call.id in matcher.own]
    without = [match for match in found if match.call.fate in {"uncertain", "released"}]
    without, uncharged = _mark_ambiguous(without, missing, matcher)
    return Reconciliation(
        matched=tuple(match for match in found if match.call.fate == "spent"),
        charged_twice=tuple(extra),
        charged_without_answer=tuple(without),
        not_charged=tuple(uncharged),
        still_open=tuple(matcher.match(call) for call in begun if call.fate == "begun"),
        unmatched=tuple(unmatched),
        credits=credited,
    )


def _mark_ambiguous(
    without: Sequence[Match], missing: Sequence[CallRow], matcher: ChargeMatcher
) -> tuple[list[Match], list[NotCharged]]:
    """Name for each lost call the other lost calls that may have been charged in its place."""
    uncertain = {match.call.id for match in without if match.by == "amount and time"}
    could: dict[int, list[int]] = defaultdict(list)
    for call in missing:
        if call.fate != "uncertain":
            continue
        for row in matcher.fitting(call):
            owner = matcher.owner.get(row)
            if owner is not None and owner.id in uncertain:
                could[call.id].append(owner.id)
                could[owner.id].append(call.id)
    marked = [replace(match, instead=tuple(could[match.call.id])) for match in without]
    return marked, [NotCharged(call, tuple(could[call.id])) for call in missing]


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def reconciliation_text(name: str, found: Reconciliation) -> str:
    """Return a reconciliation for people: the sums, then what needs a look, the most serious first."""
    sums = found.sums
    counts = {part: len(getattr(found, part)) for part in sums}
    rows = [
        (part.replace("_", " "), str(counts[part]), dollars(sums[part]))
        for part in sums
        if counts[part] or part == "matched"
    ]
    headline = "nothing was charged twice or without an answer" if found.clean else "charges that need a look"
    parts = [f"{name}: {headline}", table(("", "rows", "USD"), rows, right=frozenset({1, 2}))]
    parts += _extra_lines(found.charged_twice)
    parts += _match_lines("charged without an answer", found.charged_without_answer)
    parts += _match_lines("charged another amount", [match for match in found.matched if match.differs])
    parts += _match_lines("still open: under way, or of a killed run that the next run settles", found.still_open)
    parts += _missing_lines(found.not_charged)
    parts += _row_lines("of no call of this job: another job or user of the account", found.unmatched)
    parts += _row_lines("credits", found.credits)
    return "\n".join(parts)


def _extra_lines(found: Sequence[ExtraCharge]) -> list[str]:
    cells = [(*_call_cells(extra.call), *_row_cells(extra.row), extra.by, _others(extra.instead)) for extra in found]
    return _section("charged twice", (*_CALL_HEAD, "USD", "booked", "sku", "request", "by", "or call"), cells, usd_at=5)


def _match_lines(title: str, found: Sequence[Match]) -> list[str]:
    cells = [
        (*_call_cells(match.call), usd(match.call.micros), *row, match.by or "", _others(match.instead))
        for match in found
        for row in ([_row_cells(row) for row in match.rows] or [("", "", "", "")])
    ]
    head = (*_CALL_HEAD, "expected", "USD", "booked", "sku", "request", "by", "or call")
    return _section(title, head, cells, usd_at=6)


def _missing_lines(found: Sequence[NotCharged]) -> list[str]:
    cells = [
        (*_call_cells(missing.call), usd(missing.call.micros), missing.call.fate, _others(missing.instead))
        for missing in found
    ]
    head = (*_CALL_HEAD, "expected", "outcome", "or call")
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
    return str(call.id), when(call.begun_at), item_name(call), call.step, model_of(call)


def _row_cells(row: UsageRow) -> tuple[str, ...]:
    return dollars(row.charged), when(row.timestamp.timestamp()), row.sku, row.request_id or ""


def _others(calls: Sequence[int]) -> str:
    """Name the other calls that a finding may be about."""
    more = len(calls) - _NAMED
    return ", ".join(map(str, calls[:_NAMED])) + (f" and {more} more" if more > 0 else "")
