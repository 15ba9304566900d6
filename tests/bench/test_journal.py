"""What a state in a bucket adds to a paid call: three commits, each durable in the bucket before it counts."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from tests.bench.conftest import Figure
from tests.servers.bucket import Bucket
from venice_batch.state import Begun, ItemId, ItemMoved, Reserved, ResultStored, RunStarted, Settled, State, to_write
from venice_batch.storage import Place

pytestmark = pytest.mark.bench

CALLS = 200
#: A second of the API for every picture: what the journal's part is held against.
_CALL_SECONDS = 1.0
_FACTS = '{"bytes":1000000,"verdict":{"facts":{"width":1000,"height":1000},"flags":[]},"request_id":"' + "x" * 40 + '"}'


def test_the_journal_of_a_paid_call(tmp_path: Path, seaweed: Bucket, figure: Figure) -> None:
    local = _calls(tmp_path / "state", tmp_path)
    remote = _calls(seaweed.fresh(), tmp_path)
    alone = _bare_puts(seaweed)
    figure(
        f"journal: 3 commits of one call, one after the other: in a folder {1000 * local[0]:.1f} ms"
        f" ({1000 * local[1]:.1f} ms CPU), in a bucket {1000 * remote[0]:.1f} ms ({1000 * remote[1]:.1f} ms CPU);"
        f" 3 bare conditional PUTs {1000 * alone:.1f} ms: ratio {remote[0] / alone:.2f};"
        f" {remote[0] / _CALL_SECONDS:.1%} of a call of {_CALL_SECONDS:g} s"
    )
    # With many calls in flight one commit serves all that landed meanwhile.
    grouped = _calls(seaweed.fresh(), tmp_path, group=16)
    figure(f"journal: the same with 16 calls in flight, by group commit: {1000 * grouped[0]:.1f} ms a call")
    assert grouped[0] < remote[0]


def _calls(place: Place | Path, scratch: Path, group: int = 1) -> tuple[float, float]:
    """Return (seconds, CPU seconds) that the records of one call take, when `group` calls go side by side."""
    with to_write(place, temporary=scratch) as state:
        state.recover(1.0)
        state.commit([RunStarted(1, "job", 1.0)])
        began, cpu = time.perf_counter(), time.process_time()
        for first in range(0, CALLS, group):
            _recorded(state, range(first, first + group))
        return (time.perf_counter() - began) / CALLS, (time.process_time() - cpu) / CALLS


def _recorded(state: State, calls: range) -> None:
    items = {call: ItemId("job", f"photos/{call}.jpg") for call in calls}
    state.commit(
        event
        for call, item in items.items()
        for event in (
            Reserved(call + 1, 1, item, "up", "/image/upscale", None, 20_000, 1.0),
            ItemMoved(item, "v" * 40, "f" * 64, "running", 1.0),
        )
    )
    state.commit(Begun(call + 1, f"{call:064x}", 1.0) for call in calls)
    state.commit(
        event
        for call in calls
        for event in (
            Settled(call + 1, "spent", "answered", 2.0, 200, 1, "r" * 36),
            ResultStored(f"{call:064x}", _FACTS),
        )
    )


def _bare_puts(bucket: Bucket) -> float:
    """Return the seconds of three conditional puts of a journal object's size, with plain boto3."""
    client, place = bucket.client(), bucket.fresh()
    times = []
    for number in range(CALLS):
        began = time.perf_counter()
        for part in range(3):
            key = f"{place.prefix}{number}-{part}"
            client.put_object(Bucket=bucket.name, Key=key, Body=b"x" * 500, IfNoneMatch="*")
        times.append(time.perf_counter() - began)
    client.close()
    return statistics.median(times)
