"""Stored answers that somebody or a disk damaged or removed: one item's error, never published, bought once more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cloud import Cloud
from tests.e2e.conftest import CUT, ENLARGE, OpenVendor, Vendor, Work
from tests.servers.bucket import Bucket
from tests.servers.proxy import Deny, Proxy


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _bare(file: Path) -> None:
    file.with_name(file.name + ".json").unlink()


def _garbled(file: Path) -> None:
    file.with_name(file.name + ".json").write_text("[[[")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped.jpg": _flip,
    "short.jpg": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "empty.jpg": lambda file: file.write_bytes(b""),
    "other.jpg": lambda file: file.write_bytes(b"x" * file.stat().st_size),
    "bare.jpg": _bare,
    "garbled.jpg": _garbled,
}


def _stored(work: Work, key: str) -> Path:
    [result] = {call.result for call in work.ledger() if call.key == key and call.result}
    return work.state / "results" / result[:2] / result


def test_each_damaged_answer_costs_its_item_and_no_other_and_the_next_run_buys_it_once(work: Work) -> None:
    work.draw("whole.jpg", *DAMAGES)
    work.write(CUT, state="memory")
    assert work.run().code == 0
    good = work.outputs()
    for key, damage in DAMAGES.items():
        damage(_stored(work, key))
    shutil.rmtree(work.finished)
    bought = len(work.vendor.bought())
    ended = work.run()
    assert ended.code == 3, ended.text
    assert work.codes() == {"whole.jpg": "", **dict.fromkeys(DAMAGES, "result-damaged")}
    assert list(work.outputs()) == ["whole.png"], "nothing damaged is published"
    assert len(work.vendor.bought()) == bought, "not in the run whose plan did not price it"
    planned = work.venice("plan", work.job, "--json").json
    assert planned["calls"] == len(DAMAGES)
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.vendor.bought()) == bought + len(DAMAGES)
    assert work.outputs().keys() == good.keys()
    assert work.run().code == 0
    assert len(work.vendor.bought()) == bought + len(DAMAGES)


def test_a_damaged_answer_is_no_input_of_the_next_step_nor_of_another_item(work: Work) -> None:
    work.draw("a.jpg", "b.jpg")
    shutil.copy(work.photos / "a.jpg", work.photos / "twin.jpg")
    work.write(CUT)
    assert work.run().code == 0
    _flip(_stored(work, "a.jpg"))
    work.write(CUT, ENLARGE)
    ended = work.run()
    assert ended.code == 3, ended.text
    # Whichever of the two meets it first.
    assert work.states() == {"a.jpg": "failed", "b.jpg": "done", "twin.jpg": "failed"}
    assert {work.codes()[key] for key in ("a.jpg", "twin.jpg")} <= {"result-damaged", "result-gone"}
    assert (len(work.vendor.paid("/image/background-remove")), len(work.vendor.paid("/image/upscale"))) == (2, 1)
    assert work.run().code == 0
    assert (len(work.vendor.paid("/image/background-remove")), len(work.vendor.paid("/image/upscale"))) == (3, 2)


def test_an_answer_that_was_restored_from_a_backup_is_not_bought_again(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    assert work.run().code == 0
    stored = _stored(work, "a.jpg")
    shutil.copy(stored, work.root / "backup")
    _flip(stored)
    (work.finished / "a.png").unlink()
    assert work.run().code == 3
    assert stored.with_name(f"{stored.name}.bad-1").exists(), "kept for whoever wants to look"
    shutil.copy(work.root / "backup", stored)
    assert work.run().code == 0
    assert len(work.vendor.bought()) == 1


@pytest.mark.parametrize("start", [0, 4096])
def test_a_damaged_manifest_is_told_in_words_with_a_way_out(work: Work, start: int) -> None:
    work.draw(*(f"{number:02}.jpg" for number in range(8)))
    work.write(CUT)
    assert work.run().code == 0
    manifest = work.state / "manifest.sqlite3"
    content = bytearray(manifest.read_bytes())
    content[start:] = b"\xff" * (len(content) - start)
    manifest.write_bytes(content)
    for command in ("run", "items"):
        ended = work.venice(command, work.job)
        assert ended.code == 6, ended.text
        assert "Traceback" not in ended.err
        assert "manifest" in ended.err
        assert "move that file away" in ended.err
    manifest.unlink()
    again = work.run("--set", "output.existing=replace")
    assert again.code == 0, again.text
    assert len(work.vendor.bought()) == 8, "every answer is still there"


# In a bucket


@pytest.fixture
def cloud(tmp_path: Path, vendor: Vendor, seaweed: Bucket) -> Cloud:
    return Cloud(tmp_path / "work", vendor, bucket=seaweed)


def _object(cloud: Cloud, key: str) -> str:
    [result] = {call.result for call in cloud.ledger() if call.key == key and call.result}
    return f"results/{result[:2]}/{result}"


def _overwrite(cloud: Cloud, name: str, content: bytes) -> None:
    """Replace an object as a repair tool might: same size, same metadata."""
    client = cloud.bucket.client()
    bucket, key = cloud.bucket.name, cloud.memory.prefix + name
    facts = client.head_object(Bucket=bucket, Key=key)["Metadata"]
    client.put_object(Bucket=bucket, Key=key, Body=content, Metadata=facts)
    client.close()


def test_in_a_bucket_a_damaged_answer_is_neither_copied_nor_sent_and_the_next_run_buys_it_once(cloud: Cloud) -> None:
    cloud.upload("a.jpg", "b.jpg", "gone.jpg")
    cloud.write(CUT)
    assert cloud.run().code == 0
    good = cloud.outputs()
    name = _object(cloud, "a.jpg")
    content = bytearray(cloud.bucket.content(cloud.memory, name))
    content[len(content) // 2] ^= 1
    _overwrite(cloud, name, bytes(content))
    (cloud.memory / "").store().delete(_object(cloud, "gone.jpg"))
    for key in good:
        (cloud.place / "web").store().delete(key)
    cloud.forget()
    ended = cloud.run()
    assert ended.code == 3, ended.text
    assert cloud.codes() == {"a.jpg": "result-damaged", "b.jpg": "", "gone.jpg": "result-gone"}
    assert cloud.outputs() == {"b.png": good["b.png"]}
    assert cloud.bucket.content(cloud.memory, f"{name}.bad-1") == bytes(content)
    assert len(cloud.vendor.bought()) == 3
    again = cloud.run()
    assert again.code == 0, again.text
    assert len(cloud.vendor.bought()) == 5
    assert cloud.outputs().keys() == good.keys()


def test_an_object_that_may_not_be_read_is_one_items_error_in_source_and_state(
    tmp_path: Path, open_vendor: OpenVendor, seaweed: Bucket, proxy: Proxy
) -> None:
    cloud = Cloud(tmp_path / "work", open_vendor(), bucket=seaweed)
    cloud.upload("a.jpg", "b.jpg", "locked.jpg")
    env = {"AWS_ENDPOINT_URL_S3": proxy.url}
    cloud.write(CUT)
    proxy.always(Deny("locked.jpg"))
    ended = cloud.run(env=env)
    assert ended.code == 3, ended.text
    assert cloud.codes() == {"a.jpg": "", "b.jpg": "", "locked.jpg": "unreadable"}
    (cloud.root / "keys.txt").write_text("a.jpg\nlocked.jpg\n", "utf-8")
    proxy.always(Deny(_object(cloud, "a.jpg")))
    (cloud.place / "web").store().delete("a.png")
    ended = cloud.run(env=env)
    assert cloud.codes() == {"a.jpg": "unreadable", "b.jpg": "", "locked.jpg": ""}, ended.text
    proxy.always(Deny("locked.jpg"))
    cloud.write(CUT, source={"path": f"{cloud.place}raw/", "keys": "keys.txt"})
    planned = cloud.venice("plan", cloud.job, "--json", env=env)
    assert planned.code == 0, planned.text
    assert (planned.json["items"]["invalid"], planned.json["calls"]) == (1, 0)
    proxy.always(None)
    assert cloud.run(env=env).code == 0
    assert len(cloud.vendor.bought()) == 3, "what may not be read is not bought again"
