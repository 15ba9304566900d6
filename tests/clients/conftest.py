"""Clients that others wrote, installed once below `.venv/clients`, and an emulator for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Vendor, draw
from venice_batch.emulator import Settings, serve_in_thread

_CACHE = Path(sys.prefix) / "clients"
_MINUTES = 5 * 60


def _installed(made: Path, command: list[str | Path]) -> Path:
    """Return what a command installs, installing it the first time; skip where the registry is away."""
    if made.exists():
        return made
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_MINUTES)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"cannot install it here: {error}")
    if not made.exists():
        pytest.skip(f"cannot install it here: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return made


@pytest.fixture(scope="session")
def venice_cli() -> Path:
    """The vendor's own command line, of npm."""
    command: list[str | Path] = ["npm", "install", "--no-audit", "--no-fund", "--prefix", _CACHE, "veniceai-cli@2.1.0"]
    return _installed(_CACHE / "node_modules" / ".bin" / "venice", command)


Python = Callable[[str, str], str]


@pytest.fixture(scope="session")
def run_python(vendor: Vendor) -> Python:
    """Run a text as a program that may import the named distribution of PyPI."""

    def run(distribution: str, program: str) -> str:
        folder = _CACHE / distribution
        marker = folder / "installed"
        pip: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, distribution]
        ready = f"{subprocess.list2cmdline(map(str, pip))} && touch {subprocess.list2cmdline([str(marker)])}"
        _installed(marker, ["sh", "-c", ready])
        env = {**os.environ, "PYTHONPATH": str(folder), "URL": vendor.url, "KEY": vendor.admin_key}
        command = [sys.executable, "-W", "ignore", "-c", program]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=_MINUTES)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def vendor() -> Iterator[Vendor]:
    """One emulator for all clients."""
    with serve_in_thread(Settings(rpm=6000)) as running:
        yield Vendor(running)


@pytest.fixture
def photo(tmp_path: Path, vendor: Vendor) -> Path:
    """A drawn photo; the emulator's log starts anew."""
    vendor.reset()
    draw(tmp_path / "photo.png", (400, 300))
    return tmp_path / "photo.png"
