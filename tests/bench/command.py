"""Running a command to its end, and what it took: wall time, processor time, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VENICE_BATCH = str(Path(sys.executable).with_name("venice-batch"))
REPOSITORY = Path(__file__).parents[2]
#: Seconds between two looks at a process: the error of its wall time, and of the moment that its last peak is seen.
_LOOK = 0.01


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes:
        wall: seconds from its start to its end.
        cpu: seconds of user and system time.
        peak: bytes of resident memory at most.
        out: its standard output.
    """

    wall: float
    cpu: float
    peak: int
    out: str


def clean_environment(folder: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a whole environment: nothing of the machine's own, scratch files in `folder`."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(folder), **(env or {})}


def measured(arguments: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None) -> Spent:
    """Run a command, which must end with exit code 0; what it prints is kept in `folder`."""
    with (folder / "out.txt").open("w+") as out, (folder / "err.txt").open("w+") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=REPOSITORY,
            env=clean_environment(folder, env),
        )
        peak = 0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak = max(peak, _peak(process.pid))
            time.sleep(_LOOK)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        out.seek(0)
        err.seek(0)
        assert process.returncode == 0, f"{arguments} ended with {process.returncode}:\n{err.read()[-2000:]}"
        return Spent(wall, ended[2].ru_utime + ended[2].ru_stime, peak, out.read())


def _peak(pid: int) -> int:
    """Return VmHWM in bytes; `ru_maxrss` would not do, as it remembers the memory of the process that forked."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) * 1024
    return 0  # it has just ended
