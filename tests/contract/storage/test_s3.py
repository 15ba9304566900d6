"""What a bucket as a store must do beyond the contract: conditions, metadata, copies, addresses, what a write says."""

from __future__ import annotations

import base64
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers.bucket import SECRET, Bucket
from tests.servers.canned import Canned, Reply, error
from tests.servers.proxy import Cut, Proxy
from venice_batch.errors import ItemError
from venice_batch.storage import Access, Changed, Entry, Exists, LocalStore, S3Place, open_store
from venice_batch.storage.s3.store import S3Store


@pytest.fixture(params=["moto", "seaweed"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    found: Bucket = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(bucket: Bucket) -> S3Store:
    return open_store(bucket.fresh())


@pytest.fixture
def parcel(tmp_path: Path) -> Path:
    file = tmp_path / "parcel"
    file.write_bytes(b"content" * 1000)
    return file


def with_access(place: S3Place, **changes: object) -> S3Place:
    return replace(place, access=replace(place.access, **changes))  # type: ignore[arg-type]  # names of its own fields


# Conditions that are met twice


@pytest.mark.parametrize("own", [True, False], ids=["own", "another's"])
def test_a_conditional_write_whose_answer_was_lost_knows_its_own_object(
    seaweed: Bucket, proxy: Proxy, *, own: bool
) -> None:
    place = seaweed.fresh()
    # The server has the whole object when its answer is cut off, so that the repetition meets something.
    proxy.first(1, Cut(after=40))
    store = open_store(replace(place, access=Access(endpoint_url=proxy.url)))
    if own:
        etag = store.write("a", b"ours", if_absent=True)
        assert etag == open_store(place).write("b", b"ours")
        assert proxy.connections >= 2
        return
    open_store(place).write("a", b"another's", if_absent=True)
    with pytest.raises(Exists):
        store.write("a", b"ours", if_absent=True)


def test_a_conflict_with_a_write_at_the_same_moment_is_tried_again(canned: Canned) -> None:
    replies = iter([error(409, "ConditionalRequestConflict")] * 2 + [Reply(200, b"", {"ETag": '"abc"'})])
    canned.answer = lambda _: next(replies)
    waits = list[float]()
    assert S3Store(canned.bucket.fresh(), sleep=waits.append).write("a", b"x", if_absent=True) == "abc"
    assert len(waits) == 2


# Metadata, times, content


def test_a_write_says_what_the_place_asks_for(canned: Canned, parcel: Path) -> None:
    canned.answer = lambda _: Reply(200, b"", {"ETag": '"abc"'})
    place = with_access(
        canned.bucket.fresh(),
        sse="aws:kms",
        kms_key_id="alias/pictures",
        storage_class="STANDARD_IA",
        cache_control="max-age=60",
        metadata=(("made-by", "venice-batch"),),
    )
    entry = open_store(place).put(parcel, "a/b.WebP", replace=False)
    assert (entry.size, entry.version) == (7000, "abc-7000")
    (request,) = canned.requests
    sent = request.headers
    assert request.path == f"/itest/{place.prefix}a/b.WebP"
    assert {name: sent.get(name) for name in WANTED} == WANTED
    crc = base64.b64encode(zlib.crc32(parcel.read_bytes()).to_bytes(4, "big")).decode()
    assert sent["x-amz-checksum-crc32"] == crc
    assert "venice-batch/" in sent["user-agent"]
    assert not [name for name in sent if "acl" in name or "grant" in name]


WANTED: Mapping[str, str] = {
    "content-type": "image/webp",
    "cache-control": "max-age=60",
    "if-none-match": "*",
    "x-amz-meta-made-by": "venice-batch",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "alias/pictures",
    "x-amz-storage-class": "STANDARD_IA",
}


def test_every_reading_request_offers_to_pay_where_the_reader_pays(canned: Canned, tmp_path: Path) -> None:
    store = open_store(with_access(canned.bucket.fresh(), requester_pays=True))
    store.stat("a")
    store.get("a")
    for number in range(2):
        with pytest.raises(Changed):
            store.read("a", tmp_path / str(number))
    with pytest.raises(Changed):
        store.peek("a", tmp_path / "head", 10)
    assert [request.headers.get("x-amz-request-payer") for request in canned.requests] == ["requester"] * 5


def test_an_archived_object_is_that_items_trouble_alone(canned: Canned, tmp_path: Path) -> None:
    canned.answer = lambda _: error(403, "InvalidObjectState")
    with pytest.raises(ItemError, match="archived"):
        open_store(canned.bucket.fresh()).read("a", tmp_path / "copy")


# Copies within the store


def test_a_copy_within_the_store_is_a_finished_file(bucket: Bucket, parcel: Path) -> None:
    results = open_store(bucket.fresh())
    output = open_store(with_access(bucket.fresh(), cache_control="max-age=60", metadata=(("shop", "acme"),)))
    results.keep(parcel, "aa/key", {"facts": "{}"}, if_absent=True)
    assert output.can_copy_from(results)
    there = results.stat("aa/key")
    assert there is not None
    entry = output.copy(results, there, "a b/ü+.png")
    assert entry == output.stat("a b/ü+.png")
    assert bucket.content(output.place, "a b/ü+.png") == parcel.read_bytes()
    client = bucket.client()
    head = client.head_object(Bucket=bucket.name, Key=f"{output.place.prefix}a b/ü+.png")
    client.close()
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"shop": "acme"})
    assert head["CacheControl"] == "max-age=60"


