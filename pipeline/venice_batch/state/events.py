"""What can happen to the manifest: a closed set of facts, committed in groups.

Everything that changes the manifest is one of these values, and `apply` is the only place that turns one into SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from venice_batch.trust.secrets import scrub

#: The states of an item; done is final until the input or the recipe changes.
STATES = ("pending", "running", "done", "failed", "waiting", "invalid", "flagged", "uncertain", "vanished")

#: Fates of a ledger row that count against a budget.
COUNTED = ("reserved", "begun", "spent", "uncertain")


@dataclass(frozen=True, slots=True)
class ItemId:
    """Who an item is within a state: its job's name, its key, and its variant (0 where there is only one)."""

    job: str
    key: str
    variant: int = 0


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A start of the job; `run` is a new number, or that of an earlier start which was interrupted."""

    run: int
    job: str
    at: float


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The end of a start; `closed` when the next one is a new run with a budget of its own.

    Attributes:
        cause: what ended it early, or kept it from beginning.
        unproduced: finished files that no item produces any more, as JSON; see `Unproduced`.
    """

    run: int
    at: float
    exit_code: int
    closed: bool
    cause: str = ""
    unproduced: str = ""


@dataclass(frozen=True, slots=True)
class ItemMoved:
    """An item is now in `state`, for the version and recipe given; `result` is the answer that is held back."""

    item: ItemId
    version: str
    fingerprint: str
    state: str
    at: float
    code: str = ""
    reason: str = ""
    lasting: bool = False
    result: str = ""


@dataclass(frozen=True, slots=True)
class SourceRead:
    """An input was read whole: its hash and header hold as long as its version stays."""

    job: str
    key: str
    version: str
    size: int
    sha256: str
    facts: str


@dataclass(frozen=True, slots=True)
class OutputPlanned:
    """An item will write this file; recorded before it is written, so that a crash leaves no file without an owner."""

    item: ItemId
    path: str


@dataclass(frozen=True, slots=True)
class OutputWritten:
    """The file is durable."""

    item: ItemId
    path: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class OutputDropped:
    """The item no longer produces this file, or it is no longer there."""

    job: str
    path: str


@dataclass(frozen=True, slots=True)
class Reserved:
    """Money set aside for one paid step of one item, before anything is sent (rule 2)."""

    call: int
    run: int
    item: ItemId
    step: str
    endpoint: str
    model: str | None
    micros: int
    at: float


@dataclass(frozen=True, slots=True)
class Begun:
    """The request for `result` may be sent from now on."""

    call: int
    result: str
    at: float


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a reservation: spent, uncertain, or released.

    Attributes:
        at: when; of an answered call the moment of its last byte.
        sent_at: when the first byte of its last request was written; None: not known, or there was none.
    """

    call: int
    fate: str
    outcome: str
    at: float
    status: int | None = None
    attempts: int = 0
    request_id: str | None = None
    model_served: str | None = None
    balance_usd: str | None = None
    balance_diem: str | None = None
    sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class ResultStored:
    """An answer is durable under its key, with these facts (JSON); once it was checked, they hold the verdict."""

    key: str
    facts: str


@dataclass(frozen=True, slots=True)
class AnswerSetAside:
    """The answer of that key is not to be used, and lies under ``<key>.bad-<number>`` now.

    It was no picture, or a flagged one that is to be bought again.
    """

    key: str
    number: int


@dataclass(frozen=True, slots=True)
class ResultGone:
    """Somebody removed a stored answer: it is not there to be used again."""

    key: str


@dataclass(frozen=True, slots=True)
class ResultsUsed:
    """An item passed these results on its way.

    Attributes:
        item: the item.
        source: the bytes that it was made from, by SHA-256 or etag; empty: none, or not known.
        results: their keys, separated by spaces.
        at: when.
        finished: its files are made from these and no others: what it used before it has ceased to use.
    """

    item: ItemId
    source: str
    results: str
    at: float
    finished: bool


@dataclass(frozen=True, slots=True)
class Released:
    """A person has accepted the flagged answer of that key: these bytes, and none that may be bought in their place."""

    key: str
    sha256: str
    at: float


Event = (
    RunStarted
    | RunEnded
    | ItemMoved
    | SourceRead
    | OutputPlanned
    | OutputWritten
    | OutputDropped
    | Reserved
    | Begun
    | Settled
    | ResultStored
    | AnswerSetAside
    | ResultGone
    | ResultsUsed
    | Released
)


#: Fields that hold words of somebody else: of a server, of a file's content, of the machine.
_FOREIGN = ("reason", "outcome", "request_id", "model_served", "facts")


def scrubbed(event: Event) -> Event:
    """Return the event without secrets that somebody else's words repeat."""
    changed: dict[str, str] = {}
    for name in _FOREIGN:
        text = getattr(event, name, None)
        if text and (clean := scrub(text)) != text:
            changed[name] = clean
    return replace(event, **changed) if changed else event  # type: ignore[arg-type]  # they are fields of this event


Statement = tuple[str, tuple[object, ...]]


