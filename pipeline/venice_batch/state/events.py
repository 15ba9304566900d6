"""What can happen to the manifest: a closed set of facts, committed in groups.

Everything that changes the manifest is one of these values, and `apply` is the only place that turns one into SQL.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

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
    """The end of a start; `closed` when the next one is a new run with a budget of its own."""

    run: int
    at: float
    exit_code: int
    closed: bool


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
    """An answer is durable under its key, with these facts (JSON); once looked at, they hold the verdict."""

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
    | Released
)


def apply(connection: sqlite3.Connection, event: Event) -> None:
    """Carry out one event inside the caller's transaction. Applying an event twice changes nothing more."""
    for statement, values in _result_statements(event) or [_statement(event)]:
        connection.execute(statement, values)


def _result_statements(event: Event) -> list[tuple[str, tuple[object, ...]]]:
    match event:
        case ResultStored(key, facts):
            return [("INSERT OR REPLACE INTO results VALUES (?, ?)", (key, facts))]
        case AnswerSetAside(key, number):
            aside = ("INSERT OR IGNORE INTO bad_answers VALUES (?, ?)", (key, number))
            return [aside, *_forgotten(key)]
        case ResultGone(key):
            return _forgotten(key)
        case Released(key, sha256, at):
            return [("INSERT OR REPLACE INTO released VALUES (?, ?, ?)", (key, sha256, at))]
        case _:
            return []


def _forgotten(key: str) -> list[tuple[str, tuple[object, ...]]]:
    # A vendor may draw the same bytes twice: an acceptance must not outlive the answer that it was given for.
    return [("DELETE FROM results WHERE key = ?", (key,)), ("DELETE FROM released WHERE key = ?", (key,))]


def _statement(event: Event) -> tuple[str, tuple[object, ...]]:
    match event:
        case RunStarted(run, job, at):
            return "INSERT OR IGNORE INTO runs (id, job, started_at) VALUES (?, ?, ?)", (run, job, at)
        case RunEnded(run, at, exit_code, closed):
            return "UPDATE runs SET ended_at = ?, exit_code = ?, closed = ? WHERE id = ?", (at, exit_code, closed, run)
        case ItemMoved(item, version, fingerprint, state, at, code, reason, lasting, result):
            return (
                "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (item.job, item.key, item.variant, version, fingerprint, state, code, reason, int(lasting), at, result),
            )
        case SourceRead(job, key, version, size, sha256, facts):
            return (
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?)",
                (job, key, version, size, sha256, facts),
            )
        case _:
            return _output_statement(event) or _call_statement(event)


def _output_statement(event: Event) -> tuple[str, tuple[object, ...]] | None:
    match event:
        case OutputPlanned(item, path):
            return (
                # What is known of a file that is already there stays: it tells our own file from a stranger's.
                """INSERT INTO outputs (job, key, variant, path) VALUES (?, ?, ?, ?)
                ON CONFLICT (job, path) DO UPDATE SET key = excluded.key, variant = excluded.variant""",
                (item.job, item.key, item.variant, path),
            )
        case OutputWritten(item, path, version, sha256):
            return (
                "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?, ?)",
                (item.job, item.key, item.variant, path, version, sha256),
            )
        case OutputDropped(job, path):
            return "DELETE FROM outputs WHERE job = ? AND path = ?", (job, path)
        case _:
            return None


def _call_statement(event: Event) -> tuple[str, tuple[object, ...]]:
    match event:
        case Reserved(call, run, item, step, endpoint, model, micros, at):
            return (
                """INSERT OR IGNORE INTO calls
                (id, run, job, key, variant, step, endpoint, model, micros, fate, reserved_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved', ?)""",
                (call, run, item.job, item.key, item.variant, step, endpoint, model, micros, at),
            )
        case Begun(call, result, at):
            return "UPDATE calls SET fate = 'begun', result = ?, begun_at = ? WHERE id = ?", (result, at, call)
        case Settled():
            return (
                """UPDATE calls SET fate = ?, outcome = ?, ended_at = ?, status = ?, attempts = ?, request_id = ?,
                model_served = ?, balance_usd = ?, balance_diem = ?, begun_at = coalesce(?, begun_at) WHERE id = ?""",
                (
                    event.fate,
                    event.outcome,
                    event.at,
                    event.status,
                    event.attempts,
                    event.request_id,
                    event.model_served,
                    event.balance_usd,
                    event.balance_diem,
                    event.sent_at,
                    event.call,
                ),
            )
        case _:
            raise TypeError(f"not an event: {event!r}")
