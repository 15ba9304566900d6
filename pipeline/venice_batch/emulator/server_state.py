"""Everything that one running emulator remembers: account, limits, fault script, log of requests."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from venice_batch.emulator import catalogue
from venice_batch.emulator.accounts import Books
from venice_batch.emulator.faults import Faults
from venice_batch.emulator.limits import ErrorBudget, RateWindows
from venice_batch.emulator.renderer import renderer
from venice_batch.emulator.settings import Settings


@dataclass(slots=True)
class Entry:
    """One request in the log, for tests that count calls and check their order; times are Unix seconds.

    Attributes:
        status: None while unanswered, and for good when no status line was sent.
        billed: USD; zero when nothing was billed.
        currency: what paid, empty when nothing did.
        image_sha256: of the first input's bytes, however they were sent.
        params: the fields as they arrived, without pictures.
        aborted: the connection was gone before the answer, or was cut by a fault.
        fault: the scripted fault that hit it, or empty.
    """

    number: int
    request_id: str
    method: str
    path: str
    time_begun: float
    time_answered: float | None = None
    model: str = ""
    status: int | None = None
    billed: Decimal = Decimal(0)
    currency: str = ""
    image_sha256: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    transport: str = ""
    aborted: bool = False
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON shows it: the amount as text."""
        return asdict(self) | {"billed": f"{self.billed:f}"}


class ServerState:
    """Changed from the event loop only; creating one raises OSError or ValueError for a catalogue that is none.

    Attributes:
        settings: what the emulator was started with.
        catalogue: the models.
        renderer: what draws the pictures.
        books: money.
        windows: requests per minute.
        budget: client errors.
        faults: the script in force.
        log: every API request, in order of arrival.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalogue = catalogue.read(settings.catalogue or catalogue.BUNDLED_FILE)
        self.renderer = renderer(settings.pictures)
        self.reset()

    def reset(self) -> None:
        """Forget everything that happened: balances, limits, faults and log are as at the start."""
        self.books = Books(self.settings)
        self.windows = RateWindows(self.settings)
        self.budget = ErrorBudget(self.settings)
        self.faults = Faults()
        self.log: list[Entry] = []
        self._numbers = itertools.count()

    def begin(self, request: Request, path: str) -> Entry:
        """Open the log entry of a request whose headers have arrived."""
        request_id = f"{secrets.token_hex(8)}-EMU"
        entry = Entry(next(self._numbers), request_id, request.method, path, self.settings.clock())
        self.log.append(entry)
        return entry
