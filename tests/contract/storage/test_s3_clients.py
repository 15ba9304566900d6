"""How a bucket is reached: path style, regions, roles, one client for all threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.servers.bucket import Bucket
from tests.servers.canned import Canned, Reply, Request, error, page
from tests.servers.proxy import in_front_of
from venice_batch.storage import Access, S3Place, open_store
from venice_batch.storage.s3 import clients

pytestmark = pytest.mark.usefixtures("aws_variables")


def test_all_threads_share_one_client_for_a_place(moto: Bucket) -> None:
    places = [replace(moto.fresh(), access=Access(endpoint_url=moto.endpoint, sse="AES256")) for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda place: clients.client(place.access, place.bucket), places))
    assert len({id(client) for client in found}) == 1


def test_as_many_connections_as_threads_are_kept(seaweed: Bucket) -> None:
    with in_front_of(seaweed.endpoint) as proxy:
        store = open_store(replace(seaweed.fresh(), access=Access(endpoint_url=proxy.url)))
        store.write("a", b"x")
        for _ in range(2):
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(lambda _: store.stat("a"), range(100)))
        assert proxy.connections <= 17


def test_a_store_of_its_own_is_asked_in_path_style_wherever_its_address_comes_from(
    moto: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto.endpoint)
    for access in (Access(), Access(region="eu-west-1"), Access(endpoint_url=moto.endpoint)):
        address = open_store(S3Place("itest-of-variables", "p/", access)).address("a", 60)
        assert address.startswith(f"{moto.endpoint}/itest-of-variables/p/a?")


def test_host_names_for_buckets_are_used_where_the_job_says_so(moto: Bucket) -> None:
    port = moto.endpoint.rsplit(":", maxsplit=1)[-1]
    access = Access(endpoint_url=f"http://localhost:{port}", path_style=False)
    assert open_store(S3Place("itest", "p/", access)).address("a", 60).startswith(f"http://itest.localhost:{port}/p/a?")


def test_an_address_at_aws_has_the_buckets_host_name_and_region() -> None:
    address = open_store(S3Place("itest", "p/", Access(region="eu-west-1"))).address("a", 60)
    assert address.startswith("https://itest.s3.eu-west-1.amazonaws.com/p/a?")
    assert "%2Feu-west-1%2Fs3%2Faws4_request" in address


@pytest.mark.parametrize("status", [200, 301, 403])
def test_the_region_is_found_out_even_by_a_refusal(canned: Canned, status: int) -> None:
    canned.answer = lambda _: Reply(status, b"", {"x-amz-bucket-region": "eu-central-1"})
    assert clients.region_of(canned.bucket.client(), "itest") == "eu-central-1"


def test_a_store_that_tells_no_region_has_none(canned: Canned) -> None:
    assert clients.region_of(canned.bucket.client(), "itest") is None


def test_no_region_anywhere_is_no_obstacle(moto: Bucket) -> None:
    store = open_store(moto.fresh())
    store.write("a", b"x")
    assert [entry.key for entry in store.list()] == ["a"]


_ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def test_a_role_is_assumed_once_and_its_credentials_are_used(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", canned.bucket.endpoint)

    def answer(request: Request) -> Reply:
        if b"Action=AssumeRole" in request.body:
            return Reply(200, _ASSUMED.encode(), {"Content-Type": "text/xml"})
        return page({"a.png": 1})

    canned.answer = answer
    access = Access(endpoint_url=canned.bucket.endpoint, role_arn="arn:aws:iam::123456789012:role/pictures")
    store = open_store(replace(canned.bucket.fresh(), access=access))
    assert [len(list(store.list())) for _ in range(2)] == [1, 1]
    assumed, *listings = canned.requests
    assert b"role%2Fpictures" in assumed.body
    assert len(listings) == 2
    for request in listings:
        assert "Credential=ASSUMED/" in request.headers["authorization"]
        assert request.headers["x-amz-security-token"] == "token"


def test_a_role_that_is_refused_is_told(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", canned.bucket.endpoint)
    canned.answer = lambda _: error(403, "AccessDenied")
    access = Access(endpoint_url=canned.bucket.endpoint, role_arn="arn:aws:iam::123456789012:role/pictures")
    with pytest.raises(Exception, match="the role could not be assumed"):
        list(open_store(replace(canned.bucket.fresh(), access=access)).list())
