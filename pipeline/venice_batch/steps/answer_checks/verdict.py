"""The verdict on an answer: accepted, held back with flags, or no picture at all; and the facts stored for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from venice_batch.errors import ItemError
from venice_batch.imaging import Facts
from venice_batch.steps.answer_checks.expectations import Expect
from venice_batch.steps.answer_checks.fact_checks import fact_flags, media_type
from venice_batch.venice import Answer

#: Every flag, with what it says of an answer. The first two come from the API's headers, the rest from the picture.
FLAGS: Mapping[str, str] = {
    "blocked": "the API says that it violates its content policy",
    "blurred": "the API says that it blurred it",
    "wrong-type": "a picture, but of another format than its label says",
    "wrong-size": "of another size than promised",
    "too-small": "smaller than asked for",
    "wrong-aspect": "of another shape than asked for",
    "no-alpha": "without the transparency that was promised",
    "empty-cutout": "next to nothing is left of the subject",
    "full-cutout": "next to nothing was cut away",
    "blank": "nothing can be seen: nearly one colour, or all transparent",
    "soft": "less sharp than asked for",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks found.

    Attributes:
        facts: the picture; None when the bytes are no whole picture.
        flags: what speaks against publishing it, in the order of `FLAGS`; empty when it is accepted.
        reason: why it is no picture, one line of printable text.
    """

    facts: Facts | None
    flags: tuple[str, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as it is stored beside the bytes."""
        return {"facts": None if self.facts is None else self.facts.to_json(), "flags": list(self.flags)}


def facts_to_store(answer: Answer, expect: Expect, price: str, at: float) -> dict[str, Any]:
    """Return the facts that are stored with the bytes of `answer`, enough to check it later without another call.

    Args:
        answer: what the client received.
        expect: what it will be checked against.
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


def check_answer(picture: Path, stored: Mapping[str, Any]) -> Verdict:
    """Check a stored answer: what its headers said, full decode, label, size, alpha, pixels.

    Args:
        picture: the bytes.
        stored: as written by `facts_to_store`.

    Raises:
        ItemError: ``unreadable``: the local file cannot be read, which says nothing about the answer.
    """
    from venice_batch.steps.answer_checks.pixel_checks import pixel_flags  # noqa: PLC0415 - loads Pillow

    expect, label = Expect.from_json(stored["expect"]), media_type(stored["content_type"])
    try:
        facts, in_pixels = pixel_flags(picture, expect)
    except ItemError as error:
        if error.code == "unreadable":
            raise
        # Empty, cut short, damaged, or no picture at all: an error page, JSON.
        return Verdict(None, reason=f"{error.message} (labelled {label[:60]!a})" if label else error.message)
    raised = {
        "blocked": stored["violation"],
        "blurred": stored["blurred"],
        **fact_flags(facts, label, expect),
        **in_pixels,
    }
    return Verdict(facts, tuple(flag for flag, holds in raised.items() if holds))
