"""Why a paid or free call failed: one table each of failure codes, HTTP statuses and httpx2 exceptions.

Statuses are the API's documented ones (facts checked 2026-10-02) plus what its proxy, Cloudflare,
answers on its own. Exceptions are told apart by whether the request was fully sent: there is no
idempotency key on the image endpoints, so a sent request without an answer may have been charged.
"""

from __future__ import annotations

import errno
from enum import Enum

import httpx2

from venice_batch.errors import CatalogueError, KeyRefused, MoneyError, Unavailable, VeniceBatchError


class FailureClass(Enum):
    """What to do about a failure; every failure code is in exactly one class."""

    RETRY = "retry"
    WAIT = "wait"
    ITEM_FAILS = "item fails"
    RUN_STOPS = "run stops"
    UNCERTAIN = "uncertain"


class Sent(Enum):
    """What the trace knows about a request when it is lost."""

    NO = "never fully sent"
    MAYBE = "sent, or unknown"


#: Every failure code by its class, with its headline.
_HEADLINES: dict[FailureClass, dict[str, str]] = {
    FailureClass.RETRY: {
        "server-error": "the API failed",
        "no-connection": "the API cannot be reached",
        "proxy-failed": "the proxy failed",
        "broken-off-while-sending": "the connection broke while sending",
        "deadline-while-sending": "the request could not be sent in time",
        "sent-too-slowly": "the API gave up waiting for the request",
        "short-here": "this machine is short of open files, memory or ports",
    },
    FailureClass.WAIT: {
        "rate-limited": "the API's rate limit is exhausted",
        "overloaded": "the model is overloaded",
        "error-budget": "the API blocks the key for a while after too many failed calls",
    },
    FailureClass.ITEM_FAILS: {
        "refused-input": "the API refused this input",
        "bad-model": "the API does not offer this model here",
        "bad-parameter": "the API refused a field of the request",
        "input-not-found": "the API cannot find or fetch this input",
        "content-policy": "the API's content policy blocked this input",
        "too-large": "the request is larger than the API accepts",
        "input-changed": "the input changed while it was being sent",
        "input-unreadable": "the input cannot be read",
        "url-unreachable": "the API could not read the picture at its address",
        "source-unreadable": "the source's server did not give the picture",
    },
    FailureClass.UNCERTAIN: {
        "lost-answer": "the answer was lost after the request was sent; it may have been charged",
        "timeout-after-sending": "no answer came in time; the call may have been charged",
        "answer-too-large": "the answer is larger than any picture should be",
    },
    FailureClass.RUN_STOPS: {
        "gone": "the API no longer has this model or endpoint",
        "key-refused": "the API refused the key",
        "pro-only": "the API offers this to Pro accounts only",
        "no-key": "there is no API key",
        "no-rights": "the API forbids this to the key",
        "private-only": "the key's privacy setting forbids this model",
        "no-money-account": "the account's balance does not cover the call",
        "no-money-key-usd": "the key's own USD limit is used up",
        "no-money-key-diem": "the key's own DIEM limit is used up",
        "no-money-x402": "the API asks for payment per request: it saw no key with a balance",
        "wrong-content-type": "the API refused the form of the request",
        "redirected": "the API address redirects elsewhere; redirects are not followed",
        "not-the-api": "the server does not speak the Venice API",
        "proxy-refused": "the proxy refused the request",
        "bad-address": "the API address cannot be called",
        "disk": "the answer could not be written to disk",
        "failed-here": "this machine failed during the call",
        "gate-closed": "no further paid call is begun",
        "cancelled": "the run was cancelled",
        "client-bug": "the request was built wrongly",
    },
}
#: The class of each failure code.
FAILURE_CLASS = {code: kind for kind, headlines in _HEADLINES.items() for code in headlines}

#: The error that a run ends in when a failure stops it; `Unavailable` where a code is not listed.
ENDS_IN: dict[str, type[VeniceBatchError]] = {
    **dict.fromkeys(("bad-model", "bad-parameter", "gone"), CatalogueError),
    **dict.fromkeys(("key-refused", "no-key", "no-rights", "pro-only", "private-only"), KeyRefused),
    **dict.fromkeys(("no-money-account", "no-money-key-usd", "no-money-key-diem", "no-money-x402"), MoneyError),
    "client-bug": VeniceBatchError,
}

