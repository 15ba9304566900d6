"""A worker with real folders, a real store of results, and a client of the offline API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.unit.steps.conftest import HOST, step
from venice_batch.emulator import Running, Settings, serve_in_thread
from venice_batch.job.model import Existing
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run.tasks import Buy, FinishedFile, InputRef, Publish, Published, WrittenFile
from venice_batch.run.worker import Worker
from venice_batch.state import FolderResults, OutputRow, Results
from venice_batch.steps.chain import Chain, Purchase, Stage, Step
from venice_batch.steps.conditions import Known
from venice_batch.steps.input_key import InputKey
from venice_batch.storage import LocalStore
from venice_batch.venice import Api, Breaker, Cancel, Client, Gate, Lanes, Secret

SIZE = (300, 260)


@dataclass
class Shop:
    """A worker and the places it works in."""

    folder: Path
    worker: Worker
    results: Results
    running: Running

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def picture(self, name: str = "a.png", size: tuple[int, int] = SIZE, **save: Any) -> Path:
        path = self.folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Image.new("RGB", size, "white")
        made.paste((180, 30, 40), (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
        made.save(path, **save)
        return path

    def ref(self, source: Path, *, read: bool = True) -> InputRef:
        """Return the reference to a file of the source, as it is after it was listed or, with its hash, read."""
        found = source.stat()
        key = str(source.relative_to(self.folder / "in"))
        return InputRef(key, f"{found.st_size}-{found.st_mtime_ns}", sha256=file_hash(source) if read else "")

    def copies(self) -> list[bytes]:
        """Return the copies of inputs that the worker keeps."""
        return [path.read_bytes() for path in (self.folder / "scratch").glob("input-*")]

    def scratch(self) -> list[str]:
        """Return what else lies about in the folder for temporary files."""
        return sorted(path.name for path in (self.folder / "scratch").rglob("*") if not path.name.startswith("input-"))

    def purchase(self, source: Path | None, *steps: Step, variant: int = 0) -> Purchase:
        input_key = InputKey("source", file_hash(source)) if source is not None else InputKey("unread", "row")
        chain = Chain(HOST, steps)
        _, stop = chain.advance(chain.start(input_key, Known()), variant)
        assert isinstance(stop, Purchase)
        return stop

    def buy(
        self, source: Path | None, name: str, fields: Mapping[str, Any] | None = None, lane: str = "upscaler"
    ) -> Buy:
        ref = self.ref(source) if source is not None else InputRef("row", "v")
        return Buy(1, self.purchase(source, step(name, fields)), ref, Decimal("0.02"), lane)

    def publish(self, source: Path, *files: FinishedFile) -> Publish:
        stage = Stage(InputKey("source", file_hash(source)), Known())
        return Publish(1, stage, self.ref(source), files or (FinishedFile("x/a.png", None, None),))

    def published(self, source: Path, name: str = "x/a.png", ours: OutputRow | None = None) -> WrittenFile:
        """Publish one file and return what was put."""
        outcome = self.worker.do(self.publish(source, FinishedFile(name, None, ours)))
        assert isinstance(outcome, Published), outcome
        assert outcome.error is None
        (written,) = outcome.files
        return written

    def fault(self, **rule: Any) -> None:
        """Script what the API does next."""
        answer = httpx2.post(f"{self.running.control}/faults", json=[rule], trust_env=False)
        assert answer.status_code == 200, answer.text

    def requests(self) -> int:
        """Return how many paid requests the API has seen."""
        return sum(entry.method == "POST" for entry in self.running.state.log)


OpenShop = Callable[..., Shop]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Running]:
    with serve_in_thread(Settings(rpm=10_000)) as running:
        yield running


@pytest.fixture
def open_shop(emulator: Running, tmp_path: Path) -> Iterator[OpenShop]:
    """Make a worker; `existing` is the job's rule on files that are there and not ours."""
    httpx2.post(f"{emulator.control}/reset", trust_env=False)
    for name in ("in", "out", "scratch", "results"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:

        def make(existing: Existing = "fail", *, attempts: int = 1) -> Shop:
            cancel = Cancel()
            client = Client(
                Api(emulator.url, Secret(emulator.key), "emulator"),
                gate=Gate(cancel),
                lanes=Lanes({}, default_rpm=6000, cancel=cancel),
                breaker=Breaker(cancel=cancel),
                cancel=cancel,
                timeout=10,
                attempts=attempts,
            )
            stack.enter_context(client)
            results = FolderResults(tmp_path / "results")
            worker = Worker(
                client=client,
                source=LocalStore(tmp_path / "in"),
                output=LocalStore(tmp_path / "out"),
                existing=existing,
                results=results,
                scratch=tmp_path / "scratch",
                decoders=1,
            )
            return Shop(tmp_path, worker, results, emulator)

        yield make


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    return open_shop()
