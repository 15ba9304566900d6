"""Gathers what a plan is made from: lists the source and looks at what is there. Reads only."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline import imaging
from pipeline.errors import ItemError, OutputError
from pipeline.imaging import Facts
from pipeline.job import FolderSource, Job
from pipeline.plan.planner import World
from pipeline.plan.pricing import Eyes
from pipeline.plan.recipe import file_hash
from pipeline.plan.sources import Candidate, candidates
from pipeline.state import State
from pipeline.storage import LocalStore
from pipeline.venice import Account, Catalogue


def survey(job: Job, state: State, catalogue: Catalogue, account: Account) -> World:
    """List the source and return everything that `make_plan` needs.

    Raises:
        SourceError: the source cannot be listed.
        OutputError: output, state and source lie within one another.
    """
    refuse_overlap(job)
    output = LocalStore(job.output.path)
    return World(
        candidates=tuple(candidates(job)),
        state=state,
        output_has=lambda name: output.stat(name) is not None,
        eyes=_eyes(job),
        catalogue=catalogue,
        account=account,
        now=time.time(),
    )


def refuse_overlap(job: Job) -> None:
    """Refuse an output or state inside the source, and a source inside the output.

    The next run would take finished pictures for new ones and buy them again, or a finished file would hit an input.

    Raises:
        OutputError: naming both folders.
    """
    if not isinstance(job.source, FolderSource):
        return
    source = job.source.path.resolve()
    for key, folder in (("output.path", job.output.path), ("state", job.state)):
        if folder.resolve().is_relative_to(source):
            raise OutputError(f"{key} {folder} lies inside the source {source}", remedy=f"move {key} out of the source")
    if source.is_relative_to(job.output.path.resolve()):
        raise OutputError(
            f"the source {source} lies inside output.path {job.output.path}",
            remedy="give the output a folder of its own",
        )


def _eyes(job: Job) -> Eyes:
    def place(candidate: Candidate) -> Path:
        if not isinstance(job.source, FolderSource):
            raise TypeError("only files of a folder can be looked at before the run")
        return job.source.path / candidate.key

    def look(candidate: Candidate) -> Facts:
        return imaging.probe(place(candidate))

    def hashed(candidate: Candidate) -> str:
        try:
            return file_hash(place(candidate))
        except OSError as error:
            raise ItemError("unreadable", f"cannot be read: {error.strerror}", lasting=False) from error

    return Eyes(look, hashed)
