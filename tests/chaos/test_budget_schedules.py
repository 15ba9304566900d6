"""Rule 7 under fire: seeded schedules of faults, deaths and concurrency, judged by the vendor's own books.

``VENICE_CHAOS_SCHEDULES=1000 python -m pytest tests/chaos/test_budget_schedules.py -s`` plays a thousand of them.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.inprocess import SCHEDULES, api_of, at_most, carry_out, seeded, started, summarised, write_job
from tests.e2e.conftest import CUT, ENLARGE, Vendor, draw
from venice_batch.emulator import Settings, serve_in_thread
from venice_batch.errors import Exit
from venice_batch.job import Budget, Job
from venice_batch.plan.model import Plan
from venice_batch.plan.money import MICRO
from venice_batch.plan.selection import ItemFilter
from venice_batch.run.session import plan_only
from venice_batch.state import State, to_read

PICTURES = 12
#: Starts of one run before a schedule counts as one that never ends.
_STARTS = 40
_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "lost"},
    {"status": 504, "billed": True},
    {"status": 504},
    {"kind": "reset-mid-body"},
    {"kind": "reset-before-body"},
    {"kind": "truncate"},
    {"kind": "garbage"},
    {"kind": "html"},
)
#: Only calls that cost money fail: the free ones before a run have tests of their own.
_PATHS = ("/image/background-remove", "/image/upscale", "/image/edit")
#: Mostly steps with small answers, so that a schedule is money and threads, not decoding.
_CHAINS: tuple[tuple[object, ...], ...] = (
    (CUT,),
    (CUT, ENLARGE),
    (ENLARGE, CUT),
    ({"upscale": {"scale": 2}, "when": {"min_side_below": 250}}, CUT),
    (CUT, {"upscale": {"scale": 4}, "when": {"min_side_below": 250}}),
    (CUT, ENLARGE, {"edit": {"prompt": "on marble"}}),
)


@dataclass(frozen=True)
class Schedule:
    """What one seed decides."""

    seed: int
    chain: tuple[object, ...]
    items: int
    twins: int
    share: Decimal
    concurrency: int
    uncertain: str
    faults: tuple[dict[str, Any], ...]
    deaths: int

    @staticmethod
    def of(seed: int) -> Schedule:
        chance = seeded(seed)
        rules = [
            {
                "match": {"path": path, "probability": chance.uniform(0.02, 0.25), "seed": chance.getrandbits(30)},
                "do": fault,
            }
            for fault in chance.sample(_FAULTS, chance.randint(0, 4))
            for path in _PATHS
        ]
        # Retries of a 500 wait up to a second each: some, not many.
        if chance.random() < 0.25:
            rules.append({"match": {"path": _PATHS[0], "nth": chance.randint(1, 8)}, "do": {"status": 500}})
        return Schedule(
            seed,
            chance.choice(_CHAINS),
            chance.randint(3, PICTURES),
            chance.choice((0, 0, 2)),
            Decimal(chance.randint(10, 90)) / 100,
            chance.choice((1, 2, 4, 8, 16)),
            chance.choice(("retry", "retry", "hold")),
            tuple(rules),
            chance.choice((0, 1, 2, 3, 5)),
        )


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    """A vendor who is never in the way: no limits worth the name, a lot of money, and no drawing."""
    settings = Settings(rpm=100_000, usd=Decimal(1_000_000), latency=0.004, error_budget=10_000, pictures="canned")
    with serve_in_thread(settings) as running:
        yield Vendor(running)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures, each of its own bytes, half of them so small that a condition holds."""
    folder = tmp_path_factory.mktemp("pool")
    for number in range(PICTURES):
        draw(folder / f"{number:02}.jpg", (320, 240) if number % 2 else (272, 260))
    return folder


def _fill(folder: Path, pool: Path, items: int, twins: int, first: int = 0) -> None:
    folder.mkdir(parents=True)
    for number in range(items):
        shutil.copy2(pool / f"{(first + number) % PICTURES:02}.jpg", folder)
    for number in range(twins):
        shutil.copy2(pool / f"{first:02}.jpg", folder / f"twin-{number}.jpg")


def _counted(state: State, job: Job) -> Decimal:
    run = state.last_run(job.name)
    assert run is not None
    return Decimal(state.counted_in_run(run.id)) / MICRO


