"""What an end-to-end test stands on: a vendor on loopback, a folder to work in, and the installed command."""

from __future__ import annotations

import colorsys
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from PIL import Image, ImageDraw

from tests.servers.listener import Listener, listening
from venice_batch.emulator import Running, Settings, serve_in_thread
from venice_batch.emulator.photos import draw_catalogue
from venice_batch.state import CallRow, ItemRow, to_read
from venice_batch.storage import LocalPlace, Place

COMMAND = Path(sys.executable).with_name("venice-batch")
REPOSITORY = Path(__file__).parents[2]
#: The rate of a vendor that is never in the way: a run is as fast as this machine.
FAST = 6000
BACKDROP = (242, 242, 238)
CUT = "background-remove"
ENLARGE = {"upscale": {"scale": 2}}


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def text(self) -> str:
        return self.out + self.err


class Vendor:
    """A running emulator, looked at and changed through its control endpoints."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.url, self.key, self.admin_key = running.url, running.key, running.admin_key

    def _ask(self, name: str, document: object = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(f"{self.running.control}/{name}", data, timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def faults(self, *rules: Mapping[str, Any]) -> None:
        self._ask("faults", list(rules))

    def balance(self, **amounts: str | None) -> None:
        self._ask("balance", amounts)

    def reset(self) -> None:
        """Forget everything: balances, blocks, faults and log are as at the start."""
        self._ask("reset", {})

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("log")
        return found

    def paid(self, path: str | None = None) -> list[dict[str, Any]]:
        """Every request to an endpoint that costs money, whatever became of it."""
        calls = [entry for entry in self.log() if entry["method"] == "POST"]
        return [entry for entry in calls if path in {None, entry["path"]}]

    def bought(self) -> list[dict[str, Any]]:
        """Every request that was charged."""
        return [entry for entry in self.paid() if Decimal(entry["billed"])]

    def billed(self) -> Decimal:
        return Decimal(self._ask("books")["billed"])

    def until(self, holds: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait for something to be true of this vendor."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it did not come about in time"
            time.sleep(0.01)

    def until_quiet(self) -> None:
        """Wait until every request that arrived is answered or given up."""
        self.until(lambda: all(entry["time_answered"] or entry["aborted"] for entry in self.paid()))


def environment(scratch: Path, vendor: Vendor | None, env: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The whole environment of a command: nothing of the machine's own leaks in. None takes a variable out."""
    scratch.mkdir(exist_ok=True)
    base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(scratch)}
    api = {} if vendor is None else {"VENICE_BASE_URL": vendor.url, "VENICE_API_KEY": vendor.key}
    return {name: value for name, value in {**base, **api, **(env or {})}.items() if value is not None}


