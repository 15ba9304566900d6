"""Servers that a job file names by itself: over what they may be spoken to, and what may be read for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from venice_batch.errors import JobError
from venice_batch.job.model import FolderSource, Job
from venice_batch.job.positions import Path as ValuePath
from venice_batch.job.reading_rights import ReadingRights
from venice_batch.venice import is_loopback, is_official


def restricted(job: Job, spoken: Collection[str], allowed: Sequence[Path]) -> Job:
    """Return the job with what it may read, given the addresses that the user named himself.

    Args:
        job: as it was loaded.
        spoken: values of variables and options: an endpoint among them is not the job's alone.
        allowed: folders that may be read besides the job's own.

    Raises:
        JobError: an endpoint that only the job names is neither https nor this machine: credentials would go in clear.
    """
    known = {address.rstrip("/") for address in spoken}
    alone = [(key, url) for key, url in _endpoints(job) if url.rstrip("/") not in known]
    problems = [
        job.problem(
            key,
            f"{url} is neither https nor this machine, and credentials would go there in clear",
            "write https://…, or name it yourself: AWS_ENDPOINT_URL_S3, or ${VARIABLE} in the job",
        )
        for key, url in alone
        if urlsplit(url).scheme != "https" and not is_loopback(url)
    ]
    if problems:
        raise JobError(problems)
    if not alone:
        return job
    return replace(job, reads=ReadingRights((job.file.absolute().parent, *allowed), alone[0][1]))


def _endpoints(job: Job) -> Iterator[tuple[ValuePath, str]]:
    """Yield each server that the job file names, with its key; the API's own is `settings.base_url`'s to refuse."""
    if isinstance(job.source, FolderSource) and job.source.path.endpoint_url:
        yield ("source", "s3", "endpoint_url"), job.source.path.endpoint_url
    if output := job.output.path.endpoint_url or job.state.endpoint_url:
        yield ("output", "s3", "endpoint_url"), output
    if is_loopback(job.api.base_url) and not is_official(job.api.base_url):
        yield ("api", "base_url"), job.api.base_url
