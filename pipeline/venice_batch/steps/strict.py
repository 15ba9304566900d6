"""The base of all models of what stands in a job file beside a step's name."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StepFields(BaseModel):
    """Base of all field models: unknown fields are refused, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
