"""When to stop: a whole run that goes wrong, and a call that was paid for twice without a usable answer."""

from __future__ import annotations

import signal
from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from decimal import Decimal
from typing import Literal

from venice_batch.errors import CatalogueError, Interrupted, ModelSwitched, Unavailable, VeniceBatchError
from venice_batch.steps.chain import Purchase, Stage
from venice_batch.steps.paid import PaidStep
from venice_batch.venice import CallFailed, FailureClass
from venice_batch.venice.fields import MODEL_FIELDS

#: A signal number, put into the driver's inbox by the handler.
Signal = int

#: Outcomes from which on the failure rate is judged.
_SAMPLE = 50
#: So many first inputs of a step refused with one and the same text: the step is wrong, not the pictures.
_ALIKE = 5
#: So many distinct calls in a row answered with one and the same thing that is no picture: that is not the API.
_SAME_ANSWERS = 3
#: So many calls given up in a row without one answer in between: the API is down.
_GIVEN_UP = 3
#: Lost answers of one call in a run before its item is left for the next run: the first, and one more purchase.
_LOSSES = 2
#: Answers of one call that are not pictures before its item fails: the first, and one more purchase.
_BAD_ANSWERS = 2


def interrupted(number: Signal) -> Interrupted:
    """Return the error that a run ends with after this signal."""
    again = "run it again: it goes on"
    return Interrupted(f"interrupted by {signal_name(number)}", remedy=again, terminated=number != signal.SIGINT)


def signal_name(number: Signal) -> str:
    """Return what people call the signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def served_another(price: Decimal, priced: str, served: str, served_price: Decimal | None) -> ModelSwitched | None:
    """Return why to stop when another model answered than the one that was priced; None where it costs no more.

    Args:
        price: US dollars of the call, as planned.
        priced: the model that was priced.
        served: the model that answered.
        served_price: what the call costs with that model; None: the catalogue cannot tell.
    """
    if served_price is not None and served_price <= price:
        return None
    sums = "has no price in the catalogue" if served_price is None else f"costs {served_price} instead of {price} USD"
    return ModelSwitched(
        f"the API served {served} instead of {priced}, which was priced; {served} {sums}",
        remedy=f"write `model: {served}` in the step if that is what you want, then plan again",
    )


def stopped_by(error: VeniceBatchError, step: PaidStep, item: str) -> VeniceBatchError:
    """Return the error with the step and the item that met it."""
    return type(error)(f"step {step.id!r}: {error.message} (met by {item})", remedy=error.remedy)


class StopRules:
    """Watches outcomes and says when to stop, and why. Only the driver has one."""

    def __init__(self, max_failure_rate: float, steps: Iterable[PaidStep]) -> None:
        """Begin with no outcome; `steps` are as the job file has them, before any row fills them."""
        self._rate = max_failure_rate
        self._written = {step.id: step.sent for step in steps}
        self._counts: Counter[str] = Counter()
        #: By step: what the API said to its first distinct inputs, by their names; empty where it answered.
        self._firsts: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._given_up = 0
        self._not_pictures: dict[str, str] = {}

    def answered(self, purchase: Purchase, not_picture: str = "") -> VeniceBatchError | None:
        """Count a call that was answered; return why to stop, if it is time.

        Args:
            purchase: the call.
            not_picture: what the answer was instead of a picture, the same for equal ones; empty where it was one.
        """
        self._given_up = 0
        firsts = self._firsts[purchase.step.id]
        if len(firsts) < _ALIKE:
            firsts[_input_of(purchase)] = ""
        if not not_picture or set(self._not_pictures.values()) != {not_picture}:
            self._not_pictures.clear()
        if not_picture:
            self._not_pictures[purchase.claim] = not_picture
        if len(self._not_pictures) < _SAME_ANSWERS:
            return None
        return Unavailable(
            f"{_SAME_ANSWERS} calls in a row were answered with the same {not_picture.partition(' ')[0]}"
            " and not with a picture",
            remedy="something answers in place of the API: sign in to this network, or check the proxy and"
            " VENICE_BASE_URL; then run again: it goes on",
        )

    def refused(self, purchase: Purchase, failure: CallFailed, columns: Container[str] = ()) -> VeniceBatchError | None:
        """Count an input that the API refused; return why to stop, if every item must meet the same.

        Args:
            purchase: the call.
            failure: the API's own words; what this machine could not do is none of its business.
            columns: the names of the prompts row's columns: such a field is not the job's.
        """
        self._given_up = 0
        firsts = self._firsts[purchase.step.id]
        if self._concerns_every_item(purchase.step, failure, columns):
            return failure.as_run_error()
        if len(firsts) >= _ALIKE:
            return None
        firsts[_input_of(purchase)] = failure.text
        if len(firsts) == _ALIKE and failure.text and set(firsts.values()) == {failure.text}:
            return CatalogueError(
                f"the API refused the first {_ALIKE} inputs with the same words: {failure.text}",
                remedy="correct the step in the job file",
            )
        return None

    def _concerns_every_item(self, step: PaidStep, failure: CallFailed, columns: Container[str]) -> bool:
        """Whether it is about the model, or about a field, that the job file writes for all items.

        Only what is sent exactly as it is written counts: a text that was filled in is an item's own.
        """
        written = self._written[step.id].items()
        same = {name for name, value in written if step.sent.get(name) == value and name not in columns}
        if failure.code == "bad-model":
            return step.model is None or not same.isdisjoint(MODEL_FIELDS)
        return failure.code == "bad-parameter" and not same.isdisjoint(failure.fields)

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


def _input_of(purchase: Purchase) -> str:
    """Return what tells distinct inputs apart: the base picture's history, or the call where none is sent."""
    base = purchase.inputs[0] if purchase.inputs else None
    return base.input_key.value if isinstance(base, Stage) else purchase.claim


class AttemptLimits:
    """Counts per call, over all items of the run: items with the same bytes share one call."""

    def __init__(self, lost_before: Iterable[str], uncertain: Literal["hold", "retry"]) -> None:
        """Begin with the results whose answers an earlier run lost; `uncertain` is the job's ``run.uncertain``."""
        self._losses: Counter[str] = Counter(dict.fromkeys(lost_before, 1))
        self._retries = uncertain == "retry"
        self._bad: dict[str, int] = {}
        #: Refusals that may have been charged, by call: what was said.
        self._charged_refusals: dict[str, CallFailed] = {}

    def lost(self, purchase: Purchase, failure: CallFailed) -> None:
        """Count an answer that was lost after it may have been charged, or a refusal that may have been."""
        self._losses[purchase.results[0]] += 1
        if failure.failure_class is FailureClass.ITEM_FAILS:
            self._charged_refusals[purchase.claim] = failure

    def charged_refusal(self, purchase: Purchase) -> CallFailed | None:
        """Return the last refusal of the call that may have been charged."""
        return self._charged_refusals.get(purchase.claim)

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
