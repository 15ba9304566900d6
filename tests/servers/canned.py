"""A server that gives the answers a test tells it to, for what no real store would say; it remembers its requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from tests.servers.bucket import Bucket


@dataclass(frozen=True)
class Request:
    """What the server was asked.

    Attributes:
        headers: names in lower case.
        query: the last value of each parameter.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What it answers."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answering: TypeAlias = Callable[[Request], Reply]


@dataclass
class Canned:
    """A running server: `answer` may be changed at any time."""

    bucket: Bucket
    answer: Answering
    requests: list[Request] = field(default_factory=list)


@contextmanager
def answering(answer: Answering) -> Iterator[Canned]:
    """Serve for the length of the block, on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            request = Request(self.command, parts.path, query, headers, body)
            canned.requests.append(request)
            reply = canned.answer(request)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_PUT = do_HEAD = do_DELETE = do_POST = do_GET  # noqa: N815 - names that the base class looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    canned = Canned(Bucket(f"http://127.0.0.1:{server.server_address[1]}"), answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield canned
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def error(status: int, code: str, message: str = "as told") -> Reply:
    """Return an error as S3 tells one."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Reply(status, body.encode(), {"Content-Type": "application/xml"})


def page(keys: Mapping[str, int], *, token: str = "", more: bool | None = None) -> Reply:
    """Return a page of a listing with these keys and sizes, as AWS writes one."""
    objects = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f"<ETag>&quot;{number:032x}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
        f"<ChecksumType>FULL_OBJECT</ChecksumType><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for number, (key, size) in enumerate(keys.items())
    )
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = str(bool(token) if more is None else more).lower()
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>itest</Name><Prefix></Prefix><KeyCount>{len(keys)}</KeyCount><MaxKeys>1000</MaxKeys>"
        f"<EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{following}{objects}</ListBucketResult>"
    )
    return Reply(200, body.encode(), {"Content-Type": "application/xml"})
