"""The free local steps: done with Pillow on this machine, never sent anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from venice_batch import imaging
from venice_batch.imaging import Facts, Limits, Rendition, check_size, needs
from venice_batch.imaging.local_ops import FORMATS, Convert, Flatten, Operation, Orient, Overlay, Pad
from venice_batch.steps.canonical_json import canonical
from venice_batch.steps.conditions import Condition, Known
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.local_fields import LocalFields

#: Extensions of files whose format cannot hold transparency.
_OPAQUE = frozenset({"jpg", "jpeg"})
_EXTENSIONS = dict(FORMATS.values())


@dataclass(frozen=True, slots=True)
class LocalStep:
    """One local step.

    Attributes:
        id: unique within the job.
        name: the step's name in a job file.
        operation: what it does to a picture.
        parameters: canonical JSON of the fields that the user set. A file that they name is a path here until
            `pinned` puts its hash in its place.
        when: the step is left out where this does not hold.
        revision: raised when the step would make a different picture of the same input.
        unpinned: files that the fields name and whose hashes are not yet in `parameters`.
    """

    id: str
    name: str
    operation: Operation
    parameters: str = "{}"
    when: Condition | None = None
    revision: int = 1
    unpinned: tuple[Path, ...] = ()

    def pinned(self, hashes: Mapping[Path, str]) -> LocalStep:
        """Return the step with the content of its file in its parameters: a new logo makes new pictures.

        Args:
            hashes: the SHA-256 of each file in `unpinned`.

        Raises:
            KeyError: a hash is missing.
        """
        if not self.unpinned:
            return self
        if not isinstance(self.operation, Overlay):
            raise TypeError(f"{self.name} names no file")
        sha256 = hashes[self.operation.file]
        parameters = canonical({**json.loads(self.parameters), "file": sha256})
        return replace(self, operation=replace(self.operation, sha256=sha256), parameters=parameters, unpinned=())

    def after(self, known: Known) -> Known:
        """Return what is known of the picture after the step; `orient` changes nothing, `Known` is always upright."""
        if isinstance(self.operation, Orient):
            return known
        size = None if known.width is None or known.height is None else (known.width, known.height)
        width, height = (None if size is None else self.operation.size_after(size)) or (None, None)
        made = self.operation.format if isinstance(self.operation, Convert) else None
        return Known(width, height, has_alpha=_alpha_after(self.operation, before=known.has_alpha), format=made)

    def extension(self, before: str) -> str:
        """Return the file extension that suits the picture after the step, given the one before it."""
        if isinstance(self.operation, Convert):
            return _EXTENSIONS[self.operation.format]
        clear = isinstance(self.operation, Pad) and self.operation.color == "transparent"
        return "png" if clear and before.lower() in _OPAQUE else before

    def input_key(self, before: InputKey) -> InputKey:
        """Return the picture's history after the step.

        Raises:
            ValueError: the hash of a file that it names is missing: a changed logo would go unnoticed.
        """
        if self.unpinned:
            raise ValueError(f"{self.name}: the content of {self.unpinned[0]} is not known")
        return before.then(self.name, self.parameters, self.revision)


def orient(step_id: str = "orient", when: Condition | None = None) -> LocalStep:
    """Return the step that turns a picture upright by its EXIF orientation."""
    return LocalStep(step_id, "orient", Orient(), when=when)


def local_step(step_id: str, name: str, fields: LocalFields, when: Condition | None = None) -> LocalStep:
    """Return the step `name` with validated `fields`."""
    operation = fields.operation()
    parameters = canonical(fields.model_dump(exclude_unset=True, mode="json"))
    files = (operation.file,) if isinstance(operation, Overlay) else ()
    return LocalStep(step_id, name, operation, parameters, when, fields.revision, files)


def reshaped(steps: Sequence[LocalStep], picture: Path, into: Path) -> Path:
    """Carry out local steps in a row, decoding and encoding once.

    Args:
        steps: in order.
        picture: the picture; never changed.
        into: the file to write, without loss; temporary files lie beside it meanwhile.

    Returns:
        `into`, or `picture` itself where there is nothing to do.

    Raises:
        ItemError: the picture cannot be decoded, or a step cannot be carried out on it.
    """
    return picture if imaging.reshape(picture, into, _operations(steps)) is None else into


def renderer(
    steps: Sequence[LocalStep], picture: Path, beside: Path, *, several: bool
) -> AbstractContextManager[Callable[[Path, Rendition], Facts]]:
    """Carry out local steps and give a function that writes finished files (see `imaging.rendition_writer`)."""
    return imaging.rendition_writer(picture, beside, _operations(steps), several=several)


def sendable(picture: Path, into: Path, limits: Limits, steps: Sequence[LocalStep] = ()) -> tuple[Path, Facts]:
    """Return a file that the next call will not refuse, and its facts: `picture` itself, or a fitted copy at `into`.

    The picture is known to decode (inputs are verified when they are taken in, answers when they are judged): only its
    header is read here, since decoding it once more would cost more than sending it.

    Args:
        picture: the picture.
        into: the file to write if need be.
        limits: what the receiver takes.
        steps: local steps to carry out first; the copy is then encoded once, in a form fit for sending.

    Raises:
        ItemError: the API would refuse the picture for its size, it cannot be fitted, or a step cannot be carried out.
    """
    with imaging.apply_file_operations(picture, into, _operations(steps)) as (file, rest):
        facts = imaging.probe(file)
        if not imaging.is_noop(file, facts, rest):
            return into, imaging.prepare(file, into, limits=limits, operations=rest)
        check_size(facts.size, limits)
        if needs(facts, limits):
            return into, imaging.prepare(file, into, limits=limits)
        return (picture, facts) if file == picture else (file.rename(into), facts)


def _operations(steps: Sequence[LocalStep]) -> tuple[Operation, ...]:
    return tuple(step.operation for step in steps)


def _alpha_after(operation: Operation, *, before: bool | None) -> bool | None:
    match operation:
        case Flatten() | Convert(format="JPEG") | Pad(color=tuple()):
            return False
        case Pad(color="transparent"):
            return True
        case Pad() if before:
            return None  # an alpha channel that hides nothing is dropped
    return before
