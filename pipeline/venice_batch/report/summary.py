"""The numbers at the head of the review page, which `summary.json` repeats for scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from venice_batch.errors import Exit
from venice_batch.report.report_data import NEEDS_A_LOOK, ReportData
from venice_batch.state import CallRow, ItemRow, RunRow, Unproduced
from venice_batch.state.events import STATES

#: What an exit code means, as a sentence.
OUTCOMES = {
    Exit.DONE: "Finished: everything is done.",
    Exit.BUG: "Stopped by a bug in the tool.",
    Exit.USAGE: "Stopped: the job asks for something that cannot be carried out.",
    Exit.ITEMS_FAILED: "Finished; some items were not done.",
    Exit.KEY: "Stopped: the API refused the key.",
    Exit.MONEY: "Stopped: the money does not cover the work.",
    Exit.UNAVAILABLE: "Stopped: the API or a store was unavailable, or too much was failing.",
    Exit.LOCKED: "Not started: another run holds the job.",
    Exit.INTERRUPTED: "Interrupted; the next run goes on.",
    Exit.TERMINATED: "Interrupted; the next run goes on.",
}
_NO_RUN = "No run yet."
_OPEN = "Under way, or killed before its end."
#: States of items that no run brought to an end.
_IDLE = frozenset({"pending", "running", "waiting", "vanished"})
_MINUTE = 60.0
#: With fewer calls a percentile is one call's accident.
_FEW = 2


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """Counts, money and speed; of the newest run unless said otherwise.

    Attributes:
        counts: items by state, every state named; of the job as it stands.
        outcome: how the run ended, in a sentence.
        well: whether it ended with nothing to look at.
        seconds: from its first start to its end, or to the last thing known of it.
        ended_items: items that came to an end in it.
        answered: calls that were answered and paid.
        lost: calls that may have been charged without an answer.
        refused: calls that were sent and cost nothing.
        latency: seconds of answered calls, median and 95th percentile; None with too few.
        spent: millionths of a US dollar.
        uncertain: likewise.
        spent_total: of all runs.
        uncertain_total: of all runs.
    """

    counts: Mapping[str, int]
    outcome: str
    well: bool
    seconds: float
    ended_items: int
    answered: int
    lost: int
    refused: int
    latency: tuple[float, float] | None
    spent: int
    uncertain: int
    spent_total: int
    uncertain_total: int

    @property
    def total(self) -> int:
        """Items that the source still has."""
        return sum(self.counts.values()) - self.counts["vanished"]

    @property
    def to_look_at(self) -> int:
        """Items that somebody should look at."""
        return sum(self.counts[state] for state in NEEDS_A_LOOK)

    def per_minute(self, count: int) -> float | None:
        """Return `count` as a rate over the run; None where it took no time."""
        return count * _MINUTE / self.seconds if self.seconds > 0 else None


def summarize(data: ReportData) -> ReportSummary:
    """Return the numbers of a report."""
    calls = data.calls_of_run()
    found = Counter(item.row.state for item in data.items) + Counter(data.unlisted)
    counts = {state: found[state] for state in STATES}
    code = None if data.run is None else data.run.exit_code
    return ReportSummary(
        counts=counts,
        outcome=_outcome(data),
        well=code == Exit.DONE and not any(counts[state] for state in NEEDS_A_LOOK),
        seconds=_seconds(data, calls),
        ended_items=sum(ended_in(item.row, data.run) for item in data.items) + data.unlisted_ended,
        answered=sum(call.fate == "spent" for call in calls),
        lost=sum(call.fate == "uncertain" for call in calls),
        refused=sum(call.fate == "released" and call.begun_at is not None for call in calls),
        latency=_latency(calls),
        spent=sum(row.spent for row in data.spent_in_run),
        uncertain=sum(row.uncertain for row in data.spent_in_run),
        spent_total=sum(row.spent for row in data.spent_total),
        uncertain_total=sum(row.uncertain for row in data.spent_total),
    )


def ended_in(row: ItemRow, run: RunRow | None) -> bool:
    """Whether an item came to an end in this run."""
    return run is not None and row.updated_at >= run.started_at and row.state not in _IDLE


def _outcome(data: ReportData) -> str:
    if data.run is None:
        return _NO_RUN
    code = data.run.exit_code
    if code is None:
        return _OPEN
    return OUTCOMES[Exit(code)] if code in set(Exit) else f"Ended with exit code {code}."


def _seconds(data: ReportData, calls: Sequence[CallRow]) -> float:
    if data.run is None:
        return 0.0
    ends = [call.ended_at for call in calls if call.ended_at is not None]
    end = max(ends, default=data.run.started_at) if data.run.ended_at is None else data.run.ended_at
    return max(0.0, end - data.run.started_at)


def _latency(calls: Sequence[CallRow]) -> tuple[float, float] | None:
    times = [
        call.ended_at - call.begun_at
        for call in calls
        # Without attempts it was settled by a later start, whose time says nothing about the call.
        if call.fate == "spent" and call.attempts and call.begun_at is not None and call.ended_at is not None
    ]
    if len(times) < _FEW:
        return None
    cuts = quantiles(times, n=20, method="inclusive")
    return cuts[9], cuts[18]


def summary_values(data: ReportData) -> dict[str, Any]:
    """Return what `summary.json` holds, for `json_models.document`."""
    numbers, run = summarize(data), data.run
    return {
        "job": data.job,
        "made_at": data.made_at,
        "run": None
        if run is None
        else {
            "id": run.id,
            "started_at": run.started_at,
            "ended_at": run.ended_at,
            "exit_code": run.exit_code,
            "outcome": numbers.outcome,
            "cause": data.cause or None,
            "seconds": round(numbers.seconds, 3),
            "items_ended": numbers.ended_items,
            "calls": {"answered": numbers.answered, "uncertain": numbers.lost, "refused": numbers.refused},
            "latency_seconds": numbers.latency and dict(zip(("p50", "p95"), numbers.latency, strict=True)),
            "spent": numbers.spent,
            "uncertain": numbers.uncertain,
            "spending": data.spent_in_run,
            "unproduced": Unproduced(**json.loads(run.unproduced)) if run.unproduced else None,
        },
        "items": {**numbers.counts, "total": numbers.total, "to_look_at": numbers.to_look_at},
        "in_all": {
            "spent": numbers.spent_total,
            "uncertain": numbers.uncertain_total,
            "spending": data.spent_total,
        },
        "notes": data.notes,
    }
