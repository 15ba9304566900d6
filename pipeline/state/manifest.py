"""The manifest and ledger: what happened to each item, and every call with its price and fate.

One thread writes (rule 8), in groups: everything handed to one `commit` becomes durable together or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pipeline.state import lease, schema
from pipeline.state.events import COUNTED, Event, ItemId, ItemMoved, Settled, apply
from pipeline.state.results import Results
from pipeline.storage import sweep_stale

FILE = "manifest.sqlite3"
Row = TypeVar("Row")
_COUNTED = ", ".join(f"'{fate}'" for fate in COUNTED)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as the manifest knows it."""

    key: str
    variant: int
    version: str
    fingerprint: str
    state: str
    code: str
    reason: str
    lasting: bool
    updated_at: float


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What is known of an input of this version: its size, hash and header (JSON)."""

    key: str
    version: str
    size: int
    sha256: str
    facts: str


@dataclass(frozen=True, slots=True)
class OutputRow:
    """A file that an item writes; `version` is None until it was written."""

    key: str
    variant: int
    path: str
    version: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """One row of the ledger; times are Unix seconds, `micros` millionths of a US dollar."""

    id: int
    run: int
    key: str
    variant: int
    step: str
    endpoint: str
    model: str | None
    micros: int
    fate: str
    outcome: str
    result: str | None
    reserved_at: float
    begun_at: float | None
    ended_at: float | None
    status: int | None
    attempts: int
    request_id: str | None
    model_served: str | None
    balance_usd: str | None
    balance_diem: str | None


@dataclass(frozen=True, slots=True)
class Spending:
    """Money of one step and model, in millionths of a US dollar, with the number of calls."""

    step: str
    model: str
    spent: int
    uncertain: int
    calls: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run, with the exit code of its last start; None while it is under way or after a crash."""

    id: int
    started_at: float
    ended_at: float | None
    exit_code: int | None
    closed: bool


