"""What becomes of a call that gave no picture: one table for every status and every exception.

Statuses are the API's documented ones (facts checked 2026-10-02) plus what its proxy, Cloudflare,
answers on its own. Exceptions are told apart by whether the request was fully sent: there is no
idempotency key on the image endpoints, so a sent request without an answer may have been charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import httpx2

from venice_batch.errors import CatalogueError, KeyRefused, MoneyError, Unavailable, VeniceBatchError


class FailureClass(Enum):
    """The five classes; every failure is in exactly one."""

    RETRY = "retry"
    WAIT = "wait"
    ITEM_FAILS = "item fails"
    RUN_STOPS = "run stops"
    UNCERTAIN = "uncertain"


class Sent(Enum):
    """What the trace knows about a request when it is lost."""

    NO = "never fully sent"
    MAYBE = "sent, or unknown"


Ending = type[VeniceBatchError]


@dataclass(frozen=True, slots=True)
class Row:
    """One class of failures: its fate, its stable word, and the error a run ends in because of it."""

    fate: FailureClass
    code: str
    ends_in: Ending = Unavailable


#: Statuses that close the gate (rule 6).
_GATE = (401, 402, 403)

_ITEM = Row(FailureClass.ITEM_FAILS, "refused-input")
_RETRY = Row(FailureClass.RETRY, "server-error")
_LOST = Row(FailureClass.UNCERTAIN, "timeout-after-sending")

#: Single statuses. Anything else falls to its hundred, below.
STATUS_ROWS: dict[int, Row] = {
    400: _ITEM,
    401: Row(FailureClass.RUN_STOPS, "key-refused", KeyRefused),
    402: Row(FailureClass.RUN_STOPS, "no-money-account", MoneyError),
    403: Row(FailureClass.RUN_STOPS, "no-rights", KeyRefused),
    404: Row(FailureClass.RUN_STOPS, "gone", CatalogueError),
    405: Row(FailureClass.RUN_STOPS, "not-the-api"),
    407: Row(FailureClass.RUN_STOPS, "proxy-refused"),
    408: Row(FailureClass.RETRY, "sent-too-slowly"),
    410: Row(FailureClass.RUN_STOPS, "gone", CatalogueError),
    413: Row(FailureClass.ITEM_FAILS, "too-large"),
    415: Row(FailureClass.RUN_STOPS, "wrong-content-type"),
    422: _ITEM,
    425: _RETRY,
    429: Row(FailureClass.WAIT, "rate-limited"),
    504: _LOST,
    # Cloudflare's words for an answer of the vendor's server that was empty or broke off.
    520: _LOST,
    # Cloudflare's own 504: the vendor's server took the request and did not answer in time.
    524: _LOST,
}

#: Every other status by its hundred. 2xx is an answer: no failure, judged by whoever asked for it.
HUNDRED_ROWS: dict[int, Row | None] = {
    1: Row(FailureClass.RUN_STOPS, "not-the-api"),
    2: None,
    3: Row(FailureClass.RUN_STOPS, "redirected"),
    # An unforeseen client error fails its item only: a bad item never stops the batch.
    4: _ITEM,
    5: _RETRY,
}

_BUG = Row(FailureClass.RUN_STOPS, "client-bug", VeniceBatchError)
_BAD_ADDRESS = Row(FailureClass.RUN_STOPS, "bad-address")
_NO_CONNECTION = Row(FailureClass.RETRY, "no-connection")
_BROKEN_OFF = Row(FailureClass.RETRY, "broken-off-while-sending")
_LOST_ANSWER = Row(FailureClass.UNCERTAIN, "lost-answer")


def _lost(unsent: Row, sent: Row = _LOST_ANSWER) -> dict[Sent, Row]:
    return {Sent.NO: unsent, Sent.MAYBE: sent}


def _always(row: Row) -> dict[Sent, Row]:
    return {Sent.NO: row, Sent.MAYBE: row}


#: Every exception class of httpx2, exactly as raised; subclasses are not looked up by their base, so
#: that a class added by a new version is noticed (by a test) instead of silently inheriting a fate.
EXCEPTION_ROWS: dict[type[Exception], dict[Sent, Row]] = {
    httpx2.HTTPError: _lost(_BROKEN_OFF),
    httpx2.RequestError: _lost(_BROKEN_OFF),
    httpx2.TransportError: _lost(_BROKEN_OFF),
    httpx2.TimeoutException: _lost(_BROKEN_OFF, _LOST),
    # These three precede the first byte by their nature, whatever the trace heard.
    httpx2.ConnectTimeout: _always(_NO_CONNECTION),
    httpx2.ConnectError: _always(_NO_CONNECTION),
    httpx2.PoolTimeout: _always(_NO_CONNECTION),
    httpx2.ReadTimeout: _lost(_BROKEN_OFF, _LOST),
    httpx2.WriteTimeout: _lost(_BROKEN_OFF, _LOST),
    httpx2.NetworkError: _lost(_BROKEN_OFF),
    httpx2.ReadError: _lost(_BROKEN_OFF),
    httpx2.WriteError: _lost(_BROKEN_OFF),
    httpx2.CloseError: _lost(_BROKEN_OFF),
    httpx2.ProxyError: _lost(Row(FailureClass.RETRY, "proxy-failed")),
    httpx2.ProtocolError: _lost(_BROKEN_OFF),
    httpx2.RemoteProtocolError: _lost(_BROKEN_OFF),
    httpx2.DecodingError: _lost(_BROKEN_OFF),
    httpx2.UnsupportedProtocol: _always(_BAD_ADDRESS),
    httpx2.InvalidURL: _always(_BAD_ADDRESS),
    httpx2.LocalProtocolError: _always(_BUG),
    httpx2.TooManyRedirects: _always(_BUG),
    httpx2.HTTPStatusError: _always(_BUG),
    httpx2.CookieConflict: _always(_BUG),
    httpx2.SSEError: _always(_BUG),
    httpx2.StreamError: _always(_BUG),
    httpx2.StreamConsumed: _always(_BUG),
    httpx2.StreamClosed: _always(_BUG),
    httpx2.ResponseNotRead: _always(_BUG),
    httpx2.RequestNotRead: _always(_BUG),
}

#: What a request may raise, for an ``except`` clause that misses none.
HTTPX2_EXCEPTIONS = tuple(EXCEPTION_ROWS)

#: Failures found on our side of the wire, by their word.
OWN_ROWS: dict[str, Row] = {
    "deadline-while-sending": Row(FailureClass.RETRY, "deadline-while-sending"),
    "timeout-after-sending": _LOST,
    "answer-too-large": Row(FailureClass.UNCERTAIN, "answer-too-large"),
    "input-changed": Row(FailureClass.ITEM_FAILS, "input-changed"),
    "input-unreadable": Row(FailureClass.ITEM_FAILS, "input-unreadable"),
    "url-unreachable": Row(FailureClass.ITEM_FAILS, "url-unreachable"),
    "source-unreadable": Row(FailureClass.ITEM_FAILS, "source-unreadable"),
    "disk": Row(FailureClass.RUN_STOPS, "disk"),
    "failed-here": Row(FailureClass.RUN_STOPS, "failed-here"),
    "no-key": Row(FailureClass.RUN_STOPS, "no-key", KeyRefused),
    "cancelled": Row(FailureClass.RUN_STOPS, "cancelled"),
    "not-the-api": Row(FailureClass.RUN_STOPS, "not-the-api"),
}

_HEADLINES = {
    "rate-limited": "the API's rate limit is exhausted",
    "overloaded": "the model is overloaded",
    "error-budget": "the API blocks the key for a while after too many failed calls",
    "server-error": "the API failed",
    "no-connection": "the API cannot be reached",
    "broken-off-while-sending": "the connection broke while sending",
    "deadline-while-sending": "the request could not be sent in time",
    "sent-too-slowly": "the API gave up waiting for the request",
    "lost-answer": "the answer was lost after the request was sent; it may have been charged",
    "timeout-after-sending": "no answer came in time; the call may have been charged",
    "answer-too-large": "the answer is larger than any picture should be",
    "refused-input": "the API refused this input",
    "content-policy": "the API's content policy blocked this input",
    "too-large": "the request is larger than the API accepts",
    "bad-model": "the API does not offer this model here",
    "bad-parameter": "the API refused a parameter of the step",
    "key-refused": "the API refused the key",
    "no-key": "there is no API key",
    "no-rights": "the API forbids this to the key",
    "no-money-account": "the account's balance does not cover the call",
    "no-money-key-usd": "the key's own USD limit is used up",
    "no-money-key-diem": "the key's own DIEM limit is used up",
    "no-money-x402": "the API asks for payment per request: it saw no key with a balance",
    "gone": "the API no longer has this model or endpoint",
    "wrong-content-type": "the API refused the form of the request",
    "redirected": "the API address redirects elsewhere; redirects are not followed",
    "not-the-api": "the server does not speak the Venice API",
    "proxy-refused": "the proxy refused the request",
    "proxy-failed": "the proxy failed",
    "bad-address": "the API address cannot be called",
    "client-bug": "the request was built wrongly",
    "input-changed": "the input changed while it was being sent",
    "input-unreadable": "the input cannot be read",
    "url-unreachable": "the API could not read the picture at its address",
    "source-unreadable": "the source's server did not give the picture",
    "disk": "the answer could not be written to disk",
    "failed-here": "this machine failed during the call",
    "gate-closed": "no further paid call is begun",
    "cancelled": "the run was cancelled",
}

_REMEDIES = {
    "key-refused": "check VENICE_API_KEY at https://venice.ai/settings/api",
    "no-key": "set VENICE_API_KEY or VENICE_API_KEY_FILE",
    "no-rights": "check the key's privacy setting, region and rights at https://venice.ai/settings/api",
    "no-money-account": "add credits at https://venice.ai/settings/api, then run again: it resumes",
    "no-money-key-usd": "raise the key's USD limit at https://venice.ai/settings/api, then run again",
    "no-money-key-diem": "raise the key's DIEM limit or wait for the next UTC day, then run again",
    "no-money-x402": "set VENICE_API_KEY to the key of an account with a balance",
    "gone": "name a model of `venice-batch models`",
    "bad-model": "name a model of `venice-batch models`",
    "bad-parameter": "correct the step's parameter in the job file",
    "wrong-content-type": "set api.transport to json (or multipart) in the job file",
    "redirected": "set VENICE_BASE_URL to the final address",
    "not-the-api": "check VENICE_BASE_URL",
    "bad-address": "check VENICE_BASE_URL",
    "proxy-refused": "check HTTPS_PROXY",
    "disk": "free some disk space, then run again: it resumes",
    "failed-here": "see to its disk, memory and limits, then run again: it resumes",
    "no-connection": "check the network, then run again: it resumes",
}


class CallFailed(VeniceBatchError):
    """A call that gave no answer to judge.

    Attributes:
        fate: what to do about it.
        code: a short stable word for tables and scripts, such as ``rate-limited``.
        status: the HTTP status, or None where no answer was read.
        text: the server's own words, cleaned and cut to 500 characters; may be empty.
        request_id: the vendor's name for the request (CF-RAY), for support.
        retry_after: seconds the server asks to wait, or None.
        billed: whether the call may have been charged.
        attempts: requests made for this call, this one included.
        begun_at: when the last attempt's first byte was written, Unix seconds, or None.
        ends_in: the error class a run ends in when this stops it.
    """

    def __init__(
        self,
        fate: FailureClass,
        code: str,
        *,
        status: int | None = None,
        text: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
        billed: bool | None = None,
        ends_in: Ending = Unavailable,
    ) -> None:
        self.fate = fate
        self.code = code
        self.status = status
        self.text = clean(text)
        self.request_id = request_id
        self.retry_after = retry_after
        self.billed = fate is FailureClass.UNCERTAIN if billed is None else billed
        self.ends_in = ends_in
        self.attempts = 1
        self.begun_at: float | None = None
        super().__init__(_message(code, status, self.text), remedy=_REMEDIES.get(code, ""))
        self.exit_code = ends_in.exit_code

    def as_run_error(self) -> VeniceBatchError:
        """Return the error that a run stopped by this failure ends in: message, remedy, exit code."""
        support = f" (request {self.request_id})" if self.request_id else ""
        return self.ends_in(self.message + support, remedy=self.remedy)


def clean(text: str) -> str:
    """Make a stranger's text fit for a terminal: one line, no control characters, 500 characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:500]


