"""Jobs that live in buckets: sources, outputs and the memory of what was bought, on a real S3 server."""

from __future__ import annotations

import io
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.cloud import LEASE, Cloud
from tests.e2e.conftest import CUT, ENLARGE, OpenVendor, Vendor, Work, draw, visible
from tests.servers.bucket import Bucket
from tests.servers.proxy import Answer, Proxy, Refuse
from venice_batch.errors import Exit
from venice_batch.storage.s3.store import S3Store

OpenCloud = Callable[..., Cloud]


@pytest.fixture
def open_cloud(tmp_path: Path, seaweed: Bucket) -> OpenCloud:
    def make(vendor: Vendor) -> Cloud:
        return Cloud(tmp_path / "work", vendor, bucket=seaweed)

    return make


@pytest.fixture
def cloud(open_cloud: OpenCloud, vendor: Vendor) -> Cloud:
    return open_cloud(vendor)


def test_a_job_runs_from_bucket_to_bucket_and_a_machine_that_forgot_everything_buys_nothing_again(cloud: Cloud) -> None:
    cloud.upload("a.jpg", "shoes/b c+d.png", "shoes/ünïcödé.jpg")
    cloud.write(CUT, ENLARGE)
    ended = cloud.run()
    assert ended.code == 0, ended.text
    finished = cloud.outputs()
    assert sorted(finished) == ["a.png", "shoes/b c+d.png", "shoes/ünïcödé.png"]
    assert len(cloud.results()) == len(cloud.vendor.bought()) == 6
    cloud.forget()
    again = cloud.run()
    assert again.code == 0, again.text
    assert len(cloud.vendor.bought()) == 6
    assert cloud.outputs() == finished
    assert set(cloud.states().values()) == {"done"}
    assert [call.fate for call in cloud.ledger()] == ["spent"] * 6


def test_finished_files_have_a_type_and_what_the_job_says(cloud: Cloud) -> None:
    cloud.upload("a.jpg")
    settings = {"cache_control": "max-age=60", "metadata": {"shop": "acme"}}
    cloud.write(CUT, output={"path": f"{cloud.place}web/", "s3": settings})
    assert cloud.run().code == 0
    client = cloud.bucket.client()
    head = client.head_object(Bucket=cloud.bucket.name, Key=f"{cloud.place.prefix}web/a.png")
    assert (head["ContentType"], head["CacheControl"]) == ("image/png", "max-age=60")
    assert head["Metadata"] == {"shop": "acme"}
    client.close()


def test_a_folder_goes_to_a_bucket_and_a_bucket_to_a_folder(cloud: Cloud) -> None:
    cloud.draw("a.jpg")
    cloud.write(CUT, source={"path": "photos"})
    assert cloud.run().code == 0
    assert sorted(cloud.outputs()) == ["a.png"]
    cloud.upload("b.jpg")
    cloud.write(CUT, output={"path": "finished"}, state="./memory")
    document = cloud.job.read_text("utf-8").replace(f"lease: {LEASE:g}s\n", "")
    cloud.job.write_text(document, "utf-8")
    ended = cloud.run()
    assert ended.code == 0, ended.text
    assert sorted(visible(cloud.finished)) == ["b.png"]


def test_source_and_output_may_lie_in_different_stores(cloud: Cloud, moto: Bucket) -> None:
    there = moto.fresh()
    file = cloud.root / "a.jpg"
    draw(file)
    moto.fill(there, {"x/a.jpg": file.read_bytes()})
    cloud.write(CUT, source={"path": str(there), "s3": {"endpoint_url": moto.endpoint}})
    ended = cloud.run()
    assert ended.code == 0, ended.text
    assert sorted(cloud.outputs()) == ["x/a.png"]


