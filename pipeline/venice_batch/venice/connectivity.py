"""Connectivity checks, one by one and without a key: proxy, DNS, TLS, one free request, and the server's clock."""

from __future__ import annotations

import socket
import ssl
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx2

from venice_batch.errors import Unavailable
from venice_batch.venice.address import Api
from venice_batch.venice.watchdog import Watchdog

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Ping:
    """The API's answer to `ping`.

    Attributes:
        seconds: how long it took, connection included.
        skew: seconds by which this machine's clock is ahead of the server's; None where the answer has no date. Its
            date is of whole seconds, so one second means nothing.
    """

    seconds: float
    skew: float | None


def proxy(api: Api) -> str:
    """Return the proxy that the environment puts between, or nothing; names and TLS are its business then."""
    parts = urlsplit(api.base_url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    found = urllib.request.getproxies()
    # Without user name and password, which may stand in it.
    return urlsplit(found.get(parts.scheme) or found.get("all") or "").hostname or ""


def addresses(api: Api) -> list[str]:
    """Return the addresses that the API's name stands for.

    Raises:
        Unavailable: the name is not known here.
    """
    host, port = _endpoint(api)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(
            f"the name {host} cannot be looked up: {error.strerror or error}",
            remedy="see to this machine's network and DNS, and whether the address of the API is right",
        ) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def handshake(api: Api, timeout: float) -> str:
    """Connect, agree on TLS, and return its version; nothing for an address without TLS.

    Raises:
        Unavailable: there is no way through, or the certificate is not to be trusted.
    """
    host, port = _endpoint(api)
    try:
        with (
            closing(Watchdog()) as watchdog,
            watchdog.watch(timeout) as watch,
            socket.create_connection((host, port), timeout) as plain,
        ):
            watch.bind(plain)
            if urlsplit(api.base_url).scheme != "https":
                return ""
            with httpx2.create_ssl_context().wrap_socket(plain, server_hostname=host) as secured:
                return secured.version() or "TLS"
    except ssl.SSLError as error:
        raise Unavailable(
            f"no TLS with {host}: {getattr(error, 'verify_message', '') or error.reason or error}",
            remedy="see to this machine's clock and certificates (SSL_CERT_FILE where a proxy brings its own)",
        ) from error
    except OSError as error:
        raise Unavailable(
            f"cannot connect to {host}:{port}: {error.strerror or error}",
            remedy="let this machine through its firewall, or set HTTPS_PROXY where a proxy is needed",
        ) from error


def ping(api: Api, timeout: float) -> Ping:
    """Ask for something that is free and needs no key.

    Raises:
        Unavailable: nothing answers.
    """
    begun, at = time.monotonic(), time.time()
    try:
        with (
            closing(Watchdog()) as watchdog,
            watchdog.watch(timeout) as watch,
            httpx2.Client(follow_redirects=False, trust_env=True, timeout=timeout) as http,
        ):
            url, params = f"{api.base_url}/models", {"type": "upscale"}
            answer = http.get(url, params=params, extensions={"trace": watch.trace})
    except httpx2.HTTPError as error:
        raise Unavailable(
            f"the API does not answer: {api.scrub(str(error)) or type(error).__name__}",
            remedy="see to the network, or try again later",
        ) from error
    seconds = time.monotonic() - begun
    try:
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return Ping(seconds, None)
    # Half-way between asking and being answered; the header's date was cut to whole seconds.
    return Ping(seconds, at + seconds / 2 - (date + 0.5))


def _endpoint(api: Api) -> tuple[str, int]:
    parts = urlsplit(api.base_url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]
