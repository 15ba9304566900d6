"""A job's memory: manifest, ledger, results, and the lease that keeps a second run away."""

from pipeline.state.events import (
    Begun,
    Event,
    ItemId,
    ItemMoved,
    OutputDropped,
    OutputPlanned,
    OutputWritten,
    Reserved,
    RunEnded,
    RunStarted,
    Settled,
    SourceRead,
)
from pipeline.state.manifest import CallRow, ItemRow, OutputRow, RunRow, SourceRow, Spending, State, to_read, to_write
from pipeline.state.results import Result, Results

__all__ = [
    "Begun",
    "CallRow",
    "Event",
    "ItemId",
    "ItemMoved",
    "ItemRow",
    "OutputDropped",
    "OutputPlanned",
    "OutputRow",
    "OutputWritten",
    "Reserved",
    "Result",
    "Results",
    "RunEnded",
    "RunRow",
    "RunStarted",
    "Settled",
    "SourceRead",
    "SourceRow",
    "Spending",
    "State",
    "to_read",
    "to_write",
]
