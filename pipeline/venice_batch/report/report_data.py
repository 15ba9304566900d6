"""What the review page shows: plain values, read once, so that the page, the CSV and the JSON cannot disagree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from venice_batch.report.text import item_name
from venice_batch.state import CallRow, ItemRow, RunRow, Spending

#: Outcomes (`fate`) of a call that cost money or may have.
CHARGED = frozenset({"spent", "uncertain"})
#: States that a person should look at, the most urgent first.
NEEDS_A_LOOK = ("failed", "invalid", "flagged", "uncertain")


@dataclass(frozen=True, slots=True)
class Picture:
    """A thumbnail of the page.

    Attributes:
        file: its name in the folder of thumbnails.
        width: of the picture that it shows, upright, in pixels; not of the thumbnail.
        height: likewise.
    """

    file: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class StepPicture:
    """What one paid step made of an item.

    Attributes:
        step: the step's id.
        picture: None where there are no bytes to show.
        flags: why it is held back; empty for an accepted one.
    """

    step: str
    picture: Picture | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """One file in the output.

    Attributes:
        path: relative to the output.
        href: where the page finds it in full size, as a relative address; None where it cannot.
    """

    path: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class ReportItem:
    """One item with its pictures, calls and files.

    Attributes:
        row: as the manifest has it.
        before: the input.
        after: the finished file.
        steps: one picture for every paid step, in the order of the chain.
        calls: its part of the ledger that says something, oldest first.
        files: the finished files.
    """

    row: ItemRow
    before: Picture | None = None
    after: Picture | None = None
    steps: tuple[StepPicture, ...] = ()
    calls: tuple[CallRow, ...] = ()
    files: tuple[FinishedFile, ...] = ()

    @property
    def name(self) -> str:
        """How people call it."""
        return item_name(self.row)

    @property
    def micros(self) -> int:
        """What was or may have been charged for it in all runs, in millionths of a US dollar."""
        return sum(call.micros for call in self.calls if call.fate in CHARGED)

    def pictures(self) -> Iterator[Picture]:
        """Yield every thumbnail that it shows."""
        shown = (self.before, self.after, *(step.picture for step in self.steps))
        yield from (picture for picture in shown if picture is not None)


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything on the page.

    Attributes:
        job: its name.
        made_at: Unix seconds.
        run: the newest run; None before the first one.
        notes: remarks at the head of the page, such as pictures that could not be shown.
        items: in the order of the manifest.
        calls: the ledger of all runs, oldest first.
        spent_in_run: money of the newest run by step and model.
        spent_total: the same of all runs.
        steps: ids of the paid steps, in the order of the chain.
        unlisted: how many items of the job are not among `items`, by state: a page holds no million.
        unlisted_ended: how many of those came to an end in the newest run.
    """

    job: str
    made_at: float
    run: RunRow | None = None
    notes: tuple[str, ...] = ()
    items: tuple[ReportItem, ...] = ()
    calls: tuple[CallRow, ...] = ()
    spent_in_run: tuple[Spending, ...] = ()
    spent_total: tuple[Spending, ...] = ()
    steps: tuple[str, ...] = ()
    unlisted: Mapping[str, int] = field(default_factory=dict)
    unlisted_ended: int = 0

    @property
    def cause(self) -> str:
        """What ended the newest run early, or kept it from beginning; empty otherwise."""
        return "" if self.run is None else self.run.cause

    @property
    def thumbnails(self) -> frozenset[str]:
        """The names of all thumbnails that the page refers to."""
        return frozenset(picture.file for item in self.items for picture in item.pictures())

    def calls_of_run(self) -> tuple[CallRow, ...]:
        """Return the part of the ledger that belongs to the newest run."""
        return tuple(call for call in self.calls if self.run is not None and call.run == self.run.id)
