"""Local steps on photos of 12 megapixels: whether they use both cores, and what memory they take."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.bench.command import Spent, measured
from tests.bench.conftest import Figure

pytestmark = pytest.mark.bench

WIDTH, HEIGHT = 4000, 3000
FEW, MANY = 50, 200
MEGABYTE = 1_000_000


def photos(folder: Path, count: int) -> Path:
    """Fill a folder with names of one photo: the work is the same for each, and the disk holds it once."""
    folder.mkdir()
    photo = Image.new("RGB", (WIDTH, HEIGHT), (250, 250, 248))
    grain = Image.effect_noise((WIDTH - 1000, HEIGHT - 1000), 25).convert("RGB")
    photo.paste(grain, (500, 500))
    ImageDraw.Draw(photo).ellipse((1200, 900, 2800, 2300), fill=(30, 90, 160))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "0000.jpg", quality=90, exif=exif)
    for number in range(1, count):
        os.link(folder / "0000.jpg", folder / f"{number:04}.jpg")
    return folder


def work(tmp_path: Path, source: Path, workers: int) -> Spent:
    output = tmp_path / f"out-{source.name}-{workers}"
    spent = measured([sys.executable, "-m", "tests.bench.local_steps", source, output, str(workers)], tmp_path)
    sizes = {file.stat().st_size for file in output.iterdir()}
    assert len(list(output.iterdir())) == len(list(source.iterdir()))
    assert len(sizes) == 1
    return spent


def test_local_steps_use_both_cores_in_memory_that_does_not_grow(tmp_path: Path, figure: Figure) -> None:
    busy = os.getloadavg()[0]
    few, many = photos(tmp_path / "few", FEW), photos(tmp_path / "many", MANY)
    alone, short, both = work(tmp_path, few, 1), work(tmp_path, few, 2), work(tmp_path, many, 2)
    one, two = FEW / float(alone.out), MANY / float(both.out)
    figure(
        f"local steps: photos of 12 megapixels through orient, srgb, trim, resize, pad and JPEG: {one:.1f} a second"
        f" with 1 worker, {two:.1f} with 2: ratio {two / one:.2f} (load before: {busy:.1f}),"
        f" {alone.cpu / FEW:.2f} s of CPU each"
    )
    figure(
        f"local steps: peak memory with 2 workers {short.peak / MEGABYTE:.0f} MB for {FEW} photos,"
        f" {both.peak / MEGABYTE:.0f} MB for {MANY}; with 1 worker {alone.peak / MEGABYTE:.0f} MB"
    )
    assert both.peak <= short.peak * 1.15 + 10 * MEGABYTE
    # On a machine that is at work already there is no second core to use, and the ratio says nothing.
    if len(os.sched_getaffinity(0)) > 1 and busy < 1:
        assert two / one >= 1.5
