"""A run's metrics for Prometheus: a file for the node exporter, or text for a push gateway.

Everything is a gauge about the last run (a run is no process that could be scraped), but for the latency's histogram.
All text is made by prometheus-client, an extra that is imported where it is used.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from venice_batch.errors import Exit, UsageError
from venice_batch.report.run_result import RunResult
from venice_batch.report.text import model_of, shown
from venice_batch.state import CallRow, ItemRow
from venice_batch.state.events import STATES
from venice_batch.storage import DISK

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: What the push gateway is sent.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "venice_batch"
_MICRO = 1_000_000
_MINUTE = 60.0
#: Upper bounds in seconds: image calls take 2 to 30, and are cut off at 300 unless the job says otherwise.
_BOUNDS = (1, 2, 5, 10, 20, 30, 60, 120, 300)
#: More codes than any run has; a response that made up new ones must not make new series for ever.
_MOST_CODES = 40
_ANSWERED = "answered"

Key = TypeVar("Key", bound=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A model's rate limit: its name, and requests a minute."""

    name: str
    per_minute: float


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """What a run's calls and items add up to.

    Attributes:
        calls: how many, by step, model and outcome (`fate` in the ledger).
        spent: millionths of a US dollar, by step and model.
        uncertain: the same, of calls whose response was lost.
        call_errors: calls without a good answer, by step and code.
        item_errors: items of the job, by state and code.
        seconds: from the first byte sent to the last received of each answered call, by step.
        limit_use: share of its limit (0 to about 1) at which a rate limiter ran, from its first call to its last.
        limits: requests a minute, by rate limiter.
        balances: what was left, by currency, as the last response says.
    """

    calls: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    spent: Mapping[tuple[str, str], int] = field(default_factory=dict)
    uncertain: Mapping[tuple[str, str], int] = field(default_factory=dict)
    call_errors: Mapping[tuple[str, str], int] = field(default_factory=dict)
    item_errors: Mapping[tuple[str, str], int] = field(default_factory=dict)
    seconds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    limit_use: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    balances: Mapping[str, Decimal] = field(default_factory=dict)


def run_metrics(
    calls: Iterable[CallRow],
    items: Iterable[ItemRow] = (),
    *,
    limits: Mapping[str, RateLimit] | None = None,
    balances: Mapping[str, Decimal] | None = None,
) -> RunMetrics:
    """Add up a run.

    Args:
        calls: of this run only, in any order; read once. Those that were never sent do not count.
        items: of the job.
        limits: the rate limit of each paid step, by the step's id.
        balances: what the account held at the start, by currency in lower case; responses are newer.
    """
    sent = [call for call in calls if call.begun_at is not None and (call.attempts or call.fate != "released")]
    limits = limits or {}
    counts = Counter((call.step, model_of(call), call.fate) for call in sent)
    money: dict[str, Counter[tuple[str, str]]] = {"spent": Counter(), "uncertain": Counter()}
    seconds: dict[str, list[float]] = defaultdict(list)
    for call in sent:
        if call.fate in money:
            money[call.fate][call.step, model_of(call)] += call.micros
        if call.fate == "spent" and call.begun_at is not None and call.ended_at is not None:
            seconds[call.step].append(max(0.0, call.ended_at - call.begun_at))
    return RunMetrics(
        calls=counts,
        spent=money["spent"],
        uncertain=money["uncertain"],
        call_errors=_bounded((call.step, call.outcome) for call in sent if call.outcome not in {_ANSWERED, ""}),
        item_errors=_bounded((item.state, item.code) for item in items if item.code),
        seconds=seconds,
        limit_use=_limit_use(sent, limits),
        limits={limit.name: limit.per_minute for limit in limits.values()},
        balances={**(balances or {}), **_last_balances(sent)},
    )


