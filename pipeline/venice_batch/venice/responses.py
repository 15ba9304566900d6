"""What a good answer says about itself, beside its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from venice_batch.venice.error_body import request_id
from venice_batch.venice.failures import one_line


@dataclass(frozen=True, slots=True)
class Answer:
    """A received 2xx answer; whether it is a picture is for others to judge.

    Attributes:
        paths: the files written: one, or one per variant of ``generate``.
        content_type: as the server says, in lower case without parameters; for pictures decoded from a
            ``generate`` JSON answer, what their first bytes say.
        headers: all of them, names in lower case.
        status: the HTTP status, 2xx.
        model_served: the model really used (``x-venice-model-id``), or None.
        request_id: CF-RAY, for the vendor's support.
        balance_usd, balance_diem: the balance BEFORE this call, or None.
        blurred: ``x-venice-is-blurred`` was true.
        violation: ``x-venice-is-content-violation`` was true: the picture is a placeholder.
        deprecation: the model's deprecation notice as one line, or None.
        bytes: size of the answer's body as received.
        begun_at, ended_at: Unix seconds of the first byte sent and the last received.
        seconds: from the first byte sent to the last received.
        attempts: requests made for this call.
        transport: ``multipart`` or ``json``.
        charged: False where the API says that it takes nothing for it.
    """

    paths: tuple[Path, ...]
    content_type: str
    headers: Mapping[str, str]
    status: int
    model_served: str | None
    request_id: str | None
    balance_usd: Decimal | None
    balance_diem: Decimal | None
    blurred: bool
    violation: bool
    deprecation: str | None
    bytes: int
    begun_at: float
    ended_at: float
    seconds: float
    attempts: int
    transport: str
    charged: bool = True


@dataclass(frozen=True, slots=True)
class Received:
    """One attempt's received body and what is known about the exchange."""

    status: int
    headers: Mapping[str, str]
    bytes: int
    begun_at: float
    ended_at: float
    seconds: float


def read_answer(
    received: Received, paths: tuple[Path, ...], content_type: str, *, attempts: int, transport: str
) -> Answer:
    """Read the vendor's headers leniently: what is absent or malformed is None or False."""
    headers = received.headers
    return Answer(
        paths=paths,
        content_type=content_type,
        headers=headers,
        status=received.status,
        model_served=headers.get("x-venice-model-id"),
        request_id=request_id(headers),
        balance_usd=_amount(headers.get("x-venice-balance-usd")),
        balance_diem=_amount(headers.get("x-venice-balance-diem")),
        blurred=_is_true(headers.get("x-venice-is-blurred")),
        violation=_is_true(headers.get("x-venice-is-content-violation")),
        deprecation=_deprecation(headers),
        bytes=received.bytes,
        begun_at=received.begun_at,
        ended_at=received.ended_at,
        seconds=received.seconds,
        attempts=attempts,
        transport=transport,
    )


def bare_type(headers: Mapping[str, str]) -> str:
    """Return the content type in lower case, without its parameters; empty where there is none."""
    return headers.get("content-type", "").split(";")[0].strip().lower()


#: No balance has more digits before or behind its point.
_DIGITS = 20


def _amount(value: str | None) -> Decimal | None:
    try:
        amount = Decimal(value) if value is not None else None
    except InvalidOperation:
        return None
    # Decimal takes "1e999999", and no sum could be made with it.
    return amount if amount is not None and amount.is_finite() and abs(amount.adjusted()) < _DIGITS else None


def _is_true(value: str | None) -> bool:
    return value is not None and value.strip().lower() == "true"


def _deprecation(headers: Mapping[str, str]) -> str | None:
    warning = headers.get("x-venice-model-deprecation-warning", "")
    date = headers.get("x-venice-model-deprecation-date", "")
    replacement = headers.get("x-venice-deprecated-replacement", "")
    if not (warning or date or _is_true(headers.get("x-venice-deprecated"))):
        return None
    parts = [warning or "the model is deprecated"]
    parts += [f"from {date}"] if date else []
    parts += [f"use {replacement}"] if replacement else []
    return one_line("; ".join(parts))
