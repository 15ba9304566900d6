"""The store of paid results: ``results/<aa>/<key>``, one file of bytes and one of facts for every answer.

Order of writing (rule 3): the answer streams to a temporary file in its final folder, is made durable, then the facts
are written, then the bytes are renamed to their key. That rename is the commit: bytes under a key are whole, and
their facts exist. Only after it is the picture looked at; the verdict then joins the facts. A crash at any instant
leaves either nothing, or a temporary file that nobody reads, or a whole result, judged or still to be judged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import Unavailable
from pipeline.storage import fsync_folder, make_folder, temporary_beside, write_whole

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """A durable answer.

    Attributes:
        key: what was bought.
        path: the bytes; never changed.
        facts: what the answer said (model served, price, request id, …) and, once judged, ``verdict``.
    """

    key: str
    path: Path
    facts: Facts

    @property
    def judged(self) -> bool:
        """Whether the picture has been looked at."""
        return "verdict" in self.facts

    @property
    def flags(self) -> tuple[str, ...]:
        """Why the picture is held back; empty for an accepted one."""
        return tuple(self.facts.get("verdict", {}).get("flags", ()))


class Results:
    """The results of one state folder. Safe for several threads: a key has one buyer at a time (rule 4)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _place(self, key: str) -> Path:
        return self._root / key[:2] / key

    def incoming(self, key: str) -> Path:
        """Return where the answer for `key` is to be streamed: the same folder, so that the commit is a rename."""
        target = self._place(key)
        make_folder(target.parent)
        return temporary_beside(target)

    def keep(self, key: str, answer: Path, facts: Facts) -> Result:
        """Make a whole answer durable under its key.

        Args:
            key: what was bought.
            answer: the file from `incoming`; gone afterwards.
            facts: JSON-able facts about the answer.
        """
        earlier = self.find(key)
        if earlier is not None:
            # Another variant of the same call was lost, so all were bought anew: what was kept first stays.
            answer.unlink()
            return earlier
        target = self._place(key)
        with answer.open("rb") as file:
            os.fsync(file.fileno())
        facts = {**facts, "bytes": answer.stat().st_size}
        self._write_facts(key, facts)
        answer.replace(target)
        fsync_folder(target.parent)
        return Result(key, target, facts)

    def note_verdict(self, result: Result, verdict: Facts) -> Result:
        """Record what was found when the picture was looked at."""
        facts = {**result.facts, "verdict": verdict}
        self._write_facts(result.key, facts)
        return Result(result.key, result.path, facts)

    def set_aside(self, result: Result) -> Path:
        """Put an answer that is no picture out of the way, kept for support as ``<key>.bad-<n>``."""
        taken = [int(bad.name.rpartition("-")[2]) for bad in result.path.parent.glob(f"{result.path.name}.bad-*")]
        number = 1 + max(taken, default=0)
        aside = result.path.with_name(f"{result.path.name}.bad-{number}")
        result.path.replace(aside)
        fsync_folder(aside.parent)
        return aside

    def was_bad(self, key: str) -> bool:
        """Whether an answer for `key` was put aside before, because it was no picture."""
        place = self._place(key)
        return next(place.parent.glob(f"{key}.bad-*"), None) is not None

    def find(self, key: str) -> Result | None:
        """Return the durable result for `key`, or None.

        Raises:
            Unavailable: bytes and facts do not belong together: somebody or the disk damaged them since. Taken for
                absent it would be bought again, taken for whole it would be published.
        """
        place = self._place(key)
        if not place.is_file():
            return None
        try:
            facts = json.loads(_facts_of(place).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _damaged(place) from error
        if facts.get("bytes") != place.stat().st_size:
            raise _damaged(place)
        return Result(key, place, facts)

    def keys(self) -> Iterator[str]:
        """Yield the key of every durable result."""
        for facts in self._root.glob("??/*.json"):
            if facts.with_suffix("").is_file():
                yield facts.name.removesuffix(".json")

    def _write_facts(self, key: str, facts: Facts) -> None:
        write_whole(_facts_of(self._place(key)), json.dumps(facts, sort_keys=True))


def _damaged(place: Path) -> Unavailable:
    return Unavailable(
        f"the stored result {place} and its facts beside it (.json) do not fit together",
        remedy="restore both from a backup, or remove both: it is bought again then",
    )


def _facts_of(place: Path) -> Path:
    return place.with_name(place.name + ".json")
