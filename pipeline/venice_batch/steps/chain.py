"""A chain of steps, and where an item stands in it. Pure: the planner prices with it and the runner works by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.local import LocalStep
from venice_batch.steps.paid import PaidStep
from venice_batch.steps.references import BesideRef, Current, FileRef, ImageRef, Outside, Source, StepRef, UrlRef
from venice_batch.steps.row_conditions import needs_picture

Step = LocalStep | PaidStep


@dataclass(frozen=True, slots=True)
class Stage:
    """A picture on its way: its history, what is known of it, and how to make it from durable bytes.

    Attributes:
        input_key: its history.
        known: what is known of it.
        result: the key of the last paid result below it; None: it comes straight from the source.
        local: the local steps to apply to those bytes.
    """

    input_key: InputKey
    known: Known
    result: str | None = None
    local: tuple[LocalStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """Where an item stands: the next step to look at, the picture so far, and those of earlier steps."""

    index: int
    current: Stage
    source: Stage
    by_step: Mapping[str, Stage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Purchase:
    """A paid step that is next in line.

    Attributes:
        step: the step.
        claim: the key of the call; one buyer at a time.
        result: the key of this item's picture in its answer (differs from `claim` only for variants).
        results: the keys of all pictures in the answer.
        inputs: the pictures to send, base first; those from outside the chain as they are.
    """

    step: PaidStep
    claim: str
    result: str
    results: tuple[str, ...]
    inputs: tuple[Stage | Outside, ...]


@dataclass(frozen=True, slots=True)
class Undecided:
    """A step whose condition cannot be judged before an earlier answer is there."""

    step: Step


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of the chain: what the finished file is made from."""

    stage: Stage


Stop = Purchase | Undecided | Finished


@dataclass(frozen=True)
class Chain:
    """The ordered steps of a job, for one host.

    Attributes:
        host: the identity of the API in result keys.
        steps: in order; the implicit ``orient`` included.
        files: the SHA-256 of each file that a step names.
    """

    host: str
    steps: tuple[Step, ...]
    files: Mapping[Path, str] = field(default_factory=dict)

    @property
    def paid(self) -> tuple[PaidStep, ...]:
        """The steps that cost money."""
        return tuple(step for step in self.steps if isinstance(step, PaidStep))

    def start(self, input_key: InputKey, known: Known) -> Position:
        """Return where a new item stands."""
        stage = Stage(input_key, known)
        return Position(0, stage, stage)

    def advance(self, position: Position, variant: int = 0) -> tuple[Position, Stop]:
        """Go through local and left-out steps up to the next purchase, open condition, or the end."""
        while position.index < len(self.steps):
            step = self.steps[position.index]
            holds = True if step.when is None else step.when.holds(position.current.known)
            if holds is None:
                return position, Undecided(step)
            if holds and isinstance(step, PaidStep):
                return position, self._purchase(step, position, variant)
            position = self._through(step, position) if holds else self.skip(position)
        return position, Finished(position.current)

    def ahead(self, position: Position) -> Iterator[tuple[PaidStep, Known]]:
        """Yield the paid steps that may still come, each with what is known of the picture that it gets."""
        known = position.current.known
        for step in self.steps[position.index :]:
            holds = True if step.when is None else step.when.holds(known)
            if isinstance(step, PaidStep) and holds is not False:
                yield step, known
            if holds is not False:
                known = step.after(known) if holds else Known()

    def skip(self, position: Position) -> Position:
        """Return the position after leaving out the step at hand."""
        step = self.steps[position.index]
        return replace(position, index=position.index + 1, by_step={**position.by_step, step.id: position.current})

    def _through(self, step: Step, position: Position) -> Position:
        if not isinstance(step, LocalStep):
            raise TypeError(f"{step.name} is not a local step")
        now = position.current
        stage = replace(
            now, input_key=step.input_key(now.input_key), known=step.after(now.known), local=(*now.local, step)
        )
        first = position.source is position.current and position.index == 0 and step.name == "orient"
        # `source` in a later step means the picture as a person sees it: upright.
        source = stage if first else position.source
        return Position(position.index + 1, stage, source, {**position.by_step, step.id: stage})

    def bought(self, position: Position, purchase: Purchase, known: Known) -> Position:
        """Return the position after `purchase`, whose answer is `known` so far."""
        stage = Stage(InputKey("result", purchase.result), known, purchase.result)
        by_step = {**position.by_step, purchase.step.id: stage}
        return Position(position.index + 1, stage, position.source, by_step)

    def _purchase(self, step: PaidStep, position: Position, variant: int) -> Purchase:
        inputs = tuple(self._input(ref, position) for ref in step.images)
        claim = step.key(self.host, [self._history(picture) for picture in inputs])
        several = step.variants > 1
        results = tuple(f"{claim}.{number}" for number in range(step.variants)) if several else (claim,)
        return Purchase(step, claim, results[variant - 1] if several else claim, results, inputs)

    def _input(self, ref: ImageRef, position: Position) -> Stage | Outside:
        match ref:
            case Current():
                return position.current
            case Source():
                return position.source
            case StepRef(id=step_id):
                return position.by_step[step_id]
            case FileRef(path):
                return replace(ref, sha256=self.files[path])
            case UrlRef() | BesideRef():
                return ref

    def _history(self, picture: Stage | Outside) -> InputKey:
        match picture:
            case Stage():
                return picture.input_key
            case FileRef(sha256=sha256):
                return InputKey("source", sha256)
            case UrlRef(url=url):
                return InputKey("url", url)
            case BesideRef(version=version, sha256=sha256):
                # In a bucket equal versions are equal bytes, and nothing is downloaded for a plan.
                return InputKey("source", sha256) if sha256 else InputKey("object", version)


def needs_bytes(steps: Sequence[Step]) -> bool:
    """Whether an item given by address must be fetched: its first step looks at the picture or takes files only."""
    first = steps[0]
    return not (isinstance(first, PaidStep) and first.takes_url and not needs_picture(first.when))