@dataclass
class Work:
    """A folder with photos, a job and its output, and the command to work on them."""

    root: Path
    vendor: Vendor
    command: ClassVar[Path] = COMMAND
    job: Path = field(init=False)
    photos: Path = field(init=False)
    finished: Path = field(init=False)

    def __post_init__(self) -> None:
        self.job, self.photos, self.finished = self.root / "job.yaml", self.root / "photos", self.root / "finished"
        self.photos.mkdir(parents=True, exist_ok=True)

    # Making

    def draw(self, *names: str) -> None:
        for name in names:
            draw(self.photos / name)

    def take(self, name: str, size: tuple[int, int]) -> None:
        """Put a drawn picture of this size into the source."""
        draw(self.photos / name, size)

    def write(self, *steps: object, **sections: object) -> Path:
        """Write the job file: photos in, finished out, unless a section says otherwise."""
        document = {
            "version": 1,
            "name": "work",
            "source": {"path": "photos"},
            "steps": list(steps),
            "output": {"path": "finished"},
            **sections,
        }
        self.job.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
        return self.job

    # Doing

    def venice(self, *arguments: str | Path, env: Mapping[str, str | None] | None = None) -> Ended:
        done = subprocess.run(
            [self.command, *map(str, arguments)],
            cwd=self.root,
            env=environment(self.root.with_name("scratch"), self.vendor, env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=180,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))

    def run(self, *options: str | Path, env: Mapping[str, str | None] | None = None) -> Ended:
        return self.venice("run", self.job, *options, env=env)

    def start(self, *options: str, env: Mapping[str, str | None] | None = None) -> subprocess.Popen[str]:
        """Start a run without waiting for it."""
        return subprocess.Popen(
            [self.command, "run", str(self.job), *options],
            cwd=self.root,
            env=environment(self.root.with_name("scratch"), self.vendor, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # Looking

    def asked(self, command: str, *options: str) -> Any:
        ended = self.venice(command, self.job, "--json", *options)
        assert ended.code == 0, ended.text
        return ended.json

    # Straight from the manifest: a command for every look would double the time of the suite.

    @property
    def memory(self) -> Place:
        """Where the state lies."""
        return LocalPlace(self.state)

    def rows(self) -> list[ItemRow]:
        with to_read(self.memory) as opened:
            return list(opened.items(self.name))

    def states(self) -> dict[str, str]:
        """The state of every item, by key."""
        return {row.key: row.state for row in self.rows()}

    def codes(self) -> dict[str, str]:
        """The short word for why an item is where it is, by key."""
        return {row.key: row.code for row in self.rows()}

    def ledger(self) -> list[CallRow]:
        with to_read(self.memory) as opened:
            return list(opened.calls(self.name))

    def fates(self) -> list[str]:
        """What became of every call that was or may have been charged, in order."""
        return [row.fate for row in self.ledger() if row.fate != "released"]

    @property
    def name(self) -> str:
        return "work"

    @property
    def state(self) -> Path:
        memory = self.root / "memory"
        return memory if memory.exists() else self.finished / ".venice-batch" / self.name

    def outputs(self) -> dict[str, bytes]:
        """The finished files, by their path in the output; our own hidden ones left out."""
        return visible(self.finished)

    def results(self) -> dict[str, bytes]:
        """The bytes of every durable result, by key."""
        return durable(self.state)

    def request_ids(self) -> dict[str, str]:
        """Which request each durable result came from."""
        found = {}
        for facts in (self.state / "results").glob("??/*.json"):
            if not facts.name.startswith(".") and facts.with_suffix("").is_file():
                found[facts.with_suffix("").name] = json.loads(facts.read_text("utf-8"))["request_id"]
        return found

    def forget(self) -> None:
        """Lose what a container loses with its disk: here nothing, all of it is the user's own folder."""


def visible(folder: Path) -> dict[str, bytes]:
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    shown = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    return {str(path): (folder / path).read_bytes() for path in sorted(shown)}


def durable(state: Path) -> dict[str, bytes]:
    found = [path for path in (state / "results").glob("??/*") if path.is_file() and "." not in path.name]
    return {path.name: path.read_bytes() for path in found}


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Everything below a folder, with time of change, mode and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_mode, content)
    return found


def draw(path: Path, size: tuple[int, int] = (320, 240)) -> None:
    """Draw a small product on a plain backdrop; every name gets a colour, and so a picture, of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hue = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).digest()
    red, green, blue = colorsys.hsv_to_rgb(hue[0] / 255, 0.8, 0.4 + hue[1] / 640)
    picture = Image.new("RGB", size, BACKDROP)
    width, height = size
    disc = (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    ImageDraw.Draw(picture).ellipse(disc, fill=(int(red * 255), int(green * 255), int(blue * 255)))
    kind = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix.lower(), "JPEG")
    picture.save(path, kind, quality=90)


OpenVendor = Callable[..., Vendor]


@pytest.fixture
def open_vendor() -> Iterator[OpenVendor]:
    """Start vendors with settings of the test's own; each ends with the test."""
    with ExitStack() as stack:

        def start(*, port: int = 0, **settings: Any) -> Vendor:
            return Vendor(stack.enter_context(serve_in_thread(Settings(**{"rpm": FAST, **settings}), port=port)))

        yield start


@pytest.fixture
def vendor(open_vendor: OpenVendor) -> Vendor:
    """A quick vendor with 50 USD on the account."""
    return open_vendor()


@pytest.fixture
def work(tmp_path: Path, vendor: Vendor) -> Work:
    """An empty folder to work in."""
    return Work(tmp_path / "work", vendor)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody who is notified."""
    with listening() as found:
        yield found


@dataclass(frozen=True)
class Demo:
    """The demo job after its first run."""

    root: Path
    first: Ended
    results: dict[str, dict[str, bytes]]

    @property
    def job(self) -> Path:
        return self.root / "configs" / "demo.yaml"

    @property
    def photos(self) -> Path:
        return self.root / "demo" / "photos"

    @property
    def finished(self) -> Path:
        return self.root / "demo" / "finished"


def _venice_for(root: Path, vendor: Vendor, *arguments: str | Path) -> Ended:
    work = Work(root, vendor)
    return work.venice(*arguments)


def _by_step(root: Path, rows: list[dict[str, Any]]) -> dict[str, dict[str, bytes]]:
    """What was bought: the bytes by step and item."""
    stored = durable(root / "demo" / "finished" / ".venice-batch" / "demo")
    found: dict[str, dict[str, bytes]] = {}
    for row in rows:
        if row["fate"] == "spent":
            found.setdefault(row["step"], {})[row["key"]] = stored[row["result"]]
    return found


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run once for all tests that only look at it."""
    root = tmp_path_factory.mktemp("demo") / "work"
    (root / "configs").mkdir(parents=True)
    shutil.copy2(REPOSITORY / "configs" / "demo.yaml", root / "configs")
    draw_catalogue(root / "demo" / "photos")
    with serve_in_thread(Settings(rpm=FAST)) as running:
        vendor = Vendor(running)
        first = _venice_for(root, vendor, "run", "configs/demo.yaml")
        ledger = _venice_for(root, vendor, "ledger", "configs/demo.yaml", "--json")
    return Demo(root, first, _by_step(root, ledger.json))


@dataclass
class Copy(Work):
    """A copy of the finished demo that a test may change."""

    def __post_init__(self) -> None:
        self.job = self.root / "configs" / "demo.yaml"
        self.photos, self.finished = self.root / "demo" / "photos", self.root / "demo" / "finished"

    @property
    def name(self) -> str:
        return "demo"


@pytest.fixture
def copy_of_demo(demo: Demo, tmp_path: Path, vendor: Vendor) -> Copy:
    """The finished demo at another place, with a vendor who has sold nothing yet."""
    shutil.copytree(demo.root, tmp_path / "work")
    return Copy(tmp_path / "work", vendor)
