"""Checks of this machine: Python, libraries, codecs, and the disk for temporary files."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from venice_batch.errors import Exit, Unavailable
from venice_batch.imaging.encode import codecs
from venice_batch.run.doctor.checks import Check, Finding
from venice_batch.state.lease import refuse_network_file_system

_LIBRARIES = ("Pillow", "httpx2", "boto3", "pydantic", "click", "PyYAML")
#: Without these nothing works; a job may do without the others.
_INDISPENSABLE = frozenset({"JPEG", "PNG"})
#: Bytes free: below the first nothing works, below the second a run of large pictures may not.
_LEAST, _FEW = 100_000_000, 2_000_000_000
_SAMPLE = 4_000_000
#: Megabytes a second below which the disk is slower than pictures arrive.
_SLOW = 20.0
_MEGA, _GIGA = 1e6, 1e9


def checks(temporary: Path) -> list[Check]:
    """Return the checks that need neither job nor network."""
    return [
        Check("software", _software),
        Check("Pillow", _codecs),
        Check("TMPDIR", partial(disk, "TMPDIR", temporary, "set TMPDIR to a larger or faster disk")),
    ]


def _software() -> Iterator[Finding]:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    yield Finding("software", "ok", f"Python {platform.python_version()}, {', '.join(versions)}")


def _codecs() -> Iterator[Finding]:
    found = codecs()
    yield Finding("Pillow", "ok", ", ".join(f"{name} {version}" for name, version in found.items() if version))
    for name, version in found.items():
        if version is None:
            lost = name in _INDISPENSABLE
            remedy = "install Pillow from its wheel (pip install --force-reinstall Pillow)"
            code = Exit.UNAVAILABLE if lost else Exit.DONE
            yield Finding("Pillow", "bad" if lost else "warn", f"built without {name}", remedy, code)


def disk(check: str, folder: Path, remedy: str) -> Iterator[Finding]:
    """Yield how much room there is in `folder`, and how fast it takes bytes; it need not exist yet."""
    there = nearest(folder)
    free = shutil.disk_usage(there).free
    room = f"{free / _GIGA:.1f} GB free in {there}"
    if free < _LEAST:
        yield Finding(check, "bad", room, remedy, Exit.UNAVAILABLE)
        return
    yield Finding(check, "warn" if free < _FEW else "ok", room, remedy if free < _FEW else "")
    if there != folder:
        if not os.access(there, os.W_OK | os.X_OK):
            raise Unavailable(f"{folder} cannot be made in {there}", remedy="give this user the right to write there")
        yield Finding(check, "ok", f"{folder} does not exist yet; a run makes it")
        return
    speed = _speed(folder)
    text = f"{speed / _MEGA:.0f} MB/s, durable"
    slow = speed < _SLOW * _MEGA
    yield Finding(check, "warn" if slow else "ok", text, remedy if slow else "")


def _speed(folder: Path) -> float:
    """Return bytes per second at which a file becomes durable."""
    # The prefix of temporary files: should this process be killed, the next run sweeps it away.
    probe = folder / f".vb-{secrets.token_hex(8)}"
    content = secrets.token_bytes(_SAMPLE)
    try:
        begun = time.monotonic()
        with probe.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return _SAMPLE / max(time.monotonic() - begun, 1e-6)
    except OSError as error:
        raise Unavailable(
            f"cannot write in {folder}: {error.strerror}", remedy="free some space or give this user the right to"
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def nearest(folder: Path) -> Path:
    """Return the folder itself, or the first one above it that exists."""
    return next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))


def local_state(folder: Path) -> Iterator[Finding]:
    """Yield whether a folder is fit for a state: locks that can be trusted, room and speed."""
    refuse_network_file_system(nearest(folder))
    yield from disk("state", folder, "free some space, or set `state:` to a folder on another disk")
