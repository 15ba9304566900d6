"""Results in a bucket: ``<aa>/<key>``, one object for every answer, its facts in the object's metadata.

Order of writing (rule 3): the answer and its facts become durable on this machine's disk, then the object is put in one
request, under the condition that there is none yet. If the store cannot be reached for long, the local pair stays, and
the next start on this machine puts it. What is stored is found through an index in the manifest, since a request for
every purchase of a plan would cost more time than the plan; what this run stored itself, before the manifest says so.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from venice_batch.errors import ItemError, ResultLost, Unavailable
from venice_batch.state.events import AnswerSetAside, Event, ResultGone, ResultStored
from venice_batch.state.file_cache import FileCache
from venice_batch.state.folder_results import FolderResults
from venice_batch.state.index import Index
from venice_batch.state.results import (
    ANSWER,
    Facts,
    Result,
    Results,
    Stored,
    damaged,
    gone,
    index_text,
    is_intact,
    metadata_text,
)
from venice_batch.state.scratch import ARRIVED
from venice_batch.state.store_retry import StoreRetry
from venice_batch.storage import Changed, Entry, Exists, StateStore, Store

#: The name of the facts among an object's metadata.
_FACTS = "facts"
#: The fact that only the manifest has: the etag that the store gave to the object.
_ETAG = "etag"
_NAME = re.compile(rf"[0-9a-f]{{2}}/{ANSWER.pattern}")
_LOOKS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A result that the manifest does not know yet; `handed_out` when its event was given to a caller to be noted."""

    result: Result
    handed_out: bool


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """What became of a result that the manifest still knows; `handed_out` as above."""

    event: ResultGone | AnswerSetAside
    handed_out: bool


