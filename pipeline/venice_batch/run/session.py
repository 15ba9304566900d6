"""One start of a job, from the lease to the last row: preflight, plan, and the driver with its parts."""

from __future__ import annotations

import itertools
import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import FrameType

from venice_batch.errors import (
    STOP_SIGNALS,
    BudgetReached,
    Exit,
    ModelSwitched,
    MoneyError,
    Overcharged,
    VeniceBatchError,
)
from venice_batch.job import FolderSource, Job
from venice_batch.plan import conflicts
from venice_batch.plan.model import TO_DO, Plan, PlanWarning
from venice_batch.plan.money import Cap, caps, micros
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.planner import PlanInputs, make_plan
from venice_batch.plan.pricing import PriceList
from venice_batch.plan.reading.finished_files import FindOwners
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.reading.sources import refuse_overlap
from venice_batch.plan.selection import ItemFilter
from venice_batch.run.balance_watch import BalanceWatch, balances, falls
from venice_batch.run.budget import RunBudget
from venice_batch.run.driver import Driver
from venice_batch.run.engines.threads import Threads
from venice_batch.run.observer import Observer, SteadyObserver, Summary
from venice_batch.run.ownership import claim_output, output_owners
from venice_batch.run.recorder import Recorder
from venice_batch.run.result_uses import source_read, unrecorded_uses
from venice_batch.run.scheduler import RunContext
from venice_batch.run.vanished import apply_rule
from venice_batch.run.worker import Worker, decoders
from venice_batch.state import (
    Event,
    ItemId,
    ItemMoved,
    LeasePolicy,
    OutputDropped,
    OutputWritten,
    RunEnded,
    RunStarted,
    State,
    to_read,
    to_write,
)
from venice_batch.storage import Place, Store, open_store
from venice_batch.venice import (
    Account,
    Api,
    BillingBalance,
    Breaker,
    CallFailed,
    Cancel,
    Catalogue,
    Client,
    Gate,
    Lanes,
    RateLimits,
)

EMULATED = "emulated"
#: Events of one commit when a plan is written down: all at once, a hundred thousand would take 100 MB.
_GROUP = 5000
#: Seconds between two notes about the same reason to wait.
_QUIET = 10.0
#: Calls in flight at most, where the job does not say.
_MOST_CALLS = 64
#: A run without a limit of its own stops when the balance has fallen by so many times what the plan said.
_FALL = 3
_LASTING_ENDS = frozenset({Exit.DONE, Exit.ITEMS_FAILED, Exit.MONEY})


@dataclass(frozen=True)
class Preflight:
    """What the API said before anything was paid."""

    catalogue: Catalogue
    account: Account
    cautions: tuple[PlanWarning, ...] = ()


def preflight(api: Api, *, styles: bool = False) -> Preflight:
    """Ask for models, prices, balance and rate limits, and for style presets where they matter; free calls only.

    Raises:
        CallFailed: the key is refused (exit 4), or the API cannot be reached or does not speak its language (exit 6).
    """
    with Client.alone(api) as client:
        # The key first: /models answers even to a wrong one.
        limits = client.rate_limits()
        billing, cautions = _billing(client) if api.is_admin else (None, ())
        catalogue = Catalogue.fetch(client)
        if styles:
            catalogue = replace(catalogue, styles=client.styles())
        return Preflight(catalogue, Account.of(limits, billing), (*cautions, *_odd(limits)))


def _odd(limits: RateLimits) -> Iterator[PlanWarning]:
    if limits.notes:
        text = f"the API's rate limits and balances cannot be read in full: {', '.join(limits.notes)}"
        yield PlanWarning("odd-limits", text)


def _billing(client: Client) -> tuple[BillingBalance | None, tuple[PlanWarning, ...]]:
    """Ask for the account's own balance, which may hang: `rate_limits` is the admission test, this only adds to it."""
    try:
        return client.billing_balance(), ()
    except CallFailed as failure:
        return None, (PlanWarning("no-billing", f"billing/balance could not be read: {failure.message}"),)


def state_root(job: Job, api_host: str) -> Place:
    """Return where manifest and results lie: runs on the bundled emulator never mix with real ones."""
    return job.state / EMULATED if api_host == "emulator" else job.state


@contextmanager
def state_to_write(job: Job, api_host: str) -> Iterator[State]:
    """Hold the lease and open the job's state for writing, creating it where there is none.

    Raises:
        Locked: a run holds the state (exit 7).
        Unavailable: it cannot be written.
    """
    policy = LeasePolicy(safe=False) if job.lease is None else LeasePolicy(job.lease)
    with to_write(state_root(job, api_host), lease_place=job.state, policy=policy) as state:
        yield state


def plan_only(job: Job, api: Api, item_filter: ItemFilter) -> Plan:
    """Return the plan of `job` without changing anything anywhere.

    Raises:
        VeniceBatchError: whatever would keep a run from starting.
    """
    refuse_overlap(job)
    pipeline = make_pipeline(job, api.host)
    known = preflight(api, styles=pipeline.generates)
    with to_read(state_root(job, api.host)) as state, output_owners(job, state, job.state / EMULATED) as owners:
        return _make_plan(pipeline, state, known, item_filter, owners)


