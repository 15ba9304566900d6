"""The account's own ledger: rows of ``GET /billing/usage-history`` (ADMIN), read leniently."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    model_validator,
)

from venice_batch.venice.lenient import Amount, Lenient, Maybe, Several


def _in_utc(moment: datetime) -> datetime:
    # A time without a zone would be read as this machine's own, and be hours off.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(value: Any) -> Any:
    return "" if value is None else value


Moment = Annotated[datetime, AfterValidator(_in_utc)]
Text = Annotated[str, BeforeValidator(_text)]


class UsageRow(Lenient):
    """One line of the account's ledger.

    Attributes:
        timestamp: when it was booked, UTC.
        sku: the vendor's name of what was sold.
        amount: negative for a charge, positive for a credit, in `currency`.
        currency: USD, DIEM and the like; all count one to one in US dollars.
        notes: for people.
        request_id: of the request that was charged, or None where the row has none.
    """

    timestamp: Moment
    sku: Text = ""
    amount: Amount
    currency: Text = ""
    notes: Text = ""
    request_id: Maybe[str] = Field(
        default=None, validation_alias=AliasChoices(AliasPath("inferenceDetails", "requestId"), "request_id")
    )

    @property
    def charged(self) -> Decimal:
        """What was taken, in US dollars: the amount with its sign turned."""
        return -self.amount


class UsagePage(Lenient):
    """One page of the ledger; `cursor` is None on the last one, `odd` the number of rows that cannot be read."""

    rows: Several[UsageRow] = Field(validation_alias="data")
    cursor: str | None = Field(default=None, validation_alias="nextCursor")
    odd: int = 0

    @model_validator(mode="wrap")
    @classmethod
    def _count_odd_rows(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        page = handler(value)
        rows = value.get("data") if isinstance(value, dict) else None
        if not isinstance(rows, list) or (rows and not page.rows):
            raise ValueError("not a page of rows")
        return page.model_copy(update={"odd": len(rows) - len(page.rows)})


def stamp(moment: datetime) -> str:
    """Return a time in the one form that the endpoint's filters take: ISO 8601 in UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
