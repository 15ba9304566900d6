"""Who is told of a run, and where its figures go: values, and addresses that are secrets.

The address of a webhook or of a ping is its own password: whoever knows it may post. So the values show a host at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit, urlunsplit

#: What a webhook can be told of; see `venice_batch.report.run_result.Outcome.event` for which exit code is which.
Event: TypeAlias = Literal["success", "failure", "money"]
EVENTS: tuple[Event, ...] = get_args(Event)


class Address:
    """An http(s) address that shows its host, and the rest only when asked by name."""

    __slots__ = ("__url",)

    def __init__(self, url: str) -> None:
        """Hold an address that has been checked."""
        self.__url = url

    def reveal(self) -> str:
        """Return the whole address, for the one request that goes there."""
        return self.__url

    @property
    def host(self) -> str:
        """Host and port, fit for messages; without user name and password."""
        return urlsplit(self.__url).netloc.rpartition("@")[2]

    @property
    def path(self) -> str:
        """Return the path, which is secret, too."""
        return urlsplit(self.__url).path

    def below(self, *parts: str) -> Address:
        """Return the address of something below this one; a query stays at its end."""
        url = urlsplit(self.__url)
        return Address(urlunsplit(url._replace(path="/".join([url.path.rstrip("/"), *parts]))))

    def __repr__(self) -> str:
        return f"Address({self.host})"

    __str__ = __repr__

    def __reduce__(self) -> str:
        # Pickled, it would travel to disks and workers in the clear.
        raise TypeError("a secret address cannot be pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and other.reveal() == self.__url

    def __hash__(self) -> int:
        return hash((Address, self.__url))


@dataclass(frozen=True, slots=True)
class Ping:
    """Addresses for a service that expects to hear of each run, and raises the alarm when it does not.

    Attributes:
        url: the base of a healthchecks-style service: ``<url>/start``, ``<url>``, ``<url>/fail``.
        start: asked when a run begins; instead of `url`.
        success: asked when it ended with exit code 0.
        failure: asked when it ended otherwise.
    """

    url: Address | None = None
    start: Address | None = None
    success: Address | None = None
    failure: Address | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where the figures of a run go.

    Attributes:
        textfile: absolute path of a ``.prom`` file, for the node exporter's textfile collector.
        pushgateway: base address of a Prometheus push gateway.
        labels: name and value pairs beside ``batch``, the job's name; with ``job`` for the push gateway's own.
    """

    textfile: Path | None = None
    pushgateway: Address | None = None
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told of a run.

    Attributes:
        webhook: gets a message; None: nobody.
        on: the events it gets one for.
        ping: addresses that are told of start and end.
        metrics: where the figures go.
    """

    webhook: Address | None = None
    on: frozenset[Event] = frozenset({"failure", "money"})
    ping: Ping = Ping()
    metrics: Metrics = Metrics()