def _make_plan(pipeline: Pipeline, state: State, known: Preflight, item_filter: ItemFilter, owners: FindOwners) -> Plan:
    inputs = PlanInputs.gather(pipeline.job, state, known.catalogue, known.account, owners)
    plan = make_plan(pipeline, inputs, item_filter)
    return replace(plan, warnings=(*plan.warnings, *known.cautions))


@dataclass(frozen=True)
class Session:
    """A job with its lease held and its plan made; nothing is spent yet."""

    job: Job
    api: Api
    pipeline: Pipeline
    state: State
    plan: Plan
    known: Preflight
    recovered: int
    output: Store
    owners: FindOwners

    def execute(self, observer: Observer, *, partial: bool, waits: bool = False) -> Summary:
        """Carry out the plan.

        Args:
            observer: told what happens.
            partial: the plan is known not to be covered; process as many items as the money covers.
            waits: the caller will start again once the balance suffices, so that it is still the same run.
        """
        observer = SteadyObserver(observer)
        run, _ = self.state.run_to_continue(self.job.name)
        now = time.time()
        limits = self._caps(now, partial=partial)
        self.state.commit([RunStarted(run, self.job.name, now)])
        planned = itertools.chain(self._planned(now), unrecorded_uses(self.pipeline, self.state, now))
        while group := list(itertools.islice(planned, _GROUP)):
            self.state.commit(group)
        for line in conflicts.told(self.plan.items):
            observer.note(line)
        others = set(self.plan.balances) - {"usd", "diem"}
        tracks = all(self.plan.balances[currency] == 0 for currency in others)
        watch = self._balance_watch(run)
        budget = RunBudget(limits, run, self.state.next_call(), now, tracks_balance=tracks, watch=watch)
        with self._context(budget, observer) as context:
            driver = Driver(self.pipeline, self.plan, self.state, context)
            with _signals_to(driver.signal):
                summary = driver.run()
        unproduced = None
        if summary.cause is None:
            dropped = self.plan.dropped
            events, unproduced = apply_rule(self.job, self.state, self.output, dropped, observer.note)
            self.state.commit(events)
        code = summary.exit_code
        closed = code in _LASTING_ENDS and not (waits and waits_for_balance(summary.cause))
        cause = "" if summary.cause is None else _storable(summary.cause.message)
        told = json.dumps(asdict(unproduced)) if unproduced is not None and unproduced.files else ""
        self.state.commit([RunEnded(run, time.time(), int(code), closed, cause, told)])
        spent, uncertain = money_of_run(self.state, self.job.name)
        return replace(summary, spent_micros=spent, uncertain_micros=uncertain, unproduced=unproduced)

    def _caps(self, now: float, *, partial: bool) -> tuple[Cap, ...]:
        limits = caps(self.job.budget, self.state, self.job.name, now)
        if not partial:
            return limits
        balance = sum(self.plan.balances.values())
        return (*limits, Cap("balance", micros(balance) if balance else 0, 0))

    def _balance_watch(self, run: int) -> BalanceWatch:
        """Return what follows the balance, with what earlier starts of the same run saw of it."""
        told = [
            balances(*(None if amount is None else Decimal(amount) for amount in row))
            for row in self.state.balances(run)
        ]
        priced, limit = self.state.counted_in_run(run), self.job.budget.max_usd
        most = _FALL * (priced + micros(self.plan.cost.high)) if limit is None else micros(limit)
        return BalanceWatch(
            None if self.job.budget.shared_account else most,
            fell=falls(told[0], told[-1]) if told else 0,
            priced=priced,
        )

    def _planned(self, now: float) -> Iterator[Event]:
        """Yield the moves that the plan found: what cannot be processed, what is to be done, and what is gone."""
        name = self.job.name
        for item in self.plan.items:
            identity, version = ItemId(name, item.key, item.variant), item.candidate.version
            if item.status in {"invalid", "done"}:
                state, reason = item.left_as or item.status, (item.code, item.reason)
                yield ItemMoved(identity, version, item.fingerprint, state, now, *reason, lasting=not item.left_as)
            elif item.status in TO_DO:
                if item.learned is not None:
                    yield source_read(name, item.learned)
                yield ItemMoved(identity, version, item.fingerprint, "pending", now)
        for key, variant in self.plan.vanished:
            yield ItemMoved(ItemId(name, key, variant), "", "", "vanished", now, "vanished", "no longer in the source")
        for row in self.plan.adopted:
            written = row.version or "", row.sha256 or ""
            yield OutputWritten(ItemId(name, row.key, row.variant), row.path, *written)
        for path in self.plan.given_up:
            yield OutputDropped(name, path)

    @contextmanager
    def _context(self, budget: RunBudget, observer: Observer) -> Iterator[RunContext]:
        job, cancel = self.job, Cancel()
        gate = Gate(cancel, guard=self.state.lease.check)
        lanes = Lanes(self.known.account.rpm, cancel=cancel)
        with ExitStack() as stack:
            client = stack.enter_context(
                Client(
                    self.api,
                    gate=gate,
                    lanes=lanes,
                    breaker=Breaker(cancel=cancel),
                    cancel=cancel,
                    timeout=job.api.timeout,
                    prefer="json" if job.api.transport == "json" else "multipart",
                    on_wait=_WaitReporter(observer),
                )
            )
            source = open_store(job.source.path) if isinstance(job.source, FolderSource) else None
            worker = Worker(
                client=client,
                source=source,
                output=self.output,
                existing=job.output.existing,
                results=self.state.results,
                scratch=self.state.scratch,
                decoders=decoders(),
            )
            engine = Threads(worker, job.run.concurrency or _MOST_CALLS)
            prices = PriceList(self.known.catalogue)
            recorder = Recorder(job.name, self.state, budget, prices, observer=observer, now=time.time)
            yield RunContext(prices, lanes, gate, cancel, engine, recorder, self.owners)


