"""Rule 4 through `gc`: after any history of a shop, and whatever was freed, nothing that is live is bought again.

Real folders, plans, driver, worker and state; only the API is drawn in this process, and the clock is the test's. Two
jobs share a state. A model of its own, made of bytes and steps, says what no `gc` may have freed.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from PIL import Image

from tests.chaos.inprocess import Killed, Mortal, Silent, seeded, write_job
from tests.unit.run.test_budget import ANSWER
from tests.unit.steps.conftest import catalogue_of
from venice_batch.job import FolderSource, Job
from venice_batch.plan.model import Range
from venice_batch.plan.planner import PlanInputs, make_plan
from venice_batch.plan.pricing import PriceList
from venice_batch.plan.reading.finished_files import FinishedFiles
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.reading.sources import candidates
from venice_batch.plan.selection import ItemFilter
from venice_batch.run.budget import RunBudget
from venice_batch.run.engines import TaskHandler
from venice_batch.run.gc.sweep import Garbage, find_garbage, sweep
from venice_batch.run.observer import Observer
from venice_batch.run.ownership import claim_output
from venice_batch.run.recorder import Recorder
from venice_batch.run.scheduler import RunContext
from venice_batch.run.session import Preflight, Session, state_to_write
from venice_batch.run.tasks import InputRef, Outcome, Task
from venice_batch.run.worker import Worker
from venice_batch.state import State, to_read
from venice_batch.storage import LocalStore, open_store
from venice_batch.venice import Account, Answer, Api, Cancel, Client, Gate, Lanes, Secret

#: How many histories are played: 2000 for the full suite, a few in `make test`.
HISTORIES = int(os.environ.get("VENICE_CHAOS_HISTORIES", "40"))
_BLOCK, _EVENTS = 8, 18
#: In memory where there is such a folder: nothing here is about power cuts, and syncing is most of the time.
_MEMORY = Path("/dev/shm")  # noqa: S108 - only a place for folders with random names
_FOLDER = _MEMORY if os.access(_MEMORY, os.W_OK) else None
HOST = "api.venice.ai"
DAY = 86_400.0
START = 1_800_000_000.0
JOBS = ("work", "other")
KEYS = ("a.png", "b.png", "c.png", "deep/a.png")
CUT, TWICE, FOUR_TIMES = "background-remove", {"upscale": {"scale": 2}}, {"upscale": {"scale": 4}}
SMALL = {**TWICE, "when": {"max_side_below": 265}}
STEPS: tuple[tuple[object, ...], ...] = ((CUT,), (TWICE,), (CUT, TWICE), (CUT, FOUR_TIMES), (SMALL, CUT), (CUT, SMALL))
AGES = (0.0, 2 * DAY, 7 * DAY)
_BLANK = 0


def _picture(number: int) -> bytes:
    """Draw a picture; two at a time have one size in bytes, so that only their hashes tell them apart."""
    image = Image.new("RGB", (260, 260 + 20 * (number // 2)), (240, 240, 240))
    image.paste((20 * number, 90, 160), (60, 60, 200, 200))
    image.putpixel((0, 0), (number, 0, 0))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=0)
    return file.getvalue()


#: The first is cut out to nothing, and so its result is held back.
PICTURES = tuple(_picture(number) for number in range(8))
BROKEN = PICTURES[1][:200]
#: That pixels are damaged shows when they are decoded, and what is held back when it is there.
UNFORESEEN = {BROKEN, PICTURES[_BLANK]}


#: The bytes of a picture, and which of `STEPS` it went through.
Made = tuple[bytes, int]


@dataclass
class Studio:
    """What answers the calls of a run."""

    calls: int = 0

    def upscale(self, image: Path, sent: Mapping[str, Any], *, into: Path, lane: str) -> Answer:  # noqa: ARG002 - the client's
        with Image.open(image) as opened:
            scale = int(sent.get("scale", 2))
            return self._answer(opened.resize((opened.width * scale, opened.height * scale)), into)

    def background_remove(self, image: Path, sent: Mapping[str, Any], *, into: Path, lane: str) -> Answer:  # noqa: ARG002 - the client's
        with Image.open(image) as opened:
            cut = opened.convert("RGBA")
        blank = cut.getpixel((0, 0)) == (_BLANK, 0, 0, 255)
        mask = Image.new("L", cut.size, 0)
        if not blank:
            mask.paste(255, (cut.width // 4, cut.height // 4, cut.width * 3 // 4, cut.height * 3 // 4))
        cut.putalpha(mask)
        return self._answer(cut, into)

    def _answer(self, image: Image.Image, into: Path) -> Answer:
        self.calls += 1
        image.save(into, "PNG", compress_level=1)
        return replace(ANSWER, paths=(into,), begun_at=time.time(), ended_at=time.time(), model_served=None)


class Inline:
    """An engine that carries out a task while it is submitted: a history is the same each time it is played."""

    capacity = 4

    def __init__(self, handler: TaskHandler) -> None:
        self._handler = handler
        self.release: Callable[[InputRef], None] = handler.release

    def start(self, completed: Callable[[Outcome], None]) -> None:
        self._completed = completed

    def submit(self, task: Task) -> None:
        self._completed(self._handler.do(task))

    def close(self) -> None:
        pass


class InlineSession(Session):
    """A session whose calls are answered by a studio."""

    @contextmanager
    def _context(self, budget: RunBudget, observer: Observer) -> Iterator[RunContext]:
        assert isinstance(self.job.source, FolderSource)
        worker = Worker(
            client=cast("Client", STUDIO),
            source=open_store(self.job.source.path),
            output=self.output,
            existing=self.job.output.existing,
            results=self.state.results,
            scratch=self.state.scratch,
            decoders=1,
        )
        cancel = Cancel()
        lanes = Lanes({}, default_rpm=6000, cancel=cancel)
        prices = PriceList(self.known.catalogue)
        recorder = Recorder(self.job.name, self.state, budget, prices, observer=observer, now=time.time)
        yield RunContext(prices, lanes, Gate(cancel), cancel, Inline(worker), recorder, self.owners)


STUDIO = Studio()
KNOWN = Preflight(catalogue_of(), Account(True, {}, {}))  # noqa: FBT003 - nobody's money


class Shop:
    """Two jobs over folders of their own, one state, and what must hold of them."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.now = START
        #: By job, which of `STEPS`.
        self.steps = {name: chance.randrange(len(STEPS)) for name in JOBS}
        self.log: list[str] = []
        self._stamp = self.freed = 0
        #: What was there when a job was last run, whatever became of that run.
        self.seen: dict[str, tuple[int, dict[str, bytes]]] = {}
        #: For each job, the bytes that its last whole run left done, with the steps of that run.
        self.standing: dict[str, set[Made]] = {name: set() for name in JOBS}
        #: When a run last left these bytes done with these steps; gone where a `gc` may have freed what they need.
        self.used: dict[Made, float] = {}
        for name in JOBS:
            (folder / name / "photos").mkdir(parents=True)
        for _ in range(5):
            self.put()

    def job(self, name: str) -> Job:
        return write_job(self.folder / name, *STEPS[self.steps[name]], name=name, **self._places(name))

    def _places(self, name: str) -> dict[str, Any]:
        # What a killed run wrote without a word of it in the manifest may be in the way of another picture.
        output = {"path": f"finished-{name}", "existing": "replace"}
        return {"state": str(self.folder / "state"), "output": output}

    def photos(self, name: str) -> dict[str, bytes]:
        root = self.folder / name / "photos"
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.png"))}

    # What happens

    def event(self) -> None:
        happenings: list[Callable[[], object]] = [
            *(2 * [self.put]), self.rename, self.copy, self.move_to_the_other, self.remove, self.touch, self.damage,
            self.change_steps, self.lose_outputs, *(2 * [self.run]), *(2 * [self.kill]), *(3 * [self.gc]),
            *(6 * [self.night]),
        ]  # fmt: skip
        happening = self.chance.choice(happenings)
        self.log.append(getattr(happening, "__name__", ""))
        happening()

    def _any(self) -> Path | None:
        found = sorted(self.folder.glob("*/photos/**/*.png"))
        return self.chance.choice(found) if found else None

    def _place(self, name: str | None = None) -> Path:
        path = self.folder / (name or self.chance.choice(JOBS)) / "photos" / self.chance.choice(KEYS)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _stamped(self, path: Path) -> None:
        # A file system's clock may stand still between two writes of one size.
        self._stamp += 1
        os.utime(path, (START + self._stamp, START + self._stamp))

    def put(self) -> None:
        path = self._place()
        path.write_bytes(self.chance.choice(PICTURES))
        self._stamped(path)

    def rename(self) -> None:
        if found := self._any():
            found.rename(self._place(found.relative_to(self.folder).parts[0]))

    def move_to_the_other(self) -> None:
        if found := self._any():
            found.rename(self._place())

    def copy(self) -> None:
        if found := self._any():
            path = self._place()
            if path != found:
                shutil.copyfile(found, path)
                self._stamped(path)

    def remove(self) -> None:
        if found := self._any():
            found.unlink()

    def touch(self) -> None:
        if found := self._any():
            self._stamped(found)

    def damage(self) -> None:
        if found := self._any():
            found.write_bytes(BROKEN)
            self._stamped(found)

    def change_steps(self) -> None:
        self.steps[self.chance.choice(JOBS)] = self.chance.randrange(len(STEPS))

    def lose_outputs(self) -> None:
        for path in self.folder.glob("*/finished-*/**/*.png"):
            if self.chance.random() < 0.5:
                path.unlink()

    def night(self) -> None:
        self.now += self.chance.choice((DAY, 3 * DAY))
        for name in JOBS:
            self.run(name)

    def run(self, name: str = "", dies_at: int = 0) -> None:
        """Run a job to its end, or until it dies at a commit."""
        name = name or self.chance.choice(JOBS)
        self.now += 3600
        self.seen[name] = self.steps[name], self.photos(name)
        job, known = self.job(name), KNOWN
        pipeline = make_pipeline(job, HOST)
        with state_to_write(job, HOST) as state:
            output = open_store(job.output.path)
            claim_output(output, job.output.path, job.state, state.scratch)
            output.remove_stale()
            recovered = state.recover(time.time())
            inputs = PlanInputs.gather(job, state, known.catalogue, known.account)
            plan = make_plan(pipeline, inputs, ItemFilter())
            held = Mortal(state, dies_at=dies_at, after=self.chance.random() < 0.5) if dies_at else state
            api = Api("http://127.0.0.1:1", Secret("none"))
            owners = partial(state.outputs_at, name)
            begun = InlineSession(job, api, pipeline, held, plan, known, recovered, output, owners)
            before = STUDIO.calls
            try:
                summary = begun.execute(Silent(), partial=False)
            except Killed:
                # It may have recorded what is gone, and nothing of what took its place.
                self.standing[name] &= {(content, self.steps[name]) for content in self.photos(name).values()}
                return
            assert summary.cause is None, summary.cause
            if not (recovered or state.uncertain_results() or UNFORESEEN & set(self.photos(name).values())):
                assert plan.cost == Range(*(2 * [_price(state, before)])), "the plan is not exact"
            done = {row.key for row in state.items(name, "done")}
        self.standing[name] = {(content, self.steps[name]) for key, content in self.photos(name).items() if key in done}
        self.used.update(dict.fromkeys(self.standing[name], self.now))

    def kill(self) -> None:
        self.run(dies_at=self.chance.randint(2, 9))
        if self.chance.random() < 0.5:
            self.gc(0.0)

    def gc(self, age: float | None = None, given: tuple[str, ...] = ()) -> Garbage:
        """Free what can go: what the jobs need costs the same before and after.

        Of a job that is not given nobody looks at the source: what no run has seen there is not known.
        """
        age = self.chance.choice(AGES) if age is None else age
        given = given or self.chance.choice((JOBS, JOBS[:1], JOBS[1:]))
        known = [name for name in JOBS if name in given or self.seen.get(name) == (self.steps[name], self.photos(name))]
        before = {name: self.cost(name) for name in known}
        with to_read(self.job(given[0]).state) as state:
            looked = find_garbage(state, self._listed(given), self.now, older_than=age)
        with state_to_write(self.job(given[0]), HOST) as state:
            state.recover(time.time())
            found = find_garbage(state, self._listed(given), self.now, older_than=age)
            assert [each.stored.key for each in found.unused] == [each.stored.key for each in looked.unused]
            sweep(state, found.unused)
        assert {name: self.cost(name) for name in known} == before, "what is live is not there any more"
        standing = set().union(*self.standing.values())
        self.used = {made: at for made, at in self.used.items() if self.now - at < age or made in standing}
        self.freed += len(found.unused)
        return found

    def _listed(self, names: Iterable[str]) -> list[Any]:
        jobs = [self.job(name) for name in names]
        return [(make_pipeline(job, HOST), candidates(job)) for job in jobs]

    # What must hold

    def cost(self, name: str, job: Job | None = None) -> Range:
        """What it costs to make all finished files of a job again, at most and at least."""
        job = job or self.job(name)
        with to_read(job.state) as state:
            inputs = PlanInputs.gather(job, state, KNOWN.catalogue, KNOWN.account)
            inputs = replace(inputs, files=FinishedFiles(LocalStore(self.folder / "empty"), lambda _: {}))
            return make_plan(make_pipeline(job, HOST), inputs, ItemFilter()).cost

    def end(self) -> None:
        """Run both jobs and free what can go: what is young costs nothing, nor do finished files that were deleted."""
        for name in JOBS:
            self.run(name)
            self.run(name)  # what was uncertain is bought by the second at the latest
        self.gc(self.chance.choice(AGES[1:]))
        self._bring_back()
        found = self.gc(0.0, JOBS)
        assert (found.spared, found.unclear) == (0, 0), "everything is known, and what nothing needs is gone"
        calls = STUDIO.calls
        for path in self.folder.glob("*/finished-*"):
            shutil.rmtree(path)
        for name in JOBS:
            assert self.cost(name) == Range()
            self.run(name)
        assert STUDIO.calls == calls, "live pictures were bought again"

    def _bring_back(self) -> None:
        """Put everything back that no `gc` was allowed to free: it costs nothing, under whatever name."""
        for number, steps in enumerate(STEPS):
            kept = [content for content, of in self.used if of == number]
            folder = self.folder / f"again-{number}"
            (folder / "photos").mkdir(parents=True)
            for place, content in enumerate(kept):
                (folder / "photos" / f"{place}.png").write_bytes(content)
            job = write_job(folder, *steps, name=f"again-{number}", **self._places("again"))
            assert self.cost(job.name, job) == Range(), "a result was freed before its time"


