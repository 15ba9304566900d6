"""What the environment and the options say: which job, which API, with which key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from venice_batch.cli import network_environment
from venice_batch.errors import KeyRefused, UsageError
from venice_batch.job import Job, load
from venice_batch.job.endpoints import restricted
from venice_batch.run.session import state_root
from venice_batch.storage import Place
from venice_batch.trust.regular_file import open_regular
from venice_batch.trust.secrets import MOST_BYTES
from venice_batch.venice import OFFICIAL_URL, Api, Secret, is_loopback, is_official

EMULATOR = "emulator"


def load_job(
    file: Path, overrides: Sequence[str], *, base_url: str | None = None, allow_read: Sequence[Path] = ()
) -> Job:
    """Load the job file with the process's environment.

    Args:
        file: the job file.
        overrides: ``--set``.
        base_url: ``--base-url``: the API's address is not the job's to name then.
        allow_read: ``--allow-read``, besides the folders of VENICE_ALLOW_READ.

    Raises:
        JobError: with every problem and its place.
    """
    job = load(file, environ=os.environ, overrides=overrides)
    spoken = {*os.environ.values(), *(option.partition("=")[2] for option in overrides)}
    if base_url or os.environ.get("VENICE_BASE_URL"):
        spoken.add(job.api.base_url)
    more = [Path(folder) for folder in os.environ.get("VENICE_ALLOW_READ", "").split(os.pathsep) if folder]
    return restricted(job, spoken, [*allow_read, *more])


def state_of(job: Job, option: str | None) -> Place:
    """Return where `job` keeps its state for the API that `--base-url`, environment and job name."""
    return state_root(job, host(base_url(option, job.api.base_url)))


def base_url(option: str | None, job: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the API's address: option before environment before job, so that a job cannot spend against their will.

    Raises:
        UsageError: only the job file names it, and it is neither the official host nor this machine.
    """
    chosen = option or environ.get("VENICE_BASE_URL")
    if chosen:
        return chosen
    if job in {None, EMULATOR, OFFICIAL_URL}:
        return job or OFFICIAL_URL
    if not (is_official(job) or is_loopback(job)):
        raise UsageError(
            f"the job file sends the key to {job}, which is not the official host",
            remedy=f"if you trust it, say so yourself: --base-url {job} or VENICE_BASE_URL",
        )
    return job


def key(environ: Mapping[str, str] = os.environ) -> Secret:
    """Return the API key from VENICE_API_KEY, or from the file that VENICE_API_KEY_FILE names.

    Raises:
        KeyRefused: there is none, or the file cannot be read.
    """
    written = environ.get("VENICE_API_KEY")
    if written:
        return Secret(written)
    file = environ.get("VENICE_API_KEY_FILE")
    if not file:
        raise KeyRefused(
            "there is no API key",
            remedy="set VENICE_API_KEY or VENICE_API_KEY_FILE, or try the job with --base-url emulator",
        )
    try:
        with open_regular(Path(file), MOST_BYTES) as opened:
            return Secret(opened.stream.read().decode("utf-8"))
    except (OSError, ValueError) as error:
        why = f": {error.strerror}" if isinstance(error, OSError) else ""
        raise KeyRefused(f"cannot read the key file {file}{why}", remedy="check VENICE_API_KEY_FILE") from error


def host(url: str) -> str:
    """Return the identity of the API at `url` in result keys; needs no key."""
    return EMULATOR if url == EMULATOR else Api(url).host


@contextmanager
def api(url: str, *, needs_key: bool = True) -> Iterator[Api]:
    """Give access to the API at `url`, starting the bundled emulator when that is what it says.

    Raises:
        UsageError: the address is no address, a proxy cannot be used, or the emulator is not installed.
        KeyRefused: there is no key.
    """
    network_environment.check(os.environ)
    if url != EMULATOR:
        yield Api(url, key() if needs_key or _has_key() else None)
        return
    try:
        from venice_batch.emulator import serve_in_thread  # noqa: PLC0415 - an extra that few commands need
    except ImportError as error:
        raise UsageError("the emulator is not installed", remedy="pip install 'venice-batch[emulator]'") from error
    with serve_in_thread() as running:
        yield Api(running.url, Secret(running.key), EMULATOR)


def _has_key() -> bool:
    return bool(os.environ.get("VENICE_API_KEY") or os.environ.get("VENICE_API_KEY_FILE"))
