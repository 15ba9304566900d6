"""What workers do and what they hand back: values only, so that the driver alone decides and records."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from venice_batch.errors import ItemError, VeniceBatchError
from venice_batch.imaging import Facts, Rendition
from venice_batch.plan.sources import Candidate
from venice_batch.state import Event, OutputRow
from venice_batch.steps.chain import Purchase, Stage
from venice_batch.venice import Answer, CallFailed


@dataclass(frozen=True, slots=True)
class Ticket:
    """Which journey a task belongs to; the driver's own number."""

    in_flight: int


@dataclass(frozen=True, slots=True)
class ReadInput:
    """Read an input whole: copy, hash, and check that it decodes."""

    ticket: Ticket
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Buy:
    """Make one paid call, and make its answer durable.

    Attributes:
        ticket: whose task.
        purchase: what is bought.
        source: the item's own bytes; None where no input needs them.
        price: US dollars of the call.
        lane: the model id of its lane.
        key: of the input, where the API reads it by itself from a signed address.
    """

    ticket: Ticket
    purchase: Purchase
    source: Path | None
    price: Decimal
    lane: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """Look at an answer that an earlier run stored but did not come to judge."""

    ticket: Ticket
    result: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """Put flagged answers out of the way, so that they can be bought anew."""

    ticket: Ticket
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """One finished file to make.

    Attributes:
        name: its path, relative to the output.
        rendition: how it is encoded; None: as the last step left it, in the format that the name says.
        ours: what the manifest knows of a file of that name.
    """

    name: str
    rendition: Rendition | None
    ours: OutputRow | None


@dataclass(frozen=True, slots=True)
class Publish:
    """Make the finished files of an item and put them in the output.

    Attributes:
        ticket: whose task.
        stage: what they are made from.
        source: the item's own bytes, where no paid result is below it.
        files: in order.
    """

    ticket: Ticket
    stage: Stage
    source: Path | None
    files: tuple[FinishedFile, ...]


@dataclass(frozen=True, slots=True)
class ProbeStage:
    """Find out what a condition needs to know of a picture that local steps have changed."""

    ticket: Ticket
    stage: Stage
    source: Path | None


Task = ReadInput | Buy | CheckAnswer | ProbeStage | SetAside | Publish


@dataclass(frozen=True, slots=True)
class InputRead:
    """The input was read: a private copy of its bytes, their hash and header."""

    task: ReadInput
    copy: Path
    sha256: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Bought:
    """The call was answered and the answer is durable; `reason` says why it is no picture, if it is none.

    `noted`: what the manifest should know of the stored answer.
    """

    task: Buy
    answer: Answer
    reason: str = ""
    noted: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class CallLost:
    """The call gave no answer to judge; the failure says what becomes of it."""

    task: Buy
    failure: CallFailed


@dataclass(frozen=True, slots=True)
class AnswerChecked:
    """The stored answer was looked at; `reason` says why it is no picture, if it is none. `noted`: see `Bought`."""

    task: CheckAnswer
    reason: str = ""
    noted: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultsSetAside:
    """The answers are out of the way. `noted`: see `Bought`."""

    task: SetAside
    noted: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class StageProbed:
    """The picture was made and its header read."""

    task: ProbeStage
    facts: Facts


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished file is durable; `ours` is false for a stranger's that the job says to leave in its place."""

    name: str
    version: str
    sha256: str
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """Finished files are durable: all of them, or, with `failed`, those before the one that could not be put."""

    task: Publish
    files: tuple[WrittenFile, ...]
    failed: VeniceBatchError | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The item cannot go on; nothing was sent for this task."""

    task: Task
    error: ItemError


@dataclass(frozen=True, slots=True)
class Broken:
    """The task met something that no item is to blame for: a full disk, or a bug. The run must stop.

    `billed`: a call was answered before it happened.
    """

    task: Task
    error: VeniceBatchError
    billed: bool = False


Outcome = InputRead | Bought | CallLost | AnswerChecked | StageProbed | ResultsSetAside | Published | Refused | Broken
