"""What every test shares: S3 servers that start when the first test asks, and no AWS setting of this machine.

Every test that starts a server carries the marker ``server``, by a fixture that starts one or written out. `make check`
leaves those out, and one of tests/unit or tests/contract that opens a port without the marker fails.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.bucket import Bucket
    from tests.servers.canned import Canned
    from tests.servers.proxy import Proxy
    from tests.servers.seaweed import Seaweed

# A shell starts what it puts into the background with these switched off, so does nohup, and commands under test would
# inherit it: they start as from a terminal.
for _ignored in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(_ignored, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: What `make check` looks through.
_CHECKED = tuple(Path(__file__).parent / name for name in ("unit", "contract"))
#: Fixtures that start a server, and the parameters that name one.
_STARTING = {
    "_shared_client",
    "canned",
    "emulator",
    "listener",
    "moto",
    "open_client",
    "running",
    "seaweed_server",
    "seaweed_tls",
    "server",
}
_PARAMETERS = {"moto", "seaweed"}
#: The test that runs and must not start a server.
_unmarked: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a server."""
    for item in items:
        call = getattr(item, "callspec", None)
        named = call is not None and any(
            value in _PARAMETERS for value in call.params.values() if isinstance(value, str)
        )
        if named or not _STARTING.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fail a test that starts a server unannounced: it would be run where only quick ones are wanted."""
    if item.path.is_relative_to(_CHECKED[0]) or item.path.is_relative_to(_CHECKED[1]):
        _unmarked.update({item.nodeid} if item.get_closest_marker("server") is None else ())
    try:
        return (yield)
    finally:
        _unmarked.clear()


def _refuse_to_listen(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.bind" and _unmarked and getattr(arguments[0], "family", None) != socket.AF_UNIX:
        raise AssertionError("a test that opens a port needs the marker `server`")


sys.addaudithook(_refuse_to_listen)

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
