"""Variables that say how the network is reached: proxies and certificates."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, MutableMapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from venice_batch.errors import UsageError

_LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_SOCKS = ("socks5", "socks5h")


def keep_loopback_unproxied(environ: MutableMapping[str, str]) -> None:
    """Have no HTTP client go through a proxy to this machine: it would be given keys that are meant for nobody else."""
    written = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    # The lower case wins where both are read.
    environ["no_proxy"] = environ["NO_PROXY"] = ",".join(filter(None, (written, *_LOOPBACK)))


def check(environ: Mapping[str, str]) -> None:
    """Refuse what no client could work with.

    Raises:
        UsageError: a proxy is of an unknown kind, or the certificates cannot be read; with the variable's name.
    """
    for name in _PROXIES:
        for variable in (name, name.lower()):
            _check_proxy(variable, environ.get(variable, ""))
    file = environ.get("SSL_CERT_FILE")
    if file:
        _check_certificates(file)


def _check_proxy(variable: str, value: str) -> None:
    if not value:
        return
    # Never the value itself: it may hold a password.
    problem = ""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        _ = parts.port  # raises for what is no number
        scheme = parts.scheme.lower()
        if not parts.hostname:
            problem = "is no address"
        elif scheme in _SOCKS and find_spec("socksio") is None:
            problem = "names a SOCKS proxy, and socksio is not installed"
        elif scheme not in {"http", "https", *_SOCKS}:
            problem = f"names a proxy of a kind that cannot be used: {scheme}"
    except ValueError:
        problem = "is no address"
    if problem:
        raise UsageError(f"{variable} {problem}", remedy=f"set {variable} to http://HOST:PORT, or unset it")


def _check_certificates(file: str) -> None:
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        why = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(
            f"SSL_CERT_FILE names {file}, which cannot be used: {why}",
            remedy="set SSL_CERT_FILE to a file of PEM certificates, or unset it",
        ) from error
