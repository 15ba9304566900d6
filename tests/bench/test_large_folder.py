"""What a folder of 2,000 pictures costs to plan when all is new, and to run over when nothing is left to do."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import pytest

from tests.bench.command import VENICE_BATCH, measured
from tests.bench.conftest import Figure, OpenVendor
from tests.bench.jobs import Bench

pytestmark = pytest.mark.bench

ITEMS, ROUNDS = 2000, 3
#: The condition makes the plan look into every header.
STEP = {"upscale": {"scale": 2}, "when": {"max_side_below": 4000}}


def _scanned(folder: Path) -> int:
    """Look at every file below `folder` as a listing must: name, size and time of change."""
    found = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            found += _scanned(Path(entry.path)) if entry.is_dir() else entry.stat().st_size > 0
    return found


def _seconds_to_scan(folder: Path) -> float:
    begun = time.perf_counter()
    assert _scanned(folder) == ITEMS
    return time.perf_counter() - begun


def test_planning_and_running_over_a_large_folder(tmp_path: Path, open_vendor: OpenVendor, figure: Figure) -> None:
    vendor, bench, empty = open_vendor(latency=0.0, rpm=1_000_000), Bench(tmp_path), Bench(tmp_path / "empty")
    bench.draw(ITEMS, (256, 256))
    bench.write(STEP)
    empty.root.mkdir()
    empty.photos.mkdir()
    empty.write(STEP)

    def median(command: str, job: Path) -> float:
        spent = [measured([VENICE_BATCH, command, job], tmp_path, vendor.environment).wall for _ in range(ROUNDS)]
        return statistics.median(spent)

    planning, nothing = median("plan", bench.job), median("plan", empty.job)
    figure(
        f"large folder: plan of {ITEMS} new items {planning:.2f} s, of none {nothing:.2f} s:"
        f" {(planning - nothing) * 1000 * 1000 / ITEMS:.0f} ms per 1,000 new items, headers read"
    )
    filling = measured([VENICE_BATCH, "run", bench.job, "--yes"], tmp_path, vendor.environment)
    vendor.reset()
    again, idle = median("run", bench.job), median("run", empty.job)
    scanning = statistics.median(_seconds_to_scan(bench.photos) for _ in range(ROUNDS))
    figure(
        f"large folder: run with nothing to do over {ITEMS} items {again:.2f} s, over none {idle:.2f} s; os.scandir of"
        f" the photos {scanning * 1000:.1f} ms: ratio {(again - idle) / scanning:.0f} for the items,"
        f" {again / scanning:.0f} for the whole command (first run: {filling.wall:.0f} s)"
    )
    assert vendor.calls() == []
    assert len(bench.outputs()) == ITEMS
