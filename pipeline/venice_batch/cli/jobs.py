"""Loading the job that a command names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from venice_batch.job import Job, load


def load_job(file: Path, overrides: Sequence[str]) -> Job:
    """Load the job file with the process's environment.

    Raises:
        JobError: with every problem and its place.
    """
    return load(file, environ=os.environ, overrides=overrides)