class BucketResults(Results):
    """The results below one prefix (see `Results`)."""

    def __init__(self, store: StateStore, index: Index, work: Path, retry: StoreRetry, *, conditional: bool) -> None:
        """Open the store of results.

        Args:
            store: the prefix.
            index: what the manifest knows.
            work: this run's own folder.
            retry: how long a paid answer is offered to a store that cannot be reached.
            conditional: whether the store honours If-None-Match.
        """
        self._store = store
        self._index = index
        self._arrived = FolderResults(work / ARRIVED)
        self._work = work
        self._cache = FileCache(work / "cache")
        self._retry = retry
        self._conditional = conditional
        self._lock = threading.Lock()
        self._fresh: dict[str, _Fresh] = {}
        self._hidden: dict[str, _Forgotten] = {}
        self._bad: dict[str, int] = {}

    # Arriving

    def incoming(self, key: str) -> Path:
        """Return the name of a new local file (see `Results.incoming`)."""
        return self._arrived.incoming(key)

    def keep(self, key: str, answer: Path, facts: Facts) -> Result:
        """Store the answer in the bucket (see `Results.keep`)."""
        earlier = self.find(key)
        if earlier is not None:
            answer.unlink()
            return earlier
        # Here already after a try that the store did not take: what was bought first stays.
        return self._upload(self._arrived.keep(key, answer, facts), self._arrived)

    def rescue(self, dead: Path) -> int:
        """Store the answers that a dead run left in its folder; return how many.

        Raises:
            Unavailable: the store does not take them; they stay where they are.
        """
        left = FolderResults(dead / ARRIVED)
        found = [result for result in map(left.find, list(left.keys())) if result is not None]
        for result in found:
            try:
                self._upload(result, left)
            except ResultLost:
                left.drop(result.key)  # it did not survive the power cut; its call stays uncertain
        return len(found)

    def _upload(self, local: Result, pairs: FolderResults) -> Result:
        file = pairs.bytes(local.key, self._work)
        stored = self._retry.run(lambda: self._put(local, file))
        if isinstance(stored, str):
            # The metadata holds the same facts, cut where a text was too long.
            stored = Result(local.key, {**json.loads(index_text(local.facts)), _ETAG: stored})
            self._cache.move_in(local.key, file)
        pairs.drop(local.key)
        self._remember(stored, handed_out=False)
        return stored

    def _put(self, local: Result, file: Path) -> Result | str:
        """Put the object and return its etag; or what was kept under its key before, if anything was."""
        metadata = {_FACTS: metadata_text(local.facts)}
        there = None if self._conditional else self._head(local.key)
        if there is None:
            try:
                return self._store.keep(file, _name(local.key), metadata, if_absent=self._conditional)
            except Exists:
                there = self._head(local.key)
                if there is None:
                    raise Unavailable(
                        f"{self._store.place}{_name(local.key)} was removed while it was written",
                        remedy="see who else writes there, then run the job again",
                    ) from None
        return there

    # Judging

    def note_verdict(self, result: Result, verdict: Facts) -> ResultStored:
        """Take the verdict into the facts of the manifest (see `Results.note_verdict`); the object stays as it is."""
        judged = Result(result.key, {**result.facts, "verdict": verdict})
        self._remember(judged, handed_out=True)
        return ResultStored(judged.key, index_text(judged.facts))

    def set_aside(self, result: Result) -> AnswerSetAside:
        """Store the bytes once more under ``<key>.bad-<n>`` and remove the object (see `Results.set_aside`).

        Not copied inside the store: the bytes are on this machine anyway, and a copy would lose the facts.
        """
        key = result.key
        event = AnswerSetAside(key, self._next_bad(key))
        spare = self._work / f"spare-{key}.{event.number}"
        try:
            file = self.bytes(key, spare)
            self._store.keep(
                file, f"{_name(key)}.bad-{event.number}", {_FACTS: metadata_text(result.facts)}, if_absent=False
            )
        finally:
            spare.unlink(missing_ok=True)
        self._store.delete(_name(key))
        self._forget(event, handed_out=True)
        return event

    def discard(self, key: str) -> None:
        """Have the store copy the object and remove it (see `Results.discard`): its bytes prove nothing here."""
        there = self._store.stat(_name(key))
        if there is None:
            self._forget(ResultGone(key), handed_out=False)
            return
        event = AnswerSetAside(key, self._next_bad(key))
        with suppress(Changed):
            self._store.copy(self._store, there, f"{_name(key)}.bad-{event.number}")
        self._store.delete(_name(key))
        self._forget(event, handed_out=False)

    def _next_bad(self, key: str) -> int:
        return 1 + max(self._bad.get(key, 0), self._index.last_bad(key))

    def was_set_aside(self, key: str) -> bool:
        """Whether an answer for `key` was put aside before, because it was no picture."""
        return key in self._bad or self._index.last_bad(key) > 0

    # Finding

    def find(self, key: str) -> Result | None:
        """Return what this run stored or the manifest knows (see `Results.find`); no request is made."""
        with self._lock:
            fresh, hidden = self._fresh.get(key), key in self._hidden
        if fresh is not None:
            return fresh.result
        facts = None if hidden else self._index.facts(key)
        return None if facts is None else Result(key, json.loads(facts))

    def keys(self) -> Iterator[str]:
        """Yield the key of every result that this run stored or the manifest knows."""
        with self._lock:
            fresh, hidden = frozenset(self._fresh), frozenset(self._hidden)
        yield from fresh
        yield from (key for key in self._index if key not in fresh and key not in hidden)

    def bytes(self, key: str, spare: Path) -> Path:
        """Return `spare` with the bytes in it, from the cache or the bucket (see `Results.bytes`)."""
        result = self.find(key)
        if result is None:
            raise gone(key)
        if self._cache.link_to(key, spare):
            if is_intact(result.facts, spare):
                return spare
            self._cache.drop(key)
            spare.unlink()
        # Twice: what was damaged on its way is not taken for a damaged object.
        for _ in range(2):
            try:
                self._store.read(_name(key), spare)
            except Changed as error:
                self._forget(ResultGone(key), handed_out=False)
                raise gone(key) from error
            if is_intact(result.facts, spare):
                self._cache.add(key, spare)
                return spare
            spare.unlink()
        raise damaged(key, f"{self._store.place}{_name(key)}")

    def copy_to(self, output: Store, key: str, name: str) -> Entry | None:
        """Have the store copy the object, if both are in its reach (see `Results.copy_to`)."""
        if not output.can_copy_from(self._store):
            return None
        try:
            result, there = self.find(key), self._store.stat(_name(key))
        except Unavailable:
            return None  # this one object's right, or the store: reading it tells which
        if there is None:
            self._forget(ResultGone(key), handed_out=False)
            raise gone(key)
        facts = {} if result is None else result.facts
        if there.version != f"{facts.get(_ETAG)}-{facts.get('bytes')}":
            return None
        # Replaced since that look, or only one of the two places is open to us: its bytes are looked at.
        with suppress(Changed, ItemError):
            return output.copy(self._store, there, name)
        return None

    # Removing

    def stored(self) -> Iterator[Stored]:
        """List the bucket, a page at a time (see `Results.stored`)."""
        for entry in self._store.list():
            name = _NAME.fullmatch(entry.key)
            if name is not None:
                bad = int(name["bad"]) if name["bad"] else None
                yield Stored(name["key"], bad, entry.size, entry.modified)

    def remove(self, stored: Stored) -> None:
        """Remove the object (see `Results.remove`)."""
        name = _name(stored.key)
        self._cache.drop(stored.key)
        self._store.delete(name if stored.bad is None else f"{name}.bad-{stored.bad}")

    # What the manifest does not know yet

    def unrecorded(self, *, final: bool) -> list[Event]:
        """Return events for what was kept but not judged, or forgotten (see `Results.unrecorded`)."""
        with self._lock:
            fresh = [each.result for each in self._fresh.values() if final or not each.handed_out]
            hidden = [each.event for each in self._hidden.values() if final or not each.handed_out]
        return [*hidden, *(ResultStored(result.key, index_text(result.facts)) for result in fresh)]

    def recorded(self, events: Collection[Event]) -> None:
        """Leave to the manifest what it knows now (see `Results.recorded`)."""
        with self._lock:
            for event in events:
                match event:
                    case ResultStored(key, facts):
                        fresh = self._fresh.get(key)
                        if fresh is not None and index_text(fresh.result.facts) == facts:
                            del self._fresh[key]
                    case AnswerSetAside(key) | ResultGone(key):
                        self._hidden.pop(key, None)

    def find_unrecorded(self, keys: Collection[str], *, everything: bool) -> list[Result]:
        """Ask the bucket for answers that the manifest does not know (see `Results.find_unrecorded`)."""
        wanted = [key for key in keys if self.find(key) is None]
        if everything:
            wanted = list({*wanted, *self._unknown()})
        with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
            found = [result for result in pool.map(self._head, wanted) if result is not None]
        for result in found:
            self._remember(result, handed_out=False)
        return found

    def _unknown(self) -> Iterator[str]:
        for entry in self._store.list():
            name = _NAME.fullmatch(entry.key)
            if name is None:
                continue
            key, bad = name["key"], name["bad"]
            if bad is not None:
                with self._lock:
                    self._bad[key] = max(self._bad.get(key, 0), int(bad))
            elif self.find(key) is None:
                yield key

    def _head(self, key: str) -> Result | None:
        """Ask the bucket for one result, by its metadata."""
        metadata = self._store.metadata(_name(key))
        return None if metadata is None else Result(key, _facts_of(metadata))

    def _remember(self, result: Result, *, handed_out: bool) -> None:
        with self._lock:
            self._fresh[result.key] = _Fresh(result, handed_out)
            self._hidden.pop(result.key, None)

    def _forget(self, event: ResultGone | AnswerSetAside, *, handed_out: bool) -> None:
        key = event.key
        self._cache.drop(key)
        with self._lock:
            self._fresh.pop(key, None)
            self._hidden[key] = _Forgotten(event, handed_out)
            if isinstance(event, AnswerSetAside):
                self._bad[key] = event.number


def _name(key: str) -> str:
    return f"{key[:2]}/{key}"


def _facts_of(metadata: Mapping[str, str]) -> Facts:
    try:
        facts = json.loads(metadata[_FACTS])
    except (KeyError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
