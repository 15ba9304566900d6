"""The last task of an item: its finished file, put where it belongs, never over a stranger's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipeline import imaging
from pipeline.errors import ItemError, OutputError
from pipeline.imaging import Facts
from pipeline.plan.recipe import file_hash
from pipeline.run.tasks import Publish, Published
from pipeline.run.workshop import Spare, Workshop
from pipeline.storage import Changed, Entry, Exists, Store

#: Pillow's names of formats by the extension of a finished file.
_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}

Existing = Literal["fail", "replace", "skip"]


class Publisher:
    """Puts finished files into one output; safe in any number of threads."""

    def __init__(self, workshop: Workshop, output: Store, existing: Existing) -> None:
        """Give it its places, and the job's rule on files that are there and not ours."""
        self._workshop = workshop
        self._output = output
        self._existing = existing

    def publish(self, task: Publish) -> Published:
        """Make the finished file durable in the output.

        Raises:
            ItemError: it cannot be made, or its name is taken.
            Unavailable: the output cannot be written.
        """
        try:
            return self._copied_over(task) or self._sent(task)
        except OutputError as error:
            raise ItemError("output", error.message, remedy=error.remedy) from error

    def _copied_over(self, task: Publish) -> Published | None:
        """Have the store copy an answer that is the finished file already; None where that cannot be.

        A copy inside a store cannot be made conditional everywhere, so only a free name, or our own file, is copied to.
        """
        key = task.stage.result
        if key is None or task.stage.local:
            return None
        result = self._workshop.results.find(key)
        if result is None or not result.judged or "sha256" not in result.facts:
            return None
        if not _is_promised(task.name, Facts.from_json(result.facts["verdict"]["facts"]).format):
            return None
        there = self._output.stat(task.name)
        if there is not None and not self._may_replace(task, there):
            return None
        entry = self._workshop.results.copy_to(self._output, key, task.name)
        return None if entry is None else Published(task, entry.version, result.facts["sha256"])

    def _sent(self, task: Publish) -> Published:
        with self._workshop.temporary() as spare:
            finished = self._finished(task, spare)
            sha256 = file_hash(finished)
            try:
                entry = self._output.put(
                    finished, task.name, replace=self._may_replace(task, self._output.stat(task.name))
                )
            except Exists:
                return self._settle_existing(task, finished.stat().st_size, sha256)
        return Published(task, entry.version, sha256)

    def _finished(self, task: Publish, spare: Spare) -> Path:
        made = self._workshop.made(task.stage, task.source, spare)
        if _is_promised(task.name, imaging.probe(made).format):
            return made
        # The name was fixed before the answer came; a file must be what its name says.
        converted = spare()
        with self._workshop.decoding:
            imaging.convert(made, converted, _FORMATS[_extension(task.name)])
        return converted

    def _may_replace(self, task: Publish, there: Entry | None) -> bool:
        """Whether the file of that name is ours and as we left it; one that somebody touched is theirs."""
        if self._existing == "replace":
            return True
        return there is not None and task.ours is not None and task.ours.version == there.version

    def _settle_existing(self, task: Publish, size: int, sha256: str) -> Published:
        """Adopt a file with identical bytes (ours, from before a crash), or leave a stranger's alone."""
        there = self._output.stat(task.name)
        if there is not None:
            if there.size == size and self._hash_there(task.name) == sha256:
                return Published(task, there.version, sha256)
            if self._existing == "skip":
                return Published(task, there.version, sha256, ours=False)
        raise ItemError(
            "exists",
            f"{task.name} is in the output already and is not this job's file",
            remedy="move it away, or set `output.existing` to replace or skip",
            lasting=False,
        )

    def _hash_there(self, name: str) -> str:
        with self._workshop.temporary() as spare:
            try:
                return self._output.read(name, spare())
            except Changed:
                return ""


def _extension(name: str) -> str:
    return name.rsplit(".", 1)[-1].lower()


def _is_promised(name: str, format: str) -> bool:  # noqa: A002 - the field's word, as in Pillow
    """Whether a picture of that format may bear that name; names that promise no format may hold any."""
    return _FORMATS.get(_extension(name), format) == format
