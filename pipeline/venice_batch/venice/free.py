"""The free calls: styles, models, traits, limits, balance, usage history, and fetching a source picture.

They are repeated like paid ones but touch no gate, lane or breaker. Only JSON of the right shape
counts as an answer: HTML fails at once as `not-the-api`.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, JsonValue, ValidationError

from venice_batch.errors import SourceError
from venice_batch.venice.account import BillingBalance, RateLimits
from venice_batch.venice.address import Api, is_loopback
from venice_batch.venice.catalogue import Model, read_models
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.lenient import Lenient
from venice_batch.venice.responses import Answer, Received, bare_type, read_answer
from venice_batch.venice.retry import OnWait, RetryPolicy
from venice_batch.venice.transport import HttpClient, Outgoing
from venice_batch.venice.usage import UsagePage, UsageRow, stamp
from venice_batch.venice.waits import Cancel, Cancelled

#: Seconds for one free request; billing/balance may hang and is only an addition, so it gets less.
_TIMEOUT, _BILLING_TIMEOUT = 30.0, 10.0
_FETCH_TIMEOUT = 120.0
_JSON_BYTES = 20_000_000
#: The API's limit for a file: a larger picture could not be sent anyway, so a little more is the end.
MAX_SOURCE_BYTES = 200_000_000
#: Rows on a page of the usage history: the most that the API gives.
_PAGE_SIZE = 1000
#: Pages after which a usage history is taken for endless: a million rows.
_MOST_PAGES = 1000

Shape = TypeVar("Shape", bound=BaseModel)
Content = TypeVar("Content")


class _Data(Lenient, Generic[Content]):
    data: Content


class FreeCalls:
    """The calls that cost nothing; the base of the client."""

    def __init__(
        self, api: Api, http: HttpClient, *, cancel: Cancel, rng: random.Random, on_wait: OnWait | None, attempts: int
    ) -> None:
        self.api = api
        self._http = http
        self._cancel = cancel
        self._rng = rng
        self._on_wait = on_wait
        self._attempts = attempts

    def styles(self) -> tuple[str, ...]:
        """``GET /image/styles``: the names that ``style_preset`` takes; works without a key."""
        listed = self._json("image/styles", _Data[list[JsonValue]]).data
        return tuple(name for name in listed if isinstance(name, str))

    def models(self, type: str) -> tuple[list[Model], list[str]]:  # noqa: A002 - the API's own word
        """``GET /models?type=``: the entries that can be read, and notes on the rest; answers 200 even to a wrong key.

        Args:
            type: ``image``, ``inpaint`` (edit models), ``upscale`` or ``all``.
        """
        return read_models(self._json("models", _Data[list[Any]], {"type": type}).data, type)

    def traits(self, type: str) -> dict[str, str]:  # noqa: A002 - the API's own word
        """``GET /models/traits?type=``: trait name -> model id; ``default`` is the API's own choice."""
        return self._names("models/traits", type)

    def aliases(self, type: str) -> dict[str, str]:  # noqa: A002 - the API's own word
        """``GET /models/compatibility_mapping?type=``: legacy id -> model id; empty where the API has no such list."""
        try:
            return self._names("models/compatibility_mapping", type)
        except CallFailed as failure:
            if failure.status is None and failure.code != "not-the-api":
                raise
            return {}

    def _names(self, path: str, type: str) -> dict[str, str]:  # noqa: A002 - the API's own word
        found = self._json(path, _Data[dict[str, JsonValue]], {"type": type}).data
        return {name: model for name, model in found.items() if isinstance(model, str)}

    def rate_limits(self) -> RateLimits:
        """``GET /api_keys/rate_limits``: the pre-check, for any key.

        Raises:
            CallFailed: RUN_STOPS ``key-refused`` on 401; ``not-the-api`` for anything but its JSON.
        """
        notes: list[str] = []
        limits = self._json("api_keys/rate_limits", _Data[RateLimits], notes=notes).data
        return limits.model_copy(update={"notes": tuple(notes)})

    def billing_balance(self) -> BillingBalance:
        """``GET /billing/balance``, for ADMIN keys; one try of 10 s, since it may hang.

        Raises:
            CallFailed: ``key-refused`` for an inference key (401 "Admin API key required").
        """
        return self._json("billing/balance", BillingBalance, timeout=_BILLING_TIMEOUT, attempts=1)

    def usage_history(
        self, start: datetime, end: datetime, *, notes: list[str] | None = None, most_pages: int = _MOST_PAGES
    ) -> Iterator[UsageRow]:
        """``GET /billing/usage-history``, for ADMIN keys: the account's own ledger, page by page.

        The filters go with the first page alone; later pages take nothing beside their cursor (checked 2026-10-02).

        Args:
            start: rows from then on.
            end: rows before then.
            notes: takes a line for each page with rows that cannot be read.
            most_pages: more are taken for a server that never comes to an end.

        Yields:
            The rows in the order of the API, oldest first; one request may have several.

        Raises:
            CallFailed: ``key-refused`` for an inference key (401 "Admin API key required"); ``not-the-api`` when the
                pages go round in a circle or do not end.
        """
        params = {"startTimestamp": stamp(start), "endTimestamp": stamp(end), "pageSize": str(_PAGE_SIZE)}
        seen: set[str] = set()
        while True:
            page = self._usage_page(params)
            yield from page.rows
            if page.odd and notes is not None:
                notes.append(f"{page.odd} rows of the usage history cannot be read, and are left out")
            if not page.cursor:
                return
            if page.cursor in seen:
                raise CallFailed("not-the-api", "billing/usage-history leads back to a page that was read already")
            seen.add(page.cursor)
            if len(seen) >= most_pages:
                raise CallFailed("not-the-api", f"billing/usage-history does not end after {most_pages} pages")
            params = {"cursor": page.cursor}

    def _usage_page(self, params: dict[str, str]) -> UsagePage:
        try:
            return self._json("billing/usage-history", UsagePage, params)
        except CallFailed as failure:
            if failure.code == "key-refused":
                failure.remedy = (
                    "the account's ledger needs an ADMIN key: set VENICE_API_KEY to one from"
                    " https://venice.ai/settings/api"
                )
            raise

    def fetch(self, url: str, into: Path, *, at_most: int = MAX_SOURCE_BYTES) -> Answer:
        """Download a source picture: no key goes along, no redirect is followed.

        Args:
            url: https; plain http only on this machine.
            into: a new file.
            at_most: bytes.

        Raises:
            SourceError: the address is not https.
            CallFailed: with its failure class; an answer that is no 2xx fails the item, whatever its status.
        """
        if urlsplit(url).scheme != "https" and not is_loopback(url):
            raise SourceError("a source address is not https", remedy="write it with https://")
        outgoing = Outgoing("GET", url, _FETCH_TIMEOUT, at_most, authorized=False)
        policy = self._retry_policy(self._attempts)
        try:
            received = self._with_retries(outgoing, into, policy)
        except CallFailed as failure:
            raise _about_the_source(failure) from failure
        return read_answer(received, (into,), bare_type(received.headers), attempts=policy.requests, transport="url")

    def _json(
        self,
        path: str,
        shape: type[Shape],
        params: dict[str, str] | None = None,
        *,
        timeout: float | None = None,
        attempts: int | None = None,
        notes: list[str] | None = None,
    ) -> Shape:
        url = f"{self.api.base_url}/{path}"
        outgoing = Outgoing("GET", url, timeout or _TIMEOUT, _JSON_BYTES, params=params)
        policy = self._retry_policy(attempts or self._attempts)
        with tempfile.TemporaryDirectory(prefix="venice-batch-") as folder:
            into = Path(folder) / "answer"
            received = self._with_retries(outgoing, into, policy)
            return self._parse(received, into.read_bytes(), shape, notes)

    def _retry_policy(self, attempts: int) -> RetryPolicy:
        return RetryPolicy(attempts=attempts, rng=self._rng, clock=time.monotonic, on_wait=self._on_wait, free=True)

    def _with_retries(self, outgoing: Outgoing, into: Path, policy: RetryPolicy) -> Received:
        def attempt() -> Received:
            into.unlink(missing_ok=True)  # the part that an earlier, broken try left
            policy.requests += 1
            return self._http.exchange(outgoing, into, None)

        try:
            return policy.retrying(self._cancel.sleep)(attempt)
        except Cancelled as cancelled:
            raise CallFailed("cancelled") from cancelled

    def _parse(self, received: Received, raw: bytes, shape: type[Shape], notes: list[str] | None) -> Shape:
        try:
            # Prices and balances are exact decimals; a float would invent digits.
            parsed: Any = json.loads(raw, parse_float=Decimal)
            return shape.model_validate(parsed, context={"notes": notes})
        except (ValueError, RecursionError, ValidationError) as error:
            host = urlsplit(self.api.base_url).netloc
            kind = bare_type(received.headers) or "no content type"
            raise CallFailed("not-the-api", f"{host} answered {received.status} with {kind}") from error


def _about_the_source(failure: CallFailed) -> CallFailed:
    """Turn somebody else's 401 or 402 into a failure of this item: it says nothing about our key."""
    if failure.status is None or failure.failure_class in {FailureClass.RETRY, FailureClass.WAIT}:
        return failure
    gone = CallFailed("source-unreadable", failure.text)
    gone.status = failure.status
    return gone
