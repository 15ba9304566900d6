"""Sends notifications over HTTP: a few tries, a deadline, no redirects, and never an address in an error.

Each message travels in a thread of its own that the process does not wait for: a silent name server has no timeout that
could be relied upon, and a run that is done must end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx2

from venice_batch.job.notify import Address
from venice_batch.trust.secrets import scrub

#: Seconds for a connection, and for each silence of the server.
_TIMEOUT = httpx2.Timeout(5.0)
#: Seconds that a server may ask for before it is tried again; what takes longer is given up.
_LONGEST_PAUSE = 5.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_THREAD = "venice-batch-delivery"


@dataclass(frozen=True, slots=True)
class Message:
    """One request.

    Attributes:
        what: names it in an error: ``webhook``, ``ping``, ``push gateway``.
        to: where it goes.
        method: ``GET`` or ``POST``.
        body: its content.
        content_type: what the body is.
    """

    what: str
    to: Address
    method: str = "POST"
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How long and how often to try.

    Attributes:
        seconds: for all messages together, whatever happens.
        tries: requests for each.
        pause: seconds before the second request, doubled with each further one.
    """

    seconds: float = 15.0
    tries: int = 3
    pause: float = 1.0


def deliver(messages: Sequence[Message], limits: DeliveryLimits = DeliveryLimits()) -> list[str]:
    """Send all messages at once and wait for them, but no longer than `limits` say.

    Returns:
        A line for each that did not arrive, fit for stderr: what, to which host, and why. It raises nothing; a message
        that was answered too late may have arrived, and may have been sent twice.
    """
    over = threading.Event()
    threads = [_Delivery(message, limits, over) for message in messages]
    end = time.monotonic() + limits.seconds
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
    finally:
        over.set()
    return [line for thread in threads if (line := thread.problem())]


class _Delivery(threading.Thread):
    """Sends one message, again where that may help."""

    def __init__(self, message: Message, limits: DeliveryLimits, over: threading.Event) -> None:
        super().__init__(name=_THREAD, daemon=True)
        self._message = message
        self._limits = limits
        self._over = over
        self._problem = f"not finished within {limits.seconds:g} s"

    def problem(self) -> str:
        """Return why the message did not arrive; empty where it did."""
        problem = self._problem
        return f"{self._message.what} to {self._message.to.host}: {problem}" if problem else ""

    def run(self) -> None:
        """Try until it arrived, or nothing more may be done."""
        pause = self._limits.pause
        for left in reversed(range(self._limits.tries)):
            problem, wait = self._attempt(pause)
            if wait is None or not left or self._over.wait(wait):
                self._problem = problem
                return
            pause *= 2

    def _attempt(self, pause: float) -> tuple[str, float | None]:
        """Make one request; return what went wrong, if anything, and the seconds after which another may help."""
        try:
            return self._exchange(pause)
        except httpx2.TimeoutException:
            return "no answer in time", pause
        except httpx2.TransportError as error:
            # Never the error's text: it may quote the address.
            return f"cannot be reached ({type(error).__name__})", pause
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and must not end a run that went well
            return f"cannot be sent ({type(error).__name__})", None

    def _exchange(self, pause: float) -> tuple[str, float | None]:
        message = self._message
        headers = {"user-agent": "venice-batch"} | ({"content-type": message.content_type} if message.body else {})
        with (
            httpx2.Client(follow_redirects=False, timeout=_TIMEOUT) as client,
            # Streamed and left unread: the status is all that counts, and a body may never end.
            client.stream(
                message.method, message.to.reveal(), content=_scrubbed(message.body), headers=headers
            ) as response,
        ):
            return _judge(response, pause)


def _scrubbed(body: bytes) -> bytes | None:
    return scrub(body.decode("utf-8", "replace")).encode() or None


def _judge(response: httpx2.Response, pause: float) -> tuple[str, float | None]:
    if response.is_success:
        return "", None
    if response.is_redirect:
        return f"answered {response.status_code}, and redirects are not followed", None
    problem = f"answered {response.status_code}"
    if response.status_code not in _AGAIN:
        return problem, None
    asked = response.headers.get("retry-after", "")
    wait = max(pause, float(asked)) if asked.isascii() and asked.isdigit() else pause
    return problem, wait if wait <= max(_LONGEST_PAUSE, pause) else None


def _not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


# The HTTP client logs the address of each request, and the layer below it every header: that of a redirect may repeat
# it. Whoever turns these logs on to look at the API must not find it. A filter works for its own logger only, so each
# that writes is named.
for _name in ("httpx2", *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))):
    logging.getLogger(_name).addFilter(_not_ours)

Deliver = Callable[[Sequence[Message], DeliveryLimits], list[str]]
