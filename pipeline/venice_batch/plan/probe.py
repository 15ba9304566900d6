"""Looking at inputs before a run: at headers, and locally at the bytes of what may be known already."""

from __future__ import annotations

import secrets
from pathlib import Path

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts
from venice_batch.imaging.probe_head import probe_head
from venice_batch.plan.hashing import file_hash
from venice_batch.plan.prefetch import AT_ONCE
from venice_batch.plan.sources import Candidate
from venice_batch.storage import Changed, Place, Store, open_store

#: Bytes of an object that are read in search of its header, first and, should that not do, second: APP segments of a
#: JPEG may take hundreds of KB. What has its header further back is planned for without.
_LOOKS = (1 << 16, 1 << 20)

#: What a look gave; None: nothing that is certain.
ProbeResult = Facts | ItemError | None


class Prober:
    """How the inputs of one place are looked at."""

    def __init__(self, place: Place, scratch: Path) -> None:
        """Look into `place`; `scratch` holds the first bytes of a bucket's objects while their headers are read."""
        self._store: Store = open_store(place)
        self._root = place if isinstance(place, Path) else None
        self._scratch = scratch

    @property
    def at_once(self) -> int:
        """How many inputs are worth looking at at a time."""
        return AT_ONCE if self._root is None else 1

    def look(self, candidate: Candidate) -> ProbeResult:
        """Return what the header says, or why the picture cannot be used; None: that would take reading all of it.

        Safe in any thread.
        """
        spare = self._scratch / secrets.token_hex(8)
        try:
            return self._looked(candidate, spare)
        except ItemError as error:
            return error
        except Changed:
            return ItemError("unreadable", "gone since it was listed", remedy="run the job again", lasting=False)
        finally:
            spare.unlink(missing_ok=True)

    def _looked(self, candidate: Candidate, spare: Path) -> Facts | None:
        if candidate.size == 0:
            spare.touch()  # nothing can be read of it: a store refuses even to try
            return probe_head(spare, 0)
        for count in _LOOKS:
            spare.unlink(missing_ok=True)
            found = probe_head(self._store.peek(candidate.key, spare, count), candidate.size)
            if found is not None or candidate.size <= count:
                return found
        return None

    def hashed(self, candidate: Candidate) -> str:
        """Return the SHA-256 of a local file's bytes.

        Raises:
            ItemError: the file cannot be read.
        """
        if self._root is None:
            raise TypeError("nothing is downloaded for a plan")
        try:
            return file_hash(self._root / candidate.key)
        except OSError as error:
            raise ItemError("unreadable", f"cannot be read: {error.strerror}", lasting=False) from error
