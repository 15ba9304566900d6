"""The log of every API request, for tests that count calls and check their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(slots=True)
class Entry:
    """One request; times are Unix seconds.

    Attributes:
        status: None while unanswered, and for good when no status line was sent.
        billed: USD; zero when nothing was billed.
        currency: what paid, empty when nothing did.
        image_sha256: of the first input's bytes, however they were sent.
        params: the fields as they arrived, without pictures.
        aborted: the connection was gone before the answer, or was cut by a fault.
        fault: the scripted fault that struck, or empty.
    """

    number: int
    request_id: str
    method: str
    path: str
    time_begun: float
    time_answered: float | None = None
    model: str = ""
    status: int | None = None
    billed: Decimal = Decimal(0)
    currency: str = ""
    image_sha256: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    transport: str = ""
    aborted: bool = False
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON shows it: the amount as text."""
        return asdict(self) | {"billed": f"{self.billed:f}"}


#: Fields that carry pictures, which a log has no use for.
_PICTURES = ("image", "images", "style_references")


def without_pictures(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a body, each picture replaced by its URL or its length in bytes or characters."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        if name not in _PICTURES:
            found[name] = value
        else:
            found[name] = [_short(each) for each in value] if isinstance(value, list) else _short(value)
    return found


def _short(value: object) -> object:
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return value
    return f"<{len(value)}>" if isinstance(value, (str, bytes)) else "<…>"
