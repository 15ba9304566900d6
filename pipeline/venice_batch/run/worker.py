"""The work on one item, a task at a time: told what to do, it says what came of it and records nothing (rule 8)."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from venice_batch import imaging
from venice_batch.errors import ItemError, Unavailable, VeniceBatchError
from venice_batch.imaging import Facts
from venice_batch.plan.hashing import file_hash
from venice_batch.plan.sources import Candidate
from venice_batch.run.materialize import Look, Materializer, set_aside_results
from venice_batch.run.publish import Existing, Publisher
from venice_batch.run.tasks import (
    AnswerChecked,
    Bought,
    Broken,
    Buy,
    CallLost,
    CheckAnswer,
    InputRead,
    Outcome,
    ProbeStage,
    Publish,
    ReadInput,
    Refused,
    ResultsSetAside,
    SetAside,
    StageProbed,
    Task,
)
from venice_batch.state import Result, Results
from venice_batch.steps.answer_checks.expectations import Expect, expect_of_call
from venice_batch.steps.answer_checks.verdict import facts_to_store
from venice_batch.steps.chain import Stage
from venice_batch.steps.local import reshaped, sendable
from venice_batch.steps.paid import Input
from venice_batch.steps.references import BesideRef, FileRef, Outside, UrlRef
from venice_batch.storage import Changed, Store
from venice_batch.venice import Answer, CallFailed, Client, Url

#: How long a signed address is good: the longest call with all its repetitions and waits.
_ADDRESS_SECONDS = 3600


@runtime_checkable
class Addressable(Protocol):
    """A store that can lend one object to whoever has its address."""

    def address(self, key: str, seconds: int) -> str:
        """Return an https address that reads the object for so many seconds."""


class Worker:
    """Does tasks in any number of threads at once; keeps nothing of an item between two tasks."""

    def __init__(
        self,
        *,
        client: Client,
        source: Store | None,
        output: Store,
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
            decoders: how many pictures may be decoded at once.
        """
        self._client = client
        self._source = source
        self._results = results
        self._materializer = Materializer(results, scratch, decoders)
        self._publisher = Publisher(self._materializer, output, existing)

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
            return Broken(task, _bug(error))

    def _do(self, task: Task) -> Outcome:
        match task:
            case ReadInput():
                return self._read_input(task)
            case Buy():
                return self._buy(task)
            case CheckAnswer():
                return self._judge(task)
            case ProbeStage():
                return self._measure(task)
            case SetAside():
                found = map(self._results.find, task.results)
                return ResultsSetAside(
                    task, set_aside_results(self._results, [result for result in found if result is not None])
                )
            case Publish():
                return self._publisher.publish(task)

    # Taking in

    def _read_input(self, task: ReadInput) -> InputRead:
        copy = self._materializer.new_file()
        try:
            if task.candidate.url:
                self._fetched(task.candidate.url, copy)
                sha256 = file_hash(copy)
            else:
                sha256 = self._copied(task.candidate, copy)
            with self._materializer.decoding:
                facts = imaging.verify(copy)
        except BaseException:
            # Nobody else knows of it: a source full of damaged pictures would fill the disk with copies.
            copy.unlink(missing_ok=True)
            raise
        return InputRead(task, copy, sha256, facts)

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
            return self._source.read(candidate.key, copy, candidate.version)
        except Changed as error:
            raise _changed() from error
        except PermissionError as error:
            raise ItemError("unreadable", f"cannot be read: {error.strerror}", lasting=False) from error

    # Buying

    def _buy(self, task: Buy) -> Outcome:
        step, purchase = task.purchase.step, task.purchase
        self._refuse_changed(task)
        with self._materializer.temporary() as spare:
            inputs, expect = self._inputs(task, spare)
            arriving = tuple(self._results.incoming(key) for key in purchase.results)
            return self._sent(task, lambda: step.send(self._client, inputs, arriving, task.lane), arriving, expect)

    def _sent(self, task: Buy, send: Callable[[], Answer], arriving: Sequence[Path], expect: Expect) -> Outcome:
        """Make the call and keep its answer; from here on the ledger must count whatever goes wrong."""
        try:
            answer = send()
        except CallFailed as failure:
            for path in arriving:
                path.unlink(missing_ok=True)
            return CallLost(task, failure)
        except VeniceBatchError:
            # The gate's own look at the lease: the first byte was not written yet.
            raise
        except Exception as error:  # noqa: BLE001 - the client says what it foresees; this may be charged, too
            return Broken(task, _bug(error), billed=True)
        outcome = self._guarded(lambda: self._kept(task, answer, expect), task)
        if isinstance(outcome, Refused):
            return Broken(task, Unavailable(outcome.error.message, remedy=outcome.error.remedy), billed=True)
        return replace(outcome, billed=True) if isinstance(outcome, Broken) else outcome

    def _kept(self, task: Buy, answer: Answer, expect: Expect) -> Bought:
        purchase = task.purchase
        if self._is_another_by_now(task):
            # Under the old one's name it would be found for ever by whoever has that picture again.
            for path in answer.paths:
                path.unlink(missing_ok=True)
            return Bought(task, answer, "the source was replaced while the API read it")
        facts = facts_to_store(answer, expect, str(task.price / purchase.step.variants), time.time())
        # The first variant last: where it is durable, all of them are, and a crash in between is seen as a lost answer.
        arrived = list(zip(purchase.results, answer.paths, strict=False))
        kept = [self._results.keep(key, path, {**facts, "sha256": file_hash(path)}) for key, path in reversed(arrived)]
        looks = [look for look in map(self._seen, kept) if look is not None]
        reasons = [reason for reason, _ in looks]
        if len(arrived) < len(purchase.results):
            reasons.append(f"it holds {len(arrived)} of {len(purchase.results)} pictures")
        events = tuple(event for _, found in looks for event in found)
        return Bought(task, answer, next(filter(None, reasons), ""), events)

    def _seen(self, result: Result) -> Look | None:
        """Judge an answer that has just been kept; None: it is judged, or this machine cannot right now.

        It is durable and paid for, so a shortage of files or memory must not make it look like a bad answer, nor like
        a call that was never made: it is judged when it is needed.
        """
        if result.judged:
            return None
        try:
            return self._materializer.look(result)
        except ItemError:
            return None

    def _judge(self, task: CheckAnswer) -> AnswerChecked:
        result = self._results.find(task.result)
        return (
            AnswerChecked(task)
            if result is None or result.judged
            else AnswerChecked(task, *self._materializer.look(result))
        )

    def _refuse_changed(self, task: Buy) -> None:
        """Refuse to have the API read an input that is no longer what was listed: the answer would be another's."""
        if self._is_another_by_now(task):
            raise _changed()

    def _is_another_by_now(self, task: Buy) -> bool:
        """Whether an input that the API reads by itself is no longer what was listed; False where it reads none."""
        for picture in task.purchase.inputs:
            if isinstance(picture, Stage) and self._by_address(picture, task) and self._source is not None:
                now = self._source.stat(task.key)
                return now is None or now.version != picture.input_key.value
        return False

    @staticmethod
    def _by_address(picture: Stage, task: Buy) -> bool:
        """Whether the API reads the input's bytes by itself, from a signed address."""
        return picture.input_key.origin == "object" and picture.result is None and task.source is None

    def _inputs(self, task: Buy, spare: Callable[[], Path]) -> tuple[list[Input], Expect]:
        step = task.purchase.step
        inputs: list[Input] = []
        base: Facts | None = None
        for picture in task.purchase.inputs:
            ready, facts = self._ready(picture, task, spare)
            base = base if inputs else facts
            inputs.append(ready)
        return inputs, expect_of_call(step.name, step.expect(base), step.expects, base)

    def _ready(self, picture: Stage | Outside, task: Buy, spare: Callable[[], Path]) -> tuple[Input, Facts | None]:
        """Return a picture in a form that the API takes, and its facts where they are known here."""
        if isinstance(picture, UrlRef):
            return Url(picture.url), None
        if isinstance(picture, Stage) and picture.input_key.origin == "url" and task.source is None:
            return Url(picture.input_key.value), None
        if isinstance(picture, Stage) and self._by_address(picture, task):
            return Url(self._signed(task.key)), None
        limits = task.purchase.step.limits
        if isinstance(picture, FileRef | BesideRef):
            copy = spare()
            path = _named(picture, copy) if isinstance(picture, FileRef) else self._beside(picture, copy)
            with self._materializer.decoding, _about(picture):
                imaging.verify(path)
                return sendable(path, spare(), limits)
        path = self._materializer.durable(picture, task.source, spare)
        with self._materializer.decoding:
            return sendable(path, spare(), limits, picture.local)

    def _beside(self, ref: BesideRef, into: Path) -> Path:
        """Copy a file that lies beside the item's own picture, exactly as the plan saw it."""
        if self._source is None:
            raise TypeError("this job has no files to read")
        try:
            sha256 = self._source.read(ref.key, into, ref.version)
        except Changed as error:
            raise _changed(ref.key) from error
        except PermissionError as error:
            raise ItemError("unreadable", f"{ref.key} cannot be read: {error.strerror}", lasting=False) from error
        if ref.sha256 not in {"", sha256}:
            raise _changed(ref.key)
        return into

    def _signed(self, key: str) -> str:
        lender: object = self._source
        if not isinstance(lender, Addressable):
            raise TypeError("only a bucket gives signed addresses")
        return lender.address(key, _ADDRESS_SECONDS)

    def _measure(self, task: ProbeStage) -> StageProbed:
        with self._materializer.temporary() as spare:
            path = self._materializer.durable(task.stage, task.source, spare)
            with self._materializer.decoding:
                return StageProbed(task, imaging.probe(reshaped(task.stage.local, path, spare())))


