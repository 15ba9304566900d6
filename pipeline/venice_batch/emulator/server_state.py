"""Everything that one running emulator remembers."""

from __future__ import annotations

import itertools
import secrets

from starlette.requests import Request

from venice_batch.emulator.accounts import Books
from venice_batch.emulator.faults import Faults
from venice_batch.emulator.limits import ErrorBudget, RateWindows
from venice_batch.emulator.request_log import Entry
from venice_batch.emulator.settings import Settings
from venice_batch.emulator.studio import studio


class World:
    """The account, its limits, the script of faults and the log. Changed from the event loop only.

    Attributes:
        settings: what the emulator was started with.
        books: money.
        windows: requests per minute.
        budget: client errors.
        faults: the script in force.
        log: every API request, in order of arrival.
        studio: who draws the pictures.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.studio = studio(settings.pictures)
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
