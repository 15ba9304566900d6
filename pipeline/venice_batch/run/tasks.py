"""Tasks and outcomes: picklable values, so that a worker may be a thread of this process or another machine.

Inputs are named by key, version and hash: no value holds a path in one machine's temporary folder, nor a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from venice_batch.errors import ItemError, VeniceBatchError
from venice_batch.imaging import Facts, Rendition
from venice_batch.state import Event, OutputRow
from venice_batch.steps.chain import Purchase, Stage
from venice_batch.venice import Answer, CallFailed


@dataclass(frozen=True, slots=True)
class InputRef:
    """An item's input, for any worker to read.

    Attributes:
        key: names it in the source.
        version: as it was listed.
        url: its address, for a list of addresses.
        sha256: of its bytes; empty while nobody has read them.
    """

    key: str
    version: str
    url: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ReadInput:
    """Read an input whole: hash it, and check that it decodes. `item` is the scheduler's number, in every task."""

    item: int
    input: InputRef


@dataclass(frozen=True, slots=True)
class Buy:
    """Make one paid call, and make its answer durable.

    Attributes:
        item: whose task.
        purchase: what is bought.
        input: the item's own; where nobody has read it, the API reads it from its address.
        price: US dollars of the call.
        lane: the model id of its lane.
    """

    item: int
    purchase: Purchase
    input: InputRef
    price: Decimal
    lane: str


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """Check an answer that an earlier run stored and did not come to check."""

    item: int
    result: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """Put flagged results out of the way, so that they can be bought again."""

    item: int
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
    """Make the finished `files` of an item from `stage`, and put them in the output in that order."""

    item: int
    stage: Stage
    input: InputRef
    files: tuple[FinishedFile, ...]


@dataclass(frozen=True, slots=True)
class ProbeStage:
    """Find out what a condition needs to know of a picture that local steps have changed."""

    item: int
    stage: Stage
    input: InputRef


Task = ReadInput | Buy | CheckAnswer | ProbeStage | SetAside | Publish


@dataclass(frozen=True, slots=True)
class InputRead:
    """The input was read: the hash of its bytes and its header."""

    task: ReadInput
    sha256: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Bought:
    """The call was answered and the answer is durable.

    Attributes:
        task: the call.
        answer: what the API said; its paths are empty.
        reason: why the answer is not a picture; empty where it is one.
        events: what the manifest must record of the stored answer.
        not_picture: what it is instead of a picture, the same for equal answers.
    """

    task: Buy
    answer: Answer
    reason: str = ""
    events: tuple[Event, ...] = ()
    not_picture: str = ""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call gave no answer; `failure` says whether it is retried, uncertain, or the end of the item or the run."""

    task: Buy
    failure: CallFailed


@dataclass(frozen=True, slots=True)
class ResultsUpdated:
    """Stored results were checked or set aside; `events` is what the manifest must record of them."""

    task: CheckAnswer | SetAside
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class StageProbed:
    """The picture was made and its header read."""

    task: ProbeStage
    facts: Facts


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished file is durable; `ours` is false for a foreign file that the job says to leave in its place."""

    name: str
    version: str
    sha256: str
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """Finished files are durable: all of them, or, with `error`, those before the one that could not be put."""

    task: Publish
    files: tuple[WrittenFile, ...]
    error: VeniceBatchError | None = None


@dataclass(frozen=True, slots=True)
class ItemFailed:
    """The item cannot go on; nothing was sent for this task."""

    task: Task
    error: ItemError


@dataclass(frozen=True, slots=True)
class RunFailed:
    """Something that no item is to blame for, such as a full disk or a bug: the run must stop.

    `billed`: a call was answered before it happened.
    """

    task: Task
    error: VeniceBatchError
    billed: bool = False


Outcome = InputRead | Bought | CallEnded | ResultsUpdated | StageProbed | Published | ItemFailed | RunFailed
