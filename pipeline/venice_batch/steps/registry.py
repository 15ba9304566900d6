"""From a step as the job file gives it to a step that can be planned and run."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, JsonValue

from venice_batch.steps.answer_checks.expectations import ExpectFields
from venice_batch.steps.chain import Step
from venice_batch.steps.conditions import Condition
from venice_batch.steps.fields import GenerateFields, MultiEditFields, as_sent
from venice_batch.steps.local import local_step
from venice_batch.steps.local_fields import LocalFields
from venice_batch.steps.paid import BackgroundRemove, Edit, Generate, MultiEdit, PaidStep, Upscale

_PAID: dict[str, type[PaidStep]] = {
    "upscale": Upscale,
    "background-remove": BackgroundRemove,
    "edit": Edit,
    "multi-edit": MultiEdit,
    "generate": Generate,
}


def build(
    step_id: str,
    name: str,
    fields: BaseModel,
    when: Condition | None = None,
    expects: ExpectFields | None = None,
) -> Step:
    """Return the step `name` with validated `fields`; `expects` is for a paid one.

    Raises:
        KeyError: there is no such step; the job file's validation has ruled that out.
    """
    if isinstance(fields, LocalFields):
        return local_step(step_id, name, fields, when)
    step = _PAID[name](id=step_id, name=name, sent=as_sent(fields), when=when, expects=expects)
    return replace(step, images=tuple(fields.images)) if isinstance(fields, MultiEditFields) else step


def for_row(step: Generate, row_id: str, columns: dict[str, str]) -> Generate:
    """Return the generate step of one row of a prompts file; columns named like fields replace those of the job.

    Raises:
        ValueError: a column's value is not what the field takes (pydantic's `ValidationError`).
    """
    known = GenerateFields.model_fields
    written: dict[str, JsonValue] = {name: value for name, value in columns.items() if name in known and value != ""}
    fields = GenerateFields.model_validate({**step.sent, **written})
    return replace(step, sent=as_sent(fields), row=row_id)
