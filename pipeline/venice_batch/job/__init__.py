"""The job file: YAML text to a frozen, typed `Job`, with every mistake in it named by file, line and column."""

from venice_batch.job.load import load, loads
from venice_batch.job.model import (
    ApiSettings,
    Budget,
    FolderSource,
    Job,
    Output,
    PromptsSource,
    RunSettings,
    Source,
    StepSpec,
    UrlsSource,
)

__all__ = [
    "ApiSettings",
    "Budget",
    "FolderSource",
    "Job",
    "Output",
    "PromptsSource",
    "RunSettings",
    "Source",
    "StepSpec",
    "UrlsSource",
    "load",
    "loads",
]