@dataclass
class Played:
    """What came of a schedule."""

    deaths: int = 0
    starts: int = 0
    code: int | None = None


def _play(job: Job, vendor: Vendor, chance: random.Random, deaths: int) -> Played:
    """Start the job again and again, as a supervisor would, until its run has come to an end."""
    played = Played()
    while played.starts < _STARTS:
        played.starts += 1
        dies_at = chance.randint(1, 12) if played.deaths < deaths else 0
        with started(job, vendor) as begun:
            lived = carry_out(begun, chance, dies_at=dies_at, after=chance.random() < 0.5)
        played.deaths += not lived
        # Killed after its last row, a run has ended all the same: the next start would be another run.
        with to_read(job.state) as state:
            last = state.last_run(job.name)
        if last is not None and last.closed:
            played.code = last.exit_code
            return played
    raise AssertionError(f"no end after {_STARTS} starts")


def _with_a_cap(job: Job, vendor: Vendor, share: Decimal) -> tuple[Job, Decimal]:
    with started(job, vendor) as begun:
        cap = (begun.plan.cost.high * share).quantize(Decimal("0.01"))
    return replace(job, budget=Budget(max_usd=cap)), cap


@pytest.mark.parametrize("first", range(0, SCHEDULES, 20))
def test_what_the_books_billed_never_exceeds_the_cap_and_every_schedule_ends(
    first: int, vendor: Vendor, pool: Path, tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()
    shares = []
    for seed in range(first, min(first + 20, SCHEDULES)):
        schedule = Schedule.of(seed)
        folder = tmp_path / str(seed)
        _fill(folder / "photos", pool, schedule.items, schedule.twins)
        run = {"concurrency": schedule.concurrency, "uncertain": schedule.uncertain, "max_failure_rate": "100%"}
        job = write_job(folder, *schedule.chain, run=run, state="memory")
        vendor.reset()
        job, cap = _with_a_cap(job, vendor, schedule.share)
        vendor.faults(*schedule.faults)
        with at_most(60, f"seed {seed}"):
            played = _play(job, vendor, seeded(f"deaths {seed}"), schedule.deaths)
            vendor.until_quiet()
        billed = vendor.billed()
        with to_read(job.state) as state:
            counted = _counted(state, job)
            running = list(state.items(job.name, "running"))
        assert billed <= cap, f"seed {seed}"
        assert billed <= counted <= cap, f"seed {seed}: the ledger lacks a charge, or exceeds the cap"
        assert running == [], f"seed {seed}"
        seen.update(deaths=played.deaths, starts=played.starts, schedules=1, billed=len(vendor.bought()))
        seen[f"exit {played.code}"] += 1
        shares.append(billed / cap)
        shutil.rmtree(folder)
    # A run that buys nothing would pass all of the above.
    assert sum(shares) / len(shares) > Decimal("0.4")
    print(json.dumps({**seen, "share of the cap used": f"{sum(shares) / len(shares):.2f}"}))  # noqa: T201 - a figure


@pytest.mark.parametrize("seed", range(max(2, SCHEDULES // 20)))
def test_a_limit_of_a_day_holds_over_all_jobs_that_share_a_state(
    seed: int, vendor: Vendor, pool: Path, tmp_path: Path
) -> None:
    chance = seeded(f"day {seed}")
    _fill(tmp_path / "photos", pool, 5, 0)
    limit = Decimal(chance.randint(20, 70)) / 100
    vendor.reset()
    vendor.faults(*Schedule.of(seed).faults)
    began = int(time.time() // 86_400)
    jobs = [
        write_job(
            tmp_path,
            # The same pictures, but another purchase: nothing of one job serves another.
            {"edit": {"prompt": f"on marble {number}"}},
            {"upscale": {"scale": 2}},
            name=f"job-{number}",
            run={"concurrency": chance.choice((1, 4, 8)), "max_failure_rate": "100%"},
            budget={"max_usd_per_day": str(limit)},
            state="memory",
        )
        for number in range(3)
    ]
    with at_most(60, f"seed {seed}"):
        codes = [_play(job, vendor, chance, deaths=2).code for job in jobs]
        vendor.until_quiet()
    days = 1 + int(time.time() // 86_400) - began
    assert vendor.billed() <= limit * days
    assert Exit.MONEY in codes, "the jobs together cost more than the day allows"
    with to_read(jobs[0].state) as state:
        counted = Decimal(state.counted_since(0)) / MICRO
    assert vendor.billed() <= counted <= limit * days
    assert counted > limit * Decimal("0.5"), "the limit was hardly used"


# The plan against the books, which compute every price for themselves


def _multi(model: str, **fields: object) -> dict[str, Any]:
    images = ["current", "source", {"file": "logo.jpg"}]
    return {"multi-edit": {"prompt": "add the logo", "modelId": model, "images": images, **fields}}


_NANO = {"edit": {"prompt": "on marble", "model": "nano-banana-pro-edit", "resolution": "2K", "enhance_prompt": True}}
_PRICED: dict[str, tuple[object, ...]] = {
    "conditions and extra images": (
        {"upscale": {"scale": 2}, "id": "small", "when": {"min_side_below": 250}},
        {"upscale": {"scale": 4}, "id": "wide", "when": {"min_side_below": 250}},
        CUT,
        _multi("flux-2-max-edit"),
    ),
    "tiers and a rewritten prompt": (_NANO, _multi("qwen-image-3-edit")),
    "qualities": (
        _multi("gpt-image-2-edit", quality="high") | {"id": "fine"},
        _multi("gpt-image-2-edit", quality="low", resolution="2K") | {"id": "rough"},
        _multi("gpt-image-2-edit") | {"id": "plain"},
    ),
    "the largest tier": ({"edit": {**_NANO["edit"], "resolution": "4K"}},),
}


def _planned_and_billed(job: Job, vendor: Vendor) -> tuple[Plan, Decimal]:
    vendor.reset()
    plan = plan_only(job, api_of(vendor), ItemFilter())
    with at_most(60, job.name), started(job, vendor) as begun:
        summary = summarised(begun)
    assert summary.exit_code == Exit.DONE, summary
    assert Decimal(summary.spent_micros) / MICRO == vendor.billed()
    return plan, vendor.billed()


@pytest.mark.parametrize("chain", _PRICED)
def test_the_plan_total_is_what_the_books_bill_to_the_cent(
    chain: str, vendor: Vendor, pool: Path, tmp_path: Path
) -> None:
    _fill(tmp_path / "photos", pool, 1 if "largest" in chain else 2, 0)
    draw(tmp_path / "logo.jpg", (280, 280))
    plan, billed = _planned_and_billed(write_job(tmp_path, *_PRICED[chain]), vendor)
    assert plan.cost.low == plan.cost.high == billed
    by_model: Counter[str] = Counter()
    for call in vendor.bought():
        by_model[call["model"]] += Decimal(call["billed"])  # type: ignore[assignment]  # a Counter counts money as well
    told: Counter[str] = Counter()
    for step in plan.steps:
        told[step.model] += step.cost.high  # type: ignore[assignment]  # as above
    assert told == by_model


def test_every_variant_of_a_generation_is_in_the_plan_and_in_the_bill(vendor: Vendor, tmp_path: Path) -> None:
    rows = "id,prompt\n" + "".join(f"row-{number},a red chair {number}\n" for number in range(3))
    tmp_path.joinpath("prompts.csv").write_text(rows, "utf-8")
    generate = {
        "generate": {"model": "z-image-turbo", "variants": 3, "enhance_prompt": True, "width": 512, "height": 512}
    }
    job = write_job(tmp_path, generate, ENLARGE, source={"prompts": "prompts.csv"})
    plan, billed = _planned_and_billed(job, vendor)
    assert plan.cost.low == plan.cost.high == billed
    assert billed == 3 * (3 * Decimal("0.01") + Decimal("0.04")) + 9 * Decimal("0.02")


def test_where_a_condition_waits_for_an_answer_the_bill_lies_within_the_plan(
    vendor: Vendor, pool: Path, tmp_path: Path
) -> None:
    _fill(tmp_path / "photos", pool, 3, 0)
    edit = {"edit": {"prompt": "on marble"}}
    job = write_job(tmp_path, edit, {"upscale": {"scale": 2}, "when": {"max_side_below": 2000}})
    plan, billed = _planned_and_billed(job, vendor)
    assert plan.cost.low < plan.cost.high
    assert plan.cost.low <= billed <= plan.cost.high
