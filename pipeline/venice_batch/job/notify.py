"""The job file's ``notify`` section: who is told of a run, and where its figures go.

The address of a webhook or of a ping is its own password: whoever knows it may post. So values show a host at most, and
no message repeats what was written.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias, get_args
from urllib.parse import urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema, model_validator

from venice_batch.job.key_types import NamesAndValues
from venice_batch.steps.references import job_folder, local_path
from venice_batch.steps.scalars import Strict, as_text, invalid
from venice_batch.venice.address import is_loopback

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


#: For `load`, where `notify` itself is no mapping: it may be an address, and must not be repeated.
NOT_A_MAPPING = ("notify is a mapping", "write notify: {webhook: URL}, or ping: and metrics: beside it")

#: Names that only resolve inside a private network: one label, or a suffix that no public registry hands out.
_PRIVATE_SUFFIXES = (".internal", ".local", ".lan", ".home.arpa", ".svc", ".localhost")
#: Labels that the figures themselves carry.
_TAKEN = frozenset({"batch", "state", "code", "step", "model", "fate", "currency", "lane", "le"})


def _address(value: object) -> Address | None:
    return _checked(value, "https://...: the address is a password, and http would show it to the network")


def _gateway(value: object) -> Address | None:
    # A push gateway has no TLS of its own and its address is no secret: plain http is how it is run. Only a name that
    # cannot be on the public internet is taken for one, so a slip of the keyboard does not send figures out there.
    return _checked(value, "https://..., or http:// with a host of a private network and no password", private=True)


def _checked(value: object, instead: str, *, private: bool = False) -> Address | None:
    if isinstance(value, Address):
        return value
    text = value.strip() if isinstance(value, str) else "?"
    if not text:
        # `${SLACK_URL:-}`: the machine where the variable is not set tells nobody.
        return None
    url = None
    try:
        url = urlsplit(text)
        well_formed = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        well_formed = False
    if url is None or not well_formed or not re.fullmatch(r"[!-~]+", text) or re.search(r"[\\#\"<>^`{|}]", text):
        raise invalid("this is not an http(s) address", f"write {instead}")
    host = (url.hostname or "").lower().rstrip(".")
    if url.scheme == "http" and not (is_loopback(text) or (private and _private(host) and "@" not in text)):
        raise invalid("http is refused here", f"write {instead}")
    return Address(text)


def _private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((*_PRIVATE_SUFFIXES, ".cluster.local"))
    # Link-local is where clouds hand out credentials; nobody runs a push gateway there.
    return address.is_private and not address.is_link_local and not address.is_unspecified


def _events(value: object) -> tuple[Event, ...]:
    words = value if isinstance(value, list | tuple | frozenset) else [value]
    found = tuple(event for event in EVENTS if event in words)
    if not words or len(found) != len(set(map(str, words))):
        raise invalid("on names something that is no event", f"write a list of {', '.join(EVENTS)}")
    return found


def _textfile(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    text = as_text(value) if not isinstance(value, dict | list | tuple) else ""
    if "://" in text or not text.endswith(".prom") or text.endswith("/.prom") or text == ".prom":
        # The collector reads *.prom only: under any other name the figures would be written and never seen.
        raise invalid("this is not the path of a .prom file", "write a path such as /var/lib/node_exporter/venice.prom")
    return local_path(text, job_folder(info))


def _labels(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict):
        raise invalid("labels are a mapping", "write {instance: NAME}")
    pairs = tuple(
        (str(name), as_text(text) if not isinstance(text, dict | list) else "") for name, text in value.items()
    )
    for name, text in pairs:
        if not re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", name) or name in _TAKEN:
            raise invalid("a label has a name that cannot be used", f"use a-z, 0-9 and _, and none of {_taken()}")
        if not text or not text.isprintable():
            raise invalid(f"the label {name} has no value, or one that is not text", "write letters, or remove it")
    return pairs


def _taken() -> str:
    return ", ".join(sorted(_TAKEN))


def _spread(value: object) -> object:
    """Take a single address for a base; refuse what is neither, without repeating it."""
    return {"url": value} if isinstance(value, str) else _mapping(value)


def _mapping(value: object) -> object:
    if not isinstance(value, dict | Strict):
        raise invalid("a mapping is expected here", "see `venice-batch schema`")
    return value


URL_SCHEMA = {"pattern": "^(https?://.+)?$", "type": "string"}
Secret: TypeAlias = Annotated[Address | None, PlainValidator(_address), WithJsonSchema(URL_SCHEMA)]
Gateway: TypeAlias = Annotated[Address | None, PlainValidator(_gateway), WithJsonSchema(URL_SCHEMA)]
Textfile: TypeAlias = Annotated[
    Path, PlainValidator(_textfile), WithJsonSchema({"type": "string", "pattern": "(\\.prom|\\})$"})
]
Labels: TypeAlias = Annotated[tuple[tuple[str, str], ...], PlainValidator(_labels), NamesAndValues]
_EVENT = {"enum": list(EVENTS)}
Events: TypeAlias = Annotated[
    Collection[Event],
    PlainValidator(_events),
    WithJsonSchema({"anyOf": [_EVENT, {"type": "array", "minItems": 1, "items": _EVENT}]}),
]


class Ping(Strict):
    """Addresses that are told of start and end."""

    url: Secret = Field(None, description="Base address, as healthchecks has it: /start and /fail are added to it.")
    start: Secret = Field(None, description="Instead of url: asked when a run begins.")
    success: Secret = Field(None, description="Instead of url: asked when a run ended with exit code 0.")
    failure: Secret = Field(None, description="Instead of url: asked when a run ended otherwise.")

    @model_validator(mode="after")
    def _base_or_parts(self) -> Self:
        if self.url and (self.start or self.success or self.failure):
            raise invalid(
                "url stands for all three addresses", "remove it, or remove start, success and failure", at="url"
            )
        return self


class Metrics(Strict):
    """Where the figures of a run go."""

    textfile: Textfile | None = Field(
        None, description="A .prom file for the node exporter's textfile collector, relative to the job file."
    )
    pushgateway: Gateway = Field(None, description="Address of a Prometheus push gateway.")
    labels: Labels = Field(
        (), description="More labels, such as instance; job is the push gateway's, venice-batch when absent."
    )


class Notify(Strict):
    """Who is told of a run."""

    webhook: Secret = Field(
        None, description="Address that gets a message: Slack, Mattermost, Google Chat, Discord, Teams Workflows."
    )
    on: Events = Field(
        ("failure", "money"),
        description="What the webhook is told of: success (exit code 0), money (5), failure (any other, but for a job"
        " that was locked from the start, and Ctrl-C).",
    )
    ping: Annotated[Ping, BeforeValidator(_spread)] = Field(
        default_factory=Ping,
        description="Address of a service that raises the alarm when a run does not come: base, or each.",
    )
    metrics: Annotated[Metrics, BeforeValidator(_mapping)] = Field(
        default_factory=Metrics, description="Figures for Prometheus; needs the extra `metrics`."
    )
