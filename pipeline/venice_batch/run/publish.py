"""The last task of an item: its finished files, put where they belong, never over a foreign one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from venice_batch import imaging
from venice_batch.errors import ItemError, OutputError, VeniceBatchError
from venice_batch.imaging import Facts
from venice_batch.imaging.local_ops import Format
from venice_batch.job.model import Existing
from venice_batch.plan import conflicts
from venice_batch.plan.reading.finished_files import has_our_bytes
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run.materialize import Materializer, Spare, naming
from venice_batch.run.tasks import FinishedFile, Publish, Published, WrittenFile
from venice_batch.state import Event, ItemId, OutputDropped, OutputWritten, Result
from venice_batch.steps.local import renderer
from venice_batch.storage import Changed, Entry, Exists, Store

#: Pillow's names of formats by the extension of a finished file.
_FORMATS: dict[str, Format] = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}


class Publisher:
    """Puts finished files into one output; safe in any number of threads."""

    def __init__(self, materializer: Materializer, output: Store, existing: Existing) -> None:
        """Give it its places, and the job's rule on files that are there and not ours."""
        self._materializer = materializer
        self._output = output
        self._existing = existing

    def publish(self, task: Publish) -> Published:
        """Make the finished files durable in the output, in their order.

        All of them are made before the first is put, so that an item of which one cannot be made publishes none.

        Returns:
            What was put. Where that is not everything, the reason stands beside it: what lies there is this job's all
            the same, and must be known as such.

        Raises:
            ItemError: one cannot be made, or the name of the first is taken.
            Unavailable: the output cannot be written, and nothing was.
        """
        written: list[WrittenFile] = []
        with self._materializer.temporary() as spare:
            copyable = self._copyable(task)
            made = self._made(task, [file for file in task.files if file.name not in copyable], spare)
            try:
                for file in task.files:
                    result = copyable.get(file.name)
                    copied = None if result is None else self._copied_over(file, result)
                    if copied is None:
                        # What could have been copied is put as it is: whichever way it went, the file is the same.
                        finished = made.get(file.name) or self._materializer.durable(task.stage, task.input, spare)
                        copied = self._put(file, finished)
                    written.append(copied)
            except VeniceBatchError as error:
                if not written:
                    raise
                return Published(task, tuple(written), error)
        return Published(task, tuple(written))

    # Copying inside the store

    def _copyable(self, task: Publish) -> Mapping[str, Result]:
        """Return the answer for each finished file that is one byte for byte, as far as is known without reading it."""
        key = task.stage.result
        if key is None or task.stage.local:
            return {}
        result = self._materializer.results.find(key)
        if result is None or not result.judged or "sha256" not in result.facts:
            return {}
        found = Facts.from_json(result.facts["verdict"]["facts"]).format
        # What a rendition asks for (quality, metadata) is not among the facts of an answer.
        return {file.name: result for file in task.files if file.rendition is None and _promised(file.name) == found}

    def _copied_over(self, file: FinishedFile, result: Result) -> WrittenFile | None:
        """Have the store copy the answer; None where that cannot be.

        A copy inside a store cannot be made conditional everywhere, so only a free name, or our own file, is copied to.
        """
        with _as_item_error():
            there = self._output.stat(file.name)
            if there is not None and not self._may_replace(file, there):
                return None
            entry = self._materializer.results.copy_to(self._output, result.key, file.name)
        return None if entry is None else WrittenFile(file.name, entry.version, result.facts["sha256"])

    # Making and putting

    def _made(self, task: Publish, files: Sequence[FinishedFile], spare: Spare) -> Mapping[str, Path]:
        """Make finished files beside one another, decoding the picture once."""
        made: dict[str, Path] = {}
        if not files:
            return made
        durable = self._materializer.durable(task.stage, task.input, spare)
        with (
            self._materializer.decoding,
            renderer(task.stage.local, durable, spare(), several=len(files) > 1) as render,
        ):
            for file in files:
                made[file.name] = spare()
                with naming(file.name if file.rendition else ""):
                    # A name was fixed before the answer came; a file must be what its name says.
                    render(
                        made[file.name],
                        file.rendition or imaging.Rendition(_promised(file.name) or "PNG", lossless=True),
                    )
        return made

    def _put(self, file: FinishedFile, finished: Path) -> WrittenFile:
        sha256 = file_hash(finished)
        with _as_item_error():
            try:
                replace = self._may_replace(file, self._output.stat(file.name))
                entry = self._output.put(finished, file.name, replace=replace)
            except Exists:
                return self._settle_existing(file.name, finished.stat().st_size, sha256)
        return WrittenFile(file.name, entry.version, sha256)

    def _may_replace(self, file: FinishedFile, there: Entry | None) -> bool:
        """Whether the file of that name is ours and as we left it; one that somebody changed is theirs."""
        if self._existing == "replace":
            return True
        return there is not None and file.ours is not None and has_our_bytes(self._output, file.ours, there)

    def _settle_existing(self, name: str, size: int, sha256: str) -> WrittenFile:
        """Adopt a file with identical bytes (ours, from before a crash), or leave a foreign file alone."""
        there = self._output.stat(name)
        if there is not None:
            if there.size == size and self._hash_there(name) == sha256:
                return WrittenFile(name, there.version, sha256)
            if self._existing == "skip":
                return WrittenFile(name, there.version, sha256, ours=False)
        raise conflicts.taken(name)

    def _hash_there(self, name: str) -> str:
        with self._materializer.temporary() as spare:
            try:
                return self._output.read(name, spare())
            except Changed:
                return ""


def output_events(item: ItemId, files: Sequence[WrittenFile]) -> tuple[Event, ...]:
    """Return what the manifest must record of files that were put: ours, or a foreign one left in its place."""
    return tuple(
        OutputWritten(item, file.name, file.version, file.sha256) if file.ours else OutputDropped(item.job, file.name)
        for file in files
    )


@contextmanager
def _as_item_error() -> Iterator[None]:
    """What is wrong with one name of the output concerns one item only."""
    try:
        yield
    except OutputError as error:
        raise ItemError("output", error.message, remedy=error.remedy) from error


def _promised(name: str) -> Format | None:
    """Return the format that a file of that name must have; None: its name does not say."""
    return _FORMATS.get(name.rsplit(".", 1)[-1].lower())
