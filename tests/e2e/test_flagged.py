"""`release` and `reject`, as a person uses them: on answers that a run held back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.cloud import Cloud
from tests.e2e.conftest import CUT, ENLARGE, Vendor, Work
from tests.servers.bucket import Bucket

PATH = "/image/background-remove"


def _blurred(*nth: int) -> dict[str, Any]:
    return {"match": {"path": PATH, "nth": list(nth)}, "do": {"kind": "blurred"}}


def test_held_answers_are_released_and_rejected_by_key_and_the_next_run_acts_upon_it(work: Work) -> None:
    work.draw("a.jpg", "b.jpg", "c.jpg")
    work.write(CUT)
    work.vendor.faults(_blurred(1, 2, 3))
    assert work.run().code == 3
    released = work.venice("release", work.job, "a.jpg")
    assert released.code == 0, released.text
    assert "released  a.jpg  blurred" in released.out
    assert "the next `venice-batch run` publishes them; nothing is bought for that" in released.out
    rejected = work.venice("reject", work.job, "b.jpg", "--json")
    assert rejected.code == 0, rejected.text
    assert [(item["item"], item["flags"]) for item in rejected.json["items"]] == [("b.jpg", ["blurred"])]
    ended = work.run()
    assert ended.code == 3, ended.text
    assert work.states() == {"a.jpg": "done", "b.jpg": "done", "c.jpg": "flagged"}
    assert sorted(work.outputs()) == ["a.png", "b.png"]
    assert len(work.vendor.paid()) == 4


def test_a_key_that_is_not_held_is_refused_with_its_name_and_no_state_is_made(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT, run={"on_flagged": "publish"})
    refused = work.venice("release", work.job, "nowhere.jpg")
    assert refused.code == 2
    assert "nowhere.jpg: there is no such item" in refused.err
    assert not work.state.exists()
    work.vendor.faults(_blurred(1))
    ended = work.run()
    assert ended.code == 0, ended.text
    assert "1 published although flagged" in ended.out
    refused = work.venice("reject", work.job, "a.jpg")
    assert refused.code == 2
    assert "a.jpg: it is done" in refused.err


def test_decisions_on_a_job_in_a_bucket_outlive_the_machine(tmp_path: Path, vendor: Vendor, seaweed: Bucket) -> None:
    cloud = Cloud(tmp_path / "work", vendor, bucket=seaweed)
    cloud.upload("a.jpg", "b.jpg")
    cloud.write(CUT, ENLARGE)
    vendor.faults(_blurred(1, 2))
    assert cloud.run().code == 3
    assert cloud.venice("release", cloud.job, "a.jpg").code == 0
    cloud.forget()
    assert cloud.venice("reject", cloud.job, "--all").code == 0
    cloud.forget()
    ended = cloud.run()
    assert ended.code == 0, ended.text
    assert sorted(cloud.outputs()) == ["a.png", "b.png"]
    assert len(vendor.paid(PATH)) == 3
    assert len(vendor.bought()) == 5
