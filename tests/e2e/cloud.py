"""A job that lives in a bucket, run on a machine that forgets."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import Ended, Work, draw
from tests.servers.bucket import Bucket
from venice_batch.errors import Exit
from venice_batch.storage import S3Place
from venice_batch.storage.s3.store import S3Store

#: Seconds that a dead run keeps the next one away: short, but longer than a busy machine may let a heartbeat wait.
LEASE = 5.0


@dataclass
class Cloud(Work):
    """A job whose source, output and state are prefixes of one bucket, run on a machine that forgets."""

    bucket: Bucket = field(kw_only=True)
    place: S3Place = field(init=False)
    _requests: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.place = self.bucket.fresh()

    # Making

    def upload(self, *names: str, **contents: bytes) -> None:
        """Put a drawn picture, or the bytes given, under raw/."""
        for name in names:
            contents[name] = self._drawn(name, (320, 240))
        self.bucket.fill(self.place / "raw", contents)

    def take(self, name: str, size: tuple[int, int]) -> None:
        self.bucket.fill(self.place / "raw", {name: self._drawn(name, size)})

    def _drawn(self, name: str, size: tuple[int, int]) -> bytes:
        file = self.root / "drawn" / name
        draw(file, size)
        return file.read_bytes()

    def write(self, *steps: object, **sections: object) -> Path:
        place = {
            "source": {"path": f"{self.place}raw/"},
            "output": {"path": f"{self.place}web/"},
            "state": f"{self.place}state/",
            "lease": f"{LEASE:g}s",
        }
        return super().write(*steps, **{**place, **sections})

    # Doing

    def venice(self, *arguments: str | Path, env: Mapping[str, str | None] | None = None) -> Ended:
        return super().venice(*arguments, env={**self.bucket.environment, **(env or {})})

    def run(self, *options: str | Path, env: Mapping[str, str | None] | None = None) -> Ended:
        """Run; where a run was killed just before, as soon as its lease is over."""
        end = time.monotonic() + 20
        while (ended := super().run(*options, env=env)).code == Exit.LOCKED and time.monotonic() < end:
            time.sleep(LEASE / 4)
        return ended

    def start(self, *options: str, env: Mapping[str, str | None] | None = None) -> subprocess.Popen[str]:
        self._outlive_the_lease()
        return super().start(*options, env={**self.bucket.environment, **(env or {})})

    def _outlive_the_lease(self) -> None:
        """Wait until a dead run keeps nobody away any more."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            blob = S3Store(self.memory).get("lease")
            if blob is None or json.loads(blob.content).get("released") or blob.now - blob.modified > LEASE + 2:
                return
            time.sleep(LEASE / 4)

    def forget(self) -> None:
        """Lose the machine's disk: everything that a run leaves outside the bucket."""
        shutil.rmtree(self.root.with_name("scratch"), ignore_errors=True)

    # Looking

    @property
    def memory(self) -> S3Place:
        return self.place / "state"

    def outputs(self) -> dict[str, bytes]:
        web = self.place / "web"
        names = [key for key in self.bucket.keys(web) if not key.startswith(".")]
        return {name: self.bucket.content(web, name) for name in names}

    def results(self) -> dict[str, bytes]:
        kept = self.memory / "results"
        keys = [key for key in self.bucket.keys(kept) if ".bad-" not in key]
        return {key.rpartition("/")[2]: self.bucket.content(kept, key) for key in keys}

    def request_ids(self) -> dict[str, str]:
        store = S3Store(self.memory / "results")
        for key in self.bucket.keys(self.memory / "results"):
            name = key.rpartition("/")[2]
            if name not in self._requests and ".bad-" not in name:
                metadata = store.metadata(key)
                assert metadata is not None, "nobody removes results"
                self._requests[name] = json.loads(metadata["facts"])["request_id"]
        return dict(self._requests)
