"""A job's memory: manifest, ledger, results, and the lease that keeps a second run away."""

from venice_batch.state.bucket_lease import LeasePolicy
from venice_batch.state.events import (
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
    ResultsUsed,
    RunEnded,
    RunStarted,
    Settled,
    SourceRead,
)
from venice_batch.state.folder_results import FolderResults
from venice_batch.state.lease import Lease
from venice_batch.state.manifest import State
from venice_batch.state.move import copy_state
from venice_batch.state.open_state import to_read, to_write
from venice_batch.state.results import Result, Results
from venice_batch.state.rows import CallRow, ItemRow, OutputRow, RunRow, SourceRow, Spending, Unproduced

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
    "ResultsUsed",
    "RunEnded",
    "RunRow",
    "RunStarted",
    "Settled",
    "SourceRead",
    "SourceRow",
    "Spending",
    "State",
    "Unproduced",
    "copy_state",
    "to_read",
    "to_write",
]
