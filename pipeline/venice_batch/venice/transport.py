"""One attempt: a request out, its answer in, and what the trace heard in between.

httpx2 (2.16) reports its progress to a callback in the calling thread: ``send_request_headers.started``
comes before the first byte and may still refuse it; ``send_request_body.complete`` comes after the last,
and tells "never fully sent, safe to repeat" from "maybe billed". httpcore2 swallows a WriteError and
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
from venice_batch.venice.address import Api
from venice_batch.venice.download import Download
from venice_batch.venice.error_body import refusal, request_id
from venice_batch.venice.failures import HTTPX2_EXCEPTIONS, CallFailed, Sent, exception_failure, own_failure
from venice_batch.venice.gate import Gate, Passage
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
_REFUSAL_BYTES = 64 * 1024

Clock = Callable[[], float]
Heard = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request: where to, with what, and by when.

    Attributes:
        timeout: seconds from the start of sending to the last byte of the answer.
        at_most: bytes of the answer.
        authorized: whether the key goes along; False for addresses that are not the API.
    """

    method: str
    url: str
    timeout: float
    at_most: int
    body: Body | None = None
    params: Mapping[str, str] | None = None
    authorized: bool = True


class Deadline:
    """The end of one attempt, looked at per chunk in both directions; no client has one built in."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least a millisecond: a socket timeout of zero would mean "do not block"."""
        return max(self._end - self._clock(), 1e-3)

    def while_sending(self) -> None:
        """Raise CallFailed when the time is up before the request was fully sent: safe to repeat."""
        if self._clock() >= self._end:
            raise own_failure("deadline-while-sending")

    def after_sending(self) -> None:
        """Raise CallFailed when the time is up and the request was sent: it may have been charged."""
        if self._clock() >= self._end:
            raise own_failure("timeout-after-sending")


class Watch:
    """Listens to one attempt: opens the gate's way, keeps the timeouts, knows how much was sent.

    Attributes:
        passage: this attempt's way through the gate.
        heard: told the answer's headers.
        request_id: the vendor's name for the request, once the answer's headers were read.
        sent: NO from the first event on, MAYBE before any (unknown) and once the body is complete.
    """

    def __init__(self, gate: Gate | None, cancel: Cancel, deadline: Deadline, heard: Heard | None = None) -> None:
        self.heard = heard
        self.passage = Passage()
        self.request_id: str | None = None
        self.sent = Sent.MAYBE
        self.timeouts: dict[str, float] = {
            "connect": min(_CONNECT, deadline.left),
            "pool": deadline.left,
            "write": min(_STALL, deadline.left),
            "read": deadline.left,
        }
        self._gate = gate
        self._cancel = cancel
        self._deadline = deadline
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
        self._hear(step, info)
        self.sent = Sent.MAYBE if self._complete else Sent.NO

    def release(self) -> None:
        """Free the gate whatever happened; for a ``finally``."""
        if self._gate is not None:
            self._gate.leave(self.passage)

    def _hear(self, step: str, info: Mapping[str, Any]) -> None:
        match step:
            case "send_request_headers.started":
                self._begin()
            case "send_request_headers.complete" | "send_request_headers.failed":
                self.release()
                self.timeouts["write"] = min(_STALL, self._deadline.left)
            case "send_request_body.complete":
                self._complete = True
            case "receive_response_headers.started":
                self.timeouts["read"] = self._deadline.left
            case "receive_response_headers.complete":
                self._status(info["return_value"][1])
            case "receive_response_body.started":
                self.timeouts["read"] = min(_STALL, self._deadline.left)

    def _status(self, status: int) -> None:
        # A server that says 200 before it has read everything has done its work: never repeat that.
        self._complete = self._complete or 200 <= status < 300  # noqa: PLR2004 - "success" in HTTP
        if self._gate is not None:
            self._gate.status_read(self.passage, status)

    def _begin(self) -> None:
        """Last look before the first byte: raising here sends nothing."""
        self._cancel.check()
        self.timeouts["write"] = min(_HEADERS_WRITE, self._deadline.left)
        if self._gate is None:
            self.passage.begun_at = time.time()
        else:
            self._gate.enter(self.passage)


class Wire:
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

    def exchange(self, outgoing: Outgoing, into: Path, gate: Gate | None, heard: Heard | None = None) -> Received:
        """Make one attempt.

        Args:
            outgoing: the request.
            into: a new file for the answer's body.
            gate: asked before the first byte; None for a free call.
            heard: told the headers of any answer, good or bad.

        Raises:
            CallFailed: with its fate; ``begun_at`` tells whether a byte was sent.
            Cancelled: the run was cancelled; nothing was sent.
            VeniceBatchError: the gate's guard refused; nothing was sent.
        """
        deadline = Deadline(outgoing.timeout, self._clock)
        watch = Watch(gate, self._cancel, deadline, heard)
        try:
            with Download(into, outgoing.at_most) as landing:
                return self._exchange(outgoing, landing, gate, deadline, watch)
        except CallFailed as failure:
            failure.begun_at = watch.passage.begun_at
            raise
        except HTTPX2_EXCEPTIONS as error:
            lost = exception_failure(error, watch.sent, self._api.scrub(str(error)))
            lost.request_id = watch.request_id
            lost.begun_at = watch.passage.begun_at
            raise lost from error
        except VeniceBatchError:
            # Of the gate: raised before the first byte.
            raise
        except Exception as error:
            # A full quota on closing the file, no memory: what was sent by then may be charged.
            unforeseen = own_failure("failed-here", _told(error), billed=watch.sent is Sent.MAYBE)
            unforeseen.begun_at = watch.passage.begun_at
            raise unforeseen from error
        finally:
            watch.release()

    def _exchange(
        self, outgoing: Outgoing, landing: Download, gate: Gate | None, deadline: Deadline, watch: Watch
    ) -> Received:
        response = self._http.send(self._request(outgoing, deadline, watch), stream=True)
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            watch.request_id = request_id(headers)
            if watch.heard is not None:
                watch.heard(headers)
            if not response.is_success:
                failure = self._refusal(response, headers)
                if gate is not None:
                    gate.explain(watch.passage, failure)
                raise failure
            begun = watch.passage.begun_at or time.time()
            size = landing.receive(response.iter_bytes(), deadline.after_sending)
            ended = time.time()
        finally:
            response.close()
        return Received(response.status_code, headers, size, begun, ended, max(ended - begun, 0.0))

    def _request(self, outgoing: Outgoing, deadline: Deadline, watch: Watch) -> httpx2.Request:
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
            content=GuardedBody(body, deadline.while_sending) if body is not None else None,
            extensions={"trace": watch, "timeout": watch.timeouts},
        )

    def _refusal(self, response: httpx2.Response, headers: Mapping[str, str]) -> CallFailed:
        raw = b""
        try:
            for chunk in response.iter_bytes():
                raw += chunk
                if len(raw) >= _REFUSAL_BYTES:
                    break
        except httpx2.HTTPError:
            # The status alone decides; a broken error text must not turn a 402 into a lost answer.
            pass
        text = self._api.scrub(raw[:_REFUSAL_BYTES].decode("utf-8", "replace"))
        return refusal(response.status_code, headers, text.encode(), time.time())


def _told(error: Exception) -> str:
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
