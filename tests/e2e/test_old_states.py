"""States that an older version left behind: this one reads them, goes on with them, and buys nothing again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.cloud import Cloud
from tests.e2e.conftest import Vendor, Work
from tests.servers.bucket import Bucket
from tests.states.make import PREFIX, STORY, unpack_bucket, unpack_folder

CUT_PATH, ENLARGE_PATH = "/image/background-remove", "/image/upscale"
#: What the ledger says of each item's calls, in order, as the older version left it.
FATES = {
    "done-a.png": ["spent", "spent"],
    "done-b.png": ["spent", "spent"],
    "failed.png": [],
    "flagged-held.png": ["spent"],
    "flagged-released.png": ["spent"],
    "killed-1.png": ["begun", "reserved"],
    "killed-2.png": ["begun", "reserved"],
    "uncertain.png": ["uncertain", "uncertain"],
}
#: Items whose first call was never answered.
LOST = ("killed-1.png", "killed-2.png", "uncertain.png")


@pytest.fixture(params=["folder", "bucket"])
def old(request: pytest.FixtureRequest, tmp_path: Path, vendor: Vendor) -> Work:
    """A job, with all that belongs to it, as the older version left it; its vendor is a new one."""
    if request.param == "folder":
        unpack_folder(tmp_path / "work")
        return Work(tmp_path / "work", vendor)
    bucket: Bucket = request.getfixturevalue("seaweed")
    cloud = Cloud(tmp_path / "work", vendor, bucket=bucket)
    cloud.place = replace(cloud.place, prefix=PREFIX)
    unpack_bucket(bucket, cloud.job)
    return cloud


def _fates(work: Work) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in FATES}
    for row in work.ledger():
        if row.fate != "released":
            # Which of the twins had to wait for the other one's answer is chance.
            found[row.key.replace("like-", "")].append(row.fate)
    return found


def test_an_old_state_is_read(old: Work) -> None:
    assert {row["key"]: row["state"] for row in old.asked("items")} == STORY
    assert _fates(old) == FATES
    assert Counter(old.asked("status")["items"]) == Counter(STORY.values())
    assert len(old.asked("ledger")) == len(old.ledger())
    assert old.vendor.paid() == []


def test_an_old_state_is_finished_and_only_what_was_never_answered_is_bought(old: Work) -> None:
    results, requests, outputs = old.results(), old.request_ids(), old.outputs()
    planned = old.asked("plan")
    ended = old.run()
    assert ended.code == 3, ended.text
    expected = {name: "failed" if name == "failed.png" else "done" for name in STORY} | {"flagged-held.png": "flagged"}
    assert old.states() == expected
    bought = Counter(call["path"] for call in old.vendor.bought())
    assert bought == {CUT_PATH: len(LOST), ENLARGE_PATH: len(LOST) + 1}, "and what follows the released answer"
    assert planned["calls"] == bought.total() == len(old.vendor.paid())
    assert results.items() <= old.results().items(), "what was bought is what it was"
    assert requests.items() <= old.request_ids().items()
    assert outputs.items() < old.outputs().items()
    assert _fates(old) == {
        **FATES,
        "flagged-released.png": ["spent", "spent"],
        **{name: ["uncertain", "spent", "spent"] for name in LOST[:2]},
        "uncertain.png": ["uncertain", "uncertain", "spent", "spent"],
    }
    again = old.run()
    assert again.code == 3, again.text
    assert len(old.vendor.paid()) == bought.total(), "nothing is bought twice"


def test_an_old_trial_on_the_bundled_emulator_is_read_and_goes_on(tmp_path: Path, vendor: Vendor) -> None:
    unpack_folder(tmp_path / "work")
    work = Work(tmp_path / "work", vendor)
    work.job = work.root / "trial.yaml"
    bundled = {"VENICE_BASE_URL": None, "VENICE_API_KEY": None}
    before = work.venice("items", work.job, "--json", env=bundled).json
    assert {row["key"]: row["state"] for row in before} == {"done-a.png": "done"}
    ended = work.run("--only", "done-*", env=bundled)
    assert ended.code == 0, ended.text
    ledger = work.venice("ledger", work.job, "--json", env=bundled).json
    assert [row["key"] for row in ledger] == ["done-a.png", "done-b.png"], "nothing for what was bought, nor its twin"