def test_a_renamed_picture_is_not_bought_again_and_a_changed_one_is(cloud: Cloud) -> None:
    cloud.upload("a.jpg", "b.jpg")
    cloud.write(CUT)
    assert cloud.run().code == 0
    bought = len(cloud.vendor.bought())
    cloud.bucket.fill(cloud.place / "raw", {"renamed.jpg": cloud.bucket.content(cloud.place / "raw", "a.jpg")})
    S3Store(cloud.place / "raw").delete("a.jpg")
    planned = cloud.venice("plan", cloud.job, "--json").json
    assert (planned["items"]["reused"], planned["calls"], planned["cost"]["high"]) == (2, 0, "0.00")
    assert cloud.run().code == 0
    assert len(cloud.vendor.bought()) == bought
    assert cloud.states() == {"a.jpg": "vanished", "b.jpg": "done", "renamed.jpg": "done"}
    cloud.upload("c.jpg")
    cloud.bucket.fill(cloud.place / "raw", {"b.jpg": cloud.bucket.content(cloud.place / "raw", "c.jpg")})
    assert cloud.run().code == 0
    assert len(cloud.vendor.bought()) == bought + 1, "two inputs with the same new bytes are one purchase"


@pytest.mark.parametrize("rule", ["keep", "report", "delete"])
def test_the_finished_file_of_a_product_that_is_gone_is_kept_named_or_deleted(cloud: Cloud, rule: str) -> None:
    cloud.upload("a.jpg", "b.jpg")
    cloud.write(CUT, output={"path": f"{cloud.place}web/", "on_vanished": rule, "max_deleted": "50%"})
    assert cloud.run().code == 0
    S3Store(cloud.place / "raw").delete("a.jpg")
    ended = cloud.run()
    assert ended.code == 0, ended.text
    assert cloud.states() == {"a.jpg": "vanished", "b.jpg": "done"}
    assert sorted(cloud.outputs()) == (["b.png"] if rule == "delete" else ["a.png", "b.png"])
    assert ("a.png" in ended.err) == (rule != "keep")


def test_a_source_that_looks_empty_deletes_nothing(cloud: Cloud) -> None:
    cloud.upload("a.jpg", "b.jpg", "c.jpg")
    cloud.write(CUT, output={"path": f"{cloud.place}web/", "on_vanished": "delete"})
    assert cloud.run().code == 0
    S3Store(cloud.place / "raw").delete("a.jpg")
    S3Store(cloud.place / "raw").delete("b.jpg")
    ended = cloud.run()
    assert "max_deleted" in ended.err
    assert sorted(cloud.outputs()) == ["a.png", "b.png", "c.png"]


def test_a_finished_file_that_somebody_changed_is_never_deleted(cloud: Cloud) -> None:
    cloud.upload("a.jpg", "b.jpg")
    cloud.write(CUT, output={"path": f"{cloud.place}web/", "on_vanished": "delete", "max_deleted": "100%"})
    assert cloud.run().code == 0
    cloud.bucket.fill(cloud.place / "web", {"a.png": b"touched by hand"})
    S3Store(cloud.place / "raw").delete("a.jpg")
    S3Store(cloud.place / "raw").delete("b.jpg")
    ended = cloud.run()
    assert cloud.outputs() == {"a.png": b"touched by hand"}
    assert "a.png was changed by somebody" in ended.err


def test_keys_may_come_from_a_file_and_since_takes_the_recent_ones(cloud: Cloud) -> None:
    cloud.upload("a.jpg", "b.jpg", "old.jpg")
    (cloud.root / "keys.txt").write_text("# today\nb.jpg\n\nmissing.jpg\n", "utf-8")
    cloud.write(CUT, source={"path": f"{cloud.place}raw/", "keys": "keys.txt"})
    ended = cloud.run()
    assert ended.code == 3, ended.text
    assert cloud.states() == {"b.jpg": "done", "missing.jpg": "invalid"}
    cloud.write(CUT)
    planned = cloud.venice("plan", cloud.job, "--json", "--since", "1h").json
    assert planned["items"]["new"] == 2
    planned = cloud.venice("plan", cloud.job, "--json", "--since", "2030-01-01").json
    assert planned["items"]["new"] == 0


