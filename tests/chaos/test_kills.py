"""Twenty kills out of the two hundred of `make chaos`."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.kills import kill_often


def test_twenty_kills_under_faults_lose_tear_and_buy_again_nothing(tmp_path: Path) -> None:
    figures = kill_often(20, seed=7, folder=tmp_path)
    assert figures.kills == 20
    assert figures.wrong() == [], f"\n{figures}"
    assert figures.lost_to_kills > 0, "no kill hit a call that was charged: the test looks at nothing"