REMEDIES = {
    "key-refused": "check VENICE_API_KEY at https://venice.ai/settings/api",
    "no-key": "set VENICE_API_KEY or VENICE_API_KEY_FILE",
    "no-rights": "check the key's region and rights at https://venice.ai/settings/api",
    "pro-only": "use a key of a Pro account, or a model that needs none",
    "private-only": (
        "use a model that `venice-batch models` calls private, or a key that allows anonymized ones"
        " (https://venice.ai/settings/api)"
    ),
    "no-money-account": "add credits at https://venice.ai/settings/api, then run again: it resumes",
    "no-money-key-usd": "raise the key's USD limit at https://venice.ai/settings/api, then run again",
    "no-money-key-diem": "raise the key's DIEM limit or wait for the next UTC day, then run again",
    "no-money-x402": "set VENICE_API_KEY to the key of an account with a balance",
    "gone": "name a model of `venice-batch models`",
    "bad-model": "name a model of `venice-batch models`",
    "bad-parameter": "correct it where it is written: in the job file, or in the item's row",
    "wrong-content-type": "set api.transport to json (or multipart) in the job file",
    "redirected": "set VENICE_BASE_URL to the final address",
    "not-the-api": "check VENICE_BASE_URL",
    "bad-address": "check VENICE_BASE_URL",
    "proxy-refused": "check HTTPS_PROXY",
    "disk": "free some disk space, then run again: it resumes",
    "short-here": "raise its limits (`ulimit -n`) or lower run.concurrency, then run again: it resumes",
    "failed-here": "see to its disk, memory and limits, then run again: it resumes",
    "no-connection": "check the network, then run again: it resumes",
}

#: The failure code of a status, before the body is read (see `error_body`). Any other falls to its hundred, below.
STATUS_CODES = {
    401: "key-refused",
    402: "no-money-account",
    403: "no-rights",
    404: "gone",
    405: "not-the-api",
    407: "proxy-refused",
    408: "sent-too-slowly",
    410: "gone",
    413: "too-large",
    415: "wrong-content-type",
    425: "server-error",
    429: "rate-limited",
    504: "timeout-after-sending",
    # Cloudflare's words for an answer of the vendor's server that was empty or broke off.
    520: "timeout-after-sending",
    # Cloudflare's own 504: the vendor's server took the request and did not answer in time.
    524: "timeout-after-sending",
}
#: An unforeseen client error fails its item only: a bad item never stops the batch.
_HUNDREDS = {1: "not-the-api", 2: None, 3: "redirected", 4: "refused-input", 5: "server-error"}
#: What this machine may be short of for a while; a full disk is another matter.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})
#: Statuses that close the gate (rule 6).
_CLOSING = (401, 402, 403)

_LOST = ("broken-off-while-sending", "lost-answer")
_TIMED_OUT = ("broken-off-while-sending", "timeout-after-sending")
# A connection that is not made precedes the first byte, whatever the trace reported.
_NOT_CONNECTED = ("no-connection", "no-connection")
_BAD_ADDRESS = ("bad-address", "bad-address")
_BUG = ("client-bug", "client-bug")

#: Every exception class of httpx2, exactly as raised: the failure code of a request that was never fully sent, and of
#: one that may have been. Subclasses are not looked up by their base, so that a class added by a new version is
#: noticed (by a test) instead of silently inheriting a failure class.
EXCEPTION_CODES: dict[type[Exception], tuple[str, str]] = {
    httpx2.HTTPError: _LOST,
    httpx2.RequestError: _LOST,
    httpx2.TransportError: _LOST,
    httpx2.TimeoutException: _TIMED_OUT,
    httpx2.ConnectTimeout: _NOT_CONNECTED,
    httpx2.ConnectError: _NOT_CONNECTED,
    httpx2.PoolTimeout: _NOT_CONNECTED,
    httpx2.ReadTimeout: _TIMED_OUT,
    httpx2.WriteTimeout: _TIMED_OUT,
    httpx2.NetworkError: _LOST,
    httpx2.ReadError: _LOST,
    httpx2.WriteError: _LOST,
    httpx2.CloseError: _LOST,
    httpx2.ProxyError: ("proxy-failed", "lost-answer"),
    httpx2.ProtocolError: _LOST,
    httpx2.RemoteProtocolError: _LOST,
    httpx2.DecodingError: _LOST,
    httpx2.UnsupportedProtocol: _BAD_ADDRESS,
    httpx2.InvalidURL: _BAD_ADDRESS,
    httpx2.LocalProtocolError: _BUG,
    httpx2.TooManyRedirects: _BUG,
    httpx2.HTTPStatusError: _BUG,
    httpx2.CookieConflict: _BUG,
    httpx2.SSEError: _BUG,
    httpx2.StreamError: _BUG,
    httpx2.StreamConsumed: _BUG,
    httpx2.StreamClosed: _BUG,
    httpx2.ResponseNotRead: _BUG,
    httpx2.RequestNotRead: _BUG,
}

