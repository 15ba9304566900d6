"""A job's memory: manifest, ledger, results, and the lease that keeps a second run away."""

from pipeline.state.bucket_lease import LeasePolicy
from pipeline.state.events import (
    AnswerSetAside,
    Begun,
    Event,
    ItemId,
    ItemMoved,
    OutputDropped,
    OutputPlanned,
    OutputWritten,
    Released,
    Reserved,
    ResultGone,
    ResultStored,
    RunEnded,
    RunStarted,
    Settled,
    SourceRead,
)
from pipeline.state.folder_results import FolderResults
from pipeline.state.lease import Lease
from pipeline.state.manifest import State
from pipeline.state.opening import to_read, to_write
from pipeline.state.results import Result, Results
from pipeline.state.rows import CallRow, ItemRow, OutputRow, RunRow, SourceRow, Spending

__all__ = [
    "AnswerSetAside",
    "Begun",
    "CallRow",
    "Event",
    "FolderResults",
    "ItemId",
    "ItemMoved",
    "ItemRow",
    "Lease",
    "LeasePolicy",
    "OutputDropped",
    "OutputPlanned",
    "OutputRow",
    "OutputWritten",
    "Released",
    "Reserved",
    "Result",
    "ResultGone",
    "ResultStored",
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
