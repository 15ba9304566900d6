"""When a whole run is going wrong: rules that look at many outcomes, beside those that need only one."""

from __future__ import annotations

from collections import Counter, defaultdict

from venice_batch.errors import CatalogueError, Interrupted, ModelSwitched, Unavailable, VeniceBatchError
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
        """Note a call that was answered."""
        self._given_up = 0
        if len(self._firsts[step]) < _ALIKE:
            self._firsts[step].append("")

    def refused(self, step: str, text: str) -> VeniceBatchError | None:
        """Note an input that the API refused; return why to stop, if it is time."""
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
        """Note a call that was given up after its retries; return why to stop, if it is time."""
        self._given_up += 1
        return error if self._given_up >= _GIVEN_UP else None

    def item_ended(self, *, failed: bool) -> VeniceBatchError | None:
        """Note an item with a paid call that is done or failed for good; return why to stop, if it is time."""
        self._counts["failed" if failed else "done"] += 1
        total, bad = self._counts.total(), self._counts["failed"]
        if total >= _SAMPLE and bad > self._rate * total:
            return Unavailable(
                f"{bad} of {total} items failed, more than run.max_failure_rate ({self._rate:.0%}) allows",
                remedy="look at `venice-batch items JOB --state failed`, then run again",
            )
        return None
