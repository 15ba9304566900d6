"""The client of the Venice image API: one method per paid endpoint, and the free ones by inheritance.

Order before a paid request's first byte: the circuit breaker admits it, its lane (the model's rate limiter) gives it a
permit, the gate is open. Retries are driven by tenacity; a wait that is cancelled raises, so nothing more is sent.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, TypeAlias

import httpx2

from venice_batch.venice.address import Api, is_loopback
from venice_batch.venice.breaker import Breaker
from venice_batch.venice.download import create, type_of, unpack_generated
from venice_batch.venice.failures import CallFailed, FailureClass, counts_as_client_error
from venice_batch.venice.fields import PICTURE_FIELDS, Fields, Image, Url
from venice_batch.venice.free import FreeCalls
from venice_batch.venice.gate import Gate
from venice_batch.venice.lanes import Lane, Lanes
from venice_batch.venice.request_bodies import Body, json_object, multipart
from venice_batch.venice.responses import Answer, Received, bare_type, read_answer
from venice_batch.venice.retry import SHORTEST_WAIT, RetryPolicy
from venice_batch.venice.transport import HttpClient, Outgoing
from venice_batch.venice.waits import Cancel, Cancelled

Transport: TypeAlias = Literal["multipart", "json"]
OnWait: TypeAlias = Callable[[str, float], None]

MAX_ANSWER_BYTES = 200_000_000
#: Seconds to hold a lane after a 429 that names no time, by its code.
_HOLDS = {"rate-limited": 15.0, "overloaded": 30.0, "error-budget": 30.0}


@dataclass(frozen=True, slots=True)
class _Call:
    """One paid call: where to, how to build its body, what its lane is, where its answer goes."""

    endpoint: str
    lane: Lane
    into: Path
    build: Callable[[bool], Body]
    json_only: bool = False
    by_url: bool = False
    permits: int = 1


class Client(FreeCalls):
    """All calls to one API, to be shared by all threads of a run.

    A paid method takes pictures as files or https addresses, ``fields`` that are sent exactly as given, ``into``, a new
    file for the answer's bytes, and ``lane``, the model id whose rate limit counts. It raises `CallFailed` with its
    failure class, and nothing else but bugs.

    Args:
        api: where to, and the key.
        gate: shared with the driver, which reads the first cause from it.
        lanes: rate limits per model.
        breaker: the key's error budget.
        cancel: the run's switch for "no new calls".
        clock: monotonic seconds, for holds and backoff.
        rng: the retries' jitter.
        timeout: seconds per attempt, from its start to the answer's last byte.
        prefer: the form of bodies with files; JSON is used for addresses, and once the endpoint has refused it.
        attempts: requests per call at most for passing failures (RETRY).
        transport: instead of real connections.
        on_wait: called with a reason and seconds before a wait for the server.
        max_answer_bytes: of one answer.
    """

    def __init__(
        self,
        api: Api,
        *,
        gate: Gate,
        lanes: Lanes,
        breaker: Breaker,
        cancel: Cancel,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        timeout: float = 300.0,
        prefer: Transport = "multipart",
        attempts: int = 4,
        transport: httpx2.BaseTransport | None = None,
        on_wait: OnWait | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        http = HttpClient(api, cancel=cancel, transport=transport)
        rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        super().__init__(api, http, cancel=cancel, rng=rng, on_wait=on_wait, attempts=attempts)
        self._gate = gate
        self._lanes = lanes
        self._breaker = breaker
        self._clock = clock
        self._timeout = timeout
        self._max_answer_bytes = max_answer_bytes
        self._prefer_multipart = prefer == "multipart"
        self._json_only: set[str] = set()
        self._json_only_lock = threading.Lock()

    @classmethod
    def alone(cls, api: Api) -> Self:
        """Return a client that shares nothing with a run: for the free calls that plans and questions are made of."""
        cancel = Cancel()
        return cls(
            api, gate=Gate(cancel), lanes=Lanes({}, cancel=cancel), breaker=Breaker(cancel=cancel), cancel=cancel
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.api.base_url})"

    def close(self) -> None:
        """Close every connection; calls in flight fail."""
        self._http.close()

    def upscale(self, image: Path, fields: Fields, *, into: Path, lane: str) -> Answer:
        """``POST /image/upscale``: a PNG."""
        return self._with_pictures("image/upscale", "image", image, fields, into=into, lane=lane)

    def background_remove(self, image: Image, fields: Fields | None = None, *, into: Path, lane: str) -> Answer:
        """``POST /image/background-remove``: a PNG with alpha; with any field as JSON, whatever the transport."""
        name = "image_url" if isinstance(image, Url) else "image"
        # A form takes the picture alone.
        return self._with_pictures(
            "image/background-remove", name, image, fields or {}, into=into, lane=lane, json_only=bool(fields)
        )

    def edit(self, image: Image, fields: Fields, *, into: Path, lane: str) -> Answer:
        """``POST /image/edit``: PNG, JPEG or WebP."""
        return self._with_pictures("image/edit", "image", image, fields, into=into, lane=lane)

    def multi_edit(self, images: Sequence[Image], fields: Fields, *, into: Path, lane: str) -> Answer:
        """``POST /image/multi-edit``: as `edit`, with several pictures, the base first; its model is ``modelId``.

        Files and addresses may be mixed; one address sends all of them as JSON.
        """
        return self._with_pictures("image/multi-edit", "images", tuple(images), fields, into=into, lane=lane)

    def generate(self, fields: Fields, *, into: Sequence[Path], lane: str) -> Answer:
        """``POST /image/generate``: always JSON; the answer's pictures are decoded to files.

        An answer without a picture that can be decoded is kept as it came at ``into[0]``, with its own
        content type, for others to check.

        Args:
            fields: sent exactly as given.
            into: new files, one per variant.
            lane: takes one permit per variant.
        """
        raw = into[0].with_name(f"{into[0].name}.answer")
        call = _Call(
            "image/generate",
            self._lanes.lane(lane),
            raw,
            lambda _: json_object(fields, {}),
            json_only=True,
            permits=max(len(into), 1),
        )
        try:
            received, policy = self._paid(call)
        except CallFailed:
            if raw.exists():  # the part of a broken-off answer, kept where the caller looks for it
                _move(raw, into[0])
            raise
        paths, content_type = _save_generated(received, raw, into)
        answer = read_answer(received, paths, content_type, attempts=policy.requests, transport="json")
        return replace(answer, charged=not answer.violation)

    def _with_pictures(
        self,
        endpoint: str,
        name: str,
        images: Image | tuple[Image, ...],
        fields: Fields,
        *,
        into: Path,
        lane: str,
        json_only: bool = False,
    ) -> Answer:
        clash = sorted(PICTURE_FIELDS & fields.keys())
        if clash:
            raise ValueError(f"pictures are given as arguments, not as fields: {', '.join(clash)}")
        each = images if isinstance(images, tuple) else (images,)
        files = [image for image in each if isinstance(image, Path)]

        def build(multi: bool) -> Body:  # noqa: FBT001 - called in one place, by position
            return multipart(fields, name, files) if multi else json_object(fields, {name: images})

        by_url = len(files) < len(each)
        received, policy = self._paid(_Call(endpoint, self._lanes.lane(lane), into, build, by_url, by_url or json_only))
        transport = "multipart" if policy.multipart else "json"
        kind = bare_type(received.headers)
        return read_answer(received, (into,), kind, attempts=policy.requests, transport=transport)

    def _paid(self, call: _Call) -> tuple[Received, RetryPolicy]:
        """Make a paid call until it has an answer or a failure that more requests cannot change."""
        self._refuse_without_key()
        policy = RetryPolicy(attempts=self._attempts, rng=self._rng, clock=self._clock, on_wait=self._report_wait)
        retrying = policy.retrying(lambda seconds: self._cancel.sleep(seconds, self._gate.check))
        try:
            return retrying(self._attempt, call, policy), policy
        except CallFailed as failure:
            failure.attempts = policy.requests
            raise
        except Cancelled as cancelled:
            stopped = CallFailed("cancelled")
            # Mostly none: the ledger must not hold a request that was never begun.
            stopped.attempts = policy.requests
            raise stopped from cancelled

    def _attempt(self, call: _Call, policy: RetryPolicy) -> Received:
        """Make one request, through breaker, lane and gate; each of them learns how it went."""
        policy.multipart = self._may_multipart(call)
        body = call.build(policy.multipart)
        try:
            return self._send(call, body, policy)
        except CallFailed as failure:
            self._note_failure(call, failure, body)
            raise

    def _send(self, call: _Call, body: Body, policy: RetryPolicy) -> Received:
        outcome: bool | None = None
        with ExitStack() as stack:
            self._breaker.admit(self._gate.check)
            stack.callback(lambda: self._breaker.record(outcome))
            stack.enter_context(call.lane.permit(call.permits, self._gate.check))
            try:
                received = self._http.exchange(
                    self._outgoing(call, body),
                    call.into,
                    self._gate,
                    lambda headers: call.lane.apply_headers(headers, time.time()),
                )
            except CallFailed as failure:
                policy.requests += failure.begun_at is not None
                if failure.status is not None:
                    outcome = counts_as_client_error(failure.status)
                raise
            policy.requests += 1
            outcome = False
            call.lane.record_latency(received.seconds)
            return received

    def _note_failure(self, call: _Call, failure: CallFailed, body: Body) -> None:
        """Remember what a failure says about the lane or the endpoint; it may change the failure itself."""
        if failure.failure_class is FailureClass.WAIT:
            self._hold(call.lane, failure)
        elif failure.code == "wrong-content-type" and body.is_multipart:
            with self._json_only_lock:
                self._json_only.add(call.endpoint)
            # Refused for its form alone, unbilled: once more at once, as JSON.
            failure.failure_class = FailureClass.RETRY
        elif call.by_url and _is_about_address(failure):
            raise _unreachable(failure) from failure

    def _hold(self, lane: Lane, failure: CallFailed) -> None:
        asked = _HOLDS[failure.code] if failure.retry_after is None else failure.retry_after
        failure.retry_after = max(asked, SHORTEST_WAIT)
        until = self._clock() + failure.retry_after
        if failure.code == "error-budget":
            self._lanes.hold_all(until)
        else:
            lane.hold(until)

    def _may_multipart(self, call: _Call) -> bool:
        return self._prefer_multipart and not call.json_only and call.endpoint not in self._json_only

    def _outgoing(self, call: _Call, body: Body) -> Outgoing:
        url = f"{self.api.base_url}/{call.endpoint}"
        return Outgoing("POST", url, self._timeout, self._max_answer_bytes, body, endpoint=call.endpoint)

    def _report_wait(self, reason: str, seconds: float) -> None:
        """Tell of a wait, unless the gate is closed: nobody waits then, and the reason would hide the first cause."""
        if self._on_wait is not None and self._gate.cause is None:
            self._on_wait(reason, seconds)

    def _refuse_without_key(self) -> None:
        # Sent without one, the call would end in a 402 for wallets, which hides what is wrong.
        if self.api.key is None and not is_loopback(self.api.base_url):
            raise CallFailed("no-key")


def _is_about_address(failure: CallFailed) -> bool:
    """Whether the API could not fetch a picture by itself, or got something else than a picture from its address."""
    if failure.failure_class is not FailureClass.ITEM_FAILS or failure.billed:
        return False
    return failure.code == "input-not-found" or "corrupt" in failure.text.lower()


def _unreachable(failure: CallFailed) -> CallFailed:
    """Say that the API could not read an address, so that the caller fetches it and sends bytes."""
    unreachable = CallFailed("url-unreachable", failure.text)
    unreachable.status, unreachable.request_id = failure.status, failure.request_id
    unreachable.begun_at = failure.begun_at
    return unreachable


def _save_generated(received: Received, raw: Path, into: Sequence[Path]) -> tuple[tuple[Path, ...], str]:
    """Put a generate answer's pictures where they belong; return their paths and content type."""
    kind = bare_type(received.headers)
    try:
        paths = None if kind.startswith("image/") else unpack_generated(raw, into)
        if paths is not None:
            return paths, type_of(paths[0])
        _move(raw, into[0])
    except OSError as error:
        raise CallFailed("disk", error.strerror or "", billed=True) from error
    finally:
        raw.unlink(missing_ok=True)
    return (into[0],), kind


def _move(source: Path, target: Path) -> None:
    """Rename to a new file; made first, because a rename would replace what is there."""
    create(target).close()
    source.replace(target)
