"""The manifest and ledger: what happened to each item, and every call with its price and fate.

One thread writes (rule 8), in groups: everything handed to one `commit` becomes durable together or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from venice_batch.errors import VeniceBatchError
from venice_batch.state import schema
from venice_batch.state.bucket_journal import ALWAYS, AT_REST, UNDER_WAY, BucketJournal
from venice_batch.state.events import COUNTED, Begun, Event, ItemId, ItemMoved, Reserved, Settled, apply, scrubbed
from venice_batch.state.lease import Lease, NoLease
from venice_batch.state.results import Result, Results
from venice_batch.state.rows import (
    CallRow,
    ItemRow,
    OutputRow,
    ResultUse,
    Row,
    RunRow,
    SourceRow,
    Spending,
    columns,
    reader,
)
from venice_batch.state.store_retry import StoreRetry
from venice_batch.storage import Place

FILE = "manifest.sqlite3"
#: Events of one transaction where there are many.
_GROUP = 1000
#: Keys of one question to `State.rows_of`.
MOST_KEYS = 500
_OF_KEYS = f"WHERE job = ? AND key IN ({', '.join('?' * MOST_KEYS)})"
_OF_PATHS = f"WHERE job = ? AND path IN ({', '.join('?' * MOST_KEYS)})"
_NO_LEASE = NoLease()
_COUNTED = ", ".join(f"'{fate}'" for fate in COUNTED)
#: The states of items that a run took through their chain as far as it went.
_WALKED = "'done', 'failed', 'flagged', 'uncertain'"


class State:
    """The memory of one or more jobs in one place.

    Get one from `to_write` (the holder of the lease) or `to_read`.

    Attributes:
        root: the place.
        results: the stored answers.
        lease: to be checked just before money is spent.
    """

    def __init__(
        self,
        root: Place,
        connection: sqlite3.Connection,
        results: Results,
        *,
        scratch: Path | None = None,
        lease: Lease = _NO_LEASE,
        journal: BucketJournal | None = None,
        retry: StoreRetry | None = None,
        complete: bool = True,
    ) -> None:
        """Put the parts together.

        Args:
            root: the place of manifest and results.
            connection: the manifest: the durable one, or a working copy.
            results: the stored answers.
            scratch: a private folder of this run.
            lease: is held for as long as this lives.
            journal: makes commits durable, where the manifest is a working copy.
            retry: of whatever waits for a store.
            complete: whether the manifest is known to hold everything that was ever committed.
        """
        self.root = root
        self.results = results
        self.lease = lease
        self._scratch = scratch
        self._connection = connection
        self._journal = journal
        self._retry = retry
        self._complete = complete
        self._failed: VeniceBatchError | None = None

    @property
    def scratch(self) -> Path:
        """A private folder of this run, for whatever need not outlive it."""
        if self._scratch is None:
            raise TypeError("a state in a folder that is only read has no private folder")
        return self._scratch

    def give_up(self) -> None:
        """Wait no longer for a store that cannot be reached; safe in a signal handler's thread."""
        if self._retry is not None:
            self._retry.cancelled.set()

    def commit(self, events: Iterable[Event]) -> None:
        """Make all events durable, in their order, in one transaction.

        Raises:
            Unavailable: the disk is full or read-only, or the store cannot be reached; none of the events is recorded
                as far as this run can tell, and a state in a bucket takes no further ones.
            LeaseLost: another run holds the state; likewise.
        """
        group = [scrubbed(event) for event in events]
        if group:
            self._record([*group, *self.results.unrecorded(final=False)])

    def _record(self, events: Sequence[Event]) -> None:
        if self._failed is not None:
            raise type(self._failed)(self._failed.message, remedy=self._failed.remedy) from self._failed
        try:
            self._transact(events)
        except VeniceBatchError as error:
            # What is in the bucket and what is in the working copy may differ by now: it must not grow any further.
            self._failed = error if self._journal is not None else None
            raise
        self.results.recorded(events)
        if self._journal is not None:
            self._journal.snapshot_if_due(self._connection, UNDER_WAY)

    def _transact(self, events: Sequence[Event]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for event in events:
                    apply(self._connection, event)
                if self._journal is not None:
                    self._journal.append(events)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            file = self.scratch / FILE if self._journal is not None else f"{self.root}/{FILE}"
            raise schema.unusable(file, error) from error

    def replace_with(self, old: State) -> None:
        """Take over the whole manifest of another state; this one's own is lost.

        Raises:
            Unavailable: it cannot be written.
        """
        try:
            old._connection.backup(self._connection)
        except sqlite3.Error as error:
            raise schema.unusable(f"{self.root}/{FILE}", error) from error
        if self._journal is not None:
            self._journal.snapshot_if_due(self._connection, ALWAYS)

    def finish(self) -> None:
        """Record what is left to record before the state is closed; put a snapshot of it where one is due.

        Does nothing once a commit has failed: that error is known already.

        Raises:
            LeaseLost, Unavailable: see `commit`.
        """
        if self._failed is not None:
            return
        left = self.results.unrecorded(final=True)
        if left:
            self._record(left)
        if self._journal is not None:
            self._journal.snapshot_if_due(self._connection, AT_REST)

    @property
    def fully_recorded(self) -> bool:
        """Whether everything that this run stored is recorded."""
        return self._failed is None and not self.results.unrecorded(final=True)

    def _select(self, kind: type[Row], rest: str, *values: object) -> Iterator[Row]:
        """Yield rows of a kind, streamed; `rest` is what follows the table's name."""
        sql = f"SELECT {columns(kind)} FROM {kind.TABLE} {rest}"
        return map(reader(kind), self._connection.execute(sql, values))

    def _number(self, sql: str, *values: object) -> int:
        return int(self._connection.execute(sql, values).fetchone()[0] or 0)

    # Items and their inputs

    def items(self, job: str, state: str | None = None) -> Iterator[ItemRow]:
        """Yield the items of `job`, all or those in one state, by key."""
        if state is None:
            return self._select(ItemRow, "WHERE job = ? ORDER BY key, variant", job)
        return self._select(ItemRow, "WHERE job = ? AND state = ? ORDER BY key, variant", job, state)

    def rows_of(self, job: str, keys: Sequence[str]) -> list[ItemRow]:
        """Return the items with one of these keys, all variants, in no particular order; at most `MOST_KEYS` keys."""
        # Always the same statement, so that it is prepared once; what is too little is filled up with a NULL's no.
        return list(self._select(ItemRow, _OF_KEYS, job, *keys, *(None,) * (MOST_KEYS - len(keys))))

    def items_held_by(self, result: str) -> list[tuple[ItemId, ItemRow]]:
        """Return the items of all jobs that wait because of this answer: duplicates share what is decided about it."""
        sql = f"SELECT job, {columns(ItemRow)} FROM items WHERE result = ? AND result <> '' ORDER BY job, key, variant"
        found = [(job, reader(ItemRow)(row)) for job, *row in self._connection.execute(sql, (result,))]
        return [(ItemId(job, row.key, row.variant), row) for job, row in found]

    def released(self, result: Result) -> bool:
        """Whether a person has accepted this answer, flagged as it is."""
        sql = "SELECT EXISTS (SELECT 1 FROM released WHERE key = ? AND sha256 = ?)"
        return self._number(sql, result.key, result.facts.get("sha256", "")) == 1

    def present(self, job: str) -> int:
        """Return how many items of `job` have not vanished."""
        return self._number("SELECT count(*) FROM items WHERE job = ? AND state <> 'vanished'", job)

    def keys(self, job: str) -> Iterator[tuple[str, int]]:
        """Yield key and variant of every item of `job` that has not vanished, in order."""
        yield from self._connection.execute(
            "SELECT key, variant FROM items WHERE job = ? AND state <> 'vanished' ORDER BY key, variant", (job,)
        )

    def counts(self, job: str) -> dict[str, int]:
        """Return how many items of `job` are in each state."""
        return dict(self._connection.execute("SELECT state, count(*) FROM items WHERE job = ? GROUP BY state", (job,)))

    def source(self, job: str, key: str) -> SourceRow | None:
        """Return what is known of an input, whatever its version is now."""
        return next(self._select(SourceRow, "WHERE job = ? AND key = ?", job, key), None)

    def source_of_version(self, size: int, version: str) -> SourceRow | None:
        """Return what is known of any input of any job with this size and version.

        Only for inputs in buckets: there the version is the etag with the size, and so stands for the bytes.
        """
        sql = f"SELECT {columns(SourceRow)} FROM known_sources WHERE size = ? AND version = ? LIMIT 1"
        found = self._connection.execute(sql, (size, version)).fetchone()
        return None if found is None else reader(SourceRow)(found)

    def knows_size(self, size: int) -> bool:
        """Whether any input of any job ever had this size: only then can a new file be a renamed one."""
        return self._number("SELECT EXISTS (SELECT 1 FROM known_sources WHERE size = ?)", size) == 1

    def unrecorded(self, job: str, *, read: bool) -> Iterator[ItemRow]:
        """Yield the items that were worked on before it was recorded which results and which bytes they are made from.

        Args:
            job: its name.
            read: whether its inputs are ones of which the bytes are read.
        """
        rest = f"""WHERE job = ? AND state IN ({_WALKED}) AND (
            NOT EXISTS (SELECT 1 FROM item_results AS known
                WHERE (known.job, known.key, known.variant) = (items.job, items.key, items.variant))
            OR (? AND NOT EXISTS (SELECT 1 FROM sources AS own
                WHERE (own.job, own.key, own.version) = (items.job, items.key, items.version)))
            ) ORDER BY key, variant"""
        return self._select(ItemRow, rest, job, read)

    def outputs(self, job: str) -> Iterator[OutputRow]:
        """Yield every file that `job` writes or wrote, streamed."""
        return self._select(OutputRow, "WHERE job = ? ORDER BY path", job)

    def outputs_at(self, job: str, paths: Sequence[str]) -> dict[str, OutputRow]:
        """Return what is known of the files that `job` writes or wrote at these paths."""
        found: dict[str, OutputRow] = {}
        for start in range(0, len(paths), MOST_KEYS):
            part = paths[start : start + MOST_KEYS]
            rows = self._select(OutputRow, _OF_PATHS, job, *part, *(None,) * (MOST_KEYS - len(part)))
            found.update((row.path, row) for row in rows)
        return found

    def orphans(self, job: str) -> list[OutputRow]:
        """Return the files that `job` wrote for items that are no longer in its source."""
        gone = "SELECT key, variant FROM items WHERE job = ?1 AND state = 'vanished'"
        rest = f"WHERE job = ?1 AND version IS NOT NULL AND (key, variant) IN ({gone}) ORDER BY path"
        return list(self._select(OutputRow, rest, job))

    def count_outputs(self, job: str) -> int:
        """Return how many files `job` wrote."""
        return self._number("SELECT count(*) FROM outputs WHERE job = ? AND version IS NOT NULL", job)

    # Runs and money

    def last_run(self, job: str) -> RunRow | None:
        """Return the newest run of `job`."""
        return next(self._select(RunRow, "WHERE job = ? ORDER BY id DESC LIMIT 1", job), None)

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

    def counted_in_run(self, run: int, *, reserved: bool = True) -> int:
        """Return spent + reserved + uncertain of one run, in millionths of a US dollar (rule 7).

        Args:
            run: its number.
            reserved: False leaves out what was reserved and never begun: of a run that died, it will be released.
        """
        sql = f"SELECT sum(micros) FROM calls WHERE run = ? AND fate IN ({_COUNTED}) AND (? OR fate <> 'reserved')"
        return self._number(sql, run, reserved)

    def counted_since(self, at: float, *, reserved: bool = True) -> int:
        """Return the same of everything reserved at or after `at`, over all jobs of the state."""
        sql = (
            f"SELECT sum(micros) FROM calls WHERE reserved_at >= ? AND fate IN ({_COUNTED})"
            " AND (? OR fate <> 'reserved')"
        )
        return self._number(sql, at, reserved)

    def balances(self, run: int) -> list[tuple[str | None, str | None]]:
        """Return the balances in USD and DIEM that the first and the last answer of a run told; none of a new run."""
        told = "SELECT balance_usd, balance_diem FROM calls WHERE run = ? AND coalesce(balance_usd, balance_diem) <> ''"
        ends = (f"{told} ORDER BY begun_at {order} LIMIT 1" for order in ("ASC", "DESC"))
        return [row for sql in ends for row in self._connection.execute(sql, (run,))]

    def uncertain_results(self) -> set[str]:
        """Return the keys whose call was lost after it was sent and that were never answered since.

        A refusal that may have been charged is uncertain, too, but it was an answer.
        """
        rows = self._connection.execute(
            "SELECT DISTINCT result FROM calls WHERE fate = 'uncertain' AND coalesce(status, 0) <> 422"
        )
        return {key for (key,) in rows if key is not None and self.results.find(key) is None}

    def spending(self, job: str, run: int | None = None) -> list[Spending]:
        """Return the money of `job` by step and model, of one run or of all."""
        sql = """SELECT step, coalesce(model_served, model, '') AS model, count(*) AS calls,
            sum(CASE fate WHEN 'spent' THEN micros ELSE 0 END) AS spent,
            sum(CASE fate WHEN 'spent' THEN 0 ELSE micros END) AS uncertain
            FROM calls WHERE job = ?1 AND fate IN ('begun', 'spent', 'uncertain') AND (?2 IS NULL OR run = ?2)
            GROUP BY 1, 2 ORDER BY 1, 2"""
        cursor = self._connection.execute(sql, (job, run))
        names = [column for column, *_ in cursor.description]
        return [Spending(**dict(zip(names, row, strict=True))) for row in cursor]

    def bought_for(self) -> Iterator[tuple[str, str]]:
        """Yield each result that the ledger names with the key of an item that it was bought for."""
        yield from self._connection.execute("SELECT result, key FROM calls WHERE result IS NOT NULL")

    # Results and what they are used for

    def results_in_use(self) -> Iterator[str]:
        """Yield the keys of the results that items of any job use, or that are held back for a person to decide on."""
        sql = """SELECT result FROM item_results WHERE result <> ''
            UNION SELECT result FROM items WHERE result <> '' AND state <> 'vanished'"""
        return (key for (key,) in self._connection.execute(sql))

    def result_uses(self) -> Iterator[ResultUse]:
        """Yield every result that any item used, also those that none uses any more."""
        return self._select(ResultUse, "")

    def knows_results(self, item: ItemId) -> bool:
        """Whether `results_in_use` has all that the item was made from, when it was last worked on to its end."""
        sql = f"""SELECT EXISTS (SELECT 1 FROM items JOIN item_results AS known USING (job, key, variant)
            WHERE job = ? AND key = ? AND variant = ? AND known.result = '' AND state IN ({_WALKED}))"""
        return self._number(sql, item.job, item.key, item.variant) == 1

    def jobs(self) -> list[str]:
        """Return the names of all jobs that have items here."""
        return [job for (job,) in self._connection.execute("SELECT DISTINCT job FROM items ORDER BY job")]

    def calls(self, job: str) -> Iterator[CallRow]:
        """Yield the ledger of `job`, oldest first, streamed."""
        return self._select(CallRow, "WHERE job = ? ORDER BY id", job)

    # After a crash

    def recover(self, now: float) -> int:
        """Settle what a killed run left open; return how many calls became uncertain.

        Only for the holder of the lease, before anything else. A call that had begun is spent if its answer is
        durable and uncertain otherwise; what was reserved but never begun is released. Answers of calls that the
        ledger has lost are entered as spent.
        """
        found = self.find_unrecorded_answers()
        # The ledger first: what is found is looked up only until it is recorded.
        for group in (self._events_of_lost_calls(found, now), self.results.unrecorded(final=False)):
            for start in range(0, len(group), _GROUP):
                self._record(group[start : start + _GROUP])
        events: list[Event] = []
        for call, fate, result in self._open_calls():
            events.append(self._settle_after_crash(call, fate, result, now))
        for job, row in self._interrupted():
            item = ItemId(job, row.key, row.variant)
            events.append(ItemMoved(item, row.version, row.fingerprint, "pending", now, "interrupted"))
        self.commit(events)
        return sum(isinstance(event, Settled) and event.fate == "uncertain" for event in events)

    def find_unrecorded_answers(self) -> list[Result]:
        """Find answers that are stored, but that the manifest has no word of; it is not changed by this."""
        fates = "SELECT DISTINCT result FROM calls WHERE fate IN ('begun', 'uncertain') AND result IS NOT NULL"
        doubtful = {key for (key,) in self._connection.execute(fates)}
        # The ledger names one picture of an answer; if it had several, some may be stored without that one.
        several = any("." in result for _, fate, result in self._open_calls() if fate == "begun" and result)
        return self.results.find_unrecorded(doubtful, everything=several or not self._complete)

    def _open_calls(self) -> list[tuple[int, str, str | None]]:
        sql = "SELECT id, fate, result FROM calls WHERE fate IN ('reserved', 'begun') ORDER BY id"
        return self._connection.execute(sql).fetchall()

    def _events_of_lost_calls(self, found: Sequence[Result], now: float) -> list[Event]:
        """Return ledger entries for answers that no call of the ledger has brought, so that budgets count them."""
        rows = self._connection.execute("SELECT DISTINCT result FROM calls WHERE result IS NOT NULL") if found else ()
        named = {key.partition(".")[0] for (key,) in rows}
        lost = [result for result in found if result.key.partition(".")[0] not in named]
        run, call = self._number("SELECT max(id) FROM runs"), self.next_call()
        events: list[Event] = []
        for number, result in enumerate(lost, call):
            micros = int(Decimal(str(result.facts.get("price_usd") or 0)) * 1_000_000)
            at = float(result.facts.get("at") or now)
            model = result.facts.get("model_served")
            events.append(Reserved(number, run, ItemId("", ""), "", "", model, micros, at))
            events.append(Begun(number, result.key, at))
            events.append(Settled(number, "spent", "found in the store", now, model_served=model))
        return events

    def _settle_after_crash(self, call: int, fate: str, result: str | None, now: float) -> Settled:
        if fate == "reserved" or result is None:
            return Settled(call, "released", "never begun", now)
        found = self.results.find(result)
        if found is not None:
            # Generate takes nothing for what it blacks out: its facts say so.
            free = found.facts.get("price_usd") == "0"
            return Settled(call, "released" if free else "spent", "answered", now)
        return Settled(call, "uncertain", "the run was killed before the answer was durable", now)

    def _interrupted(self) -> list[tuple[str, ItemRow]]:
        jobs = [job for (job,) in self._connection.execute("SELECT DISTINCT job FROM items WHERE state = 'running'")]
        return [(job, row) for job in jobs for row in self.items(job, "running")]
