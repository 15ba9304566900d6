"""A bucket whose listings were made beforehand, page by page, so that what is measured is the asker's work alone.

``python -m tests.bench.canned COUNT`` serves ``source/`` and ``output/`` with so many objects each on loopback, prints
its address, and ends with its standard input. It checks no signature, and sends pages of 1,000 as AWS does. What is put
under other names, as a state is, it keeps in memory.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000
WRITTEN = "2026-03-01T02:03:04.000Z"
#: Unix seconds of `WRITTEN`.
MODIFIED = 1_772_330_584.0
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


def key(number: int, suffix: str) -> str:
    """Return a key of the form that catalogues have, in byte order."""
    return f"{number // 1000:04}/product-{number:07}-front.{suffix}"


def size(number: int) -> int:
    """Return a size; no two objects share one, as no two photos do."""
    return 1_000_000 + number


def etag(number: int) -> str:
    """Return what an MD5 looks like."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def _object(prefix: str, number: int) -> str:
    suffix = "jpg" if prefix == "source/" else "png"
    return (
        f"<Contents><Key>{prefix}{key(number, suffix)}</Key><LastModified>{WRITTEN}</LastModified>"
        f"<ETag>&quot;{etag(number)}&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>"
        f"<ChecksumType>FULL_OBJECT</ChecksumType><Size>{size(number)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def _page(prefix: str, begin: int, count: int) -> bytes:
    end = min(begin + PAGE, count)
    rest = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < count else ""
    head = (
        f"{_HEAD}<Name>bench</Name><Prefix>{prefix}</Prefix><KeyCount>{end - begin}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        f"<EncodingType>url</EncodingType><IsTruncated>{str(end < count).lower()}</IsTruncated>{rest}"
    )
    return (head + "".join(_object(prefix, number) for number in range(begin, end)) + "</ListBucketResult>").encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: ClassVar[dict[tuple[str, str], bytes]] = {}
    kept: ClassVar[dict[str, bytes]] = {}
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" not in asked:
            self._answer_kept()
            return
        prefix, begin = asked["prefix"][0], asked.get("continuation-token", ["0"])[0]
        self._answer(200, self.pages.get((prefix, begin)) or self._listed(prefix))

    def do_HEAD(self) -> None:
        self._answer_kept()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            there = self.kept.get(self._key)
            wanted = self.headers.get("If-Match")
            if (self.headers.get("If-None-Match") and there is not None) or (
                wanted is not None and (there is None or wanted != _quoted(there))
            ):
                self._answer(412)
                return
            self.kept[self._key] = body
        self._answer(200, etag=_quoted(body))

    def do_DELETE(self) -> None:
        with self.lock:
            self.kept.pop(self._key, None)
        self._answer(204)

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bench/")

    def _answer_kept(self) -> None:
        content = self.kept.get(self._key)
        if content is None:
            self._answer(404)
        else:
            self._answer(200, content, etag=_quoted(content))

    def _listed(self, prefix: str) -> bytes:
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{WRITTEN}</LastModified>"
            f"<ETag>{escape(_quoted(content))}</ETag><Size>{len(content)}</Size></Contents>"
            for key, content in sorted(self.kept.items())
            if key.startswith(prefix)
        )
        return f"{_HEAD}<IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()

    def _answer(self, status: int, content: bytes = b"", *, etag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", formatdate(MODIFIED, usegmt=True))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
        """Say nothing."""


def _quoted(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def main(arguments: Sequence[str]) -> None:
    """Make every page, then serve them."""
    count = int(arguments[0])
    for prefix in ("source/", "output/"):
        for begin in range(0, count, PAGE):
            _Handler.pages[prefix, str(begin)] = _page(prefix, begin, count)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
