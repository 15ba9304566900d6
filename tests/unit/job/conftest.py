"""Job files for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from venice_batch.errors import JobError
from venice_batch.job import Job, loads

HEAD = "version: 1\nname: a\nsource: ./in\noutput: ./out\n"

Loader = Callable[..., Job]
Complaints = Callable[..., list[str]]


@pytest.fixture
def job() -> Loader:
    """Load a job from text; its file is /jobs/a.yaml."""

    def load(text: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = ()) -> Job:
        return loads(text, Path("/jobs/a.yaml"), environ=environ or {}, overrides=overrides)

    return load


@pytest.fixture
def complaints(job: Loader) -> Complaints:
    """Load a job that is wrong, and return the lines of the error."""

    def load(text: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = ()) -> list[str]:
        with pytest.raises(JobError) as caught:
            job(text, environ, overrides)
        return str(caught.value).splitlines()

    return load


@pytest.fixture
def step(job: Loader) -> Loader:
    """Load a job of one step, written as one line."""

    def load(line: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = ()) -> Job:
        return job(f"{HEAD}steps:\n  - {line}\n", environ, overrides)

    return load
