"""Ten nights of one shop; `make nights` lets sixty pass, of several shops, in folders and in buckets."""

from __future__ import annotations

import pytest

from tests.nights.simulation import simulate

#: Two nights are refused, two killed; files break, rows are lost, a finished file is edited, the state moves.
_SEED, _NIGHTS = 151, 10


@pytest.mark.server
@pytest.mark.slow
def test_ten_nights_buy_publish_tell_and_keep_what_they_must() -> None:
    diary: list[str] = []
    wrong = simulate(_SEED, _NIGHTS, tell=diary.append)
    assert not wrong, "\n".join([*wrong, *diary])
