"""The metrics of a run, as Prometheus reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from venice_batch.errors import Exit, UsageError
from venice_batch.job.notify import Metrics, Notify
from venice_batch.report import metrics
from venice_batch.report.metrics import RateLimit, RunMetrics, render, run_metrics, write_textfile
from venice_batch.report.notify import Notifier
from venice_batch.report.run_result import RunResult
from venice_batch.state import CallRow, ItemRow

OUTCOME = RunResult("nightly", 0, 1000.0, 1090.0, items={"done": 3, "failed": 1}, spent=60_000, left=20_000)


def call(
    id: int,  # noqa: A002 - the ledger's own word
    fate: str = "spent",
    outcome: str = "answered",
    *,
    step: str = "upscale",
    begun: float | None = 0.0,
    took: float = 4.0,
    attempts: int = 1,
    balance: str | None = None,
) -> CallRow:
    return CallRow(
        id=id,
        run=1,
        key=f"{id}.png",
        variant=0,
        step=step,
        endpoint="image/upscale",
        model="upscaler",
        micros=20_000,
        fate=fate,
        outcome=outcome,
        result=None,
        reserved_at=0.0,
        begun_at=begun,
        ended_at=None if begun is None else begun + took,
        status=None,
        attempts=attempts,
        request_id=None,
        model_served=None,
        balance_usd=balance,
        balance_diem=None,
    )


def item(key: str, state: str, code: str) -> ItemRow:
    return ItemRow(key, 0, "v", "f", state, code, "a reason", lasting=True, updated_at=0.0)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = (sample.name.removeprefix("venice_batch_"), tuple(sorted(sample.labels.items())))
            assert name not in found, "the textfile collector refuses a file with a sample twice"
            assert sample.timestamp is None, "the textfile collector refuses time stamps"
            found[name] = sample.value
    return found


def test_calls_are_counted_by_step_model_and_fate() -> None:
    found = run_metrics(
        [
            call(1),
            call(2, begun=10.0),
            call(3, "uncertain", "timeout-after-sending"),
            call(4, "released", "http-500", attempts=3),
            call(5, "released", "not needed", begun=None, attempts=0),
            call(6, "released", "cancelled", attempts=0),
        ]
    )
    assert found.calls == {
        ("upscale", "upscaler", "spent"): 2,
        ("upscale", "upscaler", "uncertain"): 1,
        ("upscale", "upscaler", "released"): 1,
    }
    assert found.spent == {("upscale", "upscaler"): 40_000}
    assert found.uncertain == {("upscale", "upscaler"): 20_000}
    assert found.call_errors == {("upscale", "timeout-after-sending"): 1, ("upscale", "http-500"): 1}


def test_items_are_counted_by_what_is_wrong_with_them() -> None:
    found = run_metrics([], [item("a", "failed", "blocked"), item("b", "failed", "blocked"), item("c", "done", "")])
    assert found.item_errors == {("failed", "blocked"): 2}


def test_codes_that_are_made_up_do_not_make_series_for_ever() -> None:
    found = run_metrics([call(number, "uncertain", f"code-{number}") for number in range(500)])
    assert len(found.call_errors) == 41
    assert sum(found.call_errors.values()) == 500


def test_a_lane_is_used_at_the_share_of_its_limit_at_which_calls_began() -> None:
    limits = {
        "upscale": RateLimit("upscaler", 60.0),
        "again": RateLimit("upscaler", 60.0),
        "edit": RateLimit("editor", 20.0),
    }
    calls = [call(number, step=("upscale", "again")[number % 2], begun=number * 2.0) for number in range(31)]
    found = run_metrics([*calls, call(99, step="edit")], limits=limits)
    assert found.limit_use == pytest.approx({"upscaler": 0.5, "editor": 0.0})
    assert found.limits == {"upscaler": 60.0, "editor": 20.0}


def test_a_balance_is_the_one_told_last() -> None:
    calls = [call(1, begun=20.0, balance="4.5"), call(2, begun=10.0, balance="5.5")]
    found = run_metrics(calls, balances={"usd": Decimal(9), "bundled_credits": Decimal(1)})
    assert found.balances == {"usd": Decimal("4.5"), "bundled_credits": Decimal(1)}


def test_the_text_is_what_a_prometheus_parser_reads() -> None:
    found = run_metrics(
        [call(1, took=4.0), call(2, took=40.0, begun=60.0), call(3, "uncertain", "reset")],
        [item("a", "failed", "blocked")],
        limits={"upscale": RateLimit("upscaler", 60.0)},
        balances={"usd": Decimal("9.5")},
    )
    got = samples(render(OUTCOME, found, labels={"batch": "nightly"}))
    batch = ("batch", "nightly")
    where = (batch, ("model", "upscaler"), ("step", "upscale"))
    assert got["items", (batch, ("state", "done"))] == 3
    assert got["items", (batch, ("state", "uncertain"))] == 0
    assert got["calls", (batch, ("fate", "spent"), *where[1:])] == 2
    assert got["spent_usd", where] == 0.04
    assert got["call_errors", (batch, ("code", "reset"), ("step", "upscale"))] == 1
    assert got["item_errors", (batch, ("code", "blocked"), ("state", "failed"))] == 1
    assert got["balance", (batch, ("currency", "usd"))] == 9.5
    assert got["lane_use_ratio", (batch, ("lane", "upscaler"))] == pytest.approx(1 / 60 * 2)
    assert got["left_usd", (batch,)] == 0.02
    assert got["run_duration_seconds", (batch,)] == 90
    assert got["last_success_timestamp_seconds", (batch,)] == 1090
    assert got["call_duration_seconds_bucket", (batch, ("le", "5.0"), ("step", "upscale"))] == 1
    assert got["call_duration_seconds_bucket", (batch, ("le", "+Inf"), ("step", "upscale"))] == 2
    assert got["call_duration_seconds_sum", (batch, ("step", "upscale"))] == 44


def test_a_run_that_bought_nothing_says_so_and_leaves_what_it_does_not_know() -> None:
    got = samples(render(RunResult("nightly", Exit.UNAVAILABLE, 0.0, 1.0), RunMetrics(), labels={}))
    names = {name for name, _ in got}
    assert {name for name in names if not name.startswith(("run_", "call_duration"))} == {
        "calls",
        "call_errors",
        "spent_usd",
        "uncertain_usd",
        "lane_use_ratio",
    }
    assert {value for (name, _), value in got.items() if not name.startswith("run_")} == {0.0}
    assert ("call_duration_seconds_count", (("step", ""),)) in got


def test_hostile_names_stay_values_of_labels() -> None:
    hostile = '"} 1\nvenice_batch_spent_usd 999\n\udc80\x00{'
    found = RunMetrics(call_errors={("upscale", hostile): 1}, calls={(hostile, hostile, "spent"): 2})
    got = samples(render(OUTCOME, found, labels={"batch": "nightly"}))
    assert got["spent_usd", (("batch", "nightly"), ("model", ""), ("step", ""))] == 0
    assert ("spent_usd", ()) not in got
    assert any("999" in value for _, labels in got for _, value in labels)


def test_a_textfile_appears_whole_and_readable_for_others(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_textfile(tmp_path / "venice.prom", OUTCOME, RunMetrics(), {"env": "prod"})
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["venice.prom"]
    assert (tmp_path / "venice.prom").stat().st_mode & 0o777 == 0o644
    got = samples((tmp_path / "venice.prom").read_text())
    assert got["run_exit_code", (("batch", "nightly"), ("env", "prod"))] == 0


@pytest.mark.parametrize("labels", [{}, {"aaa": "1", "zzz": "x y"}])
def test_a_failed_run_keeps_the_time_of_the_last_success(tmp_path: Path, labels: dict[str, str]) -> None:
    path = tmp_path / "venice.prom"
    good = RunResult("nightly", Exit.DONE, 1_790_000_000.0, 1_790_000_100.25)
    write_textfile(path, good, RunMetrics(), labels)
    for end in (200.0, 300.0):
        bad = RunResult("nightly", Exit.ITEMS_FAILED, 1_790_000_150.0, 1_790_000_000.0 + end)
        write_textfile(path, bad, RunMetrics(), labels)
    got = samples(path.read_text())
    own = tuple(sorted({"batch": "nightly", **labels}.items()))
    assert got["last_success_timestamp_seconds", own] == 1_790_000_100.25
    assert got["run_end_timestamp_seconds", own] == 1_790_000_300


@pytest.mark.parametrize(
    "old", [b"", b"\xff\xfe", b'venice_batch_last_success_timestamp_seconds{batch="nightly"} 1e+e+1\n']
)
def test_an_old_file_that_says_nothing_is_replaced(tmp_path: Path, old: bytes) -> None:
    path = tmp_path / "venice.prom"
    path.write_bytes(old)
    write_textfile(path, RunResult("nightly", Exit.MONEY, 0.0, 1.0), RunMetrics(), {})
    assert ("last_success_timestamp_seconds", (("batch", "nightly"),)) not in samples(path.read_text())


def test_a_file_of_another_job_lends_no_success(tmp_path: Path) -> None:
    path = tmp_path / "venice.prom"
    write_textfile(path, RunResult("weekly", Exit.DONE, 0.0, 1.0), RunMetrics(), {})
    write_textfile(path, RunResult("nightly", Exit.MONEY, 0.0, 1.0), RunMetrics(), {})
    assert "last_success" not in path.read_text()


def test_a_missing_package_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules is how Python itself marks a module as not importable.
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match=r"notify\.metrics needs prometheus-client") as caught:
        Notifier(Notify(metrics=Metrics(textfile=tmp_path / "a.prom")), "nightly")
    assert "venice-batch[metrics]" in caught.value.remedy
    Notifier(Notify(), "nightly")


def test_the_package_is_not_loaded_until_metrics_are_wanted() -> None:
    code = f"import sys, {metrics.__name__}; sys.exit('prometheus_client' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
