"""SIGKILL in the middle of a job, several times: nothing that was stored is lost or bought again (rules 1 to 5)."""

from __future__ import annotations

import io
import json
import random
import re
import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import CUT, ENLARGE, OpenVendor, Work

ITEMS = 10
STEPS = [CUT, ENLARGE, {"edit": {"prompt": "on white marble", "output_format": "jpeg"}}]
OUR_OWN = re.compile(r"^\.vb-[0-9a-f]{16}$")


def _request_ids(work: Work) -> dict[str, str]:
    """Which request each durable result came from."""
    return {key: json.loads(_facts(work, key).read_text("utf-8"))["request_id"] for key in work.results()}


def _facts(work: Work, key: str) -> Path:
    return work.state / "results" / key[:2] / f"{key}.json"


def _assert_whole(finished: Path) -> None:
    """Every file in the output is a whole picture, or a temporary file or memory of our own."""
    for path in finished.rglob("*"):
        if path.is_dir() or ".venice-batch" in path.parts or OUR_OWN.match(path.name):
            continue
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            picture.load()


def _kill(work: Work, after_calls: int) -> None:
    """Start the job and kill it once the vendor has seen so many more paid requests."""
    seen = len(work.vendor.paid())
    process = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) >= seen + after_calls or process.poll() is not None)
    process.kill()
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL, "the job ended before it could be killed"
    work.vendor.until_quiet()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_job_killed_at_random_moments_finishes_and_buys_no_stored_result_again(
    tmp_path: Path, open_vendor: OpenVendor, seed: int
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.2))
    work.draw(*(f"{number}.jpg" for number in range(ITEMS)))
    work.write(*STEPS)
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    durable: dict[str, bytes] = {}
    requests: dict[str, str] = {}
    lost = 0
    for _ in range(2):
        billed = len(work.vendor.bought())
        _kill(work, chance.randint(1, 9))
        _assert_whole(work.finished)
        found = work.results()
        assert durable.items() <= found.items(), "a stored result changed or went away"
        assert requests.items() <= _request_ids(work).items(), "a stored result was bought again"
        lost += len(work.vendor.bought()) - billed - (len(found) - len(durable))
        durable, requests = found, _request_ids(work)
    last = work.run()

    assert last.code == 0, last.text
    assert set(work.states().values()) == {"done"}
    assert len(work.outputs()) == ITEMS
    _assert_whole(work.finished)
    assert durable.items() <= work.results().items()
    assert requests.items() <= _request_ids(work).items()
    assert not [path for path in work.finished.rglob(".vb-*") if ".venice-batch" not in path.parts]
    # Every charge is a stored result or one that a kill took away, and the ledger counts all of those as uncertain.
    assert len(work.vendor.bought()) == ITEMS * len(STEPS) + lost
    assert work.fates().count("uncertain") >= lost
    money = work.asked("status")["spending"]
    assert sum(float(row["spent"]) + float(row["uncertain"]) for row in money) >= float(work.vendor.billed()) - 1e-9


def test_after_a_kill_the_next_run_and_the_status_say_what_is_uncertain(
    tmp_path: Path, open_vendor: OpenVendor
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.7))
    work.draw("a.jpg", "b.jpg")
    work.write(CUT)
    _kill(work, 2)
    left = list(work.root.with_name("scratch").glob("venice-batch-*/*"))
    assert left, "the copies that the killed run was sending"
    assert "not ended" in work.venice("status", work.job).out
    again = work.run()
    assert again.code == 0, again.text
    assert not [path for path in left if path.exists()], "pictures of a killed run stay in nobody's temporary folder"
    assert "2 calls of a killed run are uncertain" in again.err
    status = work.asked("status")
    assert status["items"]["done"] == 2
    money = [(float(row["spent"]), float(row["uncertain"])) for row in status["spending"]]
    assert (sum(spent for spent, _ in money), sum(uncertain for _, uncertain in money)) == (0.06, 0.06)
    assert len(work.vendor.bought()) == 4, "each lost call is bought again once"


def test_with_hold_a_call_lost_to_a_kill_is_never_bought_again(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.7))
    work.draw("a.jpg")
    work.write(CUT, run={"uncertain": "hold"})
    _kill(work, 1)
    for _ in range(2):
        again = work.run()
        assert again.code == 3, again.text
        assert work.states() == {"a.jpg": "uncertain"}
    assert len(work.vendor.paid()) == 1


def test_the_budget_of_a_killed_run_goes_on_in_the_next_one(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.7))
    work.draw("a.jpg", "b.jpg")
    work.write(CUT, budget={"max_usd": "0.06"})
    _kill(work, 2)
    again = work.run()
    assert again.code == 5
    assert "0.06 of it already counted" in again.err
    assert len(work.vendor.paid()) == 2


def test_a_plan_after_a_kill_counts_what_the_next_run_will(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.2))
    work.draw(*(f"{number}.jpg" for number in range(6)))
    work.write(CUT, {"edit": {"prompt": "on white marble"}}, budget={"max_usd": 1})
    _kill(work, after_calls=2)
    told = [row for row in work.ledger() if row.fate == "reserved"]
    assert told, "the dead run has left reservations"
    planned = work.venice("plan", work.job)
    ended = work.run()
    assert (planned.code, ended.code) == (0, 0), planned.text + ended.text


def test_after_the_next_start_nothing_of_a_killed_run_is_left_anywhere(tmp_path: Path, open_vendor: OpenVendor) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.3))
    work.draw(*(f"{number}.jpg" for number in range(4)))
    work.write(*STEPS, state="memory")
    for after in (1, 3):
        _kill(work, after)
    (work.state / "report").mkdir(exist_ok=True)
    (work.state / "report" / ".vb-0123456789abcdef").write_bytes(b"half a thumbnail")
    assert work.run().code == 0
    assert list(work.root.with_name("scratch").iterdir()) == []
    assert list(work.root.rglob(".vb-*")) == []
