"""Where the API is, and the key that opens it: the only place that holds the key."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from venice_batch.errors import KeyRefused, UsageError
from venice_batch.trust import secrets

OFFICIAL_URL = "https://api.venice.ai/api/v1"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ADMIN_PREFIX = "VENICE_ADMIN_KEY_"
#: An address and its query, which may hold a signature.
_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]+")


class Secret:
    """An API key that shows itself only when asked by name.

    Args:
        text: the key; surrounding whitespace is dropped, since keys read from files end in a newline.

    Raises:
        KeyRefused: the key is empty, or holds whitespace, control or non-ASCII characters. It would
            break the request's header; the message never repeats it.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        stripped = text.strip()
        if not stripped:
            raise KeyRefused("the API key is empty", remedy="set VENICE_API_KEY or VENICE_API_KEY_FILE")
        if not (stripped.isascii() and stripped.isprintable()) or " " in stripped:
            raise KeyRefused(
                "the API key holds whitespace, control or non-ASCII characters",
                remedy="copy the key again from https://venice.ai/settings/api, on one line",
            )
        self.__text = stripped

    def reveal(self) -> str:
        """Return the key itself, for the one header that carries it."""
        return self.__text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        # A pickled key would travel to disks and workers unseen; workers read their own environment.
        raise TypeError("a key cannot be pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__text

    def __hash__(self) -> int:
        return hash((Secret, self.__text))


@dataclass(frozen=True, slots=True)
class Api:
    """One Venice API: its address, the key for it, and its name in result keys.

    Attributes:
        base_url: without a trailing slash, such as ``https://api.venice.ai/api/v1``.
        key: None where there is none; only the free calls work then.
        host: the identity in result keys, see `host_id`.

    Raises:
        UsageError: the address is no http(s) URL, carries a user name or query, or names the official
            host without TLS.
    """

    base_url: str
    key: Secret | None = field(default=None)
    host: str = ""

    def __post_init__(self) -> None:
        url = self.base_url.strip().rstrip("/")
        _refuse_bad_address(url)
        object.__setattr__(self, "base_url", url)
        object.__setattr__(self, "host", self.host or host_id(url))

    @property
    def is_admin(self) -> bool:
        """Whether the key may read the billing endpoints (its prefix says so)."""
        return self.key is not None and self.key.reveal().startswith(_ADMIN_PREFIX)

    def scrub(self, text: str) -> str:
        """Blank every key in a text that somebody else wrote, ours first, and the query of every address.

        A signed address that was sent and comes back in an error would let its readers fetch the picture.
        """
        if self.key is not None:
            text = text.replace(self.key.reveal(), secrets.HIDDEN)
        return _QUERY.sub(r"\1?***", secrets.scrub(text))


def host_id(base_url: str) -> str:
    """Name the server for result keys: what was bought at one server is not a result of another.

    Args:
        base_url: an http(s) address.

    Returns:
        ``loopback`` for a loopback address of any port (test servers get a new port each time),
        otherwise the host in lower case, with the port where it is not the scheme's own.
    """
    if is_loopback(base_url):
        return "loopback"
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower().rstrip(".")
    name = f"[{host}]" if ":" in host else host
    port = parts.port
    return name if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f"{name}:{port}"


def is_official(url: str) -> bool:
    """Whether an address is the vendor's own, over TLS, at its own port."""
    return urlsplit(url).scheme == "https" and host_id(url) == "api.venice.ai"


def is_loopback(url: str) -> bool:
    """Whether an address names this machine: ``localhost``, 127.0.0.0/8 or ::1."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_bad_address(url: str) -> None:
    """Raise UsageError for an address that cannot be called safely."""
    remedy = f"write an address such as {OFFICIAL_URL}"
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise UsageError("the API address is malformed", remedy=remedy) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not port_ok or not url.isprintable():
        raise UsageError("the API address is not an http or https URL", remedy=remedy)
    if parts.username or parts.password or parts.query or parts.fragment or " " in url:
        # Not quoted: a password in an address would be printed.
        raise UsageError("the API address carries a user name, a query or a fragment", remedy=remedy)
    if parts.scheme == "http" and host_id(url).split(":")[0] == "api.venice.ai":
        raise UsageError(f"the key is not sent to {parts.hostname} without TLS", remedy=remedy)
