"""One night of the shop: the events, the plan, the run (killed and started again, where it is to be), the morning.

All that can be seen from outside is kept as a `Night`, which the checks of `audit` read.
"""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

from tests.nights import places
from tests.nights.commands import Ended, Shell
from tests.nights.model import Item, Model, Purchase, Recipe, chain, names, valid
from tests.nights.shop import Shop, Tonight
from venice_batch.emulator import Running
from venice_batch.emulator.catalogue import BUNDLED_FILE, Catalogue

DAY = 86_400.0
PLENTY = "1000.00"
UNUSED_FOR = 5
_LOOK_EVERY = 0.005


@dataclass
class Night:
    """What was seen of one night.

    Attributes:
        diary: the events, a line each.
        told_before: items with problems that the last whole night told of; see `problems`.
        edited: finished files that somebody changed by hand.
        used: the last night on which a purchase was in use.
        expected: what the model says must be bought, each once; in the order of items.
        cost: of all that, in USD.
        plan: `plan --json`, None where it could not be made.
        starts: how each start of the run ended.
        hooks: the texts that the webhook got.
        ledger: every row of `ledger --json`; `fresh` are those of tonight.
        billed: the log's entries of tonight that were charged.
        status, summary: as the morning finds them.
        outputs: the finished files.
        files: name and size of the state's files.
        scratch: what lies in TMPDIR.
        freed: results that gc freed, as the tool's keys; gc its documents, dry and real.
    """

    number: int
    diary: list[str]
    tonight: Tonight
    recipe: Recipe
    items: list[Item]
    edited: set[str]
    used: dict[Purchase, int]
    told_before: Mapping[str, object] = field(default_factory=dict)
    expected: list[Purchase] = field(default_factory=list)
    cost: Decimal = Decimal(0)
    plan: Any = None
    starts: list[Ended] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    fresh: list[dict[str, Any]] = field(default_factory=list)
    billed: list[dict[str, Any]] = field(default_factory=list)
    status: Any = None
    summary: Any = None
    outputs: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    scratch: list[str] = field(default_factory=list)
    gc: list[dict[str, Any]] = field(default_factory=list)
    freed: set[str] = field(default_factory=set)

    @property
    def workable(self) -> list[Item]:
        """Items that can be processed: whole, with a row where one is needed, none of their files edited by hand."""
        free = [item for item in self.items if not self.edited & set(names(item, self.recipe))]
        return [item for item in free if valid(item, self.recipe)]

    def problems(self) -> dict[str, object]:
        """Return every item that cannot be processed, with all that makes its problem the one that it is."""
        good = {item.key for item in self.workable}
        return {
            item.key: (item, self.recipe, frozenset(self.edited & set(names(item, self.recipe))))
            for item in self.items
            if item.key not in good
        }

    @property
    def ended(self) -> Ended:
        """How the last start ended."""
        return self.starts[-1]

    @property
    def ledger_run(self) -> int | None:
        """The number of the run that the last start belongs to."""
        run: dict[str, int] | None = self.status["run"]
        return None if run is None else run["id"]

    @property
    def killed(self) -> bool:
        return any(start.code < 0 for start in self.starts)

    @property
    def whole(self) -> bool:
        """Whether the run came to its end with nothing in its way."""
        return self.ended.code in {0, 3} and not self.tonight.lost


