"""Which items a run takes: by the globs, by what the manifest has of an item, and by the command line's filter."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from venice_batch.job import Job
from venice_batch.job.model import OnFlagged
from venice_batch.plan.globs import glob
from venice_batch.plan.model import Candidate, Status
from venice_batch.state import ItemRow

#: Reasons that rest on the bytes of an input: as long as those stay, it need not be probed again.
IN_THE_BYTES = frozenset({"empty", "not-a-picture", "too-large", "broken", "too-small"})
#: States of items that a run began and did not bring to an end.
_UNFINISHED = frozenset({"pending", "running", "waiting", "uncertain"})

#: released, publish: the item goes on with it · hold, fail: it ends here · retry: the result is regenerated.
FlaggedAction = Literal["released", "publish", "hold", "fail", "retry"]
#: The API's own refusal: what was sent breaks its content policy, and would break it again.
_POLICY = "blocked"


@dataclass(frozen=True)
class ItemFilter:
    """What the command line asks of a plan.

    Attributes:
        only: a glob of keys; other items are left out.
        limit: at most so many items to do.
        retry_failed: also take items that failed permanently.
        since: Unix seconds; what was last written before is left out, unless an earlier run left it unfinished.
        sample: a repeatable sample of so many items to do, instead of the first ones.
    """

    only: str | None = None
    limit: int | None = None
    retry_failed: bool = False
    since: float | None = None
    sample: int | None = None

    @property
    def partial(self) -> bool:
        """Whether some of the source may be left out, so that an item not met need not have vanished."""
        return any(option is not None for option in (self.only, self.limit, self.since, self.sample))


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """An item's status, and why; see `PlannedItem`."""

    status: Status
    code: str = ""
    reason: str = ""
    left_as: str = ""


NEW, CHANGED, DONE = ItemStatus("new"), ItemStatus("changed"), ItemStatus("done")


class Selection:
    """Decides which items a plan has, and the status of each."""

    def __init__(self, job: Job, item_filter: ItemFilter) -> None:
        """Take the job's rule on uncertain calls, and the command line's filter."""
        self._holds_uncertain = job.run.uncertain == "hold"
        self._filter = item_filter
        self._matches = glob(item_filter.only) if item_filter.only else None

    def excludes(self, candidate: Candidate, row: ItemRow | None) -> bool:
        """Whether the command line leaves the input out altogether."""
        if self._matches is not None and not self._matches(candidate.key):
            return True
        since = self._filter.since
        return since is not None and 0 < candidate.modified < since and not _is_unfinished(row)

    def status(self, row: ItemRow | None, version: str, fingerprint: str) -> ItemStatus:
        """Return the status of an item of this version and fingerprint; `DONE` holds only while its files exist."""
        if row is None or row.state == "vanished":
            return NEW
        if row.version != version or row.fingerprint != fingerprint:
            return CHANGED
        if row.state == "done":
            return DONE
        if row.state == "invalid" and row.code in IN_THE_BYTES:
            return ItemStatus("invalid", row.code, row.reason)
        if self._waits(row):
            return ItemStatus("waiting", row.code or row.state, row.reason, row.state)
        return NEW

    def _waits(self, row: ItemRow) -> bool:
        match row.state:
            case "failed":
                return row.lasting and not self._filter.retry_failed
            case "flagged":
                # Which result is held was not always recorded; then the item is planned anew, at no cost.
                return row.result != ""
            case "uncertain":
                return self._holds_uncertain
            case _:
                return False


def _is_unfinished(row: ItemRow | None) -> bool:
    return row is not None and (row.state in _UNFINISHED or (row.state == "failed" and not row.lasting))


def flagged_action(flags: Collection[str], rule: OnFlagged, *, released: bool, set_aside: bool) -> FlaggedAction:
    """Return what becomes of a result that is whole, but flagged: a person's decision first, then the job's rule.

    Nothing is regenerated that the content policy refused (it would only cost money and standing with the vendor), nor
    where a result was set aside before: the second is the last, until a person rejects it.

    `rule` is the job's ``run.on_flagged``; `released`: by a person; `set_aside`: an earlier result of the same call.
    """
    if released:
        return "released"
    if rule == "retry" and (_POLICY in flags or set_aside):
        return "hold"
    return rule