def money_of_run(state: State, job: str) -> tuple[int, int]:
    """Return what every start of the newest run of `job` has spent, and what is uncertain; millionths of a USD."""
    run = state.last_run(job)
    found = [] if run is None else state.spending(job, run.id)
    return sum(row.spent for row in found), sum(row.uncertain for row in found)


#: Told of the error that keeps a run from starting, while its state can still be written.
Refused = Callable[[State, VeniceBatchError], None]


def record_refusal(job: Job, state: State, error: VeniceBatchError, plan: Plan | None = None) -> None:
    """Record a start that was refused before it spent anything: as a run, or a start of an open one.

    Args:
        job: the job.
        state: open for writing.
        error: why it was refused.
        plan: what it would have done: those items wait.
    """
    run, continues = state.run_to_continue(job.name)
    now = time.time()
    state.commit([RunStarted(run, job.name, now)])
    waiting = iter(() if plan is None else plan.to_do)
    while group := list(itertools.islice(waiting, _GROUP)):
        state.commit(
            [
                ItemMoved(
                    ItemId(job.name, item.key, item.variant),
                    item.candidate.version,
                    item.fingerprint,
                    "waiting",
                    now,
                    "money",
                    _storable(error.message),
                )
                for item in group
            ]
        )
    # An open run stays open: what its killed start spent counts against the same `max_usd`.
    state.commit([RunEnded(run, now, int(error.exit_code), not continues, _storable(error.message))])


def _storable(text: str) -> str:
    """Spell out what UTF-8 cannot hold: an error may name a file whose name is no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def waits_for_balance(cause: VeniceBatchError | None) -> bool:
    """Whether it was the balance that ended a run, so that new credits let it go on."""
    return isinstance(cause, MoneyError) and not isinstance(cause, BudgetReached | ModelSwitched | Overcharged)


@contextmanager
def session(
    job: Job, api: Api, item_filter: ItemFilter, refused: Refused = lambda _state, _error: None
) -> Iterator[Session]:
    """Hold the lease, settle what a crash left, and plan; `refused` is told while the lease is held of what forbids it.

    Raises:
        Locked: another run holds the state (exit 7).
        VeniceBatchError: whatever keeps a run from starting; nothing was spent.
    """
    refuse_overlap(job)
    pipeline = make_pipeline(job, api.host)
    with (
        state_to_write(job, api.host) as state,
        _temporary_files_in(state.scratch),
        output_owners(job, state, job.state / EMULATED) as owners,
    ):
        try:
            output = open_store(job.output.path)
            claim_output(output, job.output.path, job.state, state.scratch)
            output.remove_stale()
            recovered = state.recover(time.time())
            known = preflight(api, styles=pipeline.generates)
            plan = _make_plan(pipeline, state, known, item_filter, owners)
        except VeniceBatchError as error:
            refused(state, error)
            raise
        yield Session(job, api, pipeline, state, plan, known, recovered, output, owners)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Have all temporary files of this process lie in the run's own folder: what a killed one leaves is found there."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


class _WaitReporter:
    """Tells of waits for the server: the long ones, and each reason once in a while, however many threads wait."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def __call__(self, why: str, seconds: float) -> None:
        """Report a wait of so many seconds; called in any thread."""
        with self._lock:
            silent = time.monotonic() < self._told.get(why, 0.0)
            if seconds < 1 or silent:
                return
            self._told[why] = time.monotonic() + max(seconds, _QUIET)
        self._observer.note(f"waiting {seconds:.0f} s: {why}")


@contextmanager
def _signals_to(tell: Callable[[int], None]) -> Iterator[None]:
    """Have the signals that end a run told to the driver while the block runs; those that are ignored stay so."""

    def handler(number: int, _: FrameType | None) -> None:
        tell(number)

    heard = [number for number in (signal.SIGINT, *STOP_SIGNALS) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
