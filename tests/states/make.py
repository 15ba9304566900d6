"""Make the states that `tests/e2e/test_old_states.py` reads, with the command of an older version.

    python -m tests.states.make COMMAND

COMMAND is the `venice-batch` of that version, installed anywhere. Each state is what a night of many accidents left:
what became of each picture stands in `STORY`. The last start was killed with calls in flight.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.e2e.cloud import Cloud
from tests.e2e.conftest import CUT, ENLARGE, FAST, Vendor, Work, draw
from tests.servers.bucket import Bucket, only_these_variables
from tests.servers.seaweed import running
from venice_batch.emulator import Settings, serve_in_thread

HERE = Path(__file__).parent
FOLDER, BUCKET = HERE / "folder.tar.xz", HERE / "bucket.tar.xz"
#: An output's mark names the bucket and the prefix of its state: they are the same where the state is put back.
PREFIX = "old-state/"
#: What an archive says of each file beside its content: an object's metadata, a file's time of change in ns.
METADATA, CHANGED = "VENICE.metadata", "VENICE.mtime_ns"

#: The state of each item at the end.
STORY = {
    "done-a.png": "done",
    "done-b.png": "done",
    "done-like-a.png": "done",
    "failed.png": "failed",
    "flagged-held.png": "flagged",
    "flagged-released.png": "pending",
    "killed-1.png": "running",
    "killed-2.png": "running",
    "uncertain.png": "uncertain",
}
_CUT_PATH = "/image/background-remove"
_SIZE = (280, 240)


def live_through(work: Work, vendor_to_be_killed_at: Vendor) -> None:
    """Do what the story tells; `work` has its pictures and its job."""
    _run(work, 0, "done-*")
    work.vendor.faults({"match": {"path": _CUT_PATH, "nth": [1, 2]}, "do": {"kind": "blurred"}})
    _run(work, 3, "flagged-*")
    assert work.venice("release", work.job, "flagged-released.png").code == 0
    work.vendor.faults({"match": {"path": _CUT_PATH}, "do": {"status": 422}})
    _run(work, 3, "failed.png")
    work.vendor.faults({"match": {"path": _CUT_PATH}, "do": {"kind": "truncate"}})
    _run(work, 3, "uncertain.png")
    work.vendor = vendor_to_be_killed_at
    process = work.start("--only", "killed-*")
    work.vendor.until(lambda: len(work.vendor.paid()) == 2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    found = work.states()
    assert found == STORY, found


def _run(work: Work, code: int, pattern: str) -> None:
    ended = work.run("--only", pattern)
    assert ended.code == code, ended.text


def _draw(folder: Path) -> None:
    for name in STORY:
        draw(folder / name, _SIZE)
    shutil.copyfile(folder / "done-a.png", folder / "done-like-a.png")


def make_folder(root: Path, vendor: Vendor, slow: Vendor) -> None:
    """Make the state in a folder, and beside it one of the bundled emulator."""
    work = Work(root / "work", vendor)
    _draw(work.photos)
    bundled = {"VENICE_BASE_URL": None, "VENICE_API_KEY": None}
    trial = work.write(CUT, name="trial", output={"path": "tried"}, api={"base_url": "emulator"})
    work.job = trial.rename(work.root / "trial.yaml")
    assert work.run("--only", "done-a.png", env=bundled).code == 0
    work.job = work.root / "job.yaml"
    work.write(CUT, ENLARGE)
    live_through(work, slow)
    with tarfile.open(FOLDER, "w:xz") as packed:
        for file in sorted(work.root.rglob("*")):
            name = file.relative_to(work.root)
            # A report is made anew; what SQLite shares between processes means nothing to others.
            if file.is_file() and "report" not in name.parts and file.suffix != ".sqlite3-shm":
                _pack(packed, str(name), file.read_bytes(), {CHANGED: str(file.stat().st_mtime_ns)})


def unpack_folder(root: Path) -> None:
    """Put the job, its state and all it worked on below `root`, as new or old as they were."""
    with tarfile.open(FOLDER) as packed:
        for member, content in members(packed):
            file = root / member.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            changed = int(member.pax_headers[CHANGED])
            os.utime(file, ns=(changed, changed))


def make_bucket(root: Path, vendor: Vendor, slow: Vendor, bucket: Bucket) -> None:
    """Make the state in a bucket; source and output lie there, too."""
    work = Cloud(root / "cloud", vendor, bucket=bucket)
    work.place = replace(work.place, prefix=PREFIX)
    drawn = work.root / "drawn"
    _draw(drawn)
    bucket.fill(work.place / "raw", {file.name: file.read_bytes() for file in drawn.iterdir()})
    work.write(CUT, ENLARGE)
    live_through(work, slow)
    with tarfile.open(BUCKET, "w:xz") as packed:
        _pack(packed, work.job.name, work.job.read_bytes(), {METADATA: "{}"})
        client = bucket.client()
        for key in bucket.keys(work.place):
            if not key.startswith("state/report/"):
                found = client.get_object(Bucket=bucket.name, Key=PREFIX + key)
                _pack(packed, key, found["Body"].read(), {METADATA: json.dumps(found["Metadata"])})
        client.close()


def unpack_bucket(bucket: Bucket, job: Path) -> None:
    """Put all objects below `PREFIX`, where nothing else stays, and the job file at `job`."""
    client = bucket.client()
    for key in bucket.keys(replace(bucket.fresh(), prefix=PREFIX)):
        client.delete_object(Bucket=bucket.name, Key=PREFIX + key)
    with tarfile.open(BUCKET) as packed:
        for member, content in members(packed):
            if member.name == job.name:
                job.write_bytes(content)
                continue
            metadata = json.loads(member.pax_headers[METADATA])
            client.put_object(Bucket=bucket.name, Key=PREFIX + member.name, Body=content, Metadata=metadata)
    client.close()


def _pack(packed: tarfile.TarFile, name: str, content: bytes, headers: dict[str, str]) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.pax_headers = headers
    packed.addfile(member, io.BytesIO(content))


def members(packed: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield every file of an archive with its content."""
    for member in packed:
        file = packed.extractfile(member)
        assert file is not None, "there are only files in it"
        yield member, file.read()


def main(command: str) -> None:
    """Make both."""
    Work.command = Path(command)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(only_these_variables())
        bucket = stack.enter_context(running()).bucket
        quick, other, slow, other_slow = (
            Vendor(stack.enter_context(serve_in_thread(Settings(rpm=FAST, latency=seconds))))
            for seconds in (0, 0, 60, 60)
        )
        make_folder(root, quick, slow)
        make_bucket(root, other, other_slow, bucket)
    sys.stdout.write(f"{FOLDER.stat().st_size} {BUCKET.stat().st_size}\n")


if __name__ == "__main__":
    main(sys.argv[1])