def apply(connection: sqlite3.Connection, event: Event) -> None:
    """Carry out one event inside the caller's transaction. Applying an event twice changes nothing more."""
    for statement, values in _statements(event):
        connection.execute(statement, values)


def _statements(event: Event) -> list[Statement]:
    found = [_written(event)] if type(event) in _INTO else []
    match event:
        case AnswerSetAside(key) | ResultGone(key):
            found += _forget(key)
        case OutputPlanned():
            # What is known of a file that is already there stays: it tells our own file from a stranger's.
            ((sql, values),) = found
            update = "ON CONFLICT (job, path) DO UPDATE SET key = excluded.key, variant = excluded.variant"
            found = [(f"{sql} {update}", values)]
        case OutputDropped(job, path):
            found = [("DELETE FROM outputs WHERE job = ? AND path = ?", (job, path))]
        case SourceRead(job, key, sha256=sha256):
            found.insert(0, (_KEEP_FORMER, (job, key, sha256)))
        case ItemMoved(item, state="vanished", at=at):
            found += _cease(item, at)
        case ResultsUsed(item, finished=finished, at=at):
            found += _use(event)
            found += _cease(item, at, event.results.split()) if finished else []
        case _:
            pass
    return found


#: How an event is written: where, and the columns that are not called as its fields are.
_INTO: Mapping[type, tuple[str, str, Mapping[str, str]]] = {
    RunStarted: ("INSERT OR IGNORE", "runs", {"run": "id", "at": "started_at"}),
    RunEnded: ("UPDATE", "runs", {"run": "id", "at": "ended_at"}),
    ItemMoved: ("INSERT OR REPLACE", "items", {"at": "updated_at"}),
    SourceRead: ("INSERT OR REPLACE", "sources", {}),
    OutputPlanned: ("INSERT", "outputs", {}),
    OutputWritten: ("INSERT OR REPLACE", "outputs", {}),
    Reserved: ("INSERT OR IGNORE", "calls", {"call": "id", "at": "reserved_at"}),
    Begun: ("UPDATE", "calls", {"call": "id", "at": "begun_at"}),
    Settled: ("UPDATE", "calls", {"call": "id", "at": "ended_at", "sent_at": "begun_at"}),
    ResultStored: ("INSERT OR REPLACE", "results", {}),
    AnswerSetAside: ("INSERT OR IGNORE", "bad_answers", {}),
    Released: ("INSERT OR REPLACE", "released", {}),
}
_FATES = {Reserved: "reserved", Begun: "begun"}
_KEEP_FORMER = """INSERT OR IGNORE INTO former_sources SELECT size, version, sha256, facts FROM sources
    WHERE job = ? AND key = ? AND sha256 <> ?"""
_USED = """INSERT INTO result_uses VALUES (?, ?, ?)
    ON CONFLICT (result, source) DO UPDATE SET at = max(at, excluded.at)"""


def _written(event: Event) -> Statement:
    verb, table, renamed = _INTO[type(event)]
    columns = _columns(event, renamed)
    if type(event) in _FATES:
        columns["fate"] = _FATES[type(event)]
    if verb != "UPDATE":
        marks = ", ".join("?" * len(columns))
        return f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values())
    changed = {name: value for name, value in columns.items() if name != "id"}
    if changed.get("begun_at", 0.0) is None:
        del changed["begun_at"]  # not known: what was recorded before stays
    changes = ", ".join(f"{name} = ?" for name in changed)
    return f"UPDATE {table} SET {changes} WHERE id = ?", (*changed.values(), columns["id"])


def _columns(event: Event, renamed: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, ItemId):
            found.update(job=value.job, key=value.key, variant=value.variant)
        else:
            found[renamed.get(field.name, field.name)] = value
    return found


def _forget(result: str) -> list[Statement]:
    # A vendor may draw the same bytes twice: an acceptance must not outlive the answer that it was given for.
    tables = {"results": "key", "released": "key", "result_uses": "result"}
    return [(f"DELETE FROM {table} WHERE {column} = ?", (result,)) for table, column in tables.items()]


def _use(event: ResultsUsed) -> list[Statement]:
    who, results = (event.item.job, event.item.key, event.item.variant), event.results.split()
    used = [(_USED, (result, event.source, event.at)) for result in results]
    return used + [("INSERT OR IGNORE INTO item_results VALUES (?, ?, ?, ?)", (*who, each)) for each in ("", *results)]


def _cease(item: ItemId, at: float, still: Sequence[str] | None = None) -> list[Statement]:
    """Have an item use nothing any more but `still`; None: it is gone."""
    kept = () if still is None else ("", *still)
    rest = f"job = ? AND key = ? AND variant = ? AND result NOT IN ({', '.join('?' * len(kept))})"
    values = (item.job, item.key, item.variant, *kept)
    ceased = f"UPDATE result_uses SET at = max(at, ?) WHERE result IN (SELECT result FROM item_results WHERE {rest})"
    return [(ceased, (at, *values)), (f"DELETE FROM item_results WHERE {rest}", values)]
