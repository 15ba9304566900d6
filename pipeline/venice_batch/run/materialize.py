"""Where pictures are made: durable bytes, local steps, and the folder for copies in between."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from venice_batch.errors import ItemError, VeniceBatchError
from venice_batch.state import Event, Result, Results
from venice_batch.steps.answer_checks.verdict import check_answer
from venice_batch.steps.chain import Stage

Spare = Callable[[], Path]
#: Why an answer is no picture, or nothing; and what the manifest should note.
Look = tuple[str, tuple[Event, ...]]


class Materializer:
    """Makes pictures from what is stored, in any number of threads at once.

    Attributes:
        results: where answers are kept.
        decoding: held while a picture is decoded: bounds memory, and more at once than cores gain nothing.
    """

    def __init__(self, results: Results, scratch: Path, decoders: int) -> None:
        """Use `scratch`, a folder of this run's own, and decode so many pictures at once."""
        self.results = results
        self.decoding = threading.BoundedSemaphore(decoders)
        self._scratch = scratch

    def durable(self, stage: Stage, source: Path | None, spare: Spare) -> Path:
        """Return a file with the bytes that `stage` is made from: its local steps are still to be applied."""
        path = source if stage.result is None else self.results.bytes(stage.result, spare())
        if path is None:
            raise VeniceBatchError("the bytes of an earlier step are gone", remedy="run the job again")
        return path

    def look(self, result: Result) -> Look:
        """Check a stored answer and keep the verdict.

        Returns:
            Why it is no picture, or nothing; and what the manifest should note.
        """
        with self.temporary() as spare:
            path = self.results.bytes(result.key, spare())
            with self.decoding:
                verdict = check_answer(path, result.facts)
        if verdict.facts is None:
            return verdict.reason, (self.results.set_aside(result),)
        return "", (self.results.note_verdict(result, verdict.as_json()),)

    def new_file(self) -> Path:
        """Return the name of a new file that its user removes."""
        return Path(tempfile.mktemp(prefix="", dir=self._scratch))  # noqa: S306 - the folder is private to this run

    @contextmanager
    def temporary(self) -> Iterator[Spare]:
        """Give names for temporary files that are gone when the block ends."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        count = iter(range(1_000_000))
        try:
            yield lambda: folder / str(next(count))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def set_aside_results(results: Results, found: Iterable[Result]) -> tuple[Event, ...]:
    """Put answers out of the way, so that they can be bought anew; return what the manifest should note."""
    events: list[Event] = []
    for result in found:
        try:
            events.append(results.set_aside(result))
        except ItemError as error:
            # A run that was killed between doing it and noting it: the store says so itself, see `Results.unrecorded`.
            if error.code != "result-gone":
                raise
    return tuple(events)
