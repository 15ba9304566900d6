"""Results in a folder: ``<aa>/<key>``, one file of bytes and one of facts for every answer.

Order of writing (rule 3): the answer streams to a temporary file in its final folder, is made durable, then the facts
are written, then the bytes are renamed to their key. That rename is the commit: bytes under a key are whole, and
their facts exist. Only after it is the picture checked; the verdict then joins the facts. A crash at any instant
leaves either nothing, or a temporary file that nobody reads, or a whole result, judged or still to be judged.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from venice_batch.errors import ItemError, Unavailable
from venice_batch.state.events import AnswerSetAside, ResultStored
from venice_batch.state.results import ANSWER, Facts, Result, Results, Stored, damaged, gone, index_text, is_intact
from venice_batch.storage import DISK, Disk, temporary_beside

#: What says nothing about the file that could not be opened.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class FolderResults(Results):
    """The results of one state folder (see `Results`). The folder itself is the truth, the manifest only a copy."""

    def __init__(self, root: Path, disk: Disk = DISK, elsewhere: Path | None = None) -> None:
        """Keep results below `root`; those that find no room there `elsewhere`, until the next start fetches them."""
        self._root = root
        self._disk = disk
        self._elsewhere = elsewhere

    def _place(self, key: str) -> Path:
        return self._root / key[:2] / key

    def incoming(self, key: str) -> Path:
        """Return a new name in the folder where the answer will stay, so that the commit is a rename."""
        target = self._place(key)
        self._disk.make_folder(target.parent)
        return temporary_beside(target)

    def keep(self, key: str, answer: Path, facts: Facts) -> Result:
        """Make a whole answer durable under its key (see `Results.keep`)."""
        earlier = self.find(key)
        if earlier is not None:
            # Another variant of the same call was lost, so all were bought again: what was kept first stays.
            answer.unlink()
            return earlier
        try:
            return self._keep(key, answer, facts)
        except OSError as error:
            if self._elsewhere is None or error.errno not in _FULL:
                raise
            others = FolderResults(self._elsewhere, self._disk)
            others.adopt(key, answer, facts)
            answer.unlink()
            raise Unavailable(
                f"no room for an answer in {self._root}; it is kept in {self._elsewhere}",
                remedy="free some space, then run the job again on this machine: it fetches the answer from there",
            ) from error

    def _keep(self, key: str, answer: Path, facts: Facts) -> Result:
        self._disk.sync(answer)
        facts = {**facts, "bytes": answer.stat().st_size}
        self._write_facts(key, facts)
        self._disk.replace(answer, self._place(key))
        return Result(key, facts)

    def adopt(self, key: str, answer: Path, facts: Facts) -> Result:
        """Make an answer durable that lies on another file system; the file stays."""
        copy = self.incoming(key)
        shutil.copyfile(answer, copy)
        return self.keep(key, copy, facts)

    def rescue(self, dead: Path) -> None:
        """Fetch the answers that found no room when they arrived.

        Raises:
            OSError: there is none yet; they stay where they are.
        """
        left = FolderResults(dead)
        for key in list(left.keys()):
            result = left.find(key)
            if result is not None and is_intact(result.facts, left.bytes(key, dead)):
                self.adopt(key, left.bytes(key, dead), result.facts)
            left.drop(key)

    def note_verdict(self, result: Result, verdict: Facts) -> ResultStored:
        """Write the verdict into the facts (see `Results.note_verdict`)."""
        facts = {**result.facts, "verdict": verdict}
        self._write_facts(result.key, facts)
        return ResultStored(result.key, index_text(facts))

    def set_aside(self, result: Result) -> AnswerSetAside:
        """Rename the bytes to ``<key>.bad-<n>`` (see `Results.set_aside`)."""
        place = self._place(result.key)
        taken = [int(bad.name.rpartition("-")[2]) for bad in place.parent.glob(f"{place.name}.bad-*")]
        number = 1 + max(taken, default=0)
        self._disk.replace(place, place.with_name(f"{place.name}.bad-{number}"))
        return AnswerSetAside(result.key, number)

    def was_set_aside(self, key: str) -> bool:
        """Whether an answer for `key` was put aside before, because it was no picture."""
        place = self._place(key)
        return next(place.parent.glob(f"{key}.bad-*"), None) is not None

    def find(self, key: str) -> Result | None:
        """Return the durable result for `key`, or None (see `Results.find`).

        Raises:
            Unavailable: this machine has no files or memory left to look with.
        """
        place = self._place(key)
        if not place.is_file():
            return None
        try:
            return Result(key, _facts(place))
        except OSError as error:
            if error.errno in _SHORTAGE:
                raise Unavailable(
                    f"cannot read {_facts_of(place)}: {error.strerror}",
                    remedy="see to this machine's disk and limits, then run the job again",
                ) from error
            # Nothing that would justify to buy it again: `bytes` says what is wrong.
            return Result(key, {})

    def keys(self) -> Iterator[str]:
        """Yield the key of every durable result."""
        for facts in self._root.glob("??/*.json"):
            if facts.with_suffix("").is_file():
                yield facts.name.removesuffix(".json")

    def bytes(self, key: str, spare: Path) -> Path:  # noqa: ARG002 - no copy is needed here
        """Return the durable file itself (see `Results.bytes`)."""
        place = self._place(key)
        if not place.is_file():
            raise gone(key)
        try:
            intact = is_intact(_facts(place), place)
        except OSError as error:
            if error.errno in _SHORTAGE:
                raise
            raise ItemError(
                "unreadable",
                f"the stored result {place} cannot be read: {error.strerror}",
                remedy="give this user the right to read it and its facts beside it (.json)",
                lasting=False,
            ) from error
        if not intact:
            raise damaged(key, place)
        return place

    def discard(self, key: str) -> None:
        """Rename the bytes (see `Results.discard`); their facts stay, for whoever restores them."""
        if self._place(key).is_file():
            self.set_aside(Result(key, {}))

    def stored(self) -> Iterator[Stored]:
        """Walk the folders (see `Results.stored`)."""
        for path in self._root.glob("??/*"):
            name = ANSWER.fullmatch(path.name)
            if name is not None and path.is_file():
                found = path.stat()
                yield Stored(name["key"], int(name["bad"]) if name["bad"] else None, found.st_size, found.st_mtime)

    def remove(self, stored: Stored) -> None:
        """Remove the file, its facts after it: facts alone are no result (see `Results.remove`)."""
        place = self._place(stored.key)
        if stored.bad is not None:
            place.with_name(f"{place.name}.bad-{stored.bad}").unlink(missing_ok=True)
            return
        self.drop(stored.key)

    def drop(self, key: str) -> None:
        """Remove a result that is durable elsewhere."""
        self._place(key).unlink(missing_ok=True)
        _facts_of(self._place(key)).unlink(missing_ok=True)

    def _write_facts(self, key: str, facts: Facts) -> None:
        self._disk.write_whole(_facts_of(self._place(key)), json.dumps(facts, sort_keys=True))


def _facts(place: Path) -> Facts:
    """Read what is known of a stored answer; nothing where that is damaged or missing."""
    try:
        facts = json.loads(_facts_of(place).read_text("utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _facts_of(place: Path) -> Path:
    return place.with_name(place.name + ".json")