class Hook:
    """A webhook on loopback that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        texts = self.texts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                texts.append(json.loads(body)["text"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def take(self) -> list[str]:
        found = self.texts[:]
        self.texts.clear()
        return found


class Nights:
    """Runs nights of one shop against one emulator."""

    def __init__(
        self, shop: Shop, model: Model, vendor: Running, shell: Shell, *, hook: Hook, ahead: list[float]
    ) -> None:
        """Get ready; `ahead` holds how far the emulator's clock is ahead, for both clocks to move together."""
        self._shop, self._model, self._vendor, self._shell, self._hook = shop, model, vendor, shell, hook
        self._ahead = ahead
        self._tmp = shop.place.root / "tmp"
        self._tmp.mkdir()
        self._seen_rows = 0
        self._seen_entries = 0
        self._told: Mapping[str, object] = {}
        #: The tool's key of a result and what the model calls it.
        self.known: dict[str, Purchase] = {}

    def next(self) -> Night:
        """Let one night pass."""
        shop = self._shop
        diary = shop.next_night()
        night = Night(
            number=shop.night,
            diary=diary,
            tonight=shop.tonight,
            recipe=shop.recipe,
            items=shop.items(),
            edited=set(shop.edited),
            used=self._model.used,
            told_before=self._told,
        )
        self._ahead[0] = shop.night * DAY
        self._prepare(night)
        self._plan(night)
        self._run(night)
        self._read_books(night)
        if night.whole:
            self._model.note_use(night.items, night.recipe, night.number)
            self._told = night.problems()
        if night.tonight.gc and night.whole:
            self._gc(night)
        self._look(night)
        return night

    def quiet(self) -> Ended:
        """Run once more with nothing to do, and return how that went."""
        return self._venice("run", "job.yaml")

    def _prepare(self, night: Night) -> None:
        shop, tonight = self._shop, night.tonight
        self._prices()
        shop.place.sync({key: shop.content(key) for key in shop.pictures})
        self._write_rows()
        self._write_job(night)
        night.expected = self._model.needs(night.workable, night.recipe)
        night.cost = self._model.cost(night.expected)
        if tonight.state_from:
            moved = self._venice("unlock", "job.yaml", "--copy-from", tonight.state_from)
            assert moved.code == 0, moved.err
        self._vendor.state.faults.script(list(tonight.rules))
        self._vendor.books.set_balances({"USD": Decimal(tonight.balance or PLENTY)})

    def _prices(self) -> None:
        """Let the emulator and the model ask the shop's prices."""
        prices = self._shop.prices
        self._model.prices |= {name: Decimal(price) for name, price in prices.items()}
        entries = json.loads(BUNDLED_FILE.read_text("utf-8"))["data"]
        for entry in entries:
            if entry["id"] in prices:
                amount = float(prices[entry["id"]])
                entry["model_spec"]["pricing"]["inpaint"] = {"usd": amount, "diem": amount}
        self._vendor.state.catalogue = Catalogue(entries)

    def _write_rows(self) -> None:
        with (self._shop.place.root / "rows.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("key", "title"), *sorted(self._shop.titles.items())])

    def _write_job(self, night: Night) -> None:
        recipe, sections = night.recipe, self._shop.place.sections()
        document: dict[str, Any] = {"version": 1, "name": "shop", **sections}
        document["source"] = {**document["source"], "metadata": "rows.csv"}
        document["output"] = {**document["output"], **recipe.job_output()}
        document["steps"] = recipe.job_steps()
        if night.tonight.bad_model:
            document["steps"][-1]["edit"]["model"] = "nobody-has-it-edit"
        if recipe.preset:
            document["preset"] = recipe.preset
        if recipe.budget:
            document["budget"] = {"max_usd_per_day": float(recipe.budget)}
        document["notify"] = {"webhook": self._hook.url, "on": ["success", "failure", "money"]}
        file = self._shop.place.root / "job.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    def _plan(self, night: Night) -> None:
        ended = self._venice("plan", "job.yaml", "--json")
        night.plan = ended.json if ended.out else None

    def _run(self, night: Night) -> None:
        if night.tonight.kill_at is not None:
            self._killed_run(night)
        night.starts.append(self._venice("run", "job.yaml"))
        night.hooks = self._hook.take()
        self._shop.recipe = night.recipe if not night.recipe.budget else _without_budget(night.recipe)

    def _killed_run(self, night: Night) -> None:
        """Start the run and end it when so many of its calls have begun, or, with none to make, when it has begun."""
        share = night.tonight.kill_at or 0.0
        count, before = round(share * len(night.expected)), self._begun()
        self._shell.start("run", "job.yaml", cwd=self._shop.place.root, env=self._env(), ahead=self._ahead[0])
        while self._shell.running() and self._begun() - before <= count:
            if not night.expected and any(self._tmp.iterdir()):
                break
            time.sleep(_LOOK_EVERY)
        self._shell.kill()
        night.starts.append(self._shell.wait())
        self._until_quiet()
        if night.killed:
            self._shop.place.outlive_the_lease()

    def _begun(self) -> int:
        return sum(entry.method == "POST" for entry in list(self._vendor.state.log))

    def _until_quiet(self) -> None:
        """Wait until the emulator is done with what the killed run had sent."""
        end = time.monotonic() + 20
        while any(not entry.time_answered and not entry.aborted for entry in list(self._vendor.state.log)):
            assert time.monotonic() < end, "the emulator did not come to rest"
            time.sleep(_LOOK_EVERY)

    def _read_books(self, night: Night) -> None:
        """Read ledger and log, and tell the model what tonight's purchases were."""
        night.ledger = self._ask("ledger")
        night.fresh = night.ledger[self._seen_rows :]
        self._seen_rows = len(night.ledger)
        entries = [entry.as_json() for entry in self._vendor.state.log[self._seen_entries :]]
        self._seen_entries += len(entries)
        night.billed = [entry for entry in entries if Decimal(entry["billed"])]
        for row in night.fresh:
            purchase = purchase_of(row, night)
            if row["result"] and purchase is not None:
                self.known[row["result"]] = purchase
                if row["fate"] == "spent":
                    self._model.stored.add(purchase)

    def _gc(self, night: Night) -> None:
        before = places.results(self._shop.place.state_files())
        options = ("--older-than", f"{UNUSED_FOR}d")
        night.gc = [self._ask("gc", *options), self._ask("gc", *options, "--yes")]
        night.freed = before - places.results(self._shop.place.state_files())
        for key in night.freed & self.known.keys():
            self._model.stored.discard(self.known[key])

    def _look(self, night: Night) -> None:
        place = self._shop.place
        night.status = self._ask("status")
        night.outputs, night.files = place.outputs(), place.state_files()
        self._shop.finished = sorted(name for name in night.outputs if not name.startswith("."))
        if "report/summary.json" in night.files:
            night.summary = json.loads(place.state_text("report/summary.json"))
        night.scratch = sorted(str(path.relative_to(self._tmp)) for path in self._tmp.rglob("*"))

    def _ask(self, command: str, *options: str) -> Any:
        ended = self._venice(command, "job.yaml", "--json", *options)
        assert ended.code == 0, f"{command}: {ended.err}"
        return ended.json

    def _venice(self, *arguments: str) -> Ended:
        return self._shell.run(*arguments, cwd=self._shop.place.root, env=self._env(), ahead=self._ahead[0])

    def _env(self) -> Mapping[str, str]:
        key = "nobody" if self._shop.tonight.bad_key else self._vendor.key
        own = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": str(self._tmp)}
        return {**own, "VENICE_BASE_URL": self._vendor.url, "VENICE_API_KEY": key, **self._shop.place.environment}


def purchase_of(row: Mapping[str, Any], night: Night) -> Purchase | None:
    """Return what the model calls the purchase of a ledger row of this night; None if it knows of none."""
    item = next((item for item in night.items if item.key == row["key"]), None)
    found = [] if item is None else chain(item, night.recipe)
    return next((purchase for purchase in found if purchase[0] == row["endpoint"]), None)


def _without_budget(recipe: Recipe) -> Recipe:

    return replace(recipe, budget="")
