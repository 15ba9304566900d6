"""What every test shares: S3 servers that start when the first test asks, and no AWS setting of this machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.bucket import Bucket
    from tests.servers.canned import Canned
    from tests.servers.proxy import Proxy
    from tests.servers.seaweed import Seaweed

# A shell starts what it puts into the background with Ctrl-C switched off, and commands under test would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# boto3 and the servers are imported by those fixtures alone: most tests need none of them, and they take a second.


@pytest.fixture(scope="session")
def aws_variables() -> Iterator[None]:
    """No credentials, profile or endpoint of this machine; those of the test servers instead."""
    from tests.servers.bucket import only_these_variables  # noqa: PLC0415 - see above

    with only_these_variables():
        yield


@pytest.fixture(scope="session")
def moto(aws_variables: None) -> Iterator[Bucket]:  # noqa: ARG001 - a fixture for what it does
    """A bucket of a mock server that knows the shape of the API: order of keys, paging, odd keys, errors."""
    from tests.servers.moto import serving  # noqa: PLC0415 - see above

    with serving() as bucket:
        yield bucket


@pytest.fixture(scope="session")
def seaweed_server(aws_variables: None) -> Iterator[Seaweed]:  # noqa: ARG001 - a fixture for what it does
    """The one real server of the session; who wants to kill it starts one of his own."""
    from tests.servers.seaweed import running  # noqa: PLC0415 - see above

    with running() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed(seaweed_server: Seaweed) -> Bucket:
    """A bucket of a real server: checks of secrets and checksums, conditional writes that hold in a race."""
    return seaweed_server.bucket


@pytest.fixture(scope="session")
def seaweed_tls(aws_variables: None) -> Iterator[Bucket]:  # noqa: ARG001 - a fixture for what it does
    """A bucket of a real server that speaks TLS; `AWS_CA_BUNDLE` must name its `ca` to be trusted."""
    from tests.servers.seaweed import running  # noqa: PLC0415 - see above

    with running(tls=True) as server:
        yield server.bucket


@pytest.fixture
def proxy(seaweed: Bucket) -> Iterator[Proxy]:
    """A proxy in front of `seaweed`; reach it with ``seaweed.at(proxy.url)``."""
    from tests.servers.proxy import in_front_of  # noqa: PLC0415 - see above

    with in_front_of(seaweed.endpoint) as proxy:
        yield proxy


@pytest.fixture
def canned(aws_variables: None) -> Iterator[Canned]:  # noqa: ARG001 - a fixture for what it does
    """A server that says what the test tells it to; until then that there is nothing."""
    from tests.servers.canned import answering, error  # noqa: PLC0415 - see above

    with answering(lambda _: error(404, "NoSuchKey")) as server:
        yield server
