"""SIGKILL at every numbered write of a job, and clocks that jump: done in the end, whole, every charge accounted for.

The command is the installed one; a ``sitecustomize.py`` on its path counts what it does to the job's folders and ends
it there with SIGKILL, fails its disk from there on, or shifts its clock. `make test` takes every fifth write (every
tenth for the failing disk), `make chaos` all of them (every second).
"""

from __future__ import annotations

import errno
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.kills import is_whole
from tests.e2e.conftest import CUT, ENLARGE, FAST, Vendor, Work
from venice_batch.emulator import Settings, serve_in_thread

STRIDE = int(os.environ.get("VENICE_CHAOS_STRIDE", "13"))
STEPS = [CUT, ENLARGE]
DAY = 86_400

#: Ends the process, or with CHAOS_ERRNO fails it from then on, at the Nth of these: a file below CHAOS_ROOT is opened
#: for writing (before that, and after it, while the file is empty), a folder is made, something is renamed, linked or
#: removed, both sides of every fsync and commit.
KILLER = """
import builtins, errno, io, os, signal, sqlite3, sys, threading

_root, _at = os.environ["CHAOS_ROOT"] + "/", int(os.environ["CHAOS_AT"])
_errno = int(os.environ.get("CHAOS_ERRNO", "0"))
_count, _lock = 0, threading.RLock()
_writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _tick(what):
    global _count
    with _lock:
        _count += 1
        if _count == _at and not _errno:
            os.kill(os.getpid(), signal.SIGKILL)
        if _count >= _at and _errno:
            _fail(what)


def _fail(what):
    # What is done is done, and a full disk still lets go of files.
    if what in {"opened", "fsynced", "committed", "script done"} or (what == "os.remove" and _errno == errno.ENOSPC):
        return
    if what in {"commit", "script"}:
        raise sqlite3.OperationalError(os.strerror(_errno))
    raise OSError(_errno, os.strerror(_errno))


def _below(path):
    return isinstance(path, (str, bytes, os.PathLike)) and os.path.abspath(os.fsdecode(path)).startswith(_root)


def _hook(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if flags & _writes and _below(path):
            _tick(event)
    elif event == "os.remove" and arguments[1] != -1:
        return  # below an open folder: only temporary folders elsewhere are cleared like that
    elif event in {"os.rename", "os.link", "os.mkdir", "os.remove", "os.truncate"} and _below(arguments[0]):
        _tick(event)


def _fsync(descriptor, real=os.fsync):
    _tick("fsync")
    real(descriptor)
    _tick("fsynced")


def _opened(file, *arguments, real=io.open, **options):
    opened = real(file, *arguments, **options)
    if opened.writable() and _below(file):
        _tick("opened")
    return opened


class _Connection(sqlite3.Connection):
    def execute(self, sql, *values):
        if sql != "COMMIT":
            return super().execute(sql, *values)
        _tick("commit")
        done = super().execute(sql, *values)
        _tick("committed")
        return done

    def executescript(self, script):
        _tick("script")
        done = super().executescript(script)
        _tick("script done")
        return done


def _connect(place, *arguments, real=sqlite3.connect, **options):
    on_disk = {} if place == ":memory:" else {"factory": _Connection}
    return real(place, *arguments, **on_disk, **options)


os.fsync = _fsync
io.open = builtins.open = _opened
sqlite3.connect = _connect
sys.addaudithook(_hook)
"""

#: Shifts the clock by the seconds in the file CHAOS_SHIFT, read anew each time: so it can jump while the command runs.
CLOCK = """
import os, time

_file, _real = os.environ["CHAOS_SHIFT"], time.time


def _shifted():
    with open(_file) as shift:
        return _real() + float(shift.read() or 0)


time.time = _shifted
"""


