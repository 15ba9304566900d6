"""Whether a stored answer is worth what was paid: accepted, held back, or no picture at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from venice_batch import imaging
from venice_batch.imaging import Expect, Facts, NotAPicture
from venice_batch.venice import Answer


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found when the picture was looked at.

    Attributes:
        facts: the picture; None when the bytes are no whole picture.
        flags: why it is held back, empty when accepted.
        reason: why it is no picture.
    """

    facts: Facts | None
    flags: tuple[str, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as it is stored beside the bytes."""
        return {"facts": None if self.facts is None else self.facts.to_json(), "flags": list(self.flags)}


def noted(answer: Answer, expect: Expect, price: str, at: float) -> dict[str, Any]:
    """Return the facts that are stored with the bytes of `answer`, enough to judge it later without asking again.

    Args:
        answer: what the client received.
        expect: what was promised.
        price: US dollars of the call, as a decimal string.
        at: Unix seconds.
    """
    return {
        "content_type": answer.content_type,
        "status": answer.status,
        "model_served": answer.model_served,
        "request_id": answer.request_id,
        "balance_usd": None if answer.balance_usd is None else str(answer.balance_usd),
        "balance_diem": None if answer.balance_diem is None else str(answer.balance_diem),
        "headers": dict(answer.headers),
        "blurred": answer.blurred,
        "violation": answer.violation,
        "price_usd": price,
        "seconds": answer.seconds,
        "attempts": answer.attempts,
        "at": at,
        "expect": expect.to_json(),
    }


def judge(picture: Path, facts: Mapping[str, Any]) -> Judgement:
    """Look at a stored answer: content type, magic bytes, full decode, size, alpha, and what the headers said.

    Args:
        picture: the bytes.
        facts: as written by `noted`.
    """
    expect = Expect.from_json(facts["expect"])
    said = tuple(flag for flag, name in (("blocked", "violation"), ("blurred", "blurred")) if facts[name])
    try:
        verdict = imaging.judge(picture, content_type=facts["content_type"], expect=expect)
    except NotAPicture as error:
        return Judgement(None, reason=error.reason)
    return Judgement(verdict.facts, (*said, *verdict.flags))
