"""The least that a run over a bucket must do, in a process of its own: ``python -m tests.bench.nothing JOB``.

Lists source and output, keeps nothing, and prints how many objects there were.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from venice_batch.job import FolderSource, Job, loads
from venice_batch.storage import open_store


def job_of(file: Path) -> Job:
    """Load the job without the environment's variables."""
    return loads(file.read_text("utf-8"), file, environ={})


def main(arguments: Sequence[str]) -> None:
    """List, and count."""
    job = job_of(Path(arguments[0]))
    assert isinstance(job.source, FolderSource)
    found = sum(1 for place in (job.source.path, job.output.path) for _ in open_store(place).list())
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