def _bounded(found: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    counts = Counter(found)
    kept = dict(counts.most_common(_MOST_CODES))
    for (where, code), count in counts.items():
        if (where, code) not in kept:
            kept[where, "other"] = kept.get((where, "other"), 0) + count
    return kept


def _limit_use(sent: Sequence[CallRow], limits: Mapping[str, RateLimit]) -> dict[str, float]:
    begun: dict[RateLimit, list[tuple[float, int]]] = defaultdict(list)
    for call in sent:
        if call.step in limits and call.begun_at is not None:
            begun[limits[call.step]].append((call.begun_at, max(1, call.attempts)))
    used = {}
    for limit, starts in begun.items():
        first, last = min(starts), max(starts)
        minutes = (last[0] - first[0]) / _MINUTE
        # n starts that are evenly apart span n - 1 pauses; a single one says nothing about a rate.
        requests = sum(count for _, count in starts) - last[1]
        used[limit.name] = requests / minutes / limit.per_minute if minutes > 0 and limit.per_minute > 0 else 0.0
    return used


def _last_balances(sent: Sequence[CallRow]) -> dict[str, Decimal]:
    found = {}
    # Responses name the balance before their own call: the one that began last is the newest.
    for call in sorted(sent, key=lambda call: call.begun_at or 0.0):
        for currency, amount in (("usd", call.balance_usd), ("diem", call.balance_diem)):
            if amount is not None:
                found[currency] = Decimal(amount)
    return found


def require() -> None:
    """See whether the package that writes metrics is there, before anything is spent.

    Raises:
        UsageError: it is not.
    """
    try:
        import prometheus_client  # noqa: F401, PLC0415 - an extra that few jobs need
    except ImportError as error:
        raise UsageError(
            "notify.metrics needs prometheus-client, which is not installed",
            remedy="pip install 'venice-batch[metrics]', or remove metrics from the job",
        ) from error


def render(result: RunResult, found: RunMetrics, labels: Mapping[str, str], last_success: float | None = None) -> str:
    """Return the metrics in Prometheus' text format.

    Args:
        result: of the run.
        found: its metrics.
        labels: put on every sample.
        last_success: Unix seconds of an earlier run that ended with exit code 0, if this one did not.
    """
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - an extra that few jobs need

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(result, found, labels, last_success))
    return generate_latest(registry).decode()


