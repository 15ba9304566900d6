"""The numbers at the head of the review page, which `summary.json` repeats for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from venice_batch.errors import Exit
from venice_batch.report.report_data import NEEDS_A_LOOK, ReportData
from venice_batch.report.text import usd, when
from venice_batch.state import CallRow, ItemRow, RunRow, Spending
from venice_batch.state.events import STATES

#: What an exit code means to somebody who was asleep.
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
#: Below this many answers a percentile is one answer's accident.
_FEW = 2


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts, money and speed; of the newest run unless said otherwise.

    Attributes:
        counts: items by state, every state named; of the job as it stands.
        outcome: how the run ended, in a sentence.
        well: whether it ended with nothing left to see to.
        seconds: from its first start to its end, or to the last thing known of it.
        ended_items: items that came to an end in it.
        answered: calls that were answered and paid.
        lost: calls that may have been charged without an answer.
        refused: calls that were sent and cost nothing.
        latency: seconds of half, and of 95 % of the answered calls at most; None with too few.
        spent: millionths of a US dollar.
        uncertain: likewise.
        spent_in_all: of all runs.
        uncertain_in_all: of all runs.
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
    spent_in_all: int
    uncertain_in_all: int

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


def figures(data: ReportData) -> Figures:
    """Work out the numbers of a report."""
    calls = data.calls_of_run()
    found = Counter(item.row.state for item in data.items) + Counter(data.unlisted)
    counts = {state: found[state] for state in STATES}
    code = None if data.run is None else data.run.exit_code
    return Figures(
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
        spent_in_all=sum(row.spent for row in data.spent_in_all),
        uncertain_in_all=sum(row.uncertain for row in data.spent_in_all),
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


def summary(data: ReportData) -> dict[str, Any]:
    """Return what `summary.json` holds; amounts are decimal strings in US dollars, times are UTC."""
    numbers = figures(data)
    run = data.run
    return {
        "job": data.job,
        "made_at": when(data.made_at),
        "run": None
        if run is None
        else {
            "id": run.id,
            "started_at": when(run.started_at),
            "ended_at": when(run.ended_at) or None,
            "exit_code": run.exit_code,
            "outcome": numbers.outcome,
            "cause": data.cause or None,
            "seconds": round(numbers.seconds, 3),
            "items_ended": numbers.ended_items,
            "calls": {"answered": numbers.answered, "uncertain": numbers.lost, "refused": numbers.refused},
            "latency_seconds": None
            if numbers.latency is None
            else dict(zip(("p50", "p95"), numbers.latency, strict=True)),
            "spent": usd(numbers.spent),
            "uncertain": usd(numbers.uncertain),
            "spending": [_money(row) for row in data.spent_in_run],
        },
        "items": {**numbers.counts, "total": numbers.total, "to_look_at": numbers.to_look_at},
        "in_all": {
            "spent": usd(numbers.spent_in_all),
            "uncertain": usd(numbers.uncertain_in_all),
            "spending": [_money(row) for row in data.spent_in_all],
        },
        "notes": list(data.notes),
    }


def _money(row: Spending) -> dict[str, Any]:
    return {
        "step": row.step,
        "model": row.model,
        "calls": row.calls,
        "spent": usd(row.spent),
        "uncertain": usd(row.uncertain),
    }
