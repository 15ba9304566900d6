"""The mock server of moto in this process: the shape of the API, not its safety."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer

from tests.servers.bucket import Bucket


@contextmanager
def serving() -> Iterator[Bucket]:
    """Serve one bucket for the length of the block, on a free port of loopback."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line a request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        bucket = Bucket(f"http://{host}:{port}")
        client = bucket.client()
        client.create_bucket(Bucket=bucket.name)
        client.close()
        yield bucket
    finally:
        server.stop()
