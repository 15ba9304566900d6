"""Whether finished files are there: asked of a folder one by one, of a bucket by one listing of it."""

from __future__ import annotations

from collections.abc import Sequence

from venice_batch.plan.hash_bag import HashBag
from venice_batch.plan.prefetch import in_order
from venice_batch.storage import Store

#: So many files of a bucket are asked for one by one before it is listed: a page of a listing takes as long as some
#: ten of these, sixteen at a time, and a shared output may hold far more than this job's files.
_FEW = 100


class Outputs:
    """The finished files that are there at the time of the plan."""

    def __init__(self, store: Store, *, in_bucket: bool) -> None:
        """Ask nothing yet."""
        self._store = store
        self._is_bucket = in_bucket
        self._asked = 0
        self._listed: HashBag | None = None

    def have(self, names: Sequence[str]) -> list[bool]:
        """Return for each path, relative to the output, whether there is a file.

        Raises:
            Unavailable: the output cannot be looked at.
            SourceError: the bucket cannot be listed.
        """
        if not self._is_bucket:
            return [self._store.stat(name) is not None for name in names]
        self._asked += len(names)
        if self._listed is None and self._asked <= _FEW:
            return [entry is not None for _, entry in in_order(self._store.stat, names)]
        if self._listed is None:
            self._listed = HashBag()
            for entry in self._store.list():
                self._listed.add(entry.key)
        # By a wrong yes, once in 10**8 plans, a deleted file would not be written again this time.
        return [name in self._listed for name in names]
