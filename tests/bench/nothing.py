"""One thing in a process of its own, and what it took: ``python -m tests.bench.nothing listing|plan JOB``.

``listing`` goes through source and output and keeps nothing; ``plan`` makes the plan. Both print the seconds that it
took, imports aside, and how many objects there were.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from pipeline.job import FolderSource, Job, loads
from pipeline.plan.planner import make_plan
from pipeline.plan.recipe import make_recipe
from pipeline.plan.survey import survey
from pipeline.state import to_read
from pipeline.storage import open_store
from pipeline.venice import Account
from tests.unit.steps.conftest import HOST, catalogue_of


def job_of(file: Path) -> Job:
    """Load the job without the environment's variables."""
    return loads(file.read_text("utf-8"), file, environ={})


def listing(job: Job) -> int:
    """List source and output as barely as it can be done."""
    assert isinstance(job.source, FolderSource)
    return sum(1 for place in (job.source.path, job.output.path) for _ in open_store(place).list())


def plan(job: Job) -> int:
    """Make the plan; return how many items need nothing."""
    assert isinstance(job.state, Path)
    account = Account(permitted=True, balances={"USD": Decimal(100)}, rpm={"upscaler": 30})
    with to_read(job.state) as state:
        made = make_plan(make_recipe(job, HOST), survey(job, state, catalogue_of(), account))
    assert (made.items, made.vanished, made.dropped) == ((), (), ())
    return made.done


WAYS: Mapping[str, Callable[[Job], int]] = {"listing": listing, "plan": plan}


def main(arguments: Sequence[str]) -> None:
    """Do it, and say what it took."""
    job, way = job_of(Path(arguments[1])), WAYS[arguments[0]]
    begun = time.perf_counter()
    found = way(job)
    sys.stdout.write(f"{time.perf_counter() - begun} {found}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
