"""An empty night for tests of the review page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.report.nights import Night, night


@pytest.fixture
def happening(tmp_path: Path) -> Iterator[Night]:
    """A state in which nothing has happened yet."""
    with night(tmp_path) as opened:
        yield opened