class State:
    """The memory of one or more jobs in one folder.

    Get one from `to_write` (the holder of the lease) or `to_read`.
    """

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self.root = root
        self.results = Results(root / "results")
        self._connection = connection
        self._file = root / FILE

    def commit(self, events: Iterable[Event]) -> None:
        """Make all events durable, in their order, in one transaction.

        Raises:
            Unavailable: the disk is full or read-only; none of the events is recorded then.
        """
        group = list(events)
        if not group:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for event in group:
                    apply(self._connection, event)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise schema.unusable(self._file, error) from error

    def _rows(self, kind: Callable[..., Row], sql: str, *values: object) -> list[Row]:
        return [kind(*row) for row in self._connection.execute(sql, values)]

    def _number(self, sql: str, *values: object) -> int:
        return int(self._connection.execute(sql, values).fetchone()[0] or 0)

    # Items and their inputs

    def items(self, job: str, state: str | None = None) -> Iterator[ItemRow]:
        """Yield the items of `job`, all or those in one state, by key."""
        sql = "SELECT key, variant, version, fingerprint, state, code, reason, lasting, updated_at FROM items"
        chosen = "" if state is None else " AND state = ?"
        values = (job,) if state is None else (job, state)
        for row in self._connection.execute(f"{sql} WHERE job = ?{chosen} ORDER BY key, variant", values):
            key, variant, version, fingerprint, kept, code, reason, lasting, at = row
            yield ItemRow(key, variant, version, fingerprint, kept, code, reason, bool(lasting), at)

    def counts(self, job: str) -> dict[str, int]:
        """Return how many items of `job` are in each state."""
        return dict(self._connection.execute("SELECT state, count(*) FROM items WHERE job = ? GROUP BY state", (job,)))

    def source(self, job: str, key: str) -> SourceRow | None:
        """Return what is known of an input, whatever its version is now."""
        sql = "SELECT key, version, size, sha256, facts FROM sources WHERE job = ? AND key = ?"
        rows = self._rows(SourceRow, sql, job, key)
        return rows[0] if rows else None

    def knows_size(self, size: int) -> bool:
        """Whether any input of any job had this size: only then can a new file be a renamed one."""
        return self._number("SELECT EXISTS (SELECT 1 FROM sources WHERE size = ?)", size) == 1

    def outputs(self, job: str) -> Iterator[OutputRow]:
        """Yield every file that `job` writes or wrote."""
        sql = "SELECT key, variant, path, version, sha256 FROM outputs WHERE job = ? ORDER BY path"
        yield from self._rows(OutputRow, sql, job)

    def output(self, job: str, path: str) -> OutputRow | None:
        """Return what is known of the file `path` that `job` writes or wrote."""
        sql = "SELECT key, variant, path, version, sha256 FROM outputs WHERE job = ? AND path = ?"
        rows = self._rows(OutputRow, sql, job, path)
        return rows[0] if rows else None

    # Runs and money

    def last_run(self, job: str) -> RunRow | None:
        """Return the newest run of `job`."""
        sql = "SELECT id, started_at, ended_at, exit_code, closed FROM runs WHERE job = ? ORDER BY id DESC LIMIT 1"
        rows = self._rows(RunRow, sql, job)
        return replace(rows[0], closed=bool(rows[0].closed)) if rows else None

    def run_to_continue(self, job: str) -> tuple[int, bool]:
        """Return (run number, whether it continues an interrupted one).

        A run lasts until it ended in good order: what an interrupted start spent counts against the same `max_usd`.
        """
        last = self.last_run(job)
        if last is not None and not last.closed:
            return last.id, True
        return self._number("SELECT max(id) FROM runs") + 1, False

    def next_call(self) -> int:
        """Return the number that the next reservation gets."""
        return self._number("SELECT max(id) FROM calls") + 1

    def counted_in_run(self, run: int) -> int:
        """Return spent + reserved + uncertain of one run, in millionths of a US dollar (rule 7)."""
        return self._number(f"SELECT sum(micros) FROM calls WHERE run = ? AND fate IN ({_COUNTED})", run)

    def counted_since(self, at: float) -> int:
        """Return spent + reserved + uncertain of everything reserved at or after `at`, over all jobs of the state."""
        return self._number(f"SELECT sum(micros) FROM calls WHERE reserved_at >= ? AND fate IN ({_COUNTED})", at)

    def uncertain_results(self) -> set[str]:
        """Return the keys whose call was lost after it was sent and that were never answered since."""
        rows = self._connection.execute("SELECT DISTINCT result FROM calls WHERE fate = 'uncertain'")
        return {key for (key,) in rows if key is not None and self.results.find(key) is None}

    def spending(self, job: str, run: int | None = None) -> list[Spending]:
        """Return the money of `job` by step and model, of one run or of all."""
        sql = (
            "SELECT step, coalesce(model_served, model, ''), sum(CASE fate WHEN 'spent' THEN micros ELSE 0 END),"
            " sum(CASE fate WHEN 'uncertain' THEN micros ELSE 0 END), count(*) FROM calls"
            " WHERE job = ?1 AND fate IN ('spent', 'uncertain') AND (?2 IS NULL OR run = ?2)"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return self._rows(Spending, sql, job, run)

    def calls(self, job: str) -> Iterator[CallRow]:
        """Yield the ledger of `job`, oldest first."""
        names = ", ".join(CallRow.__dataclass_fields__)
        yield from self._rows(CallRow, f"SELECT {names} FROM calls WHERE job = ? ORDER BY id", job)

    # After a crash

    def recover(self, now: float) -> int:
        """Settle what a killed run left open; return how many calls became uncertain.

        Only for the holder of the lease, before anything else. A call that had begun is spent if its answer is
        durable and uncertain otherwise; what was reserved but never begun is released.
        """
        events: list[Event] = []
        for call, fate, result in self._connection.execute(
            "SELECT id, fate, result FROM calls WHERE fate IN ('reserved', 'begun') ORDER BY id"
        ).fetchall():
            events.append(self._settle_after_crash(call, fate, result, now))
        for job, row in self._interrupted():
            item = ItemId(job, row.key, row.variant)
            events.append(ItemMoved(item, row.version, row.fingerprint, "pending", now, "interrupted"))
        self.commit(events)
        return sum(isinstance(event, Settled) and event.fate == "uncertain" for event in events)

    def _settle_after_crash(self, call: int, fate: str, result: str | None, now: float) -> Settled:
        if fate == "reserved" or result is None:
            return Settled(call, "released", "never begun", now)
        if self.results.find(result) is not None:
            return Settled(call, "spent", "answered", now)
        return Settled(call, "uncertain", "the run was killed before the answer was durable", now)

    def _interrupted(self) -> list[tuple[str, ItemRow]]:
        jobs = [job for (job,) in self._connection.execute("SELECT DISTINCT job FROM items WHERE state = 'running'")]
        return [(job, row) for job in jobs for row in self.items(job, "running")]


@contextmanager
def to_write(root: Path, *, lease_folder: Path | None = None) -> Iterator[State]:
    """Hold the lease and open the state for writing, creating it where there is none.

    Args:
        root: the folder of manifest and results.
        lease_folder: where the lease lies, if elsewhere (an emulated run shares the lease of the real state).

    Raises:
        Locked, StateTooNew, Unavailable: see `lease.hold` and `schema.open_to_write`.
    """
    with lease.hold(lease_folder or root):
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise schema.unusable(root, sqlite3.OperationalError(str(error))) from error
        connection = schema.open_to_write(root / FILE)
        try:
            sweep_stale(root / "results")
            yield State(root, connection)
        finally:
            connection.close()


@contextmanager
def to_read(root: Path) -> Iterator[State]:
    """Open the state for questions only; works beside a run, and on a state that does not exist yet."""
    connection = schema.open_to_read(root / FILE)
    try:
        yield State(root, connection)
    finally:
        connection.close()
