"""How much processor time a call takes, beside a bare httpx2 script that moves the same bytes."""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

import pytest

from tests.bench.command import VENICE_BATCH, measured
from tests.bench.conftest import Figure, OpenVendor
from tests.bench.jobs import Bench

pytestmark = pytest.mark.bench

CALLS, THREADS, SIDE, ROUNDS = 300, 32, 1024, 3
#: As many as the pipeline decodes with at once.
DECODERS = os.cpu_count() or 1


def test_processor_time_per_call(tmp_path: Path, open_vendor: OpenVendor, figure: Figure) -> None:
    vendor, bench = open_vendor(latency=0.2, rpm=1_000_000), Bench(tmp_path)
    sent = bench.draw(CALLS, (SIDE, SIDE))[0].stat().st_size
    job = bench.write({"upscale": {"scale": 2}}, run={"concurrency": THREADS})

    def by(way: str, answers: str, threads: int = THREADS) -> float:
        script = [sys.executable, "-m", "tests.bench.calls", way, vendor.url, vendor.key]
        spent = measured([*script, bench.photos, tmp_path / answers, str(threads)], tmp_path)
        return float(spent.out) * 1000 / CALLS

    by("bare", "first")  # warms up the server and the disk
    rounds = [(by("bare", f"bare-{number}"), by("client", f"client-{number}")) for number in range(ROUNDS)]
    bare, client = (statistics.median(column) for column in zip(*rounds, strict=True))
    whole = measured([VENICE_BATCH, "run", job, "--yes"], tmp_path, vendor.environment).cpu * 1000 / CALLS
    decoding = by("decode", "first", DECODERS)
    received = bench.results()[0].stat().st_size
    figure(
        f"processor: {CALLS} calls, {sent / 1e6:.1f} MB up, {received / 1e6:.1f} MB down, {THREADS} threads:"
        f" bare httpx2 {bare:.1f} ms a call, client alone {client:.1f} ms: ratio {client / bare:.2f}"
        f" (medians of {ROUNDS} in alternation)"
    )
    figure(
        f"processor: whole run {whole:.1f} ms a call: ratio {whole / bare:.2f} to the bare script,"
        f" {whole / (bare + decoding):.2f} to the bare script and decoding every photo and answer once"
        f" ({decoding:.1f} ms)"
    )
    assert len(vendor.calls()) == (2 * ROUNDS + 2) * CALLS
    assert len(bench.outputs()) == CALLS
