"""`make demo-s3`: the nightly job from bucket to bucket on a real S3 server, killed half-way, on a disk that is lost.

Everything runs on this machine: SeaweedFS as the store, the emulator as the API.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from tests.servers.bucket import Bucket
from tests.servers.seaweed import running
from venice_batch.emulator import Running, Settings, serve_in_thread
from venice_batch.emulator.photos import draw_catalogue
from venice_batch.errors import Exit

ROOT = Path(__file__).parents[1]
JOB = ROOT / "configs" / "nightly-s3.yaml"
COMMAND = Path(sys.executable).with_name("venice-batch")
LEASE = "3s"
#: The run is killed when so many calls were made.
CALLS = 8


def main() -> int:
    """Run the demo; the exit code is 0 when it went as it says."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running() as server,
        serve_in_thread(Settings(latency=0.7, rpm=600)) as api,
    ):
        demo = _Demo(server.bucket, api, Path(folder))
        demo.upload()
        demo.say("a run on a fresh machine, killed with SIGKILL while calls are open; then its disk is lost")
        demo.run_and_kill()
        demo.say("the next run, on an empty disk: what the bucket remembers is enough")
        time.sleep(float(LEASE.removesuffix("s")) + 2)
        second = demo.venice("run", str(JOB), "--set", f"lease={LEASE}")
        demo.venice("status", str(JOB))
        demo.say("once more: nothing is left to do, nothing is bought")
        before = demo.bought()
        demo.venice("run", str(JOB), "--set", f"lease={LEASE}")
        demo.download(ROOT / "demo" / "s3")
        # Two of the twelve photos are bad on purpose: "some items failed".
        return int(second != Exit.ITEMS_FAILED or demo.bought() != before)


class _Demo:
    def __init__(self, bucket: Bucket, api: Running, folder: Path) -> None:
        self._bucket = bucket
        self._api = api
        self._folder = folder
        self._environment = {
            **bucket.environment,
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TMPDIR": str(folder / "disk"),
            "VENICE_BASE_URL": api.url,
            "VENICE_API_KEY": api.key,
            "SHOP_BUCKET": bucket.name,
            "STATE_BUCKET": bucket.name,
        }
        self._new_disk()

    @staticmethod
    def say(text: str) -> None:
        sys.stdout.write(f"\n## {text}\n\n")
        sys.stdout.flush()

    def _new_disk(self) -> None:
        shutil.rmtree(self._folder / "disk", ignore_errors=True)
        (self._folder / "disk").mkdir()

    def upload(self) -> None:
        photos = self._folder / "photos"
        draw_catalogue(photos)
        client = self._bucket.client()
        for photo in sorted(path for path in photos.rglob("*") if path.is_file()):
            client.upload_file(str(photo), self._bucket.name, f"raw/{photo.relative_to(photos)}")
        client.close()
        self.say(f"the demo's photos lie in s3://{self._bucket.name}/raw/ on {self._bucket.endpoint}")

    def venice(self, *arguments: str) -> int:
        sys.stdout.write(f"$ venice-batch {' '.join(arguments)}\n".replace(f"{ROOT}/", ""))
        sys.stdout.flush()
        return subprocess.run([COMMAND, *arguments], env=self._environment, cwd=ROOT, check=False).returncode

    def run_and_kill(self) -> None:
        arguments = [str(COMMAND), "run", str(JOB), "--set", f"lease={LEASE}"]
        with subprocess.Popen(arguments, env=self._environment, cwd=ROOT) as process:
            while process.poll() is None and len(self._calls()) < CALLS:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        self._new_disk()
        sys.stdout.write(f"killed after {len(self._calls())} calls, {self.bought()} of them charged\n")

    def _calls(self) -> list[str]:
        return [entry.path for entry in self._api.state.log if entry.method == "POST"]

    def bought(self) -> int:
        return sum(bool(Decimal(entry.billed)) for entry in self._api.state.log)

    def download(self, folder: Path) -> None:
        client = self._bucket.client()
        kinds: Counter[str] = Counter()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                kinds[key.split("/")[0]] += 1
                if key.startswith("web/") and "/." not in key:
                    (folder / key).parent.mkdir(parents=True, exist_ok=True)
                    client.download_file(self._bucket.name, key, str(folder / key))
        client.close()
        held = ", ".join(f"{count} under {kind}/" for kind, count in sorted(kinds.items()))
        self.say(f"objects in the bucket: {held}\n   the finished files are in {folder.relative_to(ROOT)} to look at")


if __name__ == "__main__":
    sys.exit(main())
