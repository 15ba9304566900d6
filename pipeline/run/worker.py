"""The work on one item, a task at a time: told what to do, it says what came of it and records nothing (rule 8)."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipeline import imaging
from pipeline.errors import ItemError, OutputError, Unavailable, VeniceBatchError
from pipeline.imaging import Expect, Facts
from pipeline.plan.recipe import file_hash
from pipeline.plan.sources import Candidate
from pipeline.run.tasks import (
    Bought,
    Broken,
    Buy,
    CallLost,
    Judge,
    Judged,
    Measure,
    Measured,
    Outcome,
    Publish,
    Published,
    Refused,
    TakeIn,
    TakenIn,
    Task,
)
from pipeline.state import Results
from pipeline.steps.chain import Stage
from pipeline.steps.judgement import judge, noted
from pipeline.steps.local import sendable
from pipeline.steps.paid import Input
from pipeline.steps.references import FileRef, UrlRef
from pipeline.storage import Exists, LocalStore, Store
from pipeline.venice import Answer, CallFailed, Client, Url

#: Pillow's names of formats by the extension of a finished file.
_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}
_CHUNK = 1 << 20

Existing = Literal["fail", "replace", "skip"]


class Worker:
    """Does tasks in any number of threads at once; keeps nothing of an item between two tasks."""

    def __init__(
        self,
        *,
        client: Client,
        source: Store | None,
        output: LocalStore,
        existing: Existing,
        results: Results,
        scratch: Path,
        decoders: int,
    ) -> None:
        """Give the worker its tools.

        Args:
            client: the API.
            source: where items are read, None for prompts and addresses.
            output: where finished files go.
            existing: what to do about a file that is there and not ours.
            results: where answers are kept.
            scratch: a folder of this run's own.
            decoders: how many pictures may be decoded at once: bounds memory, and more than cores gain nothing.
        """
        self._client = client
        self._source = source
        self._output = output
        self._existing = existing
        self._results = results
        self._scratch = scratch
        self._decoding = threading.BoundedSemaphore(decoders)

    def do(self, task: Task) -> Outcome:
        """Carry out one task. Never raises: what goes wrong is part of the outcome."""
        return self._guarded(lambda: self._do(task), task)

    def _guarded(self, work: Callable[[], Outcome], task: Task) -> Outcome:
        try:
            return work()
        except ItemError as error:
            return Refused(task, error)
        except VeniceBatchError as error:
            return Broken(task, error)
        except OSError as error:
            return Broken(task, _disk(error))
        except Exception as error:  # noqa: BLE001 - a worker that dies would leave its item hanging for ever
            return Broken(task, VeniceBatchError(f"a bug: {type(error).__name__}: {error}"))

    def _do(self, task: Task) -> Outcome:
        match task:
            case TakeIn():
                return self._take_in(task)
            case Buy():
                return self._buy(task)
            case Judge():
                return Judged(task, self._look(task.result))
            case Measure():
                return self._measure(task)
            case Publish():
                return self._publish(task)

    # Taking in

    def _take_in(self, task: TakeIn) -> TakenIn:
        copy = self._new_scratch()
        if task.candidate.url:
            self._fetched(task.candidate.url, copy)
            sha256 = file_hash(copy)
        else:
            sha256 = self._copied(task.candidate, copy)
        with self._decoding:
            facts = imaging.verify(copy)
        return TakenIn(task, copy, sha256, facts)

    def _fetched(self, url: str, copy: Path) -> None:
        try:
            self._client.fetch(url, copy)
        except CallFailed as failure:
            raise ItemError("unreachable", failure.message, remedy="check the address", lasting=False) from failure

    def _copied(self, candidate: Candidate, copy: Path) -> str:
        """Copy the input and return the hash of exactly the copied bytes.

        Working from a copy is what makes a result's key true: were the file read again for sending, somebody could have
        changed it in between, and the answer would be kept under the wrong hash for ever.
        """
        if self._source is None:
            raise TypeError("this job has no files to read")
        try:
            path = self._source.fetch(candidate.key, self._scratch)
            with path.open("rb") as original, copy.open("xb") as target:
                digest = hashlib.sha256()
                while chunk := original.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
        except (FileNotFoundError, PermissionError) as error:
            raise ItemError("unreadable", f"cannot be read: {error.strerror}", lasting=False) from error
        now = self._source.stat(candidate.key)
        if now is None or now.version != candidate.version:
            raise ItemError("changed", "changed while it was being read", remedy="run the job again", lasting=False)
        return digest.hexdigest()

    # Buying

    def _buy(self, task: Buy) -> Outcome:
        step, purchase = task.purchase.step, task.purchase
        with self._temporary() as spare:
            inputs, expect = self._inputs(task, spare)
            arriving = tuple(self._results.incoming(key) for key in purchase.results)
            try:
                answer = step.send(self._client, inputs, arriving, task.lane)
            except CallFailed as failure:
                for path in arriving:
                    path.unlink(missing_ok=True)
                return CallLost(task, failure)
        broken = self._guarded(lambda: self._kept(task, answer, expect), task)
        # Paid for, and the bytes may be lost: the ledger must count it.
        return replace(broken, billed=True) if isinstance(broken, Broken) else broken

    def _kept(self, task: Buy, answer: Answer, expect: Expect) -> Bought:
        purchase = task.purchase
        facts = noted(answer, expect, str(task.price / purchase.step.variants), time.time())
        # The first variant last: where it is durable, all of them are, and a crash in between is seen as a lost answer.
        arrived = list(zip(purchase.results, answer.paths, strict=False))
        for key, path in reversed(arrived):
            self._results.keep(key, path, facts)
        reasons = [self._look(key) for key, _ in arrived]
        if len(arrived) < len(purchase.results):
            reasons.append(f"it holds {len(arrived)} of {len(purchase.results)} pictures")
        return Bought(task, answer, next(filter(None, reasons), ""))

    def _inputs(self, task: Buy, spare: Callable[[], Path]) -> tuple[list[Input], Expect]:
        step = task.purchase.step
        inputs: list[Input] = []
        base: Facts | None = None
        for picture in task.purchase.inputs:
            ready, facts = self._ready(picture, task, spare)
            base = base if inputs else facts
            inputs.append(ready)
        return inputs, step.expect(base)

    def _ready(
        self, picture: Stage | FileRef | UrlRef, task: Buy, spare: Callable[[], Path]
    ) -> tuple[Input, Facts | None]:
        """Return a picture in a form that the API takes, and its facts where they are known here."""
        if isinstance(picture, UrlRef):
            return Url(picture.url), None
        if isinstance(picture, Stage) and picture.lineage.origin == "url" and task.source is None:
            return Url(picture.lineage.value), None
        with self._decoding:
            if isinstance(picture, FileRef):
                imaging.verify(picture.path)
                path = picture.path
            else:
                path = self._made(picture, task.source, spare)
            return sendable(path, spare(), task.purchase.step.limits)

    def _made(self, stage: Stage, source: Path | None, spare: Callable[[], Path]) -> Path:
        """Return a file with the picture of `stage`: durable bytes with the local steps applied."""
        if stage.result is None:
            path = source
        else:
            result = self._results.find(stage.result)
            path = None if result is None else result.path
        if path is None:
            raise VeniceBatchError("the bytes of an earlier step are gone", remedy="run the job again")
        for step in stage.local:
            path = step.apply(path, spare())
        return path

    def _look(self, key: str) -> str:
        """Judge a stored answer and record the verdict; return why it is no picture, or nothing."""
        result = self._results.find(key)
        if result is None or result.judged:
            return ""
        with self._decoding:
            judgement = judge(result.path, result.facts)
        if judgement.facts is None:
            self._results.set_aside(result)
            return judgement.reason
        self._results.note_verdict(result, judgement.as_json())
        return ""

    def _measure(self, task: Measure) -> Measured:
        with self._temporary() as spare, self._decoding:
            return Measured(task, imaging.probe(self._made(task.stage, task.source, spare)))

    # Publishing

    def _publish(self, task: Publish) -> Outcome:
        with self._temporary() as spare:
            with self._decoding:
                finished = self._finished(task, spare)
            sha256 = file_hash(finished)
            try:
                entry = self._output.put(finished, task.name, replace=self._may_replace(task))
            except Exists:
                return self._settle_existing(task, finished, sha256)
            except OutputError as error:
                raise ItemError("output", error.message, remedy=error.remedy) from error
        return Published(task, entry.version, sha256)

    def _finished(self, task: Publish, spare: Callable[[], Path]) -> Path:
        made = self._made(task.stage, task.source, spare)
        wanted = _FORMATS.get(task.name.rsplit(".", 1)[-1].lower())
        if wanted is None or imaging.probe(made).format == wanted:
            return made
        # The name was fixed before the answer came; a file must be what its name says.
        converted = spare()
        imaging.convert(made, converted, wanted)
        return converted

    def _may_replace(self, task: Publish) -> bool:
        """Whether the file of that name is ours and as we left it; one that somebody touched is theirs."""
        if self._existing == "replace":
            return True
        there = self._output.stat(task.name)
        return there is not None and task.ours is not None and task.ours.version == there.version

    def _settle_existing(self, task: Publish, finished: Path, sha256: str) -> Published:
        """Adopt a file with identical bytes (ours, from before a crash), or leave a stranger's alone."""
        there = self._output.stat(task.name)
        if there is not None:
            if there.size == finished.stat().st_size and self._hash_there(task.name) == sha256:
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
        return file_hash(self._output.fetch(name, self._scratch))

    # Scratch files

    def _new_scratch(self) -> Path:
        return Path(tempfile.mktemp(prefix="", dir=self._scratch))  # noqa: S306 - the folder is private to this run

    @contextmanager
    def _temporary(self) -> Iterator[Callable[[], Path]]:
        """Give names for temporary files that are gone when the block ends."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        count = iter(range(1_000_000))
        try:
            yield lambda: folder / str(next(count))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def decoders() -> int:
    """Return how many pictures to decode at once: one a core, and two at most.

    Two decode more pictures of 16 megapixels than any account's rate limit lets through; every further one would hold
    60 MB more.
    """
    return min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _disk(error: OSError) -> Unavailable:
    # An error while bytes are written names no file; temporary copies are the likeliest.
    place = error.filename or f"while writing (temporary files lie in {tempfile.gettempdir()})"
    return Unavailable(
        f"this machine's disk failed: {place}: {error.strerror or error}",
        remedy="free some space or check the rights, then run the job again: it goes on where it stopped",
    )