def _price(state: State, calls_before: int) -> Any:
    """Return the price of the calls since, as the ledger has it."""
    made = STUDIO.calls - calls_before
    rows = [row for name in JOBS for row in state.calls(name) if row.fate == "spent"]
    latest = sorted(rows, key=lambda row: row.id)[len(rows) - made :]
    return sum((Range().low + row.micros for row in latest), Range().low) / 1_000_000


@pytest.mark.parametrize("block", range(-(-HISTORIES // _BLOCK)))
def test_after_any_history_and_any_gc_what_is_live_is_not_bought_again(block: int) -> None:
    calls, freed = STUDIO.calls, 0
    for number in range(block * _BLOCK, min((block + 1) * _BLOCK, HISTORIES)):
        with tempfile.TemporaryDirectory(prefix="histories-", dir=_FOLDER) as folder:
            freed += _live_through(number, Path(folder))
    assert freed > 0
    assert STUDIO.calls - calls > freed


def _live_through(number: int, folder: Path) -> int:
    """Play one history; return how many results were freed."""
    shop = Shop(folder, seeded(f"gc {number}"))
    with patch("time.time", lambda: shop.now):
        try:
            for _ in range(_EVENTS):
                shop.event()
            shop.end()
        except Exception as error:
            error.add_note(f"history {number}: {', '.join(shop.log)}")
            raise
    return shop.freed
