"""The endpoints that cost nothing: styles, catalogue, traits, aliases, limits, balance, ledger."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from starlette.responses import JSONResponse, Response

from venice_batch.emulator.accounts import BUNDLED, DIEM, USD, Row
from venice_batch.emulator.api_error import ApiError, invalid
from venice_batch.emulator.catalogue import ALIASES, STYLES, TYPES
from venice_batch.emulator.endpoint import Endpoint, Exchange, apply_fault
from venice_batch.emulator.server_state import ServerState
from venice_batch.emulator.settings import Key

Query = Mapping[str, str]
Read = Callable[[ServerState, Query, Key], dict[str, Any]]
Rights = Literal["none", "key", "admin"]

_PAGE = (10, 1000)


class FreeEndpoint(Endpoint):
    """One endpoint that only reads."""

    def __init__(self, state: ServerState, path: str, read: Read, rights: Rights) -> None:
        super().__init__(state, path)
        self._read = read
        self._rights = rights

    async def answer(self, exchange: Exchange) -> Response:
        """Answer one free call."""
        action = self.fault(exchange, early=True) or self.fault(exchange, early=False)
        if action is not None and action.kind in {"status", "hang", "reset-before-body"}:
            return await apply_fault(action, Response())
        key = self._key(exchange)
        document = self._read(self.state, exchange.request.query_params, key)
        wants_csv = "text/csv" in exchange.request.headers.get("accept", "") and "nextCursor" in document
        response = _as_csv(document) if wants_csv else JSONResponse(document)
        return response if action is None else await apply_fault(action, response)

    def _key(self, exchange: Exchange) -> Key:
        if self._rights == "none":
            # A wrong key is no error here: these endpoints prove nothing about it.
            token = exchange.request.headers.get("authorization", "").removeprefix("Bearer ")
            return self.state.settings.find_key(token) or Key("")
        key = self.authorise(exchange)
        self.state.budget.check(key.token)
        if self._rights == "admin" and not key.admin:
            raise ApiError(401, "Admin API key required")
        return key


def _styles(_state: ServerState, _query: Query, _key: Key) -> dict[str, Any]:
    return {"object": "list", "data": list(STYLES)}


def _type(query: Query) -> str:
    kind = query.get("type", "text")
    if kind not in TYPES:
        raise invalid(f"type: one of {', '.join(TYPES)}")
    return kind


def _models(state: ServerState, query: Query, key: Key) -> dict[str, Any]:
    return state.catalogue.listing(_type(query), private_only=key.private_only)


def _aliases(_state: ServerState, query: Query, _key: Key) -> dict[str, Any]:
    kind = _type(query)
    return {"object": "list", "type": kind, "data": dict(ALIASES.get(kind, {}))}


def _traits(state: ServerState, query: Query, _key: Key) -> dict[str, Any]:
    kind = _type(query)
    return {"object": "list", "type": kind, "data": state.catalogue.traits(kind)}


def _stamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rate_limits(state: ServerState, _query: Query, key: Key) -> dict[str, Any]:
    now = datetime.fromtimestamp(state.settings.clock(), UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    spendable = state.books.spendable(key)
    return {
        "data": {
            "accessPermitted": key.permitted and any(amount > 0 for amount in spendable.values()),
            "apiTier": {"id": "paid", "isCharged": True},
            "balances": {currency: float(amount) for currency, amount in spendable.items()},
            "keyExpiration": None,
            "nextEpochBegins": _stamp(midnight.timestamp()),
            "rateLimits": [
                {"apiModelId": model, "rateLimits": [{"type": "RPM", "amount": state.windows.limit(model)}]}
                for model in state.catalogue.models
            ],
        }
    }


def _balance(state: ServerState, _query: Query, _key: Key) -> dict[str, Any]:
    held = state.books.balances
    amounts = {name: float(held[of]) if of in held else None for name, of in _NAMES}
    paying = [of for name, of in _NAMES if (amounts[name] or 0) > 0]
    return {
        "canConsume": bool(paying),
        "consumptionCurrency": paying[0] if paying else None,
        "balances": amounts | {"earnedCredits": None},
        "diemEpochAllocation": float(state.settings.diem or 0),
    }


#: How the balance endpoint names the currencies, in the order in which they pay.
_NAMES = (("diem", DIEM), ("bundledCredits", BUNDLED), ("usd", USD))


@dataclass(frozen=True, slots=True)
class _Page:
    """What a page of the ledger is cut by; the cursor is this, encoded."""

    start: float | None
    end: float | None
    currency: str | None
    size: int
    after: int

    def holds(self, row: Row) -> bool:
        return (
            (self.start is None or row.time >= self.start)
            and (self.end is None or row.time < self.end)
            and (self.currency is None or row.currency == self.currency)
            and row.number > self.after
        )

    def cursor(self, after: int) -> str:
        document = json.dumps([self.start, self.end, self.currency, self.size, after])
        return base64.urlsafe_b64encode(document.encode()).decode("ascii")


def _page(query: Query) -> _Page:
    cursor = query.get("cursor")
    if cursor is None:
        return _first_page(query)
    if len(query) > 1:
        raise invalid("cursor must be sent alone")
    try:
        return _Page(*json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True)))
    except (binascii.Error, ValueError, TypeError):
        raise invalid("cursor is not valid") from None


def _first_page(query: Query) -> _Page:
    unknown = set(query) - {"startTimestamp", "endTimestamp", "currency", "pageSize"}
    if unknown:
        text = f"Unrecognized key(s): {', '.join(sorted(unknown))}"
        raise invalid(text)
    size = query.get("pageSize", "1000")
    if not size.isdigit() or not _PAGE[0] <= int(size) <= _PAGE[1]:
        text = f"pageSize: {_PAGE[0]} to {_PAGE[1]}"
        raise invalid(text)
    start, end = _moment(query, "startTimestamp"), _moment(query, "endTimestamp")
    return _Page(start, end, query.get("currency"), int(size), after=-1)


def _moment(query: Query, name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or not text.endswith("Z"):
        raise invalid(f"{name}: an ISO time ending in Z")
    return moment.timestamp()


def _usage_history(state: ServerState, query: Query, _key: Key) -> dict[str, Any]:
    page = _page(query)
    found = [row for row in state.books.rows if page.holds(row)]
    shown = found[: page.size]
    more = len(found) > page.size
    return {"data": [_row(row) for row in shown], "nextCursor": page.cursor(shown[-1].number) if more else None}


def _row(row: Row) -> dict[str, Any]:
    return {
        "timestamp": _stamp(row.time),
        "sku": row.sku,
        "units": row.units,
        "pricePerUnitUsd": float(row.amount / row.units),
        "amount": -float(row.amount),
        "currency": row.currency,
        "notes": "API Inference",
        "inferenceDetails": {"requestId": row.request_id},
    }


def _as_csv(page: dict[str, Any]) -> Response:
    """Return a page of the ledger as CSV, its cursor in a header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("timestamp", "sku", "units", "pricePerUnitUsd", "amount", "currency", "notes", "requestId"))
    for row in page["data"]:
        *plain, details = row.values()
        writer.writerow((*plain, details["requestId"]))
    headers = {"x-next-cursor": page["nextCursor"]} if page["nextCursor"] else {}
    return Response(text.getvalue(), headers=headers, media_type="text/csv")


#: Each free endpoint: what it answers, and to whom.
FREE_ENDPOINTS: Mapping[str, tuple[Read, Rights]] = {
    "/image/styles": (_styles, "none"),
    "/models": (_models, "none"),
    "/models/traits": (_traits, "none"),
    "/models/compatibility_mapping": (_aliases, "none"),
    "/api_keys/rate_limits": (_rate_limits, "key"),
    "/billing/balance": (_balance, "admin"),
    "/billing/usage-history": (_usage_history, "admin"),
}
