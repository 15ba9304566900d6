"""The chain of `make live`, on the emulator: what asks for real money must not fail for a mistake of its own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.conftest import Vendor, environment
from tests.live.chain import CAP, buy


@pytest.mark.slow
def test_the_chain_of_make_live_buys_every_kind_of_call_below_its_cap(tmp_path: Path, vendor: Vendor) -> None:
    spent = buy(tmp_path / "live", environment(tmp_path / "scratch", vendor))
    assert spent == vendor.billed() == Decimal("0.14")
    assert spent < CAP / 2
    assert {call["path"] for call in vendor.paid()} == {
        "/image/edit",
        "/image/multi-edit",
        "/image/background-remove",
        "/image/upscale",
        "/image/generate",
    }