def write_textfile(path: Path, result: RunResult, found: RunMetrics, labels: Mapping[str, str]) -> None:
    """Write the metrics for the node exporter's textfile collector.

    The collector reads whatever is called ``*.prom`` at any moment, so the file appears in one step, from a temporary
    one of another name; it takes no time stamps; and it often runs as another user.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    last = _last_success(path, result.job)
    text = render(result, found, labels={"batch": result.job, **labels}, last_success=last)
    DISK.write_whole(path, text)
    path.chmod(0o644)


def _last_success(path: Path, job: str) -> float | None:
    """Return when the job last went well, by the file that is about to be replaced.

    Without it a failed run would make the series vanish, and an alert on its age would fall silent when it is needed.
    """
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    pattern = rf'^{_PREFIX}_last_success_timestamp_seconds\{{[^}}\n]*batch="{re.escape(job)}"[^}}\n]*\}} ([0-9.e+]+)$'
    match = re.search(pattern, text, re.MULTILINE)
    try:
        return None if match is None else float(match[1])
    except ValueError:
        return None


class _Families:
    """All metrics of a run, in the form that prometheus-client collects."""

    def __init__(
        self, result: RunResult, found: RunMetrics, labels: Mapping[str, str], last_success: float | None
    ) -> None:
        self._result = result
        self._found = found
        self._labels = labels
        self._last_success = result.ended if result.exit_code == Exit.DONE else last_success

    def collect(self) -> Iterator[Metric]:
        """Yield every family that has samples; what is not known stays as it was written last."""
        yield from (family for family in self._all() if family.samples)

    def _all(self) -> Iterator[Metric]:
        yield from self._run()
        if self._result.items:
            yield from self._items()
        yield from self._calls()
        yield from self._money()
        yield from self._account()
        yield self._latency()

    def _run(self) -> Iterator[Metric]:
        result = self._result
        yield self._gauge("run_exit_code", "Exit code of the last run.", (), [((), result.exit_code)])
        took = max(0.0, result.ended - result.began)
        yield self._gauge("run_duration_seconds", "How long the last run took.", (), [((), took)])
        yield self._gauge("run_end_timestamp_seconds", "When the last run ended.", (), [((), result.ended)])
        if self._last_success is not None:
            about = "When a run last ended with exit code 0."
            yield self._gauge("last_success_timestamp_seconds", about, (), [((), self._last_success)])

    def _items(self) -> Iterator[Metric]:
        # Every state, also those without an item: a series that vanishes cannot be alerted on.
        counts = [((state,), self._result.items.get(state, 0)) for state in STATES]
        yield self._gauge("items", "Items of the job by state.", ("state",), counts)
        about = "Items of the job by state and the code of what is wrong."
        yield self._sums("item_errors", about, ("state", "code"), self._found.item_errors)
        about = "US dollars at most for what the last run did not finish."
        yield self._gauge("left_usd", about, (), [((), self._result.left / _MICRO)])

    def _calls(self) -> Iterator[Metric]:
        yield self._sums("calls", "Paid calls of the last run.", ("step", "model", "fate"), self._found.calls)
        about = "Calls of the last run without a good answer, by code."
        yield self._sums("call_errors", about, ("step", "code"), self._found.call_errors)

    def _money(self) -> Iterator[Metric]:
        for name, about, amounts in (
            ("spent_usd", "US dollars spent by the last run.", self._found.spent),
            ("uncertain_usd", "US dollars of calls of the last run whose response was lost.", self._found.uncertain),
        ):
            dollars = {key: micros / _MICRO for key, micros in amounts.items()}
            yield self._sums(name, about, ("step", "model"), dollars)

    def _account(self) -> Iterator[Metric]:
        held = [((currency,), float(amount)) for currency, amount in self._found.balances.items()]
        about = "Balance of the account before the last call, in the currency's units."
        yield self._gauge("balance", about, ("currency",), held)
        used = {(name,): share for name, share in self._found.limit_use.items()}
        yield self._sums("lane_use_ratio", "Share of its rate limit at which a rate limiter ran.", ("lane",), used)
        limits = [((name,), rate) for name, rate in self._found.limits.items()]
        about = "Requests a minute that a rate limiter allows."
        yield self._gauge("lane_limit_requests_per_minute", about, ("lane",), limits)

    def _latency(self) -> Metric:
        from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - an extra that few jobs need

        about = "Seconds from the first byte sent to the last received of an answered call, tries included."
        family = HistogramMetricFamily(f"{_PREFIX}_call_duration_seconds", about, labels=[*self._labels, "step"])
        for step, seconds in (self._found.seconds or {"": ()}).items():
            buckets = [(str(float(bound)), float(sum(second <= bound for second in seconds))) for bound in _BOUNDS]
            family.add_metric(self._values((step,)), [*buckets, ("+Inf", float(len(seconds)))], sum(seconds))
        return family

    def _sums(self, name: str, about: str, by: Sequence[str], values: Mapping[Key, float]) -> Metric:
        """Return a family; one without samples is written as 0.

        A push replaces only what bears the same name: without this, a run that bought nothing would leave the calls and
        the money of the one before in the gateway.
        """
        return self._gauge(name, about, by, values.items() or [([""] * len(by), 0.0)])

    def _gauge(self, name: str, about: str, by: Sequence[str], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra that few jobs need

        family = GaugeMetricFamily(f"{_PREFIX}_{name}", about, labels=[*self._labels, *by])
        for key, value in values:
            family.add_metric(self._values(key), float(value))
        return family

    def _values(self, key: Sequence[str]) -> list[str]:
        # Codes and models come from responses: a lone surrogate would break the encoding of the whole text.
        return [*self._labels.values(), *(shown(part) for part in key)]
