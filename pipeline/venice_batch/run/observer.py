"""What a run tells while it works, and what it says at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from venice_batch.errors import PRECEDENCE, Exit, VeniceBatchError
from venice_batch.plan.model import PlannedItem, PlanWarning
from venice_batch.state import Unproduced


class Observer(Protocol):
    """Somebody who watches a run; called in the driver's thread."""

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        """An item reached the end of its way in this run."""

    def money(self, spent: int, uncertain: int) -> None:
        """So much is spent and uncertain in this run by now, in millionths of a US dollar."""

    def note(self, text: str) -> None:
        """Something that a person watching should know."""

    def warning(self, code: str, text: str) -> None:
        """Something that a person should act upon; `code` is a short, stable word for it."""


class SteadyObserver:
    """Passes everything on until nobody can be reached any more: a log that is gone must not end a run."""

    def __init__(self, observer: Observer) -> None:
        self._observer: Observer | None = observer

    def item(self, item: PlannedItem, state: str, reason: str) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.item(item, state, reason))

    def money(self, spent: int, uncertain: int) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.money(spent, uncertain))

    def note(self, text: str) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.note(text))

    def warning(self, code: str, text: str) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.warning(code, text))

    def _tell(self, say: Callable[[Observer], None]) -> None:
        observer = self._observer
        if observer is None:
            return
        try:
            say(observer)
        except (OSError, ValueError):
            # A broken pipe, a full disk below a log; ValueError: the stream is closed.
            self._observer = None


@dataclass(frozen=True)
class Summary:
    """What came of a run.

    Attributes:
        ended: how many items of this run ended in each state.
        skipped: items that were done before.
        left_alone: items that wait for a person, by the state they are in; those that cannot be processed among them.
        spent_micros: millionths of a US dollar, spent in this run: by its earlier starts, too.
        uncertain_micros: the same for calls whose answer was lost.
        left_micros: at most so much is left to pay for the items that this run did not finish.
        cause: why the run stopped early, if it did.
        unproduced: what became of finished files that no item produces any more; None where the run did not come to it.
        published_flagged: how many of those that are done were published although flagged, as the job says.
        warnings: what the run told at once, and what should be known at its end, too.
    """

    ended: Mapping[str, int]
    skipped: int
    left_alone: Mapping[str, int]
    spent_micros: int
    uncertain_micros: int
    left_micros: int = 0
    cause: VeniceBatchError | None = None
    published_flagged: int = 0
    unproduced: Unproduced | None = None
    warnings: tuple[PlanWarning, ...] = ()

    def totals(self) -> dict[str, int]:
        """Return how many items of the job are in which state now, as far as this run knows."""
        return dict(Counter(self.ended) + Counter(self.left_alone) + Counter({"done": self.skipped}))

    @property
    def exit_code(self) -> Exit:
        """The code the command ends with; the most serious of several."""
        found = {Exit.DONE} if self.cause is None else {self.cause.exit_code}
        bad = sum(self.ended.get(state, 0) for state in ("failed", "flagged", "invalid", "uncertain"))
        if bad or self.left_alone:
            found.add(Exit.ITEMS_FAILED)
        return next((code for code in PRECEDENCE if code in found), Exit.BUG)
