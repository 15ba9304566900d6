"""SIGKILL at random instants, by the hundred, under faults: what was lost, torn, or bought twice.

    python -m tests.chaos.kills --kills 200 --seed 1 [--bucket]

The emulator runs in a process of its own and its log is the witness: what it charged is held against what lies on disk
right after each kill, and against the ledger at the end. Exits with 1 when a figure is not as it must be.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image

from tests.bench.vendor import serving
from tests.e2e.cloud import Cloud
from tests.e2e.conftest import CUT, ENLARGE, Vendor, Work
from tests.servers.bucket import only_these_variables
from tests.servers.seaweed import running
from venice_batch.state import to_read

ITEMS = 24
STEPS = [CUT, ENLARGE, {"edit": {"prompt": "on white marble", "output_format": "jpeg"}}]
LATENCY = 0.5
RPM = 6000
#: So many calls open at a kill make it a crowded one.
CROWD = 8
#: How often a kill waits for a crowd before it picks its moment; the others fall anywhere, planning included.
_SEEKS_A_CROWD = 0.8
#: A job that was killed so often is left to finish.
_KILLS_PER_JOB = 12
_STARTS_TO_FINISH = 8
#: Faults that are charged and bring no answer: what they take away is not the kill's doing.
_CHARGED_FOR_NOTHING = ("lost", "reset-mid-body")
_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "lost"},
    {"kind": "reset-mid-body"},
    {"status": 500},
    {"status": 503},
)
_CHANCE_OF_A_FAULT = 0.02
#: Between the last byte of an answer and its durable result lie a few fsyncs: more than this would be waiting for
#: something, with money at stake.
_KEPT_WITHIN = 2.0

Entry = dict[str, Any]
#: What was bought: endpoint and hash of the picture that was sent. All pictures of a job differ, in every step.
Purchase = tuple[str, str]


class Away(Vendor):
    """The emulator in its own process, so that it outlives every kill and takes no time from the command."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def _ask(self, name: str, document: object = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        control = self.url.removesuffix("/api/v1") + "/_emulator"
        with urllib.request.urlopen(f"{control}/{name}", data, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)


