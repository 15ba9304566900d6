"""One attempt of a call: send the request, receive its answer, and trace how far it got.

httpx2 (2.16) reports its progress to a callback in the calling thread: ``send_request_headers.started``
comes before the first byte and may still refuse it; ``send_request_body.complete`` comes after the last,
and separates "never fully sent, safe to repeat" from "maybe billed". httpcore2 swallows a WriteError and
reads on, because a server may answer early and close: such a request stays "never fully sent".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx2

from venice_batch.errors import VeniceBatchError
from venice_batch.trust import secrets
from venice_batch.venice.address import Api
from venice_batch.venice.download import Download
from venice_batch.venice.error_body import request_id, response_failure
from venice_batch.venice.failures import HTTPX2_EXCEPTIONS, CallFailed, Sent, exception_failure
from venice_batch.venice.gate import Attempt, Gate
from venice_batch.venice.request_bodies import Body, GuardedBody
from venice_batch.venice.responses import Received
from venice_batch.venice.waits import Cancel

#: Seconds to reach the server, and for one write or one silence within a body.
_CONNECT, _STALL = 20.0, 60.0
#: The gate's lock is held while the headers are written; they fit in a socket's buffer.
_HEADERS_WRITE = 10.0
#: uvicorn and others close an idle connection after 5 s; a request sent on a dying one is uncertain.
_KEEPALIVE = 4.0
_CONNECTIONS = 128
#: A failing answer's body is read up to this many bytes.
_ERROR_BYTES = 64 * 1024

Clock = Callable[[], float]
OnHeaders = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request: where to, with what, and by when.

    Attributes:
        timeout: seconds from the start of sending to the last byte of the answer.
        at_most: bytes of the answer.
        authorized: whether the key goes along; False for addresses that are not the API.
        endpoint: the paid one, such as ``image/edit``; empty for a free call.
    """

    method: str
    url: str
    timeout: float
    at_most: int
    body: Body | None = None
    params: Mapping[str, str] | None = None
    authorized: bool = True
    endpoint: str = ""


class Deadline:
    """The end of one attempt, looked at per chunk in both directions; no client has one built in."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least a millisecond: a socket timeout of zero would mean "do not block"."""
        return max(self._end - self._clock(), 1e-3)

    def check_sending(self) -> None:
        """Raise CallFailed when the time is up before the request was fully sent: safe to repeat."""
        if self._clock() >= self._end:
            raise CallFailed("deadline-while-sending")

    def check_receiving(self) -> None:
        """Raise CallFailed when the time is up and the request was sent: it may have been charged."""
        if self._clock() >= self._end:
            raise CallFailed("timeout-after-sending")


