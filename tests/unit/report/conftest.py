"""An empty night for tests of the review page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.report.state_builder import StateBuilder, building


@pytest.fixture
def built(tmp_path: Path) -> Iterator[StateBuilder]:
    """A state in which nothing has happened yet."""
    with building(tmp_path) as opened:
        yield opened