@dataclass
class Figures:
    """What the kills did; every number is a sum over all jobs."""

    jobs: int = 0
    kills: int = 0
    crowded: int = 0
    items: int = 0
    items_lost: int = 0
    outputs_torn: int = 0
    calls_needed: int = 0
    calls_billed: int = 0
    lost_to_faults: int = 0
    lost_to_kills: int = 0
    kept_too_late: int = 0
    stored_bought_again: int = 0
    rows_missing: int = 0
    rows_without_charge: int = 0
    open_at_kill: list[int] = field(default_factory=list)

    @property
    def beyond(self) -> int:
        """Paid calls beyond (items x steps), those not counted that an injected fault took."""
        return self.calls_billed - self.calls_needed - self.lost_to_faults

    def wrong(self) -> list[str]:
        """Return what is not as it must be, a sentence each."""
        checks = {
            f"{self.items_lost} items were lost": self.items_lost == 0,
            f"{self.outputs_torn} outputs were torn": self.outputs_torn == 0,
            f"{self.beyond} calls were paid beyond those needed, {self.lost_to_kills} were lost to kills": (
                self.beyond <= self.lost_to_kills
            ),
            f"{self.stored_bought_again} stored results were bought again": self.stored_bought_again == 0,
            f"{self.kept_too_late} answers were not durable {_KEPT_WITHIN} s after they were sent": (
                self.kept_too_late == 0
            ),
            f"{self.rows_missing} uncertain rows are missing in the ledger": self.rows_missing == 0,
            f"only {self.crowded} of {self.kills} kills fell with {CROWD} or more calls open": (
                2 * self.crowded >= self.kills
            ),
        }
        return [sentence for sentence, holds in checks.items() if not holds]

    def __str__(self) -> str:
        middle = sorted(self.open_at_kill)[len(self.open_at_kill) // 2] if self.open_at_kill else 0
        rows = (
            ("kills", f"{self.kills} in {self.jobs} jobs, {self.items} items"),
            (f"  with {CROWD} or more calls open", f"{self.crowded / max(1, self.kills):.0%}; median {middle} open"),
            ("items lost", self.items_lost),
            ("outputs torn", self.outputs_torn),
            ("calls needed (items x steps)", self.calls_needed),
            ("calls billed", self.calls_billed),
            ("  of them lost to injected faults", self.lost_to_faults),
            ("  beyond those needed and those lost to faults", self.beyond),
            ("billed without a durable result at the kills", self.lost_to_kills),
            (f"  of them answered {_KEPT_WITHIN:g} s or more before", self.kept_too_late),
            ("stored results bought again", self.stored_bought_again),
            ("uncertain rows missing for repeated charges", self.rows_missing),
            ("uncertain rows of calls that were not charged", self.rows_without_charge),
        )
        return "\n".join(f"{name:<50}{value}" for name, value in rows)


def purchase(entry: Entry) -> Purchase:
    """Return what a request was for."""
    return entry["path"], entry["image_sha256"]


def is_open(entry: Entry, at: float) -> bool:
    """Whether the server was working on a request at this moment."""
    return entry["time_begun"] <= at and (entry["time_answered"] is None or entry["time_answered"] > at)


class Job:
    """One fresh job: killed again and again, resumed until done, then audited."""

    def __init__(self, work: Work, chance: random.Random, figures: Figures) -> None:
        self._work = work
        self._chance = chance
        self._figures = figures
        self._whole: dict[str, bytes] = {}
        self._stored: set[Purchase] = set()
        self._seen = 0
        for number in range(ITEMS):
            # Canned answers are alike for alike sizes; different sizes keep all purchases apart.
            work.take(f"{number:02}.jpg", (320 + number, 256))
        work.write(*STEPS, run={"max_failure_rate": "100%"})
        work.vendor.reset()
        seeds = (chance.randrange(1 << 30) for _ in _FAULTS)
        work.vendor.faults(
            *({"match": {"probability": _CHANCE_OF_A_FAULT, "seed": next(seeds)}, "do": fault} for fault in _FAULTS)
        )

    def kill_until(self, kills: int) -> None:
        """Kill the job until it is done or there were so many kills in all, then let it finish, and audit it."""
        here, done = 0, False
        while not done and here < _KILLS_PER_JOB and self._figures.kills < kills:
            done = self._start_and_kill()
            here += not done
        for _ in range(_STARTS_TO_FINISH):
            if done:
                break
            done = self._work.run().code == 0
            self._take_stock(killed_at=None)
        self._audit()

    def _start_and_kill(self) -> bool:
        """Start the job and kill it; return whether it was done before that."""
        process = self._work.start()
        at = self._moment(process)
        process.kill()
        process.communicate(timeout=30)
        self._work.forget()
        self._work.vendor.until_quiet()
        killed = process.returncode == -signal.SIGKILL
        if killed:
            self._count_the_crowd(at)
        self._take_stock(killed_at=at if killed else None)
        return process.returncode == 0

    def _moment(self, process: subprocess.Popen[str]) -> float:
        """Wait for the moment of the kill; return it in Unix seconds."""
        if self._chance.random() < _SEEKS_A_CROWD:
            while process.poll() is None and self._open_now() < CROWD:
                time.sleep(0.02)
            time.sleep(self._chance.uniform(0, 2.5 * LATENCY))
        else:
            time.sleep(self._chance.uniform(0.1, 2.5))
        return time.time()

    def _entries(self) -> list[Entry]:
        """Return the paid requests since the latest stock-taking."""
        return self._work.vendor.paid()[self._seen :]

    def _open_now(self) -> int:
        return sum(entry["time_answered"] is None and not entry["aborted"] for entry in self._entries())

    def _count_the_crowd(self, at: float) -> None:
        crowd = sum(is_open(entry, at) for entry in self._entries())
        self._figures.kills += 1
        self._figures.open_at_kill.append(crowd)
        self._figures.crowded += crowd >= CROWD

    def _take_stock(self, killed_at: float | None) -> None:
        """Hold what was charged since the last time against what is durable now."""
        entries = self._entries()
        self._seen += len(entries)
        bought = [entry for entry in entries if Decimal(entry["billed"])]
        kept = set(self._work.request_ids().values())
        figures = self._figures
        figures.calls_billed += len(bought)
        for entry in bought:
            figures.stored_bought_again += purchase(entry) in self._stored
            if entry["fault"] in _CHARGED_FOR_NOTHING:
                figures.lost_to_faults += 1
            elif entry["request_id"] not in kept and killed_at is not None and purchase(entry) not in self._stored:
                figures.lost_to_kills += 1
                answered = entry["time_answered"]
                figures.kept_too_late += answered is not None and answered < killed_at - _KEPT_WITHIN
        self._stored |= {purchase(entry) for entry in bought if entry["request_id"] in kept}
        figures.outputs_torn += self._torn()

    def _torn(self) -> int:
        """Return how many finished files that are new since the last look are no whole picture."""
        torn = 0
        for name, content in self._work.outputs().items():
            if self._whole.get(name) != content:
                self._whole[name] = content
                torn += not is_whole(content)
        return torn

    def _audit(self) -> None:
        """Count what the finished job lacks."""
        figures, work = self._figures, self._work
        figures.jobs += 1
        figures.items += ITEMS
        figures.calls_needed += ITEMS * len(STEPS)
        with to_read(work.memory) as state:
            written = {row.path: row.sha256 for row in state.outputs(work.name)}
        states, outputs = work.states(), work.outputs()
        figures.items_lost += ITEMS - sum(state == "done" for state in states.values())
        figures.items_lost += ITEMS - len(outputs)
        figures.outputs_torn += sum(hashlib.sha256(data).hexdigest() != written[name] for name, data in outputs.items())
        self._audit_the_ledger()

    def _audit_the_ledger(self) -> None:
        """A key that was billed n times must have n - 1 uncertain rows; one was answered."""
        calls = self._work.vendor.paid()
        by_request = {entry["request_id"]: purchase(entry) for entry in calls}
        billed = Counter(purchase(entry) for entry in calls if Decimal(entry["billed"]))
        rows = Counter(row["result"] for row in self._work.asked("ledger") if row["fate"] == "uncertain")
        for key, request in self._work.request_ids().items():
            repeats = billed[by_request[request]] - 1
            self._figures.rows_missing += max(0, repeats - rows[key])
            self._figures.rows_without_charge += max(0, rows[key] - repeats)


def is_whole(content: bytes) -> bool:
    """Whether a picture decodes to its last line."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


#: Makes the place of a job: its folder, and the vendor it buys from.
Opener = Callable[[Path, Vendor], Work]


def kill_often(kills: int, seed: int, folder: Path, opener: Opener = Work) -> Figures:
    """Kill fresh jobs in `folder` until there were so many kills; return the figures."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    figures = Figures()
    with serving(latency=LATENCY, rpm=RPM) as server:
        vendor = Away(server.url, server.key)
        while figures.kills < kills:
            root = folder / f"job-{figures.jobs}"
            Job(opener(root, vendor), chance, figures).kill_until(kills)
            shutil.rmtree(root)
    return figures


@contextmanager
def clouds() -> Iterator[Opener]:
    """Give jobs whose source, output and state lie in a bucket of a real server."""
    with only_these_variables(), running() as server:
        yield lambda root, vendor: Cloud(root, vendor, bucket=server.bucket)


def main() -> int:
    """Kill, print the figures, and say what is wrong with them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many kills in all")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and faults")
    parser.add_argument(
        "--bucket", action="store_true", help="everything in a bucket, the machine's disk lost each time"
    )
    given = parser.parse_args()
    begun = time.monotonic()
    with ExitStack() as stack:
        opener = stack.enter_context(clouds()) if given.bucket else Work
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        figures = kill_often(given.kills, given.seed, Path(folder), opener)
    sys.stdout.write(f"{figures}\n{time.monotonic() - begun:.0f} s\n")
    for sentence in figures.wrong():
        sys.stdout.write(f"WRONG: {sentence}\n")
    return 1 if figures.wrong() else 0


if __name__ == "__main__":
    sys.exit(main())
