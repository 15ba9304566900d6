"""What a plan over 100,000 objects costs when nothing is left to do: time against the bare listings, and memory.

The bucket is a canned one: its pages are made beforehand and sent from another process, so that both sides of the
comparison are charged for what they do themselves. Behind a real network the ratio is nearer to 1.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.plan.recipe import make_recipe
from pipeline.plan.sources import Candidate
from pipeline.state import Event, ItemId, ItemMoved, OutputWritten, SourceRead, to_write
from tests.bench import canned
from tests.bench.command import REPOSITORY, Spent, measured
from tests.bench.conftest import Figure
from tests.bench.nothing import job_of
from tests.servers.bucket import safe_variables
from tests.unit.steps.conftest import HOST

pytestmark = pytest.mark.bench

OBJECTS, ROUNDS = 100_000, 3
MEGABYTE = 1_000_000
JOB = """
version: 1
name: nightly
source: s3://bench/source/
output: s3://bench/output/
state: ./state
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
    for number in range(OBJECTS):
        key, version = canned.key(number, "jpg"), f"{canned.etag(number)}-{canned.size(number)}"
        item, sha256 = ItemId("nightly", key), canned.etag(number) * 2
        facts = '{"bytes":1000000,"format":"JPEG","frames":1,"has_alpha":false,"height":1000,"mode":"RGB","width":1000}'
        yield SourceRead("nightly", key, version, canned.size(number), sha256, facts)
        yield OutputWritten(item, canned.key(number, "png"), version, sha256)
        yield ItemMoved(item, version, fingerprint, "done", canned.MODIFIED)


def _finished_job(folder: Path) -> Path:
    """Write a job whose every item is done, as its manifest says."""
    file = folder / "job.yaml"
    file.write_text(JOB, "utf-8")
    _, fingerprint = make_recipe(job_of(file), HOST).for_candidate(Candidate("", ""))
    with to_write(folder / "state") as state:
        state.commit(_events(fingerprint))
    return file


def test_a_plan_over_100_000_finished_objects_takes_at_most_twice_the_listings_and_150_megabytes(
    tmp_path: Path, endpoint: str, figure: Figure
) -> None:
    job = _finished_job(tmp_path)
    environment = {**safe_variables(), "AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": "us-east-1"}

    def rounds(way: str, objects: int) -> tuple[float, float, Spent]:
        spent = [
            measured([sys.executable, "-m", "tests.bench.nothing", way, job], tmp_path, environment)
            for _ in range(ROUNDS)
        ]
        seconds = [float(each.out.split()[0]) for each in spent]
        assert {each.out.split()[1] for each in spent} == {str(objects)}
        middle = statistics.median(seconds)
        return middle, statistics.median(each.cpu for each in spent), spent[seconds.index(middle)]

    listing, listing_cpu, bare = rounds("listing", 2 * OBJECTS)
    planning, planning_cpu, full = rounds("plan", OBJECTS)
    besides = (planning - listing) / OBJECTS * 1e6
    figure(
        f"nothing to do: plan over {OBJECTS:,} objects {planning:.2f} s, bare listings of source and output"
        f" {listing:.2f} s: ratio {planning / listing:.2f}; {besides:.1f} us an item besides;"
        f" whole process {planning_cpu:.2f} and {listing_cpu:.2f} s of CPU"
    )
    figure(
        f"nothing to do: peak memory {full.peak / MEGABYTE:.0f} MB, of the bare listings {bare.peak / MEGABYTE:.0f} MB"
    )
    assert planning / listing <= 2.0
    assert full.peak <= 150 * MEGABYTE
