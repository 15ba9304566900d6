"""The services of compose.yaml, started as they stand, on this machine in place of containers."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from PIL import Image

from tests.deploy.recipes import DEPLOY, ROOT, document
from venice_batch.errors import Exit

SERVICES = document("compose.yaml")["services"]
#: The ports that the parts of the S3 server talk over; in a container they are its own.
PARTS = ("s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port")
PARTS_TOO = ("filer.port.grpc", "admin.port", "admin.port.grpc")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [found.getsockname()[1] for found in sockets]


def _photos(folder: Path) -> None:
    """Draw two, in place of the image's twelve: the point is who talks to whom."""
    folder.mkdir()
    for name, colour in (("mug", "navy"), ("lamp", "olive")):
        photo = Image.new("RGB", (300, 300), "white")
        photo.paste(colour, (80, 60, 220, 240))
        photo.save(folder / f"{name}.jpg")


class Machine:
    """This machine in place of the containers: every service is at 127.0.0.1, every port is one that is free here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("tmp", "data"):
            (folder / name).mkdir()
        _photos(folder / "photos")
        first, second, *parts = free_ports(2 + len(PARTS + PARTS_TOO))
        self._ports = {"8080": str(first), "8333": str(second)}
        sockets = [f"-{part}.localSocket={folder / part}" for part in ("filer", "s3")]
        self._own = {
            "s3": [*(f"-{name}={port}" for name, port in zip(PARTS + PARTS_TOO, parts, strict=True)), *sockets]
        }

    def here(self, text: str) -> str:
        """Translate an address or a path that holds in a container."""
        text = re.sub(r"//(emulator|s3):", "//127.0.0.1:", text)
        text = re.sub(r"\b(8080|8333)\b", lambda found: self._ports[found[0]], text)
        text = text.replace("/jobs/job.yaml", str(DEPLOY / "compose-job.yaml"))
        return text.replace("0.0.0.0", "127.0.0.1").replace("=/data", f"={self.folder / 'data'}")  # noqa: S104 - taken out

    def environment(self, service: Mapping[str, Any]) -> dict[str, str]:
        """Return what the service is told, and what its image would hold."""
        image = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.folder / "tmp"),
            "HOME": str(self.folder),
            "PHOTOS": str(self.folder / "photos"),
        }
        return {**image, **{name: self.here(value) for name, value in service["environment"].items()}}

    def command(self, name: str) -> list[str]:
        """Return the service's command line; our image's entry point is the command of this checkout."""
        program = SERVICES[name].get("entrypoint", [sys.executable, "-m", "venice_batch.cli"])
        return [*program, *map(self.here, SERVICES[name]["command"]), *self._own.get(name, ())]

    @contextmanager
    def serving(self, name: str) -> Iterator[None]:
        """Run a service while the block runs, which begins when its health check passes."""
        environment = self.environment({"environment": {}, **SERVICES[name]})
        log = (self.folder / f"{name}.log").open("wb")
        command = self.command(name)
        with log, subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log) as process:
            try:
                self._until_healthy(SERVICES[name]["healthcheck"]["test"], environment, process)
                yield
            finally:
                process.kill()

    def _until_healthy(
        self, test: Sequence[str], environment: Mapping[str, str], process: subprocess.Popen[bytes]
    ) -> None:
        form, *command = map(self.here, test)
        assert form == "CMD"
        end = time.monotonic() + 20
        while subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < end, "it is not healthy"
            time.sleep(0.05)

    def run(self) -> tuple[int, str]:
        """Run the nightly service; return exit code and output."""
        done = subprocess.run(
            self.command("nightly"),
            env=self.environment(SERVICES["nightly"]),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def keys(self, bucket: str) -> list[str]:
        """Return what lies in a bucket."""
        told = self.environment(SERVICES["nightly"])
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=told["AWS_ENDPOINT_URL_S3"],
            region_name=told["AWS_REGION"],
            aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}),
        )
        try:
            return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        finally:
            client.close()


@pytest.mark.skipif(shutil.which("wget") is None, reason="the S3 image's health check needs wget, which is not here")
def test_the_services_work_together_and_a_second_run_buys_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.serving("s3"), machine.serving("emulator"):
        code, said = machine.run()
        assert code == Exit.DONE, said
        assert [key for key in machine.keys("shop") if "/." not in key] == ["web/lamp.png", "web/mug.png"]
        assert sum(key.startswith("venice/results/") for key in machine.keys("shop-private")) >= 4
        again, said = machine.run()
        assert again == Exit.DONE, said
        assert "spent: 0.00 USD" in said