# What goes wrong


def _refused(cloud: Cloud, code: Exit, *words: str, env: Mapping[str, str | None] | None = None) -> None:
    ended = cloud.run(env=env)
    assert ended.code == code, ended.text
    for word in words:
        assert word in ended.err
    assert "Traceback" not in ended.err
    assert cloud.bucket.secret not in ended.text
    assert cloud.vendor.paid() == []


def test_without_credentials_it_says_where_they_belong(cloud: Cloud) -> None:
    cloud.write(CUT)
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    _refused(cloud, Exit.UNAVAILABLE, "credentials", "try:", env=none)


def test_a_wrong_secret_is_called_so(cloud: Cloud) -> None:
    cloud.write(CUT)
    _refused(cloud, Exit.UNAVAILABLE, "secret", "try:", env={"AWS_SECRET_ACCESS_KEY": "wrong"})


def test_a_source_bucket_that_does_not_exist_is_a_wrong_job(cloud: Cloud) -> None:
    cloud.write(CUT, source={"path": "s3://no-such-bucket-anywhere/raw/"})
    _refused(cloud, Exit.USAGE, "no-such-bucket-anywhere", "try:")


def test_a_state_that_cannot_be_written_is_found_before_any_paid_call(cloud: Cloud) -> None:
    cloud.upload("a.jpg")
    cloud.write(CUT, state="s3://no-such-bucket-anywhere/state/")
    _refused(cloud, Exit.UNAVAILABLE, "no-such-bucket-anywhere", "try:")


@pytest.mark.parametrize(
    ("source", "output", "state"),
    [
        ("raw/", "raw/", "state/"),
        ("raw/", "raw/web/", "state/"),
        ("web/raw/", "web/", "state/"),
        ("raw/", "web/", "raw/state/"),
    ],
)
def test_an_output_or_state_inside_the_source_is_refused(cloud: Cloud, source: str, output: str, state: str) -> None:
    place = str(cloud.place)
    cloud.write(CUT, source={"path": place + source}, output={"path": place + output}, state=place + state)
    _refused(cloud, Exit.USAGE, "source", "try:")


def test_a_second_run_on_the_same_state_exits_at_once_and_the_next_one_goes_on(
    open_cloud: OpenCloud, open_vendor: OpenVendor
) -> None:
    cloud = open_cloud(open_vendor(latency=0.5))
    cloud.upload("a.jpg")
    cloud.write(CUT, lease="60s")
    first = cloud.start()
    cloud.vendor.until(lambda: len(cloud.vendor.paid()) > 0)
    first.send_signal(signal.SIGSTOP)
    second = cloud.venice("run", cloud.job)
    assert second.code == 7, second.text
    assert "another run holds" in second.err
    first.send_signal(signal.SIGCONT)
    assert first.wait(20) == 0
    first.communicate()
    third = cloud.run()
    assert third.code == 0, third.text
    assert len(cloud.vendor.bought()) == 1


