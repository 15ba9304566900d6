"""How often a call was tried for nothing, and when that is often enough: money is never thrown after money twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from venice_batch.steps.chain import Purchase

#: Losses of one key in a run before the item is left for the next one: the first, and one more purchase.
_LOSSES = 2
#: Answers that are no picture before the item fails: the first, and one more purchase.
_BAD_ANSWERS = 2


class Attempts:
    """Counts per call, over all items of the run: those with the same bytes share their luck."""

    def __init__(self, lost_before: Iterable[str], uncertain: Literal["hold", "retry"]) -> None:
        """Begin with the results whose answers an earlier run lost; `uncertain` is the job's ``run.uncertain``."""
        self._losses: Counter[str] = Counter(dict.fromkeys(lost_before, 1))
        self._retries = uncertain == "retry"
        self._bad: dict[str, int] = {}

    def lost(self, purchase: Purchase) -> None:
        """Count an answer that was lost after it may have been charged."""
        self._losses[purchase.results[0]] += 1

    def too_often_lost(self, purchase: Purchase) -> bool:
        """Whether the job does not allow to buy it (again) after the losses so far."""
        losses = self._losses[purchase.results[0]]
        return losses > 0 and not (self._retries and losses < _LOSSES)

    def answered(self, purchase: Purchase, *, bad: bool) -> None:
        """Count an answer, `bad` where it is no picture."""
        self._bad[purchase.claim] = self._bad.get(purchase.claim, 0) + bad

    def recall(self, purchase: Purchase, *, was_bad: bool) -> None:
        """Take over what an earlier run found, unless this one has its own answer: what is bought now is the second."""
        self._bad.setdefault(purchase.claim, int(was_bad))

    def set_aside_results(self, purchase: Purchase) -> None:
        """Count an answer that is bought anew: the one to come is the second of two, whatever is wrong with it."""
        self._bad[purchase.claim] = max(1, self._bad.get(purchase.claim, 0))

    def too_often_bad(self, purchase: Purchase) -> bool:
        """Whether its answers were no picture so often that another one would be money thrown away."""
        return self._bad.get(purchase.claim, 0) >= _BAD_ANSWERS
