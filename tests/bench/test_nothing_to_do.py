"""What a night costs on which nothing is new: the whole command over 100,000 objects, its state in the bucket too.

The listings are canned: made beforehand and sent from another process, so that both sides of the comparison are charged
for what they do themselves. Behind a real network the ratio is nearer to 1.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import canned
from tests.bench.command import REPOSITORY, VENICE_BATCH, Spent, measured
from tests.bench.conftest import Figure, OpenVendor
from tests.bench.nothing import job_of
from tests.servers.bucket import safe_variables
from venice_batch.imaging import Facts
from venice_batch.plan.model import Candidate
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.state import Event, ItemId, ItemMoved, OutputWritten, SourceRead, to_write
from venice_batch.steps.canonical_json import canonical
from venice_batch.venice.address import host_id

pytestmark = pytest.mark.bench

OBJECTS, ROUNDS = 100_000, 3
#: Events of one commit; a run has fewer in each.
GROUP = 1000
MEGABYTE = 1_000_000
JOB = """
version: 1
name: nightly
source: s3://bench/source/
output: s3://bench/output/
state: s3://bench/state/
steps:
  - upscale
"""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A bucket with `OBJECTS` objects on either side, served by a process of its own."""
    command = [sys.executable, "-m", "tests.bench.canned", str(OBJECTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate("")


def _events(fingerprint: str) -> Iterator[Event]:
    facts = Facts(1000, 1000, "JPEG", "RGB", has_alpha=False, orientation=1, frames=1, bytes=1_000_000)
    for number in range(OBJECTS):
        key, version = canned.key(number, "jpg"), f"{canned.etag(number)}-{canned.size(number)}"
        item, sha256 = ItemId("nightly", key), canned.etag(number) * 2
        yield SourceRead("nightly", key, version, canned.size(number), sha256, canonical(facts.to_json()))
        yield OutputWritten(item, canned.key(number, "png"), version, sha256)
        yield ItemMoved(item, version, fingerprint, "done", canned.MODIFIED)


def _finished_job(folder: Path, api: str) -> Path:
    """Write a job whose every item is done, as its state in the bucket says."""
    file = folder / "job.yaml"
    file.write_text(JOB, "utf-8")
    job = job_of(file)
    _, fingerprint = make_pipeline(job, host_id(api)).for_candidate(Candidate("", ""))
    events = _events(fingerprint)
    with to_write(job.state) as state:
        while group := list(itertools.islice(events, GROUP)):
            state.commit(group)
    return file


def test_a_run_over_100_000_finished_objects_takes_at_most_twice_the_listings_and_150_megabytes(
    tmp_path: Path, endpoint: str, open_vendor: OpenVendor, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = open_vendor(latency=0.0, rpm=600)
    environment = {**safe_variables(), "AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": "us-east-1", **vendor.environment}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    job = _finished_job(tmp_path, vendor.url)

    def middle(*command: str) -> Spent:
        spent = [measured([*command, job], tmp_path, environment) for _ in range(ROUNDS)]
        return sorted(spent, key=lambda each: each.wall)[ROUNDS // 2]

    # The first run writes the report over all items, which the following nights leave as it is.
    first = measured([VENICE_BATCH, "run", "--yes", job], tmp_path, environment)
    bare = middle(sys.executable, "-m", "tests.bench.nothing")
    full = middle(VENICE_BATCH, "run", "--yes")
    assert bare.out.split() == [str(2 * OBJECTS)]
    assert f"{OBJECTS} reused" in full.out
    assert vendor.calls() == []
    figure(
        f"nothing to do: run over {OBJECTS:,} objects {full.wall:.2f} s, bare listings of source and output"
        f" {bare.wall:.2f} s: ratio {full.wall / bare.wall:.2f}, of processor time {full.cpu / bare.cpu:.2f};"
        f" with a report over all of them {first.wall:.2f} s"
    )
    figure(
        f"nothing to do: peak memory {full.peak / MEGABYTE:.0f} MB, of the bare listings {bare.peak / MEGABYTE:.0f} MB,"
        f" with the report {first.peak / MEGABYTE:.0f} MB"
    )
    assert full.wall / bare.wall <= 2.0
    assert full.peak <= 150 * MEGABYTE
