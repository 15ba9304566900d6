"""Runs `venice_batch.cli` in a process of its own for every command, without importing it anew each time.

``python -m tests.nights.commands`` imports the command line once and then forks for every line on its stdin. Its clock
is moved: `time.time` is replaced before anything of the package is imported, so that a night can lie a month ahead.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_LONGEST = 240.0


@dataclass(frozen=True)
class Ended:
    """How a command ended; the code is negative where a signal ended it."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Starts commands, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nights.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._pid = 0
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=_LONGEST)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, *arguments: str, cwd: Path, env: Mapping[str, str], ahead: float) -> Ended:
        """Run a command to its end; `ahead` is how many seconds its clock is ahead of this machine's."""
        self.start(*arguments, cwd=cwd, env=env, ahead=ahead)
        return self.wait()

    def start(self, *arguments: str, cwd: Path, env: Mapping[str, str], ahead: float) -> None:
        line = {"args": arguments, "cwd": str(cwd), "env": dict(env), "ahead": ahead}
        line |= {"out": str(self._out), "err": str(self._err)}
        assert self._process.stdin is not None
        self._began = time.monotonic()
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        self._pid = self._answer()

    def kill(self) -> None:
        """End the command as a power cut would."""
        with suppress(ProcessLookupError):  # it came to its end meanwhile
            os.kill(self._pid, signal.SIGKILL)

    def running(self) -> bool:
        """Whether the command is still at work: an ended one is a zombie or gone."""
        try:
            status = Path(f"/proc/{self._pid}/stat").read_text("utf-8")
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] != "Z"

    def wait(self) -> Ended:
        code = self._answer()
        seconds = time.monotonic() - self._began
        return Ended(code, self._out.read_text("utf-8"), self._err.read_text("utf-8"), seconds)

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return int(line)


def _serve() -> None:
    ahead = [0.0]
    real = time.time
    time.time = lambda: real() + ahead[0]
    from venice_batch import cli  # noqa: PLC0415 - only now: modules keep the clock that they find

    _load()
    for line in iter(sys.stdin.readline, ""):
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            ahead[0] = wanted["ahead"]
            _become(wanted)
            cli.main(wanted["args"])
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


def _load() -> None:
    """Import all that a command may want, so that no child has to."""
    package = importlib.import_module("venice_batch")
    for name in ("boto3", "httpcore2", "truststore"):
        importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, "venice_batch."):
        if "emulator" not in found.name and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    gc.freeze()


def _become(wanted: Mapping[str, Any]) -> None:
    """Turn this fresh child into the command: its streams, folder and environment."""
    for descriptor, name in ((1, wanted["out"]), (2, wanted["err"])):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(wanted["env"])
    tempfile.tempdir = None
    os.chdir(wanted["cwd"])


if __name__ == "__main__":
    _serve()
