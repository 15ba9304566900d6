"""What listing a bucket costs in processor time, next to boto3's own paginator on the same answers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.bench.conftest import Figure
from tests.servers.bucket import Bucket
from tests.servers.canned import Canned, Reply, Request, page
from venice_batch.storage import S3Place, open_store

pytestmark = pytest.mark.bench

PAGES, ROUNDS = 20, 5
KEYS = PAGES * 1000
WANTED = 30.0


def _paged(request: Request) -> Reply:
    return _REPLIES[int(request.query.get("continuation-token", "0"))]


def _replies(prefix: str) -> Iterator[Reply]:
    """Yield pages as AWS sends them, with keys as long as a catalogue's."""
    for number in range(PAGES):
        keys = {f"{prefix}2026/shoes/{number:03}/product-{index:05}-front.jpg": 1_000_000 for index in range(1000)}
        yield page(keys, token=str(number + 1) if number + 1 < PAGES else "")


_REPLIES = list[Reply]()


def _microseconds(listing: Callable[[], Iterable[object]]) -> float:
    """Return the processor time of this thread for one key: the server works in another."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        assert sum(1 for _ in listing()) == KEYS
        spent.append((time.thread_time() - begun) * 1e6 / KEYS)
    return statistics.median(spent)


def _plain(bucket: Bucket, place: S3Place) -> Callable[[], Iterable[object]]:
    client = bucket.client()

    def listing() -> Iterator[object]:
        for found in client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix):
            yield from found["Contents"]

    return listing


def test_listing_a_bucket(canned: Canned, figure: Figure) -> None:
    place = canned.bucket.fresh()
    _REPLIES[:] = _replies(place.prefix)
    canned.answer = _paged
    ours, plain = _microseconds(open_store(place).list), _microseconds(_plain(canned.bucket, place))
    figure(
        f"listing: {ours:.1f} us of processor time a key (at most {WANTED:.0f} wanted), plain boto3 {plain:.1f} us:"
        f" {plain / ours:.1f} times as fast; {KEYS:,} keys, {PAGES} pages, median of {ROUNDS}"
    )
    assert ours <= WANTED
