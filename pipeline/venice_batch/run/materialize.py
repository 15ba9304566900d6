"""Where pictures are made: durable bytes, local steps, and the folder for copies in between."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from venice_batch.errors import ItemError, ResultLost
from venice_batch.run.inputs import Inputs
from venice_batch.run.tasks import InputRef
from venice_batch.state import Event, Result, Results
from venice_batch.steps.answer_checks.verdict import check_answer
from venice_batch.steps.chain import Stage

Spare = Callable[[], Path]
#: Why an answer is not a picture, empty where it is one; and what the manifest must record.
Checked = tuple[str, tuple[Event, ...]]


class Materializer:
    """Makes pictures from what is stored, in any number of threads at once.

    Attributes:
        results: where answers are kept.
        decoding: held while a picture is decoded: bounds memory, and more at once than cores gain nothing.
    """

    def __init__(self, results: Results, inputs: Inputs, scratch: Path, decoders: int) -> None:
        """Use `scratch`, a folder of this run's own, and decode so many pictures at once."""
        self.results = results
        self._inputs = inputs
        self.decoding = threading.BoundedSemaphore(decoders)
        self._scratch = scratch

    def durable(self, stage: Stage, ref: InputRef, spare: Spare) -> Path:
        """Return a file with the bytes that `stage` is made from: its local steps are still to be applied."""
        if stage.result is None:
            return self._inputs.copy(ref, spare())
        return self._stored(stage.result, spare)

    def check(self, result: Result) -> Checked:
        """Check a stored answer, and keep the verdict or set the answer aside."""
        with self.temporary() as spare:
            path = self._stored(result.key, spare)
            with self.decoding:
                verdict = check_answer(path, result.facts)
        if verdict.facts is None:
            return verdict.reason, (self.results.set_aside(result),)
        return "", (self.results.note_verdict(result, verdict.as_json()),)

    def _stored(self, key: str, spare: Spare) -> Path:
        try:
            return self.results.bytes(key, spare())
        except ResultLost as error:
            if error.code == "result-damaged":
                self.results.discard(key)
            raise

    @contextmanager
    def temporary(self) -> Iterator[Spare]:
        """Give names for temporary files that are gone when the block ends."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        count = iter(range(1_000_000))
        try:
            yield lambda: folder / str(next(count))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Have an error of the item say which file it is about; empty: it is the item's own."""
    try:
        yield
    except ItemError as error:
        message = f"{file}: {error.message}" if file else error.message
        raise ItemError(error.code, message, remedy=error.remedy, lasting=error.lasting) from error


def set_aside_results(results: Results, found: Iterable[Result]) -> tuple[Event, ...]:
    """Put answers out of the way, so that they can be bought again; return what the manifest must record."""
    events: list[Event] = []
    for result in found:
        try:
            events.append(results.set_aside(result))
        except ItemError as error:
            # A run was killed between doing and recording it: the store says so itself, see `Results.unrecorded`.
            if error.code != "result-gone":
                raise
    return tuple(events)
