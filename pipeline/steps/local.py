"""The free local steps: done with Pillow on this machine, never sent anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import imaging
from pipeline.imaging import Facts, Limits, check_minimum, fitted_size, needs
from pipeline.steps.canonical import canonical
from pipeline.steps.conditions import Condition, Known
from pipeline.steps.fields import FitFields
from pipeline.steps.lineage import Lineage


@dataclass(frozen=True, slots=True)
class LocalStep:
    """``orient`` (turn by EXIF) or ``fit`` (shrink or re-encode into limits).

    Attributes:
        id: unique within the recipe.
        name: the step's name in a job file.
        limits: what the picture must fit into; empty for ``orient``.
        when: the step is left out where this does not hold.
        revision: raised when the step would make a different picture of the same input.
    """

    id: str
    name: str
    limits: Limits
    parameters: str = "{}"
    when: Condition | None = None
    revision: int = 1

    def after(self, known: Known) -> Known:
        """Return what is known of the picture after the step; `orient` changes nothing, `Known` is always upright."""
        if self.name == "orient":
            return known
        if known.width is None or known.height is None:
            return Known(has_alpha=known.has_alpha)
        width, height = fitted_size((known.width, known.height), self.limits)
        return replace(known, width=width, height=height, format=None, bytes=None)

    def lineage(self, before: Lineage) -> Lineage:
        """Return the picture's history after the step."""
        return before.then(self.name, self.parameters, self.revision)

    def apply(self, picture: Path, into: Path) -> Path:
        """Carry out the step; returns `picture` itself where there is nothing to do.

        Raises:
            ItemError: the picture cannot be decoded or brought into the limits.
        """
        facts = imaging.probe(picture)
        idle = facts.orientation == 1 if self.name == "orient" else not needs(facts, self.limits)
        if idle:
            return picture
        imaging.prepare(picture, into, limits=self.limits)
        return into


def orient(step_id: str = "orient", when: Condition | None = None) -> LocalStep:
    """Return the step that turns a picture upright by its EXIF orientation."""
    return LocalStep(step_id, "orient", Limits(), when=when)


def fit(step_id: str, fields: FitFields, when: Condition | None = None) -> LocalStep:
    """Return the step that brings a picture into the limits the user wrote."""
    written = fields.model_dump(exclude_unset=True, mode="json")
    limits = Limits(max_side=fields.max_side, max_pixels=fields.max_pixels, max_bytes=fields.max_bytes)
    return LocalStep(step_id, "fit", limits, canonical(written), when)


def sendable(picture: Path, into: Path, limits: Limits) -> tuple[Path, Facts]:
    """Return a file that the next call will not refuse, and its facts: `picture` itself, or a fitted copy at `into`.

    The picture is known to decode (inputs are verified when they are taken in, answers when they are judged): only its
    header is read here, since decoding it once more would cost more than sending it.

    Raises:
        ItemError: the picture is too small for the API, or cannot be fitted.
    """
    facts = imaging.probe(picture)
    check_minimum(facts, limits)
    if not needs(facts, limits):
        return picture, facts
    return into, imaging.prepare(picture, into, limits=limits)
