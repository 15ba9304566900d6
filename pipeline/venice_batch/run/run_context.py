"""What a run works with, beside its plan and its state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from venice_batch.run.budget import RunBudget
from venice_batch.run.observer import Observer
from venice_batch.run.worker import Worker
from venice_batch.state import OutputRow
from venice_batch.venice import Cancel, Catalogue, Gate, Lanes


@dataclass(frozen=True)
class RunContext:
    """The parts that are made once for a run; `owner` tells whose a finished file is."""

    catalogue: Catalogue
    lanes: Lanes
    gate: Gate
    cancel: Cancel
    worker: Worker
    budget: RunBudget
    observer: Observer
    owner: Callable[[str], OutputRow | None]
    now: Callable[[], float] = time.time
