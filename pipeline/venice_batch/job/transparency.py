"""Transparency that would have nowhere to go: found in the job file, before anything is paid.

A JPEG cannot be transparent. Where every picture is by the time it becomes one, every item would fail after it was paid
for, so the job is refused; where only some may be, the plan warns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from venice_batch.imaging.local_ops import Convert
from venice_batch.job.model import Job, Output, StepSpec
from venice_batch.job.positions import Path
from venice_batch.job.problems import Problems
from venice_batch.job.renditions import RenditionSpec
from venice_batch.steps.chain import Step
from venice_batch.steps.conditions import Known
from venice_batch.steps.local import LocalStep
from venice_batch.steps.table import build

#: Whether a picture is transparent somewhere: yes, no, or not known (as photos mostly are not).
_May = frozenset[bool | None]
_OF_ANY_SIZE = Known(width=1000, height=1000)
_JPEG_NAMES = frozenset({"jpg", "jpeg"})
_HINT = "add a step - flatten: {color: white}"


def report(steps: Sequence[StepSpec], output: Output, path: Path, problems: Problems) -> None:
    """Report steps and finished files that would lose the transparency of every item.

    Args:
        steps: of the job, without mistakes of their own.
        output: the job's.
        path: where the renditions stand.
        problems: receives the problems.
    """
    may, converts = _alpha_along(steps)
    what = "every picture is transparent here, and JPEG cannot keep that"
    for number in (number for number, before in converts if before == {True}):
        problems.about_value(("steps", number, "convert", "format"), what, f"{_HINT} before it, or write png or webp")
    if may != {True}:
        return
    for number, spec in enumerate(output.renditions):
        if _is_opaque(spec):
            hint = f"{_HINT}, write background: white, or choose png or webp"
            problems.about_value((*path, number, "format"), what, hint)
    if not output.renditions and _is_named_jpeg(output.name):
        problems.about_value(("output", "name"), what, f"write .{{ext}}, or {_HINT}")


def at_risk(job: Job, source: bool | None = None) -> bool:  # noqa: FBT001 - one of three values, not a switch
    """Whether some pictures may fail because a JPEG is made of what is transparent.

    Args:
        job: the job.
        source: whether the input is transparent somewhere; None: not known, as most are not.
    """
    may, converts = _alpha_along(job.steps, source)
    opaque = any(map(_is_opaque, job.output.renditions))
    opaque = opaque or (not job.output.renditions and _is_named_jpeg(job.output.name))
    return (opaque and True in may) or any(True in before for _, before in converts)


def _alpha_along(
    steps: Sequence[StepSpec],
    source: bool | None = None,  # noqa: FBT001 - as above
) -> tuple[_May, list[tuple[int, _May]]]:
    """Return what the last picture may be, and what it may be before each step that makes a JPEG of it."""
    may: _May = frozenset({source})
    converts = []
    for number, spec in enumerate(steps):
        step = build(spec.id, spec.name, spec.fields, spec.when)
        holds = {alpha: _holds(step, alpha) for alpha in may}
        doing = frozenset(alpha for alpha, done in holds.items() if done is not False)
        if isinstance(step, LocalStep) and isinstance(step.operation, Convert) and step.operation.format == "JPEG":
            # Where its condition may not hold, nothing is certain about it.
            converts.append((number, doing | {None} if None in holds.values() else doing))
        skipping = frozenset(alpha for alpha, done in holds.items() if done is not True)
        may = skipping | {step.after(replace(_OF_ANY_SIZE, has_alpha=alpha)).has_alpha for alpha in doing}
    return may, converts


def _holds(step: Step, alpha: bool | None) -> bool | None:  # noqa: FBT001 - one of three values, not a switch
    return True if step.when is None else step.when.holds(Known(has_alpha=alpha))


def _is_opaque(spec: RenditionSpec) -> bool:
    return spec.rendition.format == "JPEG" and spec.rendition.background is None


def _is_named_jpeg(name: str) -> bool:
    return name.rpartition(".")[2].lower() in _JPEG_NAMES
