"""Disks that are full or read-only: exit 6, a remedy, nothing lost, and a next run that goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import CUT, ENLARGE, OpenVendor, Work

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Make small file systems of a test's own; skipped where that is not permitted."""
    with ExitStack() as stack:

        def mounted(name: str, options: str) -> Path:
            place = tmp_path / "work" / name
            place.mkdir(parents=True, exist_ok=True)
            command = ["mount", "-t", "tmpfs", "-o", options, "venice-test", str(place)]
            if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("mounting a tmpfs needs root and the right to mount")
            stack.callback(subprocess.run, ["umount", "-l", str(place)], check=True)
            return place

        yield mounted


def _fill(folder: Path, leave: int) -> Path:
    """Fill a file system up to so many free bytes."""
    ballast = folder / ".ballast"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    ballast.write_bytes(b"\0" * (free - leave))
    return ballast


def test_a_full_output_ends_with_6_keeps_what_was_bought_and_goes_on_when_there_is_space(
    work: Work, mount: Mount
) -> None:
    mount("finished", "size=2m")
    work.draw(*(f"{number}.jpg" for number in range(4)))
    work.write(CUT, state="memory")
    ballast = _fill(work.finished, leave=60_000)
    ended = work.run()
    assert ended.code == 6, ended.text
    assert "No space left on device" in ended.err
    assert "free some space" in ended.err
    kept = len(work.vendor.bought())
    assert len(list((work.root / "memory" / "results").glob("??/*.json"))) == kept
    assert all(data.startswith(b"\x89PNG") and data.endswith(b"IEND\xaeB`\x82") for data in work.outputs().values())
    ballast.unlink()
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.vendor.bought()) == 4, "nothing was bought twice"
    assert len(work.outputs()) == 4


@pytest.mark.parametrize("leave", [180_000, 260_000, 340_000])
def test_a_state_that_is_full_ends_with_6_and_goes_on_when_there_is_space(work: Work, mount: Mount, leave: int) -> None:
    memory = mount("memory", "size=2m")
    work.draw(*(f"{number}.jpg" for number in range(4)))
    work.write(CUT, state="memory")
    ballast = _fill(memory, leave=leave)
    ended = work.run("--workers", "1")
    assert ended.code == 6, ended.text
    assert "space" in ended.err
    billed = len(work.vendor.bought())
    durable = len([path for path in (memory / "results").glob("??/*") if "." not in path.name])
    ballast.unlink()
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.outputs()) == 4
    bought = len(work.vendor.bought())
    assert bought == 4 + (billed - durable), "only what could not be kept is bought again"
    # The disk may fill up between a reservation and its call: that one worker's attempt is then counted, not bought.
    counted = work.fates()
    assert set(counted) <= {"spent", "uncertain"}
    assert counted.count("spent") == 4
    assert bought <= len(counted) <= bought + 1, "the ledger never counts less than was bought"


def test_a_state_with_no_space_at_all_ends_with_6_before_any_paid_call(work: Work, mount: Mount) -> None:
    memory = mount("memory", "size=2m")
    work.draw("a.jpg")
    work.write(CUT, state="memory")
    ballast = _fill(memory, leave=0)
    ended = work.run()
    assert ended.code == 6, ended.text
    assert "free some space" in ended.err
    assert work.vendor.paid() == []
    ballast.unlink()
    assert work.run().code == 0


def test_a_read_only_output_ends_with_6_and_a_remedy_before_any_paid_call(work: Work, mount: Mount) -> None:
    mount("finished", "size=1m,ro")
    work.draw("a.jpg")
    work.write(CUT, state="memory")
    ended = work.run()
    assert ended.code == 6, ended.text
    assert "Read-only file system" in ended.err
    assert "right to write there" in ended.err
    assert work.vendor.paid() == []


@pytest.mark.parametrize(
    "section", [{"output": {"path": "/proc/venice/x"}, "state": "memory"}, {"state": "/proc/venice"}]
)
def test_a_place_that_cannot_be_written_ends_with_6_before_any_paid_call(
    work: Work, section: dict[str, object]
) -> None:
    work.draw("a.jpg")
    work.write(CUT, **section)
    ended = work.run()
    assert ended.code == 6, ended.text
    assert "/proc/venice" in ended.err
    assert work.vendor.paid() == []


def _grow(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


@pytest.mark.parametrize(
    ("small", "large"),
    [("size=4m", "size=64m"), ("size=1200k", "size=64m"), ("size=16m,nr_inodes=34", "size=64m,nr_inodes=1000")],
)
def test_answers_of_many_calls_at_once_lose_nothing_on_a_small_disk(
    tmp_path: Path, open_vendor: OpenVendor, mount: Mount, small: str, large: str
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=0.3))
    memory = mount("memory", small)
    work.draw(*(f"{number}.jpg" for number in range(12)))
    work.write(ENLARGE, state="memory", run={"concurrency": 12})
    ended = work.run()
    assert ended.code in {0, 6}, ended.text
    assert "Traceback" not in ended.err
    billed = len(work.vendor.bought())
    _grow(memory, large)
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.outputs()) == 12
    assert len(work.vendor.bought()) == 12, f"{billed} were billed at first, and none of them is lost"