#: What a request may raise, for an ``except`` clause that misses none.
HTTPX2_EXCEPTIONS = tuple(EXCEPTION_CODES)


class CallFailed(VeniceBatchError):
    """A call that gave no answer to check.

    Args:
        code: one of `FAILURE_CLASS`.
        ends_in: instead of the code's own error, see `ENDS_IN`.

    Attributes:
        failure_class: what to do about it.
        code: a short stable word for tables and scripts, such as ``rate-limited``.
        status: the HTTP status, or None where no answer was read.
        text: the server's own words, cleaned and cut to 500 characters; may be empty.
        request_id: the vendor's name for the request (CF-RAY), for support.
        retry_after: seconds the server asks to wait, or None.
        billed: whether the call may have been charged.
        fields: those of the request that a schema error names.
        attempts: requests made for this call, this one included.
        late: whether its request took all the time that it had.
        begun_at: when the last attempt's first byte was written, Unix seconds, or None.
        ends_in: the error class a run ends in when this stops it.
    """

    def __init__(
        self,
        code: str,
        text: str = "",
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        billed: bool | None = None,
        fields: frozenset[str] = frozenset(),
        ends_in: type[VeniceBatchError] | None = None,
    ) -> None:
        self.failure_class = FAILURE_CLASS[code]
        self.code = code
        self.status = status
        self.text = one_line(text)
        self.request_id = request_id
        self.retry_after = retry_after
        self.billed = self.failure_class is FailureClass.UNCERTAIN if billed is None else billed
        self.fields = fields
        self.ends_in = ends_in or ENDS_IN.get(code, Unavailable)
        self.attempts = 1
        self.late = False
        self.begun_at: float | None = None
        headline = _HEADLINES[self.failure_class][code] + (f" ({status})" if status is not None else "")
        super().__init__(f"{headline}: {self.text}" if self.text else headline, remedy=REMEDIES.get(code, ""))
        self.exit_code = self.ends_in.exit_code

    def as_run_error(self) -> VeniceBatchError:
        """Return the error that a run stopped by this failure ends in: message, remedy, exit code."""
        support = f" (request {self.request_id})" if self.request_id else ""
        return self.ends_in(self.message + support, remedy=self.remedy)


def one_line(text: str) -> str:
    """Make a stranger's text fit for a terminal: one line, no control characters, 500 characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:500]


def code_of_status(status: int) -> str | None:
    """Return the failure code of a status, or None for 2xx, which is an answer.

    A status outside 100..599 is no HTTP: the server does not speak the API.
    """
    return STATUS_CODES.get(status) or _HUNDREDS.get(status // 100, "not-the-api")


def closes_gate(status: int) -> bool:
    """Whether this status of a paid call means that no further paid call may begin (rule 6)."""
    return status in _CLOSING


def counts_as_client_error(status: int) -> bool:
    """Whether the API counts this status against the key's error budget: 4xx except 429."""
    return 400 <= status < 500 and status != 429  # noqa: PLR2004 - the API's own definition


def is_shortage(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, is this machine's want of descriptors, memory or ports."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORTAGES):
            return True
        error = error.__cause__
    return False


def exception_failure(error: Exception, sent: Sent, text: str) -> CallFailed:
    """Return the failure of a request that ended in an httpx2 exception; a class the table lacks is a bug.

    Args:
        error: as raised.
        sent: what the trace reported.
        text: the exception's words with every key blanked.
    """
    code = EXCEPTION_CODES.get(type(error), _BUG)[sent is Sent.MAYBE]
    if code == "no-connection" and is_shortage(error):
        code = "short-here"
    stops = FAILURE_CLASS[code] is FailureClass.RUN_STOPS
    return CallFailed(code, text, billed=(stops and sent is Sent.MAYBE) or None)
