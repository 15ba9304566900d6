"""The work on one item, a task at a time: told what to do, it says what came of it and records nothing (rule 8)."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from venice_batch import imaging
from venice_batch.errors import ItemError, ResultLost, Unavailable, VeniceBatchError, out_of_memory
from venice_batch.imaging import Facts
from venice_batch.job.model import Existing
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run import tasks
from venice_batch.run.inputs import Inputs, changed
from venice_batch.run.materialize import Checked, Materializer, Spare, naming, set_aside_results
from venice_batch.run.publish import Publisher
from venice_batch.state import Result, Results
from venice_batch.steps.answer_checks.expectations import Expect, expect_of_call
from venice_batch.steps.answer_checks.verdict import facts_to_store
from venice_batch.steps.chain import Stage
from venice_batch.steps.local import reshaped, sendable
from venice_batch.steps.paid import Input
from venice_batch.steps.references import BesideRef, FileRef, Outside, UrlRef
from venice_batch.storage import Store
from venice_batch.venice import Answer, CallFailed, Client, Url


class Worker:
    """Does tasks in any number of threads at once; keeps nothing of an item between two tasks but copies of inputs."""

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
        self._results = results
        self._inputs = Inputs(client, source, scratch)
        self._materializer = Materializer(results, self._inputs, scratch, decoders)
        self._publisher = Publisher(self._materializer, output, existing)

    def release(self, ref: tasks.InputRef) -> None:
        """Remove the copy of an input whose item ended."""
        self._inputs.release(ref)

    def do(self, task: tasks.Task) -> tasks.Outcome:
        """Carry out one task. Never raises: what goes wrong is part of the outcome."""
        return self._guarded(lambda: self._do(task), task)

    def _guarded(self, work: Callable[[], tasks.Outcome], task: tasks.Task) -> tasks.Outcome:
        try:
            return work()
        except ItemError as error:
            return tasks.ItemFailed(task, error)
        except VeniceBatchError as error:
            return tasks.RunFailed(task, error)
        except OSError as error:
            return tasks.RunFailed(task, _disk(error))
        except MemoryError:
            return tasks.RunFailed(task, out_of_memory())
        except Exception as error:  # noqa: BLE001 - a worker that dies would leave its item hanging for ever
            return tasks.RunFailed(task, _bug(error))

    def _do(self, task: tasks.Task) -> tasks.Outcome:
        match task:
            case tasks.ReadInput():
                return self._read_input(task)
            case tasks.Buy():
                return self._buy(task)
            case tasks.CheckAnswer():
                result = self._results.find(task.result)
                return tasks.ResultsUpdated(
                    task, () if result is None or result.judged else self._materializer.check(result)[1]
                )
            case tasks.ProbeStage():
                return self._probe(task)
            case tasks.SetAside():
                found = filter(None, map(self._results.find, task.results))
                return tasks.ResultsUpdated(task, set_aside_results(self._results, found))
            case tasks.Publish():
                return self._publisher.publish(task)

    def _read_input(self, task: tasks.ReadInput) -> tasks.InputRead:
        with self._materializer.temporary() as spare:
            file = spare()
            sha256 = self._inputs.read(task.input, file)
            with self._materializer.decoding:
                facts = imaging.verify(file)
            # Only now: a source full of damaged pictures must not fill the disk with copies.
            self._inputs.keep(replace(task.input, sha256=sha256), file)
        return tasks.InputRead(task, sha256, facts)

    def _probe(self, task: tasks.ProbeStage) -> tasks.StageProbed:
        with self._materializer.temporary() as spare:
            file = self._materializer.durable(task.stage, task.input, spare)
            with self._materializer.decoding:
                return tasks.StageProbed(task, imaging.probe(reshaped(task.stage.local, file, spare())))

    # Buying

    def _buy(self, task: tasks.Buy) -> tasks.Outcome:
        step, purchase = task.purchase.step, task.purchase
        if self._is_changed(task):
            # The answer would be to another picture.
            raise changed()
        with self._materializer.temporary() as spare:
            inputs, expect = self._call_inputs(task, spare)
            arriving = tuple(self._results.incoming(key) for key in purchase.results)
            return self._sent(task, lambda: step.send(self._client, inputs, arriving, task.lane), arriving, expect)

    def _sent(
        self, task: tasks.Buy, send: Callable[[], Answer], arriving: Sequence[Path], expect: Expect
    ) -> tasks.Outcome:
        """Make the call and keep its answer; from here on the ledger must count whatever goes wrong."""
        try:
            answer = send()
        except CallFailed as failure:
            for path in arriving:
                path.unlink(missing_ok=True)
            return tasks.CallEnded(task, failure)
        except VeniceBatchError:
            # The gate's own check of the lease: the first byte was not written yet.
            raise
        except Exception as error:  # noqa: BLE001 - the client says what it foresees; this may be charged, too
            return tasks.RunFailed(task, _bug(error), billed=True)
        outcome = self._guarded(lambda: self._kept(task, answer, expect), task)
        if isinstance(outcome, tasks.ItemFailed):
            return tasks.RunFailed(task, Unavailable(outcome.error.message, remedy=outcome.error.remedy), billed=True)
        return replace(outcome, billed=True) if isinstance(outcome, tasks.RunFailed) else outcome

    def _kept(self, task: tasks.Buy, answer: Answer, expect: Expect) -> tasks.Bought:
        purchase = task.purchase
        bare = replace(answer, paths=())
        if self._is_changed(task):
            # Under the old one's name it would be found for ever by whoever has that picture again.
            for path in answer.paths:
                path.unlink(missing_ok=True)
            return tasks.Bought(task, bare, "the source was replaced while the API read it")
        price = task.price / purchase.step.variants if answer.charged else Decimal(0)
        facts = facts_to_store(answer, expect, str(price), time.time())
        # The first variant last: where it is durable, all of them are, and a crash in between is seen as a lost answer.
        arrived = list(zip(purchase.results, answer.paths, strict=False))
        kept = [self._results.keep(key, path, {**facts, "sha256": file_hash(path)}) for key, path in reversed(arrived)]
        checked = [found for found in map(self._checked, kept) if found is not None]
        reasons = [reason for reason, _ in checked]
        not_picture = _not_picture(answer, kept[0]) if any(reasons) else ""
        if len(arrived) < len(purchase.results):
            reasons.append(f"it holds {len(arrived)} of {len(purchase.results)} pictures")
        events = tuple(event for _, found in checked for event in found)
        return tasks.Bought(task, bare, next(filter(None, reasons), ""), events, not_picture)

    def _checked(self, result: Result) -> Checked | None:
        """Check an answer that has just been kept; None: it was checked before, or this machine cannot right now.

        It is durable and paid for, so a shortage of files or memory must not make it look like a bad answer, nor like
        a call that was never made: it is checked when it is needed.
        """
        if result.judged:
            return None
        try:
            return self._materializer.check(result)
        except ResultLost:
            # A store that damages what it has just been given would do so with every further answer.
            raise
        except ItemError:
            return None

    def _is_changed(self, task: tasks.Buy) -> bool:
        """Whether an input that the API reads from a signed address is no longer what was listed."""
        return any(
            self._inputs.is_changed(task.input, picture.input_key.value)
            for picture in task.purchase.inputs
            if isinstance(picture, Stage) and _by_address(picture, task) == "object"
        )

    def _call_inputs(self, task: tasks.Buy, spare: Spare) -> tuple[list[Input], Expect]:
        step = task.purchase.step
        ready = [self._call_input(picture, task, spare) for picture in task.purchase.inputs]
        base = ready[0][1] if ready and step.changes_base else None
        return [picture for picture, _ in ready], expect_of_call(step.name, step.expect(base), step.expects, base)

    def _call_input(self, picture: Stage | Outside, task: tasks.Buy, spare: Spare) -> tuple[Input, Facts | None]:
        """Return a picture in a form that the API takes, and its facts where they are known here."""
        if isinstance(picture, UrlRef):
            return Url(picture.url), None
        limits = task.purchase.step.limits
        if isinstance(picture, FileRef | BesideRef):
            file = self._inputs.referenced(picture, spare())
            with (
                self._materializer.decoding,
                naming(str(picture.path) if isinstance(picture, FileRef) else picture.key),
            ):
                imaging.verify(file)
                return sendable(file, spare(), limits)
        if origin := _by_address(picture, task):
            return Url(picture.input_key.value if origin == "url" else self._inputs.address(task.input)), None
        file = self._materializer.durable(picture, task.input, spare)
        with self._materializer.decoding:
            return sendable(file, spare(), limits, picture.local)


def _by_address(picture: Stage, task: tasks.Buy) -> str:
    """Return the origin of a picture that the API reads by itself, from an address; empty where its bytes are sent."""
    by_address = picture.input_key.origin in {"url", "object"} and picture.result is None and not task.input.sha256
    return picture.input_key.origin if by_address else ""


def _not_picture(answer: Answer, kept: Result) -> str:
    """Name what came instead of a picture; web pages are one kind, since each may hold a time or an address."""
    kind = answer.content_type or "something"
    return kind if kind == "text/html" else f"{kind} {kept.facts['sha256']}"


def decoders() -> int:
    """Return how many pictures to decode at once: one a core, and two at most.

    Two decode more pictures of 16 megapixels than any account's rate limit lets through; every further one would hold
    60 MB more.
    """
    return min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _bug(error: Exception) -> VeniceBatchError:
    return VeniceBatchError(f"a bug: {type(error).__name__}: {error}")


def _disk(error: OSError) -> Unavailable:
    # An error while bytes are written names no file; temporary copies are the likeliest.
    place = error.filename or f"while writing (temporary files lie in {tempfile.gettempdir()})"
    return Unavailable(
        f"this machine's disk failed: {place}: {error.strerror or error}",
        remedy="free some space or check the rights, then run the job again: it goes on where it stopped",
    )
