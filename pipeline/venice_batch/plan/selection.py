"""Where an item stands by what the manifest knows of it and what the command line asks for."""

from __future__ import annotations

from dataclasses import dataclass

from venice_batch.job import Job
from venice_batch.plan.model import Standing
from venice_batch.plan.sources import Candidate, glob
from venice_batch.state import ItemRow

#: Reasons that rest on the bytes of an input: as long as those stay, it need not be looked at again.
_OF_THE_BYTES = frozenset({"empty", "not-a-picture", "too-large", "broken", "too-small"})
#: States of items that a run took up and did not bring to an end.
_UNFINISHED = frozenset({"pending", "running", "waiting", "uncertain"})


@dataclass(frozen=True)
class ItemFilter:
    """What the command line asks of a plan.

    Attributes:
        only: a glob of keys; the rest is left alone.
        limit: at most so many items to do.
        retry_failed: take up what failed for a lasting reason.
        since: Unix seconds; what was last written before is left alone, unless an earlier run left it unfinished.
        sample: a spread of so many items to do, instead of the first ones.
    """

    only: str | None = None
    limit: int | None = None
    retry_failed: bool = False
    since: float | None = None
    sample: int | None = None

    @property
    def partial(self) -> bool:
        """Whether some of the source may be left alone, so that nothing can be said of what is not met."""
        return any(wish is not None for wish in (self.only, self.limit, self.since, self.sample))


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """Where an item stands, and why; see `PlannedItem`."""

    standing: Standing
    code: str = ""
    reason: str = ""
    left_as: str = ""


NEW, CHANGED, DONE = ItemStatus("new"), ItemStatus("changed"), ItemStatus("done")


class Selection:
    """What decides where an item stands."""

    def __init__(self, job: Job, item_filter: ItemFilter) -> None:
        """Take the job's rule on uncertain calls, and the command line's wishes."""
        self._holds_uncertain = job.run.uncertain == "hold"
        self._item_filter = item_filter
        self._chosen = glob(item_filter.only) if item_filter.only else None

    def leave_out(self, candidate: Candidate, row: ItemRow | None) -> bool:
        """Whether the command line leaves the input alone altogether."""
        if self._chosen is not None and not self._chosen(candidate.key):
            return True
        since = self._item_filter.since
        return since is not None and 0 < candidate.modified < since and not _is_unfinished(row)

    def judge(self, row: ItemRow | None, version: str, fingerprint: str) -> ItemStatus:
        """Return where an item of this version and recipe stands; `DONE` if its finished file is there, else `NEW`."""
        if row is None or row.state == "vanished":
            return NEW
        if row.version != version or row.fingerprint != fingerprint:
            return CHANGED
        if row.state == "done":
            return DONE
        if row.state == "invalid" and row.code in _OF_THE_BYTES:
            return ItemStatus("invalid", row.code, row.reason)
        if self._is_left_alone(row):
            return ItemStatus("waiting", row.code or row.state, row.reason, row.state)
        return NEW

    def _is_left_alone(self, row: ItemRow) -> bool:
        match row.state:
            case "failed":
                return row.lasting and not self._item_filter.retry_failed
            case "flagged":
                # Which answer it is was not always written down; then the item is looked at anew, for free.
                return row.result != ""
            case "uncertain":
                return self._holds_uncertain
            case _:
                return False


def _is_unfinished(row: ItemRow | None) -> bool:
    return row is not None and (row.state in _UNFINISHED or (row.state == "failed" and not row.lasting))
