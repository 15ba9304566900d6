"""The whole chain on the real API, for real money: `make live` asks first, and nothing else runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live.chain import CAP, buy

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.environ.get("VENICE_LIVE") != "yes", reason="spends money: run `make live`"),
]


def test_the_chain_on_the_real_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spent = buy(tmp_path, os.environ)
    with capsys.disabled():
        print(f"\n{spent} USD spent of at most {CAP}; the pictures are in {tmp_path}")  # noqa: T201 - the result
