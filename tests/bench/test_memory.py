"""How much memory 64 large calls in flight take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.command import VENICE_BATCH, measured
from tests.bench.conftest import Figure, OpenVendor
from tests.bench.jobs import Bench
from tests.bench.vendor import most_in_flight

pytestmark = pytest.mark.bench

MEGABYTE = 1_000_000
#: Until the first answers have come the breaker lets 18 calls fly; behind those there must be 64 more.
ITEMS, IN_FLIGHT, LATENCY = 100, 64, 12.0


@pytest.mark.parametrize(
    ("step", "side"),
    [("background-remove", 4096), ({"upscale": {"scale": 2}}, 2048)],
    ids=["16-megapixel-inputs-and-answers", "upscaled-to-16-megapixels"],
)
def test_sixty_four_calls_of_sixteen_megapixels_fit_into_300_megabytes(
    step: object, side: int, tmp_path: Path, open_vendor: OpenVendor, figure: Figure
) -> None:
    vendor, bench = open_vendor(latency=LATENCY, rpm=6000), Bench(tmp_path)
    sent = bench.draw(ITEMS, (side, side))[0].stat().st_size
    job = bench.write(step, run={"concurrency": IN_FLIGHT})
    spent = measured([VENICE_BATCH, "run", job, "--yes"], tmp_path, vendor.environment)
    flying = most_in_flight(vendor.calls())
    received = bench.results()[0].stat().st_size
    figure(
        f"memory: {step}, {sent / MEGABYTE:.1f} MB up, {received / MEGABYTE:.1f} MB of 4096x4096 down,"
        f" {flying} in flight: peak {spent.peak / MEGABYTE:.0f} MB in {spent.wall:.0f} s ({spent.cpu:.0f} s of CPU)"
    )
    assert len(bench.outputs()) == ITEMS
    assert flying == IN_FLIGHT
    assert spent.peak <= 300 * MEGABYTE
