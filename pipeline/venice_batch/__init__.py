"""venice-batch: batch image pipelines over the Venice API."""

__version__ = "0.1.0"
