"""How close a run comes to what three rate limits allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.command import VENICE_BATCH, measured
from tests.bench.conftest import Figure, OpenVendor
from tests.bench.jobs import Bench

pytestmark = pytest.mark.bench

ITEMS, RPM, LATENCY = 150, 120, 2.0
STEPS = ({"upscale": {"scale": 2}}, "background-remove", {"edit": {"prompt": "put it on marble"}})
#: An evenly paced lane starts a call every half second, so the last item starts (items - 1) intervals after the first;
#: then it still takes each of its steps. This counts the filling of the pipeline; nothing can be faster.
CEILING = (ITEMS - 1) * 60 / RPM + len(STEPS) * LATENCY


def test_three_lanes_run_at_nine_tenths_of_their_ceiling_or_better(
    tmp_path: Path, open_vendor: OpenVendor, figure: Figure
) -> None:
    vendor, bench = open_vendor(latency=LATENCY, rpm=RPM), Bench(tmp_path)
    bench.draw(ITEMS, (320, 256))
    spent = measured([VENICE_BATCH, "run", bench.write(*STEPS), "--yes"], tmp_path, vendor.environment)
    calls = vendor.calls()
    calling = max(call.answered for call in calls) - min(call.begun for call in calls)
    refused = sum(call.status == 429 for call in calls)
    figure(
        f"lanes: {len(calls)} calls, {refused} answers 429; ceiling {CEILING:.1f} s, first call to last answer"
        f" {calling:.1f} s: {CEILING / calling:.3f} of it; whole command {spent.wall:.1f} s: {CEILING / spent.wall:.3f}"
    )
    assert len(bench.outputs()) == ITEMS
    assert sum(call.status == 200 for call in calls) == ITEMS * len(STEPS)
    assert refused <= 3
    assert CEILING / spent.wall >= 0.9