def test_a_copy_of_what_is_gone_is_a_change(store: S3Store) -> None:
    with pytest.raises(Changed):
        store.copy(store, Entry("nothing", 1, "0-1"), "a.png")


def test_only_the_same_store_with_the_same_credentials_copies_within(moto: Bucket, seaweed: Bucket) -> None:
    store = open_store(seaweed.fresh())
    assert store.can_copy_from(open_store(with_access(seaweed.fresh(), sse="AES256")))
    assert not store.can_copy_from(open_store(moto.fresh()))
    assert not store.can_copy_from(open_store(with_access(seaweed.fresh(), profile="other")))
    assert not store.can_copy_from(LocalStore(Path("/")))


# Addresses


def test_an_address_is_read_by_whoever_has_it(store: S3Store) -> None:
    store.write("a b/ü+.png", b"content")
    address = store.address("a b/ü+.png", 60)
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - loopback
        assert answer.read() == b"content"
    assert SECRET not in address


def test_an_address_does_for_a_reader_who_pays(seaweed: Bucket) -> None:
    store = open_store(with_access(seaweed.fresh(), requester_pays=True))
    store.write("a.png", b"content")
    with urllib.request.urlopen(store.address("a.png", 60), timeout=10) as answer:  # noqa: S310 - loopback
        assert answer.read() == b"content"


def test_a_changed_address_is_refused(seaweed: Bucket) -> None:
    store = open_store(seaweed.fresh())
    store.write("a.png", b"content")
    store.write("b.png", b"content")
    changed = store.address("a.png", 60).replace("a.png", "b.png")
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(changed, timeout=10):  # noqa: S310 - loopback
        pass
    assert caught.value.code == 403
    caught.value.close()


# Transport


def test_a_large_file_goes_through_tls_with_its_checksum(
    seaweed_tls: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(seaweed_tls.ca))
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 20_000)
    store = open_store(seaweed_tls.fresh())
    entry = store.put(large, "a.png", replace=False)
    assert entry == store.stat("a.png")
    store.read("a.png", tmp_path / "copy", entry.version)
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()
    with pytest.raises(Exists):
        store.put(large, "a.png", replace=False)


def test_boto3_is_imported_only_when_a_bucket_is_opened() -> None:
    script = """
import sys, pathlib
from venice_batch.storage import S3Place, open_store
open_store(pathlib.Path("."))
print([name for name in sys.modules if name.startswith(("boto", "urllib3"))])
print(open_store(S3Place("bucket", "prefix/")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nS3Store('s3://bucket/prefix/')\n"
