"""What the rest of the program sees of stored answers, wherever they lie: ``results/<aa>/<key>``."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from venice_batch.errors import ResultLost
from venice_batch.state.events import AnswerSetAside, Event, ResultStored
from venice_batch.storage import Entry, Store
from venice_batch.trust.secrets import scrub

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """A durable answer.

    Attributes:
        key: what was bought.
        facts: what the answer said (model served, price, request id, …) and, once judged, ``verdict``.
    """

    key: str
    facts: Facts

    @property
    def judged(self) -> bool:
        """Whether the picture has been checked."""
        return "verdict" in self.facts

    @property
    def flags(self) -> tuple[str, ...]:
        """Why the picture is held back; empty for an accepted one."""
        return tuple(self.facts.get("verdict", {}).get("flags", ()))


#: What answers are called below their folder of two letters.
ANSWER = re.compile(r"(?P<key>[0-9a-f]{64}(?:\.\d+)?)(?:\.bad-(?P<bad>\d+))?")


@dataclass(frozen=True, slots=True)
class Stored:
    """One file or object among the results.

    Attributes:
        key: what was bought.
        bad: the number under which the answer was set aside; None: it is the durable result.
        bytes: its size.
        modified: when it was written, Unix seconds.
    """

    key: str
    bad: int | None
    bytes: int
    modified: float


class Results(ABC):
    """The stored answers of one state. Safe for several threads: a key has one buyer at a time (rule 4)."""

    @abstractmethod
    def incoming(self, key: str) -> Path:
        """Return the name of a new file, where the answer for `key` is to be streamed."""

    @abstractmethod
    def keep(self, key: str, answer: Path, facts: Facts) -> Result:
        """Make a whole answer durable under its key; what was kept under it before stays, and is returned.

        Args:
            key: what was bought.
            answer: the file from `incoming`; gone afterwards.
            facts: JSON-able facts about the answer.

        Raises:
            Unavailable, OSError: it could not be stored.
        """

    @abstractmethod
    def note_verdict(self, result: Result, verdict: Facts) -> ResultStored:
        """Keep what the checks of the picture found; return what the manifest should record."""

    @abstractmethod
    def set_aside(self, result: Result) -> AnswerSetAside:
        """Put an answer that is not to be used out of the way, kept as ``<key>.bad-<n>``; it can be bought again then.

        Returns:
            What the manifest should record.
        """

    @abstractmethod
    def was_set_aside(self, key: str) -> bool:
        """Whether an answer for `key` was put aside before."""

    @abstractmethod
    def find(self, key: str) -> Result | None:
        """Return the durable result for `key`, or None. Cheap: no request is made, no bytes are read.

        One whose facts are damaged has none: it is not judged, and `bytes` refuses it.
        """

    @abstractmethod
    def keys(self) -> Iterator[str]:
        """Yield the key of every durable result."""

    @abstractmethod
    def bytes(self, key: str, spare: Path) -> Path:
        """Return a local file with the result's bytes, which must not be changed.

        Args:
            key: what was bought.
            spare: a name that is not taken, for a copy where the bytes lie elsewhere.

        Raises:
            ResultLost: ``result-gone``: somebody removed the result; it is forgotten, and can be bought again.
                ``result-damaged``: its bytes are not those that were stored; see `discard`.
            ItemError: it may not be read.
            Unavailable: the store cannot be reached.
        """

    @abstractmethod
    def discard(self, key: str) -> None:
        """Put a damaged result aside as ``<key>.bad-<n>``, so that it can be restored from, or bought again.

        Only for the holder of the lease; the manifest is told by `unrecorded`.
        """

    def copy_to(self, output: Store, key: str, name: str) -> Entry | None:  # noqa: ARG002 - see `Store.can_copy_from`
        """Copy a result's bytes to the output without moving them through this machine.

        Args:
            output: where finished files go.
            key: what was bought.
            name: of the finished file; what is there is replaced.

        Returns:
            The finished file, or None where that cannot be done: the two are not in the same store, or only the
            bytes can tell whether the object is the one that was stored.

        Raises:
            ResultLost: ``result-gone``, see `bytes`.
            Unavailable: the store cannot be reached.
        """
        return None

    @abstractmethod
    def stored(self) -> Iterator[Stored]:
        """List what really lies there, durable results and answers that were set aside, in no particular order.

        Raises:
            Unavailable, SourceError: it cannot be listed.
        """

    @abstractmethod
    def remove(self, stored: Stored) -> None:
        """Remove it; `ResultGone` is to be committed before, so that the manifest never names what is not there.

        Raises:
            Unavailable, OSError: it could not be removed.
        """

    # For `State` alone; where results are found without a manifest there is nothing to do

    def unrecorded(self, *, final: bool) -> list[Event]:  # noqa: ARG002 - see above
        """Return what the manifest should record besides what callers were given to note.

        Args:
            final: also what callers were given, but seem to have lost; the manifest is about to be closed.
        """
        return []

    def recorded(self, events: Collection[Event]) -> None:  # noqa: B027 - see above
        """Take note that these events are in the manifest now."""

    def find_unrecorded(self, keys: Collection[str], *, everything: bool) -> list[Result]:  # noqa: ARG002 - see above
        """Look for durable answers that the manifest does not know, and return them.

        Args:
            keys: those that may have been answered.
            everything: list all there are, not only `keys`.
        """
        return []


def is_intact(facts: Facts, file: Path) -> bool:
    """Whether a file holds the bytes that were stored; results of early versions have no hash, only a size."""
    if "sha256" not in facts:
        return bool(facts.get("bytes") == file.stat().st_size)
    with file.open("rb") as content:
        return bool(hashlib.file_digest(content, "sha256").hexdigest() == facts["sha256"])


def gone(key: str) -> ResultLost:
    """Return the error for a result that was there and is not any more."""
    return ResultLost(
        "result-gone",
        f"the stored result {key} was removed by somebody",
        key=key,
        remedy="restore it, or run the job again: it is regenerated (charged again)",
    )


def damaged(key: str, place: object) -> ResultLost:
    """Return the error for a result that is there, but is not what was stored."""
    return ResultLost(
        "result-damaged",
        f"the stored result {place} is damaged: its SHA-256 is not the one recorded when it was stored",
        key=key,
        remedy="restore it from a backup, or run the job again: it is regenerated (charged again)",
    )


def portable(facts: Facts) -> dict[str, Any]:
    """Return the facts without the answer's headers, most of their bulk: all that is used of them is a fact itself."""
    return {name: value for name, value in facts.items() if name != "headers"}


def index_text(facts: Facts) -> str:
    """Return facts as the manifest keeps them: ASCII JSON with sorted names, and without secrets."""
    return scrub(json.dumps(portable(facts), sort_keys=True, separators=(",", ":")))


def metadata_text(facts: Facts) -> str:
    """Return facts as an S3 object carries them, which allows 2 KB for all names and values.

    Texts that are longer than any API sends in good faith are cut.

    Raises:
        ValueError: even so there are too many of them.
    """
    for most in (1000, 200, 64):  # never less than a SHA-256 has
        text = index_text({name: _cut(value, most) for name, value in portable(facts).items()})
        if len(text) <= _MOST:
            return text
    raise ValueError("these facts are too many to be stored with a result")


_MOST = 1900


def _cut(value: Any, most: int) -> Any:
    match value:
        case str():
            return value[:most]
        case dict():
            return {name: _cut(each, most) for name, each in value.items()}
        case list() | tuple():
            return [_cut(each, most) for each in value]
        case _:
            return value