def _custom(folder: Path, text: str) -> str:
    """Write a module that Python runs as it starts; return the path to start it with."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text, "utf-8")
    return str(folder)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serve_in_thread(Settings(rpm=FAST)) as running:
        yield Vendor(running)


@pytest.fixture
def slow_vendor() -> Iterator[Vendor]:
    """Slow enough for a clock to jump during a call."""
    with serve_in_thread(Settings(rpm=FAST, latency=0.3)) as running:
        yield Vendor(running)


def _killed_at(number: int, work: Work, custom: str) -> bool:
    """Run the job until its numbered write; return whether it was killed there rather than done before."""
    ended = work.run(env={"PYTHONPATH": custom, "CHAOS_ROOT": str(work.root), "CHAOS_AT": str(number)})
    work.vendor.until_quiet()
    assert ended.code in {0, -signal.SIGKILL}, ended.text
    return ended.code != 0


def _assert_done_and_accounted_for(work: Work, number: int) -> None:
    at = f"after a kill at write {number}"
    assert work.states() == {"a.jpg": "done"}, at
    assert len(work.outputs()) == 1, at
    assert all(map(is_whole, work.outputs().values())), at
    fates, charges = work.fates(), len(work.vendor.bought())
    assert fates.count("spent") == len(STEPS), at
    assert charges - len(STEPS) <= fates.count("uncertain") <= 1, at
    assert set(work.request_ids().values()) <= {entry["request_id"] for entry in work.vendor.bought()}, at
    assert list(work.root.rglob(".vb-*")) == [], f"temporary files are left {at}"


def test_a_job_killed_at_any_numbered_write_is_done_by_the_next_run(tmp_path: Path, vendor: Vendor) -> None:
    custom = _custom(tmp_path / "custom", KILLER)
    for number in itertools.count(1, STRIDE):
        vendor.reset()
        work = Work(tmp_path / str(number) / "work", vendor)
        work.draw("a.jpg")
        work.write(*STEPS)
        killed = _killed_at(number, work, custom)
        assert all(map(is_whole, work.outputs().values())), f"torn at write {number}"
        again = work.run()
        assert again.code == 0, f"after a kill at write {number}: {again.text}"
        _assert_done_and_accounted_for(work, number)
        if not killed:
            break
    assert number > 60, "the writes were not counted"


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
def test_a_disk_that_fails_from_any_numbered_write_on_loses_nothing(
    tmp_path: Path, vendor: Vendor, failure: int
) -> None:
    custom = _custom(tmp_path / "custom", KILLER)
    for number in itertools.count(1, 2 * STRIDE):
        vendor.reset()
        work = Work(tmp_path / str(number) / "work", vendor)
        work.draw("a.jpg")
        work.write(*STEPS)
        chaos = {"CHAOS_ROOT": str(work.root), "CHAOS_AT": str(number), "CHAOS_ERRNO": str(failure)}
        ended = work.run(env={"PYTHONPATH": custom, **chaos})
        at = f"the disk failed at write {number}: {ended.text}"
        assert ended.code in {0, 6}, at
        assert "Traceback" not in ended.err, at
        assert ended.code == 0 or os.strerror(failure) in ended.err, at
        assert all(map(is_whole, work.outputs().values())), at
        again = work.run()
        assert again.code == 0, f"{at}, then {again.text}"
        _assert_done_and_accounted_for(work, number)
        if ended.code == 0:
            break
    assert number > 60, "the writes were not counted"


def test_a_damaged_owner_mark_of_an_output_is_named_before_any_paid_call(tmp_path: Path, vendor: Vendor) -> None:
    work = Work(tmp_path / "work", vendor)
    work.draw("a.jpg")
    work.write(*STEPS)
    mark = work.finished / ".venice-batch" / "owner"
    mark.parent.mkdir(parents=True)
    mark.touch()
    ended = work.run()
    assert ended.code == 2, ended.text
    assert f"{mark} does not say" in ended.err
    assert vendor.paid() == []


class _Clock:
    """The clock of the commands that are started with its environment; it begins at noon (UTC)."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "shift"
        self._noon = DAY / 2 - time.time() % DAY
        self.env = {"PYTHONPATH": _custom(folder / "custom", CLOCK), "CHAOS_SHIFT": str(self._file)}
        self.set(0)

    def set(self, days: int) -> None:
        """Put the clock to noon so many days from today; in one step, as a running command reads it."""
        new = self._file.with_suffix(".new")
        new.write_text(str(self._noon + days * DAY), "utf-8")
        new.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> _Clock:
    return _Clock(tmp_path)


