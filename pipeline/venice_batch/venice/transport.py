"""One attempt of a call: send the request, receive its answer, and trace how far it got.

httpx2 (2.16) reports its progress to a callback in the calling thread: ``send_request_headers.started``
comes before the first byte and may still refuse it; ``send_request_body.complete`` comes after the last,
and separates "never fully sent, safe to repeat" from "maybe billed". httpcore2 swallows a WriteError and
reads on, because a server may answer early and close: such a request stays "never fully sent".

Every request has a connection of its own: the watchdog learns of a connection when it is made, and a request on an idle
one that the server is just closing would be uncertain.
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
from venice_batch.venice.request_bodies import Body
from venice_batch.venice.responses import Received
from venice_batch.venice.waits import Cancel
from venice_batch.venice.watchdog import Watch, Watchdog

#: Seconds to reach the server, and for one write or one silence within a body.
_CONNECT, _STALL = 20.0, 60.0
#: The gate's lock is held while the headers are written; they fit in a socket's buffer.
_HEADERS_WRITE = 10.0
_CONNECTIONS = 128
#: Seconds before the deadline from which a failure counts as one of the deadline: a socket's own timeout comes first.
_LATE = 0.1
#: A failing answer's body is read up to this many bytes, for so many seconds at most: its status says what matters.
_ERROR_BYTES, _ERROR_SECONDS = 64 * 1024, 5.0

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


class RequestTrace:
    """Takes httpx2's trace events of one attempt: passes the gate, keeps the timeouts, knows how much was sent.

    Attributes:
        gate: passed before the first byte; None for a free call.
        watch: ends the connection at the deadline of the whole attempt.
        attempt: this attempt, as the gate sees it.
        request_id: the vendor's name for the request, once the answer's headers were read.
        sent: NO from the first event on, MAYBE before any (unknown) and once the body is complete.
    """

    def __init__(self, gate: Gate | None, cancel: Cancel, watch: Watch) -> None:
        self.gate = gate
        self.watch = watch
        self.attempt = Attempt()
        self.request_id: str | None = None
        self.sent = Sent.MAYBE
        self.timeouts: dict[str, float] = {
            "connect": min(_CONNECT, watch.left),
            "pool": watch.left,
            "write": min(_STALL, watch.left),
            "read": watch.left,
        }
        self._cancel = cancel
        self._tunnelling = False
        self._complete = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take one trace event; its ``info`` holds the request at a start, the result at an end."""
        step = event.partition(".")[2]
        self.watch.trace(event, info)
        if step == "send_request_headers.started":
            # A proxy's CONNECT is traced like the request itself, but is no call and carries no key.
            self._tunnelling = info["request"].method == b"CONNECT"
        if self._tunnelling:
            self.sent = Sent.NO
            return
        self._on_event(step, info)
        self.sent = Sent.MAYBE if self._complete else Sent.NO

    def noted(self, failure: CallFailed) -> CallFailed:
        """Give a failure what is known of its request."""
        failure.begun_at = self.attempt.begun_at
        failure.request_id = failure.request_id or self.request_id
        failure.late = self.watch.expired or self.watch.left < _LATE
        return failure

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
                self.timeouts["write"] = min(_STALL, self.watch.left)
            case "send_request_body.complete":
                self._complete = True
            case "receive_response_headers.started":
                self.timeouts["read"] = self.watch.left
            case "receive_response_headers.complete":
                self._status(info["return_value"][1])
            case "receive_response_body.started":
                self.timeouts["read"] = min(_STALL, self.watch.left)

    def _status(self, status: int) -> None:
        # A server that says 200 before it has read everything has done its work: never repeat that.
        self._complete = self._complete or 200 <= status < 300  # noqa: PLR2004 - "success" in HTTP
        if self.gate is not None:
            self.gate.status_read(self.attempt, status)

    def _begin(self) -> None:
        """Last look before the first byte: raising here sends nothing."""
        self._cancel.check()
        self.timeouts["write"] = min(_HEADERS_WRITE, self.watch.left)
        if self.gate is None:
            self.attempt.begun_at = time.time()
        else:
            self.gate.acquire(self.attempt)


class HttpClient:
    """The connections to one API, shared by all threads.

    Args:
        api: where to, and the key.
        cancel: looked at before the first byte.
        transport: instead of real connections.
    """

    def __init__(self, api: Api, *, cancel: Cancel, transport: httpx2.BaseTransport | None) -> None:
        self._api = api
        self._cancel = cancel
        self._watchdog = Watchdog()
        self._http = httpx2.Client(
            transport=transport,
            follow_redirects=False,
            # The environment's proxies are used; httpx2 reads no netrc unless told to.
            trust_env=True,
            limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=0),
            # The proxy in front of the API sets cookies that would tie all threads together.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # Identity: Content-Length then tells a truncated picture from a whole one.
            headers={"user-agent": "venice-batch", "accept": "*/*", "accept-encoding": "identity"},
        )

    def close(self) -> None:
        """Close every connection."""
        self._http.close()
        self._watchdog.close()

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
        with self._watchdog.watch(outgoing.timeout) as watch:
            trace = RequestTrace(gate, self._cancel, watch)
            return self._traced(outgoing, into, trace, on_headers)

    def _traced(self, outgoing: Outgoing, into: Path, trace: RequestTrace, on_headers: OnHeaders | None) -> Received:
        try:
            with Download(into, outgoing.at_most) as download:
                return self._exchange(outgoing, download, trace, on_headers)
        except CallFailed as failure:
            raise trace.noted(failure) from None
        except VeniceBatchError:
            raise
        except Exception as error:
            raise trace.noted(self._failure(error, trace)) from error
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
                trace.watch.shorten(_ERROR_SECONDS)
                failure = self._error_response(response, headers, outgoing.endpoint)
                if trace.gate is not None:
                    trace.gate.explain(trace.attempt, failure)
                raise failure
            begun = trace.attempt.begun_at or time.time()
            size = download.receive(response.iter_bytes())
            if trace.watch.expired:
                # A body without a length ends with its connection, as if it were whole.
                raise CallFailed("timeout-after-sending")
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
            content=body,
            extensions={"trace": trace, "timeout": trace.timeouts},
        )

    def _failure(self, error: Exception, trace: RequestTrace) -> CallFailed:
        if trace.watch.expired:
            return CallFailed("timeout-after-sending" if trace.sent is Sent.MAYBE else "deadline-while-sending")
        if isinstance(error, HTTPX2_EXCEPTIONS):
            return exception_failure(error, trace.sent, self._api.scrub(str(error)))
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