class RequestTrace:
    """Takes httpx2's trace events of one attempt: passes the gate, keeps the timeouts, knows how much was sent.

    Attributes:
        gate: passed before the first byte; None for a free call.
        deadline: of the whole attempt.
        attempt: this attempt, as the gate sees it.
        request_id: the vendor's name for the request, once the answer's headers were read.
        sent: NO from the first event on, MAYBE before any (unknown) and once the body is complete.
    """

    def __init__(self, gate: Gate | None, cancel: Cancel, deadline: Deadline) -> None:
        self.gate = gate
        self.deadline = deadline
        self.attempt = Attempt()
        self.request_id: str | None = None
        self.sent = Sent.MAYBE
        self.timeouts: dict[str, float] = {
            "connect": min(_CONNECT, deadline.left),
            "pool": deadline.left,
            "write": min(_STALL, deadline.left),
            "read": deadline.left,
        }
        self._cancel = cancel
        self._tunnelling = False
        self._complete = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take one trace event; its ``info`` holds the request at a start, the result at an end."""
        step = event.partition(".")[2]
        if step == "send_request_headers.started":
            # A proxy's CONNECT is traced like the request itself, but is no call and carries no key.
            self._tunnelling = info["request"].method == b"CONNECT"
        if self._tunnelling:
            self.sent = Sent.NO
            return
        self._on_event(step, info)
        self.sent = Sent.MAYBE if self._complete else Sent.NO

    def release(self) -> None:
        """Free the gate whatever happened; for a ``finally``."""
        if self.gate is not None:
            self.gate.release(self.attempt)

    def _on_event(self, step: str, info: Mapping[str, Any]) -> None:
        match step:
            case "send_request_headers.started":
                self._begin()
            case "send_request_headers.complete" | "send_request_headers.failed":
                self.release()
                self.timeouts["write"] = min(_STALL, self.deadline.left)
            case "send_request_body.complete":
                self._complete = True
            case "receive_response_headers.started":
                self.timeouts["read"] = self.deadline.left
            case "receive_response_headers.complete":
                self._status(info["return_value"][1])
            case "receive_response_body.started":
                self.timeouts["read"] = min(_STALL, self.deadline.left)

    def _status(self, status: int) -> None:
        # A server that says 200 before it has read everything has done its work: never repeat that.
        self._complete = self._complete or 200 <= status < 300  # noqa: PLR2004 - "success" in HTTP
        if self.gate is not None:
            self.gate.status_read(self.attempt, status)

    def _begin(self) -> None:
        """Last look before the first byte: raising here sends nothing."""
        self._cancel.check()
        self.timeouts["write"] = min(_HEADERS_WRITE, self.deadline.left)
        if self.gate is None:
            self.attempt.begun_at = time.time()
        else:
            self.gate.acquire(self.attempt)


class HttpClient:
    """The connections to one API, shared by all threads.

    Args:
        api: where to, and the key.
        cancel: looked at before the first byte.
        clock: monotonic seconds.
        transport: instead of real connections.
    """

    def __init__(self, api: Api, *, cancel: Cancel, clock: Clock, transport: httpx2.BaseTransport | None) -> None:
        self._api = api
        self._cancel = cancel
        self._clock = clock
        self._http = httpx2.Client(
            transport=transport,
            follow_redirects=False,
            # The environment's proxies are used; httpx2 reads no netrc unless told to.
            trust_env=True,
            limits=httpx2.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=_KEEPALIVE,
            ),
            # The proxy in front of the API sets cookies that would tie all threads together.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # Identity: Content-Length then tells a truncated picture from a whole one.
            headers={"user-agent": "venice-batch", "accept": "*/*", "accept-encoding": "identity"},
        )

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def exchange(
        self, outgoing: Outgoing, into: Path, gate: Gate | None, on_headers: OnHeaders | None = None
    ) -> Received:
        """Make one attempt.

        Args:
            outgoing: the request.
            into: a new file for the answer's body.
            gate: asked before the first byte; None for a free call.
            on_headers: called with the headers of any answer, good or bad.

        Raises:
            CallFailed: with its failure class; ``begun_at`` tells whether a byte was sent.
            Cancelled: the run was cancelled; nothing was sent.
            VeniceBatchError: the gate's guard refused; nothing was sent.
        """
        trace = RequestTrace(gate, self._cancel, Deadline(outgoing.timeout, self._clock))
        try:
            with Download(into, outgoing.at_most) as download:
                return self._exchange(outgoing, download, trace, on_headers)
        except VeniceBatchError as error:
            if isinstance(error, CallFailed):
                error.begun_at = trace.attempt.begun_at
            raise
        except Exception as error:
            failure = self._failure(error, trace)
            failure.begun_at = trace.attempt.begun_at
            raise failure from error
        finally:
            trace.release()

    def _exchange(
        self, outgoing: Outgoing, download: Download, trace: RequestTrace, on_headers: OnHeaders | None
    ) -> Received:
        response = self._http.send(self._request(outgoing, trace), stream=True)
        try:
            # A server may repeat what it was sent, and headers are kept with the answer.
            headers = {name.lower(): self._scrubbed(value) for name, value in response.headers.items()}
            trace.request_id = request_id(headers)
            if on_headers is not None:
                on_headers(headers)
            if not response.is_success:
                failure = self._error_response(response, headers, outgoing.endpoint)
                if trace.gate is not None:
                    trace.gate.explain(trace.attempt, failure)
                raise failure
            begun = trace.attempt.begun_at or time.time()
            size = download.receive(response.iter_bytes(), trace.deadline.check_receiving)
            ended = time.time()
        finally:
            response.close()
        return Received(response.status_code, headers, size, begun, ended, max(ended - begun, 0.0))

    def _scrubbed(self, header: str) -> str:
        key = self._api.key
        return secrets.scrub(header if key is None else header.replace(key.reveal(), secrets.HIDDEN))

    def _request(self, outgoing: Outgoing, trace: RequestTrace) -> httpx2.Request:
        headers = {}
        body = outgoing.body
        if body is not None:
            headers = {"content-type": body.content_type, "content-length": str(body.length)}
        if outgoing.authorized and self._api.key is not None:
            headers["authorization"] = f"Bearer {self._api.key.reveal()}"
        return self._http.build_request(
            outgoing.method,
            outgoing.url,
            params=outgoing.params,
            headers=headers,
            content=GuardedBody(body, trace.deadline.check_sending) if body is not None else None,
            extensions={"trace": trace, "timeout": trace.timeouts},
        )

    def _failure(self, error: Exception, trace: RequestTrace) -> CallFailed:
        if isinstance(error, HTTPX2_EXCEPTIONS):
            failure = exception_failure(error, trace.sent, self._api.scrub(str(error)))
            failure.request_id = trace.request_id
            return failure
        # A full quota on closing the file, no memory: what was sent by then may be charged.
        words = (error.strerror if isinstance(error, OSError) else None) or str(error)
        text = f"{type(error).__name__}: {words}" if words else type(error).__name__
        return CallFailed("failed-here", text, billed=trace.sent is Sent.MAYBE)

    def _error_response(self, response: httpx2.Response, headers: Mapping[str, str], endpoint: str) -> CallFailed:
        raw = b""
        try:
            for chunk in response.iter_bytes():
                raw += chunk
                if len(raw) >= _ERROR_BYTES:
                    break
        except httpx2.HTTPError:
            # The status alone decides; a broken error text must not turn a 402 into a lost answer.
            pass
        text = self._api.scrub(raw[:_ERROR_BYTES].decode("utf-8", "replace"))
        return response_failure(response.status_code, headers, text.encode(), time.time(), endpoint=endpoint)
