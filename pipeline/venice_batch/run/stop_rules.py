"""When to stop: a whole run that goes wrong, and a call that was paid for twice without a usable answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Literal

from venice_batch.errors import CatalogueError, Interrupted, ModelSwitched, Unavailable, VeniceBatchError
from venice_batch.steps.chain import Purchase
from venice_batch.steps.paid import PaidStep

#: A signal number, put into the driver's inbox by the handler.
Signal = int
_TERM = 15

#: Outcomes from which on the failure rate is judged.
_SAMPLE = 50
#: So many first inputs of a step refused with one and the same text: the step is wrong, not the pictures.
_ALIKE = 5
#: So many calls given up in a row without one answer in between: the API is down.
_GIVEN_UP = 3
#: Lost answers of one call in a run before its item is left for the next run: the first, and one more purchase.
_LOSSES = 2
#: Answers of one call that are not pictures before its item fails: the first, and one more purchase.
_BAD_ANSWERS = 2


def interrupted(number: Signal) -> Interrupted:
    """Return the error that a run ends with after this signal."""
    again = "run it again: it goes on"
    return Interrupted(f"interrupted by {signal_name(number)}", remedy=again, terminated=number == _TERM)


def signal_name(number: Signal) -> str:
    """Return what people call the signal."""
    return "SIGTERM" if number == _TERM else "Ctrl-C"


def served_another(step: PaidStep, priced: str, served: str | None) -> ModelSwitched | None:
    """Return why to stop when another model than the priced one answered: the plan's sum no longer holds then."""
    if not step.kind or served is None or served.casefold() == priced.casefold():
        return None
    return ModelSwitched(
        f"step {step.id!r}: the API served {served} instead of {priced}, which was priced",
        remedy=f"write `model: {served}` in the step if that is what you want, then plan again",
    )


class StopRules:
    """Watches outcomes and says when to stop, and why. Only the driver has one."""

    def __init__(self, max_failure_rate: float) -> None:
        self._rate = max_failure_rate
        self._counts: Counter[str] = Counter()
        self._firsts: defaultdict[str, list[str]] = defaultdict(list)
        self._given_up = 0

    def answered(self, step: str) -> None:
        """Count a call that was answered."""
        self._given_up = 0
        if len(self._firsts[step]) < _ALIKE:
            self._firsts[step].append("")

    def refused(self, step: str, text: str) -> VeniceBatchError | None:
        """Count an input that the API refused; return why to stop, if it is time."""
        self._given_up = 0
        firsts = self._firsts[step]
        if len(firsts) >= _ALIKE:
            return None
        firsts.append(text)
        if len(firsts) == _ALIKE and text and set(firsts) == {text}:
            return CatalogueError(
                f"step {step!r}: the API refused the first {_ALIKE} inputs with the same words: {text}",
                remedy="correct the step in the job file",
            )
        return None

    def gave_up(self, error: VeniceBatchError) -> VeniceBatchError | None:
        """Count a call that was given up after its retries; return why to stop, if it is time."""
        self._given_up += 1
        return error if self._given_up >= _GIVEN_UP else None

    def item_ended(self, *, failed: bool) -> VeniceBatchError | None:
        """Count an item with a paid call that is done or failed for good; return why to stop, if it is time."""
        self._counts["failed" if failed else "done"] += 1
        total, bad = self._counts.total(), self._counts["failed"]
        if total >= _SAMPLE and bad > self._rate * total:
            return Unavailable(
                f"{bad} of {total} items failed, more than run.max_failure_rate ({self._rate:.0%}) allows",
                remedy="look at `venice-batch items JOB --state failed`, then run again",
            )
        return None


class AttemptLimits:
    """Counts per call, over all items of the run: items with the same bytes share one call."""

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
        """Count an answer, `bad` where it is not a picture."""
        self._bad[purchase.claim] = self._bad.get(purchase.claim, 0) + bad

    def recall(self, purchase: Purchase, *, was_bad: bool) -> None:
        """Take over what an earlier run found, unless this one has its own answer: what is bought now is the second."""
        self._bad.setdefault(purchase.claim, int(was_bad))

    def set_aside(self, purchase: Purchase) -> None:
        """Count an answer that is bought again: the one to come is the second of two, whatever is wrong with it."""
        self._bad[purchase.claim] = max(1, self._bad.get(purchase.claim, 0))

    def too_often_bad(self, purchase: Purchase) -> bool:
        """Whether so many of its answers were not pictures that another one would be money thrown away."""
        return self._bad.get(purchase.claim, 0) >= _BAD_ANSWERS
