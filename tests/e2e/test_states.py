"""The job's memory: one run at a time, newer files untouched, trials kept apart, planning that changes nothing."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from tests.e2e.conftest import CUT, ENLARGE, OpenVendor, Work, tree

EMULATOR = {"VENICE_BASE_URL": None, "VENICE_API_KEY": None}


def test_a_second_run_at_the_same_time_ends_with_7_at_once_and_questions_still_work(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.5))
    work.draw("a.jpg", "b.jpg")
    work.write(CUT)
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) >= 1)
    # Stopped in the middle of its work, it holds the lease however slow this machine is.
    process.send_signal(signal.SIGSTOP)
    second = work.run()
    assert second.code == 7
    assert f'"pid": {process.pid}' in second.err
    assert "running" in work.venice("status", work.job).out
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(work.vendor.paid()) == 2


def test_a_second_job_with_the_same_state_ends_with_7_too(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.5))
    work.draw("a.jpg")
    work.write(CUT, state="memory")
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) == 1)
    process.send_signal(signal.SIGSTOP)
    work.job = work.root / "other.yaml"
    work.write(CUT, name="other", state="memory", output={"path": "elsewhere"})
    assert work.run().code == 7
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=20)
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.vendor.paid()) == 1, "in turn, they share their results"


def test_a_state_of_a_newer_version_ends_with_2_and_is_not_changed(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    work.state.mkdir(parents=True)
    manifest = work.state / "manifest.sqlite3"
    with sqlite3.connect(manifest) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = manifest.read_bytes()
    for command in ("run", "plan", "items"):
        ended = work.venice(command, work.job)
        assert ended.code == 2
        assert "newer version" in ended.err
        assert "upgrade" in ended.err
        assert manifest.read_bytes() == before
    assert work.vendor.paid() == []


def test_a_manifest_that_is_no_database_ends_with_6_and_a_remedy_that_works(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    assert work.run().code == 0
    manifest = work.state / "manifest.sqlite3"
    manifest.write_bytes(b"scribble" * 1000)
    ended = work.run()
    assert ended.code == 6
    assert "move that file away" in ended.err
    manifest.unlink()
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.vendor.paid()) == 1, "what is stored needs no manifest to be found again"


@pytest.mark.parametrize("damage", ["facts gone", "bytes cut"])
def test_a_stored_result_that_was_damaged_is_named_and_neither_published_nor_bought_again(
    work: Work, damage: str
) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    assert work.run().code == 0
    (facts,) = (work.state / "results").glob("??/*.json")
    if damage == "facts gone":
        facts.unlink()
    else:
        stored = facts.with_suffix("")
        stored.write_bytes(stored.read_bytes()[:100])
    (work.finished / "a.png").unlink()
    ended = work.run()
    assert ended.code == 3, ended.text
    (item,) = work.asked("items")
    assert (item["state"], item["code"]) == ("failed", "result-damaged"), item
    assert work.outputs() == {}
    assert len(work.vendor.paid()) == 1


def test_a_trial_on_the_emulator_leaves_the_real_state_alone_and_the_real_run_replaces_its_files(work: Work) -> None:
    work.draw("a.jpg", "b.jpg")
    work.write(CUT, api={"base_url": "emulator"}, budget={"max_usd_per_day": "0.06"})
    trial = work.run(env=EMULATOR)
    assert trial.code == 0, trial.text
    assert not (work.state / "manifest.sqlite3").exists()
    assert not (work.state / "results").exists()
    assert (work.state / "emulated" / "manifest.sqlite3").exists()
    assert sorted(work.outputs()) == ["a.png", "b.png"]
    before = {path.name: path.stat().st_ino for path in work.finished.glob("*.png")}

    real = work.run()
    assert real.code == 0, f"the trial touched the budget: {real.text}"
    assert "2 new" in real.out, "a trial marks no real work as done"
    assert len(work.vendor.paid()) == 2
    after = {path.name: path.stat().st_ino for path in work.finished.glob("*.png")}
    assert all(after[name] != before[name] for name in before), "the trial's files were replaced"

    kept = tree(work.state)
    again = work.run(env=EMULATOR)
    assert again.code in {0, 3}
    real_files = {name: entry for name, entry in tree(work.state).items() if not name.startswith("emulated")}
    assert {name: entry[2] for name, entry in real_files.items() if name != "lease"} == {
        name: entry[2] for name, entry in kept.items() if not name.startswith("emulated") and name != "lease"
    }


@pytest.mark.parametrize("when", ["before the first run", "after a run"])
def test_planning_and_asking_change_no_file_anywhere(work: Work, when: str) -> None:
    work.draw("a.jpg", "b.jpg", "broken.jpg")
    (work.photos / "broken.jpg").write_bytes(b"")
    work.write(CUT)
    if when == "after a run":
        assert work.run("--limit", "1").code in {0, 3}
    before = tree(work.root)
    for command in (["plan"], ["run", "--dry-run"], ["check"], ["status"], ["items"], ["ledger"]):
        ended = work.venice(command[0], work.job, *command[1:])
        assert ended.code == 0, ended.text
        assert tree(work.root) == before
    assert list((work.root.parent / "scratch").iterdir()) == [], "scratch files are gone, too"


def test_a_run_changes_nothing_in_the_source_and_leaves_no_scratch_files(work: Work) -> None:
    work.draw("a.jpg", "deep/b.png")
    work.write(CUT, ENLARGE)
    before = tree(work.photos)
    assert work.run().code == 0
    assert tree(work.photos) == before
    assert list((work.root.parent / "scratch").iterdir()) == []


def test_a_finished_output_can_be_moved_together_with_its_memory(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT)
    assert work.run().code == 0
    work.finished.rename(work.root / "moved")
    work.write(CUT, output={"path": "moved"})
    ended = work.run()
    assert ended.code == 0, ended.text
    assert len(work.vendor.paid()) == 1


def test_of_twenty_overlapping_starts_one_runs_and_nothing_is_bought_twice(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.5))
    work.draw("a.jpg", "b.jpg", "c.jpg")
    work.write(CUT)
    first = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) >= 1)
    # Stopped, it holds the lease until all the others have come and gone.
    first.send_signal(signal.SIGSTOP)
    for _ in range(5):
        late = [work.start() for _ in range(4)]
        for process in late:
            process.communicate(timeout=60)
        assert [process.returncode for process in late] == [7] * 4
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert len(work.vendor.paid()) == 3
    assert set(work.states().values()) == {"done"}
