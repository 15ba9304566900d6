"""SeaweedFS: a real server with real checks of checksums, secrets and conditions, in one program."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.bucket import BUCKET, KEY_ID, SECRET, Bucket

WEED = Path(sys.executable).with_name("weed")
_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
_OFF = (
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
)
_START, _TRIES = 30.0, 3


class NotReady(Exception):
    """The server ended, or took no object in time; most likely somebody else took one of its ports."""


@dataclass
class Seaweed:
    """The server: it can be killed and started again on the same data and ports.

    Attributes:
        bucket: its bucket.
        arguments: its command line.
        folder: its data.
    """

    bucket: Bucket
    arguments: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it has taken an object.

        Raises:
            NotReady: it did not come up.
        """
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        try:
            self._until_ready()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _until_ready(self) -> None:
        client, end = self.bucket.client(retries=1), time.monotonic() + _START
        try:
            while time.monotonic() < end and self.process is not None and self.process.poll() is None:
                try:
                    client.put_object(Bucket=self.bucket.name, Key="ready", Body=b"")
                except (BotoCoreError, ClientError):
                    time.sleep(0.05)
                else:
                    return
        finally:
            client.close()
        raise NotReady((self.folder / "log").read_text(errors="replace")[-2000:])


@contextmanager
def running(*, tls: bool = False) -> Iterator[Seaweed]:
    """Run a server for the length of the block, with its data in a temporary folder."""
    for attempt in range(_TRIES):
        # Short: the names of its sockets must fit 108 bytes.
        folder = Path(tempfile.mkdtemp(prefix="sw-"))
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            server = _prepared(folder, tls=tls)
            try:
                server.start()
            except NotReady:
                if attempt == _TRIES - 1:
                    raise
                continue
            stack.callback(server.kill)
            yield server
            return


def _prepared(folder: Path, *, tls: bool) -> Seaweed:
    data = folder / "data"
    data.mkdir()
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS) + 1), strict=False))
    arguments = [str(WEED), f"-logdir={folder}", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    arguments += [f"-filer.localSocket={folder}/f.sock", f"-s3.localSocket={folder}/s.sock", f"-bucket={BUCKET}", *_OFF]
    ca = None
    if tls:
        ca, flags = _certificate(folder)
        ports["s3.port.https"] = _free_ports(1)[0]
        arguments += flags
    arguments += [f"-{name}={port}" for name, port in ports.items()]
    address = f"https://localhost:{ports['s3.port.https']}" if tls else f"http://127.0.0.1:{ports['s3.port']}"
    return Seaweed(Bucket(address, ca), arguments, folder)


def _certificate(folder: Path) -> tuple[Path, list[str]]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return folder / "ca.pem", [f"-s3.cert.file={folder}/cert.pem", f"-s3.key.file={folder}/key.pem"]


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now; somebody may take one before the server does, hence the tries."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]
