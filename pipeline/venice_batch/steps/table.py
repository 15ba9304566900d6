"""Every step there is, each defined once: the parser, the JSON schema, the docs and the tests all read this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from pydantic import JsonValue

from venice_batch.steps.answer_checks.expectations import ExpectFields
from venice_batch.steps.chain import Step
from venice_batch.steps.conditions import Condition
from venice_batch.steps.fields import (
    BackgroundRemoveFields,
    EditFields,
    GenerateFields,
    MultiEditFields,
    UpscaleFields,
    as_sent,
)
from venice_batch.steps.local import local_step
from venice_batch.steps.local_fields import (
    ConvertFields,
    CropFields,
    FitFields,
    FlattenFields,
    LocalFields,
    OrientFields,
    OverlayFields,
    PadFields,
    ResizeFields,
    SrgbFields,
    TrimFields,
)
from venice_batch.steps.paid import BackgroundRemove, Edit, Generate, MultiEdit, PaidStep, Upscale
from venice_batch.steps.references import STYLE_REFERENCES, FileRef
from venice_batch.steps.scalars import Strict


@dataclass(frozen=True, slots=True)
class StepKind:
    """One kind of step.

    Attributes:
        name: as a job file has it.
        fields: the model of its fields; that of a local step also makes the operation.
        summary: what it does, for the JSON schema and the docs.
        call: the call of the API that it makes, with endpoint, price and limits; None: done on this machine, for free.
    """

    name: str
    fields: type[Strict]
    summary: str
    call: type[PaidStep] | None = None

    @property
    def paid(self) -> bool:
        """Whether it costs money."""
        return self.call is not None

    @property
    def description(self) -> str:
        """The summary, and whether it costs money."""
        return f"{self.summary} {'Paid' if self.paid else 'Free'}."


_KINDS = (
    StepKind("upscale", UpscaleFields, "Enlarges the picture 2 to 4 times.", Upscale),
    StepKind(
        "background-remove",
        BackgroundRemoveFields,
        "Cuts the subject out; the result has transparency.",
        BackgroundRemove,
    ),
    StepKind("edit", EditFields, "Changes the picture as the prompt says.", Edit),
    StepKind("multi-edit", MultiEditFields, "Combines several pictures as the prompt says.", MultiEdit),
    StepKind(
        "generate", GenerateFields, "Draws pictures from the rows of a prompts file; only as the first step.", Generate
    ),
    StepKind("orient", OrientFields, "Turns the picture upright by its EXIF orientation. Takes no fields."),
    StepKind("srgb", SrgbFields, "Converts the colours to sRGB, from any profile and from CMYK. Takes no fields."),
    StepKind("fit", FitFields, "Shrinks or re-encodes the picture into limits."),
    StepKind(
        "resize", ResizeFields, "Scales the picture into, over or exactly to a size; never enlarges unless asked."
    ),
    StepKind("trim", TrimFields, "Cuts off a border that is transparent or of nearly one colour."),
    StepKind("pad", PadFields, "Puts the picture in the middle of a canvas of some shape or size, with margins."),
    StepKind("flatten", FlattenFields, "Lays a transparent picture on a colour."),
    StepKind("crop", CropFields, "Keeps a part: a box in pixels or %, or the largest part of a shape."),
    StepKind("overlay", OverlayFields, "Lays another picture on top, such as a logo."),
    StepKind("convert", ConvertFields, "Encodes the picture as jpeg, png, webp or avif."),
)

#: By name, in the order of the docs.
STEPS: Mapping[str, StepKind] = MappingProxyType({kind.name: kind for kind in _KINDS})


def build(
    step_id: str,
    name: str,
    fields: Strict,
    when: Condition | None = None,
    expects: ExpectFields | None = None,
) -> Step:
    """Return the step `name` with validated `fields`, ready to be planned and run; `expects` is for a paid one.

    Raises:
        KeyError: there is no such step; the job file's validation has ruled that out.
    """
    if isinstance(fields, LocalFields):
        return local_step(step_id, name, fields, when)
    call = STEPS[name].call
    if call is None:
        raise TypeError(f"{name} does not take {type(fields).__name__}")
    step = call(id=step_id, name=name, sent=as_sent(fields), when=when, expects=expects)
    match fields:
        case MultiEditFields(images=images):
            return replace(step, images=tuple(images))
        case GenerateFields(style_references=references) if references is not None:
            files = tuple(reference.image for reference in references if isinstance(reference.image, FileRef))
            return replace(step, images=files)
    return step


def for_row(step: Generate, row_id: str, columns: Mapping[str, str]) -> Generate:
    """Return the generate step of one row of a prompts file; columns named like fields replace those of the job.

    Raises:
        ValueError: a column's value is not what the field takes (pydantic's `ValidationError`).
    """
    known = GenerateFields.model_fields
    of_row: dict[str, JsonValue] = {name: value for name, value in columns.items() if name in known and value != ""}
    kept = {name: value for name, value in step.sent.items() if name == STYLE_REFERENCES}
    others = {name: value for name, value in step.sent.items() if name not in kept}
    fields = GenerateFields.model_validate({**others, **of_row})
    # Those of the job were checked with it; a file among them is no longer named by its path.
    return replace(step, sent={**kept, **as_sent(fields)}, row=row_id)
