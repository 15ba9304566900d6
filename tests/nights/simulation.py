"""Some nights of one shop from one seed, checked one by one, and at the end what time and room they take."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.nights.audit import findings
from tests.nights.commands import Shell
from tests.nights.model import Model
from tests.nights.night import Hook, Night, Nights
from tests.nights.places import Folders, Prefixes, ShopPlace
from tests.nights.shop import Shop
from tests.servers.bucket import only_these_variables
from tests.servers.moto import serving
from venice_batch.emulator import Settings, serve_in_thread

_PICTURES = 8
_RATE = 100_000
#: Some calls are open at any moment, so that a kill finds them.
_LATENCY = 0.03
#: A quiet night may take so much longer than on the first morning, per item; a manifest may hold so much per call.
_SLOWER, _BYTES_PER_CALL, _EMPTY_STATE = 4.0, 4_000, 400_000


class Simulation:
    """A shop with its emulator, command line and webhook; use as a context manager through `opened`."""

    def __init__(self, seed: int, nights: Nights, shop: Shop, tell: Callable[[str], None]) -> None:
        self._seed, self._nights, self._shop, self._tell = seed, nights, shop, tell
        self.wrong: list[str] = []
        self.paid = 0
        self._quiet: list[float] = []

    def run(self, count: int) -> None:
        """Let so many nights pass and check each."""
        for _ in range(count):
            night = self._nights.next()
            self.paid += len(night.billed)
            self._report(night, findings(night, self._nights.known))
            if night.number in {1, count}:
                self._time_a_quiet_night(night)
        self._check_growth()

    def _report(self, night: Night, found: list[str]) -> None:
        seconds = sum(start.seconds for start in night.starts)
        self._tell(f"night {night.number}: {len(night.items)} pictures, {len(night.billed)} calls, {seconds:.1f} s")
        self._tell(f"  exit {[start.code for start in night.starts]}; {'; '.join(night.diary) or 'nothing new'}")
        for sentence in found:
            self._tell(f"  WRONG {sentence}")
        self.wrong += [f"seed {self._seed}, night {night.number}: {sentence}" for sentence in found]

    def _time_a_quiet_night(self, night: Night) -> None:
        if night.whole:
            self._quiet.append(self._nights.quiet().seconds / max(1, len(night.items)))

    def _check_growth(self) -> None:
        """A quiet night and the manifest grow with items and calls, not with nights."""
        if len(self._quiet) > 1 and self._quiet[-1] > _SLOWER * self._quiet[0]:
            self.wrong.append(f"a quiet night took {self._quiet[0]:.3f} s per item, then {self._quiet[-1]:.3f} s")
        manifest = self._shop.place.state_files().get("manifest.sqlite3", 0)
        if manifest > _EMPTY_STATE + _BYTES_PER_CALL * self.paid:
            self.wrong.append(f"the manifest holds {manifest:,} bytes for {self.paid} calls")


def simulate(
    seed: int, nights: int, *, bucket: bool = False, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Let some nights pass and return what was wrong, a sentence each.

    Args:
        seed: of all that happens; the moments of kills are the machine's.
        nights: how many.
        bucket: source, output and state lie in a bucket instead of folders.
        tell: takes the diary, line by line.
    """
    ahead = [0.0]
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nights-")))
        place = stack.enter_context(_opened(root / "shop", bucket=bucket))
        settings = Settings(rpm=_RATE, latency=_LATENCY, clock=lambda: time.time() + ahead[0])
        vendor = stack.enter_context(serve_in_thread(settings))
        shell, hook = stack.enter_context(Shell(root)), Hook()
        stack.enter_context(hook.serving())
        shop = Shop(random.Random(seed), place)  # noqa: S311 - repeatable, not secret
        for line in shop.open(_PICTURES):
            tell(line)
        simulation = Simulation(seed, Nights(shop, Model(), vendor, shell, hook=hook, ahead=ahead), shop, tell)
        simulation.run(nights)
        return simulation.wrong


@contextmanager
def _opened(root: Path, *, bucket: bool) -> Iterator[ShopPlace]:
    if not bucket:
        yield Folders(root)
        return
    with only_these_variables(), serving() as server:
        yield Prefixes(root, server)
