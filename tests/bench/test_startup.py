"""How long the command takes to answer at all."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.bench.command import VENICE_BATCH, clean_environment
from tests.bench.conftest import Figure

pytestmark = pytest.mark.bench

ROUNDS = 15
HELP = (VENICE_BATCH, "--help")
CLICK = (sys.executable, "-c", "import click")


def test_help_comes_within_twice_the_import_of_click(tmp_path: Path, figure: Figure) -> None:
    def seconds(arguments: Sequence[str]) -> float:
        begun = time.perf_counter()
        subprocess.run(arguments, env=clean_environment(tmp_path), stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - begun

    seconds(HELP), seconds(CLICK)  # the first round fills the caches
    rounds = [(seconds(HELP), seconds(CLICK)) for _ in range(ROUNDS)]
    ours, clicks = (statistics.median(column) for column in zip(*rounds, strict=True))
    figure(
        f"start-up: --help {ours * 1000:.0f} ms, python -c 'import click' {clicks * 1000:.0f} ms (medians of {ROUNDS}"
        f" in alternation): ratio {ours / clicks:.2f}"
    )
    assert ours / clicks <= 2.0