def test_a_dead_run_keeps_others_away_only_for_its_lease(open_cloud: OpenCloud, open_vendor: OpenVendor) -> None:
    cloud = open_cloud(open_vendor(latency=1.0))
    cloud.upload("a.jpg", "b.jpg")
    cloud.write(CUT)
    first = cloud.start()
    cloud.vendor.until(lambda: len(cloud.vendor.paid()) == 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    cloud.forget()
    locked = cloud.venice("run", cloud.job)
    assert locked.code == 7
    assert "another run holds" in locked.err
    ended = cloud.run()
    assert ended.code == 0, ended.text
    assert sorted(cloud.outputs()) == ["a.png", "b.png"]
    # Both answers were lost with the process; each is shown as such, and was bought once more.
    assert sorted(call.fate for call in cloud.ledger()) == ["spent", "spent", "uncertain", "uncertain"]


def test_a_frozen_run_begins_no_paid_call_after_its_lease_is_over(
    open_cloud: OpenCloud, open_vendor: OpenVendor
) -> None:
    cloud = open_cloud(open_vendor(latency=0.3))
    cloud.upload(*(f"{number}.jpg" for number in range(12)))
    cloud.write(CUT, run={"concurrency": 2})
    first = cloud.start()
    cloud.vendor.until(lambda: len(cloud.vendor.paid()) >= 3)
    first.send_signal(signal.SIGSTOP)
    second = cloud.run()
    assert second.code == 0, second.text
    calls = len(cloud.vendor.paid())
    first.send_signal(signal.SIGCONT)
    _, err = first.communicate(timeout=30)
    assert first.returncode == 7, err
    assert "Traceback" not in err
    assert len(cloud.vendor.paid()) == calls
    assert len(cloud.outputs()) == 12
    assert set(cloud.states().values()) == {"done"}


def test_a_run_whose_lease_was_broken_stops_with_7_whatever_else_went_wrong(
    open_cloud: OpenCloud, open_vendor: OpenVendor
) -> None:
    cloud = open_cloud(open_vendor(latency=0.5))
    cloud.upload(*(f"{number}.jpg" for number in range(24)))
    cloud.upload(**{"broken.jpg": b"no picture"})
    cloud.write(CUT, lease="3s", run={"concurrency": 1})
    process = cloud.start()
    cloud.vendor.until(lambda: len(cloud.vendor.paid()) >= 2)
    broken = cloud.venice("unlock", cloud.job, "--force")
    assert broken.code == 0, broken.text
    _, err = process.communicate(timeout=30)
    assert process.returncode == 7, err
    assert "was broken off with `unlock --force`" in err
    assert cloud.run("--workers", "8").code == 3, "the broken picture"
    assert len(cloud.vendor.bought()) == 24


def test_one_store_named_in_two_ways_is_one_store(cloud: Cloud) -> None:
    url = cloud.bucket.environment["AWS_ENDPOINT_URL_S3"]
    place = f"{cloud.place}raw/"
    cloud.upload("a.jpg")
    cloud.write(CUT, source={"path": place, "s3": {"endpoint_url": f"{url}/"}}, output={"path": place})
    _refused(cloud, Exit.USAGE, "inside the source", "try:")


@pytest.fixture
def behind_a_proxy(open_cloud: OpenCloud, open_vendor: OpenVendor, proxy: Proxy) -> Cloud:
    cloud = open_cloud(open_vendor(latency=0.5))
    cloud.bucket = cloud.bucket.at(proxy.url)
    cloud.place = cloud.bucket.fresh()
    return cloud


def test_a_bucket_that_is_out_of_reach_for_a_moment_only_delays_the_run(behind_a_proxy: Cloud, proxy: Proxy) -> None:
    cloud = behind_a_proxy
    cloud.upload(*(f"{number}.jpg" for number in range(8)))
    cloud.write(CUT, lease="60s", run={"concurrency": 2})
    running = cloud.start()
    cloud.vendor.until(lambda: len(cloud.vendor.paid()) >= 2)
    with proxy.doing(Answer(503, "SlowDown")):
        time.sleep(1)
    _, err = running.communicate(timeout=40)
    assert running.returncode == 0, err
    assert len(cloud.outputs()) == 8
    assert len(cloud.vendor.bought()) == 8


def test_a_bucket_that_stays_away_ends_the_run_and_what_was_paid_for_is_kept(
    behind_a_proxy: Cloud, proxy: Proxy
) -> None:
    cloud = behind_a_proxy
    cloud.upload(*(f"{number}.jpg" for number in range(8)))
    cloud.write(CUT, lease="8s", run={"concurrency": 2, "drain": "2s"})
    running = cloud.start()
    cloud.vendor.until(lambda: len(cloud.vendor.paid()) >= 3)
    proxy.always(Refuse())
    time.sleep(1.5)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 143, err
    assert "Traceback" not in err
    paid = len(cloud.vendor.bought())
    proxy.always(None)
    # The same machine comes back: what it could not store is still there, and nothing is bought twice.
    cloud.write(CUT)
    ended = cloud.run()
    assert ended.code == 0, ended.text
    assert len(cloud.vendor.bought()) == 8, f"{paid} were paid for before"
    assert len(cloud.outputs()) == 8


# The API reads the source by itself

RESTAGE = {"edit": {"prompt": "on white marble"}}
_HEADER = 64 * 1024


def _photo(seed: int) -> bytes:
    """A photo of about a megabyte that no compression makes smaller."""
    noise = random.Random(seed).randbytes(900 * 700 * 3)  # noqa: S311 - a test's picture
    file = io.BytesIO()
    Image.frombytes("RGB", (900, 700), noise).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture
def lent(cloud: Cloud) -> Cloud:
    """Large photos in a source that is reached through a proxy; output and state are reached directly."""
    for number in range(4):
        cloud.upload(**{f"{number}.jpg": _photo(number)})
    return cloud


def _lend(cloud: Cloud, proxy: Proxy, *steps: object) -> None:
    source = {"path": f"{cloud.place}raw/", "s3": {"endpoint_url": proxy.url}}
    cloud.write(*steps, source=source, api={"transport": "url"})


def test_the_bytes_of_a_lent_source_never_cross_the_worker(lent: Cloud, proxy: Proxy) -> None:
    _lend(lent, proxy, RESTAGE)
    planned = lent.venice("plan", lent.job, "--json").json
    assert "by-url" in {warning["code"] for warning in planned["warnings"]}
    proxy.reset_counts()
    ended = lent.run()
    assert ended.code == 0, ended.text
    assert len(lent.outputs()) == 4
    sizes = sum(len(_photo(number)) for number in range(4))
    assert proxy.signed >= sizes, "the API read them all"
    own = proxy.down - proxy.signed
    print(f"source {sizes:,} bytes; through the worker {own:,} with listing and headers")  # noqa: T201 - a figure
    assert own < 20_000
    assert "X-Amz-Signature" not in ended.text + lent.venice("ledger", lent.job, "--json").text


def test_a_condition_reads_the_header_of_a_lent_source_and_no_more(lent: Cloud, proxy: Proxy) -> None:
    _lend(lent, proxy, RESTAGE, {"upscale": {"scale": 2}, "when": {"width_below": 100}})
    _lend(lent, proxy, {**RESTAGE, "when": {"width_at_least": 100}})
    proxy.reset_counts()
    ended = lent.run()
    assert ended.code == 0, ended.text
    own = proxy.down - proxy.signed
    assert own <= 4 * (_HEADER + 5_000), f"{own:,} bytes"


def test_an_object_that_is_replaced_under_the_apis_eyes_gives_no_answer_for_the_old_one(
    open_cloud: OpenCloud, open_vendor: OpenVendor, proxy: Proxy
) -> None:
    cloud = open_cloud(open_vendor(latency=1.5))
    cloud.upload(**{"a.jpg": _photo(1)})
    _lend(cloud, proxy, RESTAGE)
    proxy.reset_counts()
    process = cloud.start()
    cloud.vendor.until(lambda: proxy.signed > 0)
    cloud.upload(**{"a.jpg": _photo(2)})
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3, err
    assert cloud.codes() == {"a.jpg": "changed"}
    assert cloud.results() == {}
    assert [call.fate for call in cloud.ledger()] == ["spent", "released"], "charged once, and not asked for again"
    assert cloud.run().code == 0
    assert len(cloud.vendor.bought()) == 2


def test_what_the_api_cannot_read_is_sent_as_bytes(lent: Cloud, proxy: Proxy) -> None:
    _lend(lent, proxy, RESTAGE)
    lent.vendor.faults(
        {
            "match": {"path": "/image/edit", "nth": [1, 2]},
            "do": {"status": 400, "body": {"error": "Invalid or corrupt image"}},
        }
    )
    ended = lent.run()
    assert ended.code == 0, ended.text
    assert len(lent.outputs()) == 4
    assert len(lent.vendor.bought()) == 4
    lent.forget()
    assert lent.run().code == 0
    assert len(lent.vendor.bought()) == 4


def test_a_source_that_changes_before_the_api_reads_it_is_not_bought(
    open_cloud: OpenCloud, open_vendor: OpenVendor, proxy: Proxy
) -> None:
    cloud = open_cloud(open_vendor(latency=0.5))
    for number in range(3):
        cloud.upload(**{f"{number}.jpg": _photo(number)})
    _lend(cloud, proxy, RESTAGE)
    running = cloud.start("--workers", "1")
    cloud.vendor.until(lambda: len(cloud.vendor.paid()) == 1)
    cloud.upload(**{"2.jpg": _photo(9)})
    _, err = running.communicate(timeout=30)
    assert running.returncode == 3, err
    assert cloud.states() == {"0.jpg": "done", "1.jpg": "done", "2.jpg": "failed"}
    assert "changed" in err
    assert cloud.run().code == 0
    assert len(cloud.vendor.bought()) == 3


@pytest.mark.parametrize("way", ["folder to bucket", "bucket to folder", "bucket to bucket", "folder to folder"])
def test_a_state_moves_in_all_directions_without_buying(cloud: Cloud, way: str) -> None:
    cloud.upload("a.jpg", "b.jpg")
    old, new = (
        {"folder": str(cloud.root / f"memory-{number}"), "bucket": f"{cloud.place}state-{number}/"}[kind]
        for number, kind in enumerate(way.split(" to "))
    )
    web: dict[str, object] = {"source": {"path": f"{cloud.place}raw/"}, "output": {"path": f"{cloud.place}web/"}}
    Work.write(cloud, CUT, **web, state=old)
    assert cloud.run().code == 0
    Work.write(cloud, CUT, **web, state=new)
    refused = cloud.run()
    assert refused.code == 2
    assert "--claim" in refused.err
    moved = cloud.venice("unlock", cloud.job, "--copy-from", old)
    assert moved.code == 0, moved.text
    assert "copied: 2 results" in moved.out
    Work.write(cloud, CUT, {"trim": {}}, **web, state=new)
    again = cloud.run()
    assert again.code == 0, again.text
    assert len(cloud.vendor.paid()) == 2
    assert len(cloud.outputs()) == 2
    second = cloud.venice("unlock", cloud.job, "--copy-from", old)
    assert (second.code, "memory of its own" in second.err) == (2, True), second.text
    Work.write(cloud, CUT, **web, state=old)
    assert cloud.run().code == 2, "the old state writes there no more"


def test_a_finished_object_with_our_bytes_under_another_etag_is_ours_and_an_edited_one_is_named(cloud: Cloud) -> None:
    cloud.upload("a.jpg", "b.jpg")
    cloud.write({"upscale": {"scale": 2}})
    assert cloud.run().code == 0
    web, client = cloud.place / "web", cloud.bucket.client()
    bucket, key = cloud.bucket.name, f"{web.prefix}a.png"
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=cloud.outputs()["a.png"])
    client.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert client.head_object(Bucket=bucket, Key=key)["ETag"].endswith('-1"')
    client.put_object(Bucket=bucket, Key=f"{web.prefix}b.png", Body=b"by hand")
    client.close()
    ended = cloud.run()
    assert ended.code == 3, ended.text
    assert "b.png was changed by somebody" in ended.err
    assert "a.png" not in ended.err
    cloud.write({"upscale": {"scale": 4}})
    assert cloud.run().code == 3
    assert len(cloud.vendor.paid()) == 3, "a is replaced, for b nothing is bought"
