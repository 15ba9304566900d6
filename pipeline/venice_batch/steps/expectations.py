"""What an answer must be to be published: the user's ``expect:``, and what is sensible where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from venice_batch.imaging import Expect, Facts
from venice_batch.steps.scalars import NUMBER, Flag, quoted, refusal
from venice_batch.steps.strict import StepFields
from venice_batch.steps.units import Percent, Side, share

#: What holds without ``expect:``, by step. The promises of the API (exact size, alpha) are the paid steps' own.
#: A cut-out that covers less than 1 % has lost its subject; one that covers more than 99 % has cut nothing away.
DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"background-remove": {"opaque_between": (0.01, 0.99)}})


def _shares(value: object) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004  # least and most
        raise refusal(f"{quoted(value)} where two shares are expected", "write [least, most], such as [5%, 90%]")
    least, most = share(value[0]), share(value[1])
    if least > most:
        raise refusal("the first share is larger than the second", "write [least, most], such as [5%, 90%]")
    return least, most


_SHARES = WithJsonSchema({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": ["number", "string"]}})
Shares: TypeAlias = Annotated[tuple[float, float], BeforeValidator(_shares), _SHARES]


class ExpectFields(StepFields):
    """``expect:`` of a paid step; an answer that falls short is flagged and held back.

    It is no part of what is bought, and an answer keeps the verdict of the expectations that it was bought under: a
    change buys nothing, judges nothing anew, and holds for what is bought from then on.
    """

    min_width: Side | None = Field(None, description="Fewest pixels per row.")
    min_height: Side | None = Field(None, description="Fewest rows.")
    min_side: Side | None = Field(None, description="Fewest pixels of the shorter side.")
    alpha_share: Shares | None = Field(
        None,
        description="Least and largest share of the picture that a cut-out may cover: [1%, 99%] for "
        "background-remove when absent.",
    )
    not_blank: Flag = Field(True, description="false: a picture of nearly one colour is fine.")  # noqa: FBT003  # pydantic's default comes first
    aspect_within: Percent | None = Field(
        None, description="How far the shape may be from that of the picture that was sent, such as 2%."
    )
    sharpness: Annotated[float, Field(gt=0, le=127), NUMBER] | None = Field(
        None, description="Least hardness of edges, up to 127; photos in focus have 15 to 100, blurred ones below 10."
    )

    @model_validator(mode="after")
    def _something_is_expected(self) -> Self:
        if not self.model_fields_set:
            raise refusal("nothing is expected", "write a test such as min_side: 1000, or remove the line")
        return self


def expected(step: str, promised: Expect, fields: ExpectFields | None, sent: Facts | None) -> Expect:
    """Return what the answer of a call is judged by.

    Args:
        step: the step's name.
        promised: what the API promises for this call.
        fields: what the user wrote; None: nothing.
        sent: facts of the base picture as it was sent, upright; None where there was none, or it was not looked at.
    """
    wanted = replace(promised, **DEFAULTS.get(step, {}))
    if fields is None:
        return wanted
    shape = sent.aspect_ratio if sent is not None and fields.aspect_within is not None else None
    return replace(
        wanted,
        min_width=fields.min_width,
        min_height=fields.min_height,
        min_side=fields.min_side,
        opaque_between=wanted.opaque_between if fields.alpha_share is None else fields.alpha_share,
        not_blank=fields.not_blank,
        aspect_ratio=shape,
        aspect_within=wanted.aspect_within if fields.aspect_within is None else fields.aspect_within,
        min_sharpness=fields.sharpness,
    )