@pytest.fixture
def six(tmp_path: Path, slow_vendor: Vendor) -> Work:
    """Six photos to work on."""
    work = Work(tmp_path / "work", slow_vendor)
    work.draw(*(f"{number}.jpg" for number in range(6)))
    return work


#: Two calls of 0.03 USD.
TWO_A_DAY = {"max_usd_per_day": "0.06"}


def _jump_during_a_run(work: Work, clock: _Clock, days: int, *options: str) -> int:
    """Run the job, shift its clock once the first call has arrived; return the exit code."""
    process = work.start(*options, env=clock.env)
    work.vendor.until(lambda: bool(work.vendor.paid()))
    clock.set(days)
    _, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    return process.returncode


def test_a_budget_per_day_follows_a_clock_that_is_set_between_runs(six: Work, clock: _Clock) -> None:
    six.write(CUT, budget=TWO_A_DAY)
    bought = []
    for day in (0, 0, 1, 0, 2, 2):
        clock.set(day)
        ended = six.run("--partial", env=clock.env)
        assert ended.code == (0 if len(six.outputs()) == 6 else 5), ended.text
        bought.append(len(six.vendor.bought()))
    # Set back from day 1 to day 0, what day 1 spent counts as well: never too little.
    assert bought == [2, 2, 4, 4, 6, 6]


def test_a_clock_that_jumps_a_day_ahead_during_a_run_opens_the_budget_of_that_day(six: Work, clock: _Clock) -> None:
    six.write(CUT, budget=TWO_A_DAY)
    assert _jump_during_a_run(six, clock, 1, "--partial") == 5
    by_day = Counter(int(row.reserved_at // DAY) for row in six.ledger() if row.fate == "spent")
    assert sorted(by_day.values()) == [2, 2]
    assert len(six.vendor.bought()) == 4


def test_a_clock_that_jumps_a_day_back_during_a_run_opens_no_budget(six: Work, clock: _Clock) -> None:
    six.write(CUT, budget=TWO_A_DAY)
    assert _jump_during_a_run(six, clock, -1, "--partial") == 5
    assert six.run("--partial", env=clock.env).code == 5
    assert len(six.vendor.bought()) == 2


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps_during_a_run_breaks_nothing(six: Work, clock: _Clock, days: int) -> None:
    six.write(*STEPS)
    assert _jump_during_a_run(six, clock, days) == 0
    assert len(six.outputs()) == 6
    assert six.fates() == ["spent"] * 12
    again = six.run(env=clock.env)
    assert again.code == 0, again.text
    assert len(six.vendor.bought()) == 12


@pytest.mark.parametrize("days", [1, -1])
def test_a_job_killed_before_its_clock_was_set_goes_on_within_its_budget(six: Work, clock: _Clock, days: int) -> None:
    six.write(CUT, budget={"max_usd": "0.30"})
    process = six.start(env=clock.env)
    six.vendor.until(lambda: len(six.vendor.paid()) >= 4)
    process.kill()
    process.communicate(timeout=10)
    six.vendor.until_quiet()
    clock.set(days)
    ended = six.run("--partial", env=clock.env)
    assert ended.code in {0, 5}, ended.text
    fates = six.fates()
    assert fates.count("uncertain") >= len(six.vendor.bought()) - len(six.results())
    assert len(fates) <= 10, "what was lost before the kill counts against the same run"
