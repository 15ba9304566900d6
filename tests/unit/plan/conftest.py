"""A folder of real pictures, a state, and plans made of them against a catalogue in the API's own form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.unit.steps.conftest import catalogue_of
from venice_batch.job import Job, loads
from venice_batch.plan.model import Plan, PlannedItem, dollars
from venice_batch.plan.pipeline import Pipeline
from venice_batch.plan.planner import PlanInputs, make_plan
from venice_batch.plan.reading.load_pipeline import make_pipeline
from venice_batch.plan.selection import ItemFilter
from venice_batch.state import ItemId, ItemMoved, OutputRow, State, to_write
from venice_batch.venice import Account, Catalogue

HOST = "api.venice.ai"
RICH = {"USD": Decimal(1000)}


@dataclass
class Bench:
    """One job's surroundings: ``in``, ``out`` and the state below one folder."""

    folder: Path
    state: State
    catalogue: Catalogue = field(default_factory=catalogue_of)
    balances: Mapping[str, Decimal] = field(default_factory=lambda: dict(RICH))
    permitted: bool = True
    now: float = 1_800_000_000.0
    host: str = HOST

    def picture(self, key: str, size: tuple[int, int] = (300, 300), colour: str = "red", **save: Any) -> Path:
        path = self.folder / "in" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path, **save)
        return path

    def job(self, *steps: str, more: str = "", source: str = "./in", output: str = "./out") -> Job:
        listed = "".join(f"  - {step}\n" for step in steps)
        text = f"version: 1\nname: job\nsource: {source}\noutput: {output}\nstate: ./state\n{more}\nsteps:\n{listed}"
        return loads(text, self.folder / "job.yaml", environ={})

    def pipeline(self, job: Job) -> Pipeline:
        return make_pipeline(job, self.host)

    def plan(self, *steps: str, item_filter: ItemFilter | None = None, **job: str) -> Plan:
        return self.plan_of(self.job(*steps, **job), item_filter)

    def plan_of(self, job: Job, item_filter: ItemFilter | None = None) -> Plan:
        account, store = Account(self.permitted, self.balances, {"upscaler": 30}), job.output.path.store()

        def owners(names: Sequence[str]) -> Mapping[str, OutputRow]:
            # Whatever lies in the output is this job's, as it left it.
            found = [entry for entry in map(store.stat, names) if entry is not None]
            return {entry.key: OutputRow("", 0, entry.key, entry.version, "") for entry in found}

        inputs = PlanInputs.gather(job, self.state, self.catalogue, account, owners)
        return make_plan(self.pipeline(job), replace(inputs, now=self.now), item_filter)

    def record(self, item: PlannedItem, state: str, code: str = "", *, lasting: bool = False, **change: str) -> None:
        """Write an item's row as a run would have left it; `change` overrides version, fingerprint or result."""
        version = change.get("version", item.candidate.version)
        fingerprint = change.get("fingerprint", item.fingerprint)
        identity = ItemId("job", item.key, item.variant)
        held = change.get("result", "key" if state == "flagged" else "")
        moved = ItemMoved(identity, version, fingerprint, state, 1.0, code, "why", lasting=lasting, result=held)
        self.state.commit([moved])

    def buy(self, key: str, content: bytes = b"bought", checked: Mapping[str, Any] | None = None) -> None:
        """Keep a result under `key`, checked where what the check found is given."""
        file = self.state.results.incoming(key)
        file.write_bytes(content)
        kept = self.state.results.keep(key, file, {"price_usd": "0.02"})
        if checked is not None:
            self.state.results.note_verdict(kept, checked)


def statuses(plan: Plan) -> dict[str, str]:
    return {item.name: item.status for item in plan.items}


def amounts(plan: Plan) -> tuple[str, str]:
    return dollars(plan.cost.low), dollars(plan.cost.high)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "in").mkdir()
    with ExitStack() as stack:
        yield Bench(tmp_path, stack.enter_context(to_write(tmp_path / "state")))
