"""What goes wrong on the way to a bucket is told with a remedy, survived where it passes, and gives no secret away."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from tests.servers.bucket import KEY_ID, SECRET, Bucket
from tests.servers.canned import Canned, Reply
from tests.servers.proxy import Answer, Cut, Delay, Proxy, Refuse
from venice_batch.errors import OutputError, SourceError, Unavailable, VeniceBatchError
from venice_batch.storage import Access, Changed, S3Place, open_store
from venice_batch.storage.s3 import errors
from venice_batch.storage.s3.store import S3Store

PLACE = S3Place("bucket", "prefix/")
READING = errors.Call("read s3://bucket/prefix/a", "s3:GetObject", PLACE)
LISTING = errors.Call("list s3://bucket/prefix/", "s3:ListBucket", PLACE)


def raised() -> list[type[Exception]]:
    """Every exception that botocore knows: what it adds one day is found here."""
    found = [kind for _, kind in inspect.getmembers(boto, inspect.isclass) if issubclass(kind, BotoCoreError)]
    return [*found, ResponseParserError]


def made(kind: type[Exception]) -> Exception:
    """Return one of that kind; its message does not matter."""
    return kind.__new__(kind)


@pytest.mark.parametrize("kind", raised(), ids=lambda kind: kind.__name__)
def test_every_exception_of_botocore_has_a_place_in_the_table(kind: type[Exception]) -> None:
    listed = [entry for _, classes in errors.CLASSES for entry in classes]
    if kind is not BotoCoreError:
        assert any(issubclass(kind, entry) for entry in listed), f"{kind.__name__} is new"
    told = errors.translate(made(kind), READING, None)
    assert told.message.startswith("cannot read s3://bucket/prefix/a: ")
    assert told.remedy


def test_no_exception_is_hidden_behind_a_wider_one() -> None:
    seen = list[type[BaseException]]()
    for _, classes in errors.CLASSES:
        for kind in classes:
            assert not any(issubclass(kind, other) for other in seen), f"{kind.__name__} is never reached"
        seen += classes


def refusal(code: str, status: int = 400, message: str = "", operation: str = "GetObject") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # no more is looked at
        operation,
    )


@pytest.mark.parametrize(
    ("code", "status", "says", "remedy"),
    [
        ("AccessDenied", 403, "access is denied", "s3:GetObject"),
        ("403", 403, "access is denied", "s3:GetObject"),
        ("SignatureDoesNotMatch", 403, "does not belong", "AWS_SECRET_ACCESS_KEY"),
        ("InvalidAccessKeyId", 403, "does not know", "AWS_ACCESS_KEY_ID"),
        ("ExpiredToken", 400, "expired", "log in again"),
        ("PermanentRedirect", 301, "another region", "`region`"),
        ("AuthorizationHeaderMalformed", 400, "another region", "`region`"),
        ("RequestTimeTooSkewed", 403, "clock", "NTP"),
        ("SlowDown", 503, "overloaded", "later"),
        ("NoSuchBucket", 404, "no bucket 'bucket'", "endpoint_url"),
        ("QuotaExceeded", 403, "takes no more", "quota"),
        ("KMS.DisabledException", 400, "encryption key", "kms_key_id"),
        ("InvalidStorageClass", 400, "refused the request", "storage_class"),
        ("BadDigest", 400, "arrive whole", "again"),
        ("NeverHeardOf", 503, "overloaded", "later"),
        ("NeverHeardOf", 403, "access is denied", "s3:GetObject"),
        ("NeverHeardOf", 418, "refused the request", "settings"),
    ],
)
def test_a_refusal_says_what_it_is_and_what_to_do(code: str, status: int, says: str, remedy: str) -> None:
    told = errors.translate(refusal(code, status), READING, "http://store:1")
    assert isinstance(told, Unavailable)
    assert says in told.message
    assert f"({code}" in told.message
    assert remedy in told.remedy


def test_a_listing_without_a_bucket_is_the_sources_fault_and_a_long_name_the_outputs() -> None:
    assert isinstance(errors.translate(refusal("NoSuchBucket", 404), LISTING, None), SourceError)
    assert isinstance(errors.translate(refusal("AccessDenied", 403), LISTING, None), Unavailable)
    assert isinstance(errors.translate(refusal("KeyTooLongError"), READING, None), OutputError)


def test_a_refused_role_is_named() -> None:
    told = errors.translate(refusal("AccessDenied", 403, "not authorized", "AssumeRole"), READING, None)
    assert "role" in told.message
    assert "sts:AssumeRole" in told.remedy


def test_the_stores_own_words_arrive_short_and_without_escape_codes() -> None:
    told = errors.translate(refusal("InvalidArgument", 400, "bad\x1b[31m\nthing " + "x" * 1000), READING, None)
    assert told.message.isprintable()
    assert "bad [31m thing" in told.message
    assert len(told.message) < 350


def test_a_key_with_escape_codes_is_told_in_plain_letters(seaweed: Bucket, tmp_path: Path) -> None:
    place = replace(seaweed.fresh(), bucket="nowhere")
    with pytest.raises(Unavailable) as caught:
        open_store(place).read("a\x1b[31m\n.png", tmp_path / "copy")
    assert caught.value.message.isprintable()


# Credentials and settings


def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def failing(place: S3Place) -> VeniceBatchError:
    with pytest.raises(VeniceBatchError) as caught:
        list(open_store(place).list())
    return caught.value


def with_profile(bucket: Bucket, profile: str) -> S3Place:
    return replace(bucket.fresh(), access=Access(endpoint_url=bucket.endpoint, profile=profile))


def test_a_wrong_secret_is_told_and_not_shown(seaweed: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = "a-wrong-secret-of-mine"  # noqa: S105 - wrong on purpose
    text = f"[wrong]\naws_access_key_id={KEY_ID}\naws_secret_access_key={secret}\n"
    profiles(monkeypatch, tmp_path, text)
    told = failing(with_profile(seaweed, "wrong"))
    assert isinstance(told, Unavailable)
    assert "does not belong to the key id" in told.message
    assert secret not in f"{told!r} {told.message} {told.remedy}"


def test_an_unknown_key_is_told(seaweed: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profiles(monkeypatch, tmp_path, "[unknown]\naws_access_key_id=NOBODY\naws_secret_access_key=x\n")
    assert "does not know this access key" in failing(with_profile(seaweed, "unknown")).message


def test_a_profile_with_the_right_credentials_is_enough(
    seaweed: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = f"[right]\naws_access_key_id={KEY_ID}\naws_secret_access_key={SECRET}\n"
    profiles(monkeypatch, tmp_path, text)
    store = open_store(with_profile(seaweed, "right"))
    store.write("a", b"x")
    assert [entry.key for entry in store.list()] == ["a"]


def test_a_profile_that_is_not_there_is_told(seaweed: Bucket) -> None:
    told = failing(with_profile(seaweed, "nobody"))
    assert "no such profile" in told.message
    assert "`profile`" in told.remedy


def test_no_credentials_at_all_are_told(seaweed: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # A client of its own: another address of the same server.
    told = failing(replace(seaweed.fresh(), access=Access(endpoint_url=f"{seaweed.endpoint}/")))
    assert "no credentials" in told.message
    assert "AWS_ACCESS_KEY_ID" in told.remedy


def test_a_region_that_is_none_is_told() -> None:
    told = failing(S3Place("bucket", "", Access(region="not a region")))
    assert "region" in told.message


@pytest.mark.usefixtures("no_retries")
def test_a_certificate_that_nobody_vouches_for_is_told(seaweed_tls: Bucket) -> None:
    told = failing(replace(seaweed_tls.fresh(), access=Access(endpoint_url=f"{seaweed_tls.endpoint}/")))
    assert "no trusted TLS connection" in told.message
    assert "AWS_CA_BUNDLE" in told.remedy


@pytest.mark.server
@pytest.mark.usefixtures("no_retries", "aws_variables")
def test_an_endpoint_where_nobody_answers_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = failing(S3Place("bucket", "", Access(endpoint_url=f"http://127.0.0.1:{port}")))
    assert isinstance(told, Unavailable)
    assert f"http://127.0.0.1:{port} cannot be reached" in told.message


@pytest.mark.parametrize("status", [301, 400, 403, 500])
@pytest.mark.usefixtures("no_retries")
def test_a_head_that_is_refused_is_not_taken_for_nothing_there(canned: Canned, status: int) -> None:
    canned.answer = lambda _: Reply(status)
    with pytest.raises(Unavailable):
        open_store(canned.bucket.fresh()).stat("a")


# Faults on the way


@pytest.fixture
def behind(seaweed: Bucket, proxy: Proxy) -> S3Store:
    """The store as it is reached through the proxy."""
    return open_store(replace(seaweed.fresh(), access=Access(endpoint_url=proxy.url)))


CONTENT = bytes(range(250)) * 4000


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        *((action, Answer()) for action in ("put", "read", "list", "stat", "get", "peek")),
        *((action, fault) for action in ("put", "read") for fault in (Refuse(), Delay(0.2), Cut(100))),
        ("get", Cut(300_000)),
        ("list", Answer(500, "InternalError")),
    ],
    ids=str,
)
def test_a_fault_that_passes_is_survived(
    behind: S3Store, proxy: Proxy, tmp_path: Path, action: str, fault: Answer | Refuse | Delay | Cut
) -> None:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    entry = behind.put(file, "a.png", replace=True)
    actions: dict[str, Callable[[], object]] = {
        "put": lambda: behind.put(file, "b.png", replace=False).size,
        "read": lambda: behind.read("a.png", tmp_path / "copy", entry.version),
        "list": lambda: list(behind.list()),
        "stat": lambda: behind.stat("a.png"),
        "get": lambda: getattr(behind.get("a.png"), "content", None),
        "peek": lambda: behind.peek("a.png", tmp_path / "head", 1000).read_bytes(),
    }
    proxy.first(1, fault)
    before = proxy.connections
    found = actions[action]()
    assert proxy.connections > before
    expected = {"put": len(CONTENT), "list": [entry], "stat": entry, "get": CONTENT, "peek": CONTENT[:1000]}
    if action == "read":
        assert (tmp_path / "copy").read_bytes() == CONTENT
    else:
        assert found == expected[action]


def test_a_body_that_breaks_off_is_read_anew(behind: S3Store, proxy: Proxy, tmp_path: Path) -> None:
    behind.write("a.png", CONTENT)
    proxy.first(3, Cut(300_000))
    behind.read("a.png", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_body_that_always_breaks_off_is_given_up_and_leaves_nothing(
    behind: S3Store, proxy: Proxy, tmp_path: Path
) -> None:
    behind.write("a.png", CONTENT)
    proxy.always(Cut(300_000))
    with pytest.raises(Unavailable, match="cannot read"):
        behind.read("a.png", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_put_that_breaks_off_leaves_what_was_there(
    seaweed: Bucket,
    proxy: Proxy,
    tmp_path: Path,
    no_retries: None,  # noqa: ARG001 - a fixture for what it does
) -> None:
    place = seaweed.fresh()
    open_store(place).write("a.png", b"before")
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    proxy.always(Cut(300_000, "up"))
    with pytest.raises(Unavailable, match="cannot write"):
        open_store(replace(place, access=Access(endpoint_url=proxy.url))).put(file, "a.png", replace=True)
    assert seaweed.content(place, "a.png") == b"before"
    assert seaweed.keys(place) == ["a.png"]


def test_bytes_that_were_changed_on_their_way_are_refused_by_their_checksum(canned: Canned, tmp_path: Path) -> None:
    headers = {"ETag": '"abc"', "x-amz-checksum-crc32": "AAAAAA==", "Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}
    canned.answer = lambda _: Reply(200, b"changed", headers)
    with pytest.raises(Unavailable, match="arrive whole"):
        open_store(canned.bucket.fresh()).read("a.png", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_peek_moves_no_more_than_was_asked_for(behind: S3Store, proxy: Proxy, tmp_path: Path) -> None:
    behind.write("a.png", CONTENT)
    proxy.reset_counts()
    assert behind.peek("a.png", tmp_path / "head", 65_536).read_bytes() == CONTENT[:65_536]
    assert 65_536 < proxy.down < 70_000


def test_a_copy_within_the_store_moves_no_bytes(behind: S3Store, proxy: Proxy) -> None:
    behind.write("a.png", CONTENT)
    proxy.reset_counts()
    there = behind.stat("a.png")
    assert there is not None
    behind.copy(behind, there, "b.png")
    assert proxy.up + proxy.down < 10_000
    behind.delete("a.png")
    with pytest.raises(Changed):
        behind.copy(behind, there, "d.png")
