"""What a run works with, beside its plan and its state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.run.observe import Observer
from pipeline.run.wallet import Wallet
from pipeline.run.worker import Worker
from pipeline.state import OutputRow
from pipeline.venice import Cancel, Catalogue, Gate, Lanes


@dataclass(frozen=True)
class Tools:
    """The parts that are made once for a run; `owner` tells whose a finished file is."""

    catalogue: Catalogue
    lanes: Lanes
    gate: Gate
    cancel: Cancel
    worker: Worker
    wallet: Wallet
    observer: Observer
    owner: Callable[[str], OutputRow | None]
    now: Callable[[], float] = time.time
