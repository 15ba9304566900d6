"""The pictures of a request: from base64, file parts or URLs to checked bytes.

No URL makes the emulator leave the machine: loopback hosts are fetched, ``*.invalid`` cannot be reached, and for any
other host a placeholder is drawn from the URL itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import http.client
import io
import ipaddress
import ssl
from urllib.parse import SplitResult, urlsplit

from PIL import Image, UnidentifiedImageError

from venice_batch.emulator.api_error import ApiError, corrupt, too_large
from venice_batch.emulator.paid_call import PaidCall
from venice_batch.emulator.request_bodies import MAX_FILE

MIN_PIXELS, MIN_SIDE = 65_536, 64
#: Endpoints that look at the size of what they get.
_LIMITED = frozenset({"/image/upscale", "/image/edit", "/image/multi-edit"})
#: For edits; nothing is written about the upscaler, so there only what decodes safely counts.
MAX_PIXELS = 33_177_600
MAX_UPSCALE_PIXELS = 89_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
_TIMEOUT = 10.0


class _Unreadable(Exception):
    """This input is no picture, or cannot be had."""


def gather(call: PaidCall) -> tuple[list[bytes], tuple[int, int]]:
    """Return the bytes of every input, each one probed (header only), and the size of the first; call it in a thread.

    Raises:
        ApiError: 400 for a wrong form, an unreadable picture or wrong dimensions; 413 for more than 25 MB.
    """
    found: list[bytes] = []
    first = (0, 0)
    for number, source in enumerate(call.images, start=1):
        try:
            data = source if isinstance(source, bytes) else _from_text(call, source)
            if len(data) > MAX_FILE:
                raise too_large()
            size = _probe(data)
        except _Unreadable:
            raise corrupt(call.image_field, number) from None
        if call.path in _LIMITED:
            _check_size(call.path, *size)
        first = first if found else size
        found.append(data)
    return found, first


def _from_text(call: PaidCall, text: str) -> bytes:
    if text.startswith(("http://", "https://")):
        if not call.web_urls:
            raise ApiError(400, f"{call.image_field}: a URL is not accepted here, send base64")
        return _fetch(text)
    if text.startswith("data:"):
        if not call.data_urls:
            raise ApiError(400, f"{call.image_field}: send plain base64 without the data: prefix")
        _, _, text = text.partition(",")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _Unreadable from None


def _probe(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            return picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return MAX_UPSCALE_PIXELS, 2
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise _Unreadable from None


def _check_size(path: str, width: int, height: int) -> None:
    pixels = width * height
    most = MAX_UPSCALE_PIXELS if path == "/image/upscale" else MAX_PIXELS
    if min(width, height) < MIN_SIDE:
        raise ApiError(400, f"Image dimensions are too small: each side needs at least {MIN_SIDE} pixels")
    if pixels < MIN_PIXELS:
        raise ApiError(400, f"Image dimensions are too small: {pixels} pixels, at least {MIN_PIXELS} are required")
    if pixels > most:
        status = 422 if path == "/image/edit" else 400
        raise ApiError(status, f"Image dimensions are too large: {pixels} pixels, at most {most} are allowed")


def is_loopback(host: str) -> bool:
    """Say whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fetch(url: str) -> bytes:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or host == "invalid" or host.endswith(".invalid"):
        raise _Unreadable
    if not is_loopback(host):
        return _placeholder(url)
    try:
        return _get(parts, host)
    except (OSError, http.client.HTTPException, ValueError):
        raise _Unreadable from None


def _get(parts: SplitResult, host: str) -> bytes:
    """Fetch from loopback by the bare protocol: no proxy and no redirect can lead off the machine."""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # test servers on this machine sign for themselves
        connection = http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        with connection.getresponse() as response:
            data = response.read(MAX_FILE + 1)
    finally:
        connection.close()
    if response.status != 200:  # noqa: PLR2004 - the status OK
        raise _Unreadable
    return data


def _placeholder(url: str) -> bytes:
    digest = hashlib.sha256(url.encode()).digest()
    picture = Image.new("RGB", (640, 480), (235, 235, 232))
    picture.paste((digest[0], digest[1], digest[2]), (200, 120, 440, 360))
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()
