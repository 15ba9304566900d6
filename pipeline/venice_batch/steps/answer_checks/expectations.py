"""What an answer must be to be published: what the API promises, sensible defaults, and the user's ``expect:``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from venice_batch.imaging import Facts
from venice_batch.steps.scalars import NUMBER, Flag, Strict, invalid, quoted
from venice_batch.steps.units import Percent, Side, share


@dataclass(frozen=True, slots=True)
class Expect:
    """What an answer was promised to be, and what it must be to be published. None asks for nothing.

    Attributes:
        size: width and height in pixels, met within 2 pixels per side.
        alpha: whether an alpha channel is promised.
        min_width: fewest pixels per row.
        min_height: fewest rows.
        min_side: fewest pixels of the shorter side.
        opaque_between: the least and the largest share of the picture, 0 to 1, that a cut-out may cover. What is half
            transparent counts half.
        not_blank: whether something must be seen: a picture of nearly one colour is flagged.
        aspect_ratio: width / height.
        aspect_within: how far the ratio may be off, as a share of it.
        min_sharpness: the least `pixel_checks.sharpness`, 0 to 127.
    """

    size: tuple[int, int] | None = None
    alpha: bool = False
    min_width: int | None = None
    min_height: int | None = None
    min_side: int | None = None
    opaque_between: tuple[float, float] | None = None
    not_blank: bool = True
    aspect_ratio: float | None = None
    aspect_within: float = 0.01
    min_sharpness: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the fields that ask for something, as a dict that `json.dumps` takes and `from_json` reads."""
        asked = {name: value for name, value in asdict(self).items() if value != _NOTHING_ASKED[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Expect:
        """Read what `to_json` wrote, in this version or an earlier one; keys of a later version are ignored."""
        known = {name: value for name, value in data.items() if name in _NOTHING_ASKED}
        read = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        return cls(**read)  # type: ignore[arg-type]  # our own file: what `to_json` wrote has the types of the fields


_NOTHING_ASKED: Mapping[str, object] = {field.name: field.default for field in fields(Expect)}

#: What holds without ``expect:``, by step. The promises of the API (exact size, alpha) are the paid steps' own.
#: A cut-out that covers less than 1 % has lost its subject; one that covers more than 99 % has cut nothing away.
DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"background-remove": {"opaque_between": (0.01, 0.99)}})


def _shares(value: object) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004  # least and most
        raise invalid(f"{quoted(value)} where two shares are expected", "write [least, most], such as [5%, 90%]")
    least, most = share(value[0]), share(value[1])
    if least > most:
        raise invalid("the first share is larger than the second", "write [least, most], such as [5%, 90%]")
    return least, most


_SHARES = WithJsonSchema({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": ["number", "string"]}})
Shares: TypeAlias = Annotated[tuple[float, float], BeforeValidator(_shares), _SHARES]


class ExpectFields(Strict):
    """``expect:`` of a paid step; an answer that falls short is flagged and held back.

    It is no part of what is bought, and an answer keeps the verdict of the expectations that it was bought under: a
    change buys nothing, checks nothing again, and holds for what is bought from then on.
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
            raise invalid("nothing is expected", "write a test such as min_side: 1000, or remove the line")
        return self


def expect_of_call(step: str, promised: Expect, written: ExpectFields | None, sent: Facts | None) -> Expect:
    """Return what the answer of a call is checked against.

    Args:
        step: the step's name.
        promised: what the API promises for this call.
        written: what the user wrote; None: nothing.
        sent: facts of the base picture as it was sent, upright; None where there was none, or it was not probed.
    """
    expect = replace(promised, **DEFAULTS.get(step, {}))
    if written is None:
        return expect
    return replace(
        expect,
        min_width=written.min_width,
        min_height=written.min_height,
        min_side=written.min_side,
        opaque_between=expect.opaque_between if written.alpha_share is None else written.alpha_share,
        not_blank=written.not_blank,
        aspect_ratio=sent.aspect_ratio if sent is not None and written.aspect_within is not None else None,
        aspect_within=expect.aspect_within if written.aspect_within is None else written.aspect_within,
        min_sharpness=written.sharpness,
    )