def row_of_status(status: int) -> Row | None:
    """Return the one row of a status, or None for 2xx, which is an answer.

    A status outside 100..599 is no HTTP: the server does not speak the API.
    """
    if status in STATUS_ROWS:
        return STATUS_ROWS[status]
    return HUNDRED_ROWS.get(status // 100, OWN_ROWS["not-the-api"])


def row_of_exception(error: Exception, sent: Sent) -> Row:
    """Return the one row of an httpx2 exception; a class the table lacks is a bug that stops the run."""
    return EXCEPTION_ROWS.get(type(error), _always(_BUG))[sent]


def closes_gate(status: int) -> bool:
    """Whether this status of a paid call means that no further paid call may begin (rule 6)."""
    return status in _GATE


def counts_as_client_error(status: int) -> bool:
    """Whether the API counts this status against the key's error budget: 4xx except 429."""
    return 400 <= status < 500 and status != 429  # noqa: PLR2004 - the API's own definition


def status_failure(status: int) -> CallFailed:
    """Return the failure of a status whose body has not been read yet."""
    row = row_of_status(status) or OWN_ROWS["not-the-api"]
    return CallFailed(row.fate, row.code, status=status, ends_in=row.ends_in)


def exception_failure(error: Exception, sent: Sent, text: str) -> CallFailed:
    """Return the failure of a request that ended in an httpx2 exception.

    Args:
        error: as raised.
        sent: what the trace heard.
        text: the exception's words with every key blanked.
    """
    row = row_of_exception(error, sent)
    billed = row.fate is FailureClass.UNCERTAIN or (row.fate is FailureClass.RUN_STOPS and sent is Sent.MAYBE)
    return CallFailed(row.fate, row.code, text=text, billed=billed, ends_in=row.ends_in)


def own_failure(code: str, text: str = "", *, billed: bool | None = None) -> CallFailed:
    """Return the failure of a call found on our side, by its word in `OWN_ROWS`."""
    row = OWN_ROWS[code]
    return CallFailed(row.fate, row.code, text=text, billed=billed, ends_in=row.ends_in)


def _message(code: str, status: int | None, text: str) -> str:
    head = _HEADLINES.get(code, code)
    number = f" ({status})" if status is not None else ""
    return f"{head}{number}: {text}" if text else f"{head}{number}"
