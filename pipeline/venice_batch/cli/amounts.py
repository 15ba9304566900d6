"""Amounts as they are written in options: money, durations, moments."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from venice_batch.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def budget(text: str) -> Decimal:
    """Return the US dollars of ``--budget``.

    Raises:
        UsageError: it is no amount above zero.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise UsageError(f"--budget {text!r} is no amount of US dollars", remedy="write a number, such as 0.50")
    return amount


def patience(text: str) -> float:
    """Return the seconds of ``--wait-for-balance``.

    Raises:
        UsageError: it is no duration.
    """
    found = _duration(text)
    if found is None:
        raise UsageError(
            f"--wait-for-balance {text!r} is no duration", remedy="write a number with s, m, h or d, such as 2h"
        )
    return found


def since(text: str, now: float) -> float:
    """Return the Unix seconds of ``--since``: a date, a date with a time, or so long ago; without a zone it is UTC.

    Raises:
        UsageError: it is no time.
    """
    ago = _duration(text)
    if ago is not None:
        return now - ago
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text!r} is no time", remedy="write 2026-11-20, 2026-11-20T06:00Z, or how long ago: 36h, 7d"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _duration(text: str) -> float | None:
    """Return the seconds of text such as 2h, or None where it is no duration."""
    number, unit = text[:-1], text[-1:]
    return float(number) * _UNITS[unit] if unit in _UNITS and number.replace(".", "", 1).isdigit() else None