@contextmanager
def _about(ref: FileRef | BesideRef) -> Iterator[None]:
    """Have an error name the file that it is about: it is not the item's own."""
    try:
        yield
    except ItemError as error:
        name = str(ref.path) if isinstance(ref, FileRef) else ref.key
        raise ItemError(error.code, f"{name}: {error.message}", remedy=error.remedy, lasting=error.lasting) from error


def _named(ref: FileRef, into: Path) -> Path:
    """Copy a file that a step names, exactly as the plan saw it."""
    try:
        shutil.copyfile(ref.path, into)
    except (FileNotFoundError, PermissionError) as error:
        raise _changed(str(ref.path)) from error
    if file_hash(into) != ref.sha256:
        raise _changed(str(ref.path))
    return into


def decoders() -> int:
    """Return how many pictures to decode at once: one a core, and two at most.

    Two decode more pictures of 16 megapixels than any account's rate limit lets through; every further one would hold
    60 MB more.
    """
    return min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _changed(what: str = "") -> ItemError:
    text = "changed or vanished after it was listed"
    return ItemError("changed", f"{what} {text}" if what else text, remedy="run the job again", lasting=False)


def _bug(error: Exception) -> VeniceBatchError:
    return VeniceBatchError(f"a bug: {type(error).__name__}: {error}")


def _disk(error: OSError) -> Unavailable:
    # An error while bytes are written names no file; temporary copies are the likeliest.
    place = error.filename or f"while writing (temporary files lie in {tempfile.gettempdir()})"
    return Unavailable(
        f"this machine's disk failed: {place}: {error.strerror or error}",
        remedy="free some space or check the rights, then run the job again: it goes on where it stopped",
    )
