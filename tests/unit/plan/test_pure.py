"""The arithmetic of a plan is pure: it touches no file, clock, network or database, as it is written and as it runs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.plan.test_arithmetic import Desk
from tests.unit.test_layers import PACKAGE, modules
from venice_batch.plan import warnings
from venice_batch.plan.model import Range
from venice_batch.plan.money import coverage
from venice_batch.plan.sampling import draw

#: Where a plan is read and put together; the other modules of `plan` are pure.
IMPURE = ("plan.planner", "plan.reading")
#: Of other layers: frozen rows of the manifest are values, the state itself is not.
ALLOWED_OF_STATE = {"ItemRow", "OutputRow", "Result", "SourceRow"}
BANNED_PARTS = {"storage", "run", "report", "cli", "emulator"}
BANNED_MODULES = {
    *("asyncio", "concurrent", "ftplib", "glob", "http", "httpx2", "io", "mmap", "multiprocessing", "os", "PIL"),
    *("random", "secrets", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile"),
    *("threading", "time", "urllib", "boto3", "botocore"),
}
BANNED_NAMES = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "stat", "lstat", "exists", "is_file", "is_dir"),
    *("touch", "unlink", "mkdir", "rmdir", "iterdir", "rglob", "rename", "samefile", "readlink"),
    *("file_digest", "file_hash", "probe", "verify", "probe_head", "urlopen", "connect"),
}
#: As attributes only: a time is an ordinary parameter, and conditions are resolved, too.
BANNED_ATTRIBUTES = {*BANNED_NAMES, "now", "today", "utcnow", "resolve"}


def impurities(tree: ast.AST) -> Iterator[str]:
    """Yield each use of the outside world: imports, and names or attributes that reach it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                for alias in names:
                    yield from _of_import(alias.name, "")
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    yield from _of_import(module, alias.name)
            case ast.ImportFrom():
                yield "a relative import"
            case ast.Name(id=name) if name in BANNED_NAMES:
                yield name
            case ast.Attribute(attr=name) if name in BANNED_ATTRIBUTES:
                yield name


def _of_import(module: str, name: str) -> Iterator[str]:
    parts = f"{module}.{name}".rstrip(".").split(".")
    if parts[0] != "venice_batch":
        yield from (parts[0] for _ in range(parts[0] in BANNED_MODULES))
    elif len(parts) < 2 or parts[1] in BANNED_PARTS or name in BANNED_NAMES:
        yield module
    elif parts[1] == "state" and name not in ALLOWED_OF_STATE:
        yield f"{name or module} of the state"
    elif any(".".join(parts[1:]).startswith(impure) for impure in IMPURE):
        yield module


def test_no_pure_module_reaches_the_outside_world() -> None:
    plan = {name: each for name, each in modules(PACKAGE).items() if name.startswith("plan.")}
    pure = [each for name, each in plan.items() if not name.startswith(IMPURE)]
    assert len(pure) >= 10
    assert [f"{each.name}: {use}" for each in pure for use in impurities(each.tree)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import tempfile",
        "from concurrent.futures import ThreadPoolExecutor",
        "import venice_batch",
        "from venice_batch import storage",
        "from venice_batch.storage import S3Place",
        "from venice_batch.state import State",
        "import venice_batch.state.manifest",
        "from venice_batch.imaging.probe_head import probe_head",
        "from venice_batch.plan.reading.probe import Prober",
        "from venice_batch.plan import planner",
        "from .reading import scan",
        "open('x')",
        "Path('x').open()",
        "path.read_text()",
        "path.resolve()",
        "imaging.verify(path)",
        "hashlib.file_digest(file, 'sha256')",
        "datetime.now(UTC)",
    ],
)
def test_the_walk_sees_every_way_out(text: str) -> None:
    assert list(impurities(ast.parse(text)))


# A whole plan of values

#: What Python tells of when a file, a folder, a network or a database is touched.
_TOUCHES = ("open", "os.", "socket.", "sqlite3.", "tempfile.", "shutil.", "subprocess.")
_touched: list[str] | None = None


def _watch(event: str, _: tuple[object, ...]) -> None:
    if _touched is not None and event.startswith(_TOUCHES):
        _touched.append(event)


sys.addaudithook(_watch)


@pytest.fixture
def touched() -> Iterator[list[str]]:
    """What is touched while the test runs; a hook cannot be removed, so it is only switched off afterwards."""
    global _touched  # noqa: PLW0603 - a hook has no other way to the test
    found: list[str] = []
    _touched = found
    yield found
    _touched = None


def test_a_plan_of_values_touches_nothing(touched: list[str]) -> None:
    def plan() -> None:
        desk = Desk("{upscale: , when: {max_side_below: 500}}", "edit: {prompt: p}", "background-remove")
        items, later = draw(desk.pricer, desk.items(*"abcdef"), 3, "seed")
        assert ([item.status for item in items], len(later)) == (["new"] * 3, 3)
        assert coverage(Range(Decimal(1), Decimal(2)), Decimal(1), {"usd": Decimal(3)}, (), permitted=True).covered
        assert list(warnings.of_pipeline(desk.pipeline, desk.catalogue))

    plan()  # what is imported late is read from the disk once
    touched.clear()
    plan()
    assert touched == []
    (Path(__file__)).read_bytes()
    assert touched == ["open"], "the hook sees nothing, so the test proves nothing"
