"""The listing of a bucket: pages, odd keys, what is left out, what is reported, and answers that are no listing."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from urllib.parse import quote_plus, urlsplit

import pytest

from tests.servers.bucket import Bucket
from tests.servers.canned import Canned, Reply, Request, error, page
from venice_batch.errors import SourceError, Unavailable
from venice_batch.storage import Entry, open_store
from venice_batch.storage.s3 import listing

ODD = ["a+b.png", "a b.png", "100%.png", "%2B.png", "ü+%20 ü.png", "a&b<c>'\".png", "日本/🙂.png", "x/" + "k" * 1000]


def listed(keys: Mapping[str, int]) -> list[Entry]:
    """List a page with these keys and sizes below the prefix ``p/``, as it arrives from the server."""
    found = listing.parse(page({quote_plus(f"p/{key}", safe="/"): size for key, size in keys.items()}).body)
    return [
        entry
        for key, size, etag, modified in found.objects
        if (entry := listing.entry(key.removeprefix("p/"), size, etag, modified)) is not None
    ]


def problems(*keys: str, size: int = 1) -> dict[str, str]:
    return {entry.key: entry.problem for entry in listed(dict.fromkeys(keys, size))}


def test_a_page_gives_key_size_version_and_time() -> None:
    (entry,) = listed({"a/b.png": 12})
    assert (entry.key, entry.size, entry.version, entry.problem) == ("a/b.png", 12, f"{0:032x}-12", "")
    assert entry.modified == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


def test_keys_are_decoded_from_their_form_in_addresses() -> None:
    assert [entry.key for entry in listed(dict.fromkeys(ODD, 1))] == ODD


def test_a_server_that_does_not_encode_keys_is_taken_at_its_word() -> None:
    body = page({"a+b%20c.png": 1}).body.replace(b"<EncodingType>url</EncodingType>", b"")
    assert [key for key, *_ in listing.parse(body).objects] == ["a+b%20c.png"]


def test_a_page_without_a_namespace_is_a_page() -> None:
    body = page({"a.png": 1}).body.replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b"")
    assert [key for key, *_ in listing.parse(body).objects] == ["a.png"]


def test_hidden_objects_and_folder_markers_are_left_out() -> None:
    assert problems(".a.png", "a/.b/c.png", "a/.DS_Store", "a.b/c..d.png", "...") == {"a.b/c..d.png": ""}
    assert problems("", "a/", "a/b/", "a/c.png", size=0) == {"a/c.png": ""}


def test_a_folder_marker_that_holds_bytes_is_reported() -> None:
    assert problems("a/", size=3) == {"a/": "ends in `/` like a folder, but holds 3 bytes"}


@pytest.mark.parametrize("key", ["/a.png", "a//b.png", "./a.png", "a/./b.png", "a/../b.png", "..", "../a.png", "a//"])
def test_a_key_that_is_no_path_below_the_folder_is_reported(key: str) -> None:
    ((found, problem),) = problems(key).items()
    assert found == key
    assert "not a path" in problem


def test_a_listing_goes_on_over_all_pages_and_asks_for_the_next_only_when_it_is_needed(canned: Canned) -> None:
    def answer(request: Request) -> Reply:
        number = int(request.query.get("continuation-token", "0"))
        return page({f"{number}-{index}.png": 1 for index in range(1000)}, token=str(number + 1) if number < 3 else "")

    canned.answer = answer
    entries = open_store(canned.bucket.fresh()).list()
    assert len(list(islice(entries, 1000))) == 1000
    assert len(canned.requests) == 1
    rest = [entry.key for entry in entries]
    assert (len(rest), rest[-1]) == (3000, "3-999.png")
    assert len(canned.requests) == 4


def test_more_than_a_page_is_listed_in_the_order_of_bytes(moto: Bucket) -> None:
    place = moto.fresh()
    keys = [f"{number:04}{sign}x.png" for number in range(510) for sign in "-/"]
    # Unsigned, which this server takes, on one connection: seconds less than by boto3.
    connection = http.client.HTTPConnection(urlsplit(moto.endpoint).netloc)
    for key in keys:
        connection.request("PUT", f"/{moto.name}/{place.prefix}{key}", b"x")
        connection.getresponse().read()
    connection.close()
    assert [entry.key for entry in open_store(place).list()] == sorted(keys)


@pytest.mark.parametrize("kind", ["moto", "seaweed"])
def test_odd_keys_come_out_as_they_went_in(request: pytest.FixtureRequest, kind: str) -> None:
    bucket: Bucket = request.getfixturevalue(kind)
    # A real file system below has names of 255 bytes at most.
    place, keys = bucket.fresh(), ODD if kind == "moto" else ODD[:-1]
    bucket.fill(place, dict.fromkeys(keys, b"x"))
    store = open_store(place)
    assert {entry.key for entry in store.list()} == set(keys)
    assert all(store.stat(key) == entry for key, entry in ((entry.key, entry) for entry in store.list()))


def test_keys_that_are_no_paths_are_listed_and_never_touched(moto: Bucket) -> None:
    place = moto.fresh()
    moto.fill(place, {"a//b.png": b"x", "marker/": b"xyz", "empty/": b"", "c.png": b"x"})
    store = open_store(place)
    assert {entry.key: bool(entry.problem) for entry in store.list()} == {
        "a//b.png": True,
        "c.png": False,
        "marker/": True,
    }
    assert store.stat("a//b.png") is None


@pytest.mark.parametrize("kind", ["moto", "seaweed"])
def test_a_bucket_that_is_not_there_is_the_sources_fault(request: pytest.FixtureRequest, kind: str) -> None:
    bucket: Bucket = request.getfixturevalue(kind)
    place = type(bucket)(bucket.endpoint, name="nowhere").fresh()
    with pytest.raises(SourceError, match="no bucket 'nowhere'") as caught:
        list(open_store(place).list())
    assert bucket.endpoint in caught.value.remedy


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b""),
        Reply(200, b"<html>Log in first</html>"),
        Reply(200, b"this is no XML"),
        Reply(200, page({"a.png": 1}).body[:-40]),
        Reply(200, page({"a.png": 1}).body.replace(b"<Size>1</Size>", b"")),
        page({"a.png": 1}, more=True),
        page({"a.png": 1}, token="again"),  # noqa: S106 - where the listing goes on
    ],
    ids=["empty", "html", "text", "cut off", "no size", "more without a token", "the same token for ever"],
)
@pytest.mark.usefixtures("no_retries")
def test_what_is_no_listing_is_never_taken_for_an_end(canned: Canned, reply: Reply) -> None:
    canned.answer = lambda _: reply
    with pytest.raises(Unavailable, match="cannot list"):
        list(open_store(canned.bucket.fresh()).list())


def test_an_error_in_the_middle_is_tried_again_and_the_listing_is_complete(canned: Canned) -> None:
    pages = {"": page({"a.png": 1}, token="2"), "2": page({"b.png": 1})}  # noqa: S106 - where the listing goes on
    busy = iter([False, True, False])

    def answer(request: Request) -> Reply:
        token = request.query.get("continuation-token", "")
        return error(503, "SlowDown") if next(busy) else pages[token]

    canned.answer = answer
    assert [entry.key for entry in open_store(canned.bucket.fresh()).list()] == ["a.png", "b.png"]


@pytest.mark.usefixtures("no_retries")
def test_an_error_inside_an_answer_of_200_is_an_error(canned: Canned) -> None:
    canned.answer = lambda _: Reply(200, error(500, "InternalError").body)
    with pytest.raises(Unavailable, match="InternalError"):
        list(open_store(canned.bucket.fresh()).list())
