"""The layers, walked over the syntax tree: who may import whom, and who may touch the outside world."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline" / "venice_batch"

#: A module imports strictly lower layers only. The emulator stands beside them: it imports none of them.
LAYERS = {
    "errors": 0,
    "trust": 0,
    "storage": 1,
    "venice": 1,
    "imaging": 1,
    "state": 2,
    "steps": 2,
    "job": 3,
    "plan": 4,
    "run": 5,
    "report": 5,
    "cli": 6,
}
EMULATOR = "emulator"
VAGUE = {"utils", "util", "helpers", "helper", "common", "constants", "types", "misc"}

#: Who prints, exits, or reads arguments and environment. Live progress is output while a run works, so the command
#: line hands it the terminal; the emulator's two programs are commands of their own.
SPEAKERS = ("cli", "report.progress", "emulator.__main__", "emulator.photos")
EXITERS = ("cli", "emulator.__main__", "emulator.photos")
READERS = ("cli", "emulator.__main__", "emulator.photos")


@dataclass(frozen=True)
class Module:
    """One file of the package: its dotted name below ``venice_batch``, and its syntax tree."""

    name: str
    tree: ast.Module
    is_package: bool

    @property
    def top(self) -> str:
        return self.name.split(".", maxsplit=1)[0]


def modules(root: Path) -> dict[str, Module]:
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = Module(name, ast.parse(path.read_text("utf-8"), str(path)), is_package)
    return found


def imports(module: Module, known: Mapping[str, Module], *, run_time_only: bool = False) -> set[str]:
    """Return the package's own modules that `module` imports, wherever the statement stands."""
    nodes = _at_import(module.tree) if run_time_only else ast.walk(module.tree)
    return {name for node in nodes for name in _named(node, module, known)} - {module.name}


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is carried out when a module is imported: no function bodies, nothing for the type checker."""
    for node in ast.iter_child_nodes(tree):
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not checking and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _at_import(node)


def _named(node: ast.AST, module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "venice_batch":
                yield alias.name.removeprefix("venice_batch").removeprefix(".")
    elif isinstance(node, ast.ImportFrom):
        base = _base(node, module)
        if base is None:
            return
        for alias in node.names:
            inner = f"{base}.{alias.name}".lstrip(".")
            yield inner if inner in known else base


def _base(node: ast.ImportFrom, module: Module) -> str | None:
    if node.level:
        parts = module.name.split(".") if module.name else []
        up = node.level - module.is_package
        return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])
    if node.module is None or node.module.split(".")[0] != "venice_batch":
        return None
    return node.module.removeprefix("venice_batch").removeprefix(".")


def trespasses(known: Mapping[str, Module]) -> list[str]:
    found = []
    for module in known.values():
        for target in imports(module, known):
            there = target.split(".")[0]
            if module.name and there and there != module.top and not _allowed(module.top, there):
                found.append(f"{module.name} imports {target}")
    return sorted(found)


def _allowed(here: str, there: str) -> bool:
    if there == EMULATOR:
        return here == "cli"
    return here != EMULATOR and LAYERS[there] < LAYERS[here]


def mentions(tree: ast.AST, *wanted: str) -> list[str]:
    """Return every use of a dotted name, also where it was imported by itself."""
    bare = {name.rsplit(".", 1)[-1]: name for name in wanted if "." in name}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in wanted:
            found.append(f"{ast.unparse(node)} in line {node.lineno}")
        if isinstance(node, ast.ImportFrom):
            found += [
                f"{bare[alias.name]} in line {node.lineno}"
                for alias in node.names
                if alias.name in bare and bare[alias.name] == f"{node.module}.{alias.name}"
            ]
    return found


def users(known: Mapping[str, Module], allowed: tuple[str, ...], *names: str) -> list[str]:
    return [
        f"{module.name}: {use}"
        for module in known.values()
        if not any(module.name == place or module.name.startswith(f"{place}.") for place in allowed)
        for use in mentions(module.tree, *names)
    ]


@pytest.fixture(scope="module")
def package() -> dict[str, Module]:
    return modules(PACKAGE)


def test_every_part_of_the_package_has_a_layer(package: Mapping[str, Module]) -> None:
    assert {module.top for module in package.values()} == {"", EMULATOR, *LAYERS}


def test_a_module_imports_strictly_lower_layers_only(package: Mapping[str, Module]) -> None:
    assert trespasses(package) == []


def test_no_files_import_each_other_in_a_circle(package: Mapping[str, Module]) -> None:
    # A package and its own files may name each other (`__init__` gathers them), so only real files count.
    graph = {
        name: {other for other in imports(module, package, run_time_only=True) if not name.startswith(f"{other}.")}
        for name, module in package.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_no_module_has_a_name_that_says_nothing(package: Mapping[str, Module]) -> None:
    assert [name for name in package if VAGUE & set(name.split("."))] == []


def test_only_the_command_line_prints(package: Mapping[str, Module]) -> None:
    names = ("print", "click.echo", "click.secho", "sys.stdout", "sys.stderr", "pprint.pprint")
    assert users(package, SPEAKERS, *names) == []


def test_only_the_command_line_exits(package: Mapping[str, Module]) -> None:
    assert users(package, EXITERS, "sys.exit", "os._exit", "exit", "quit", "SystemExit") == []


def test_only_the_command_line_reads_arguments_and_environment(package: Mapping[str, Module]) -> None:
    assert users(package, READERS, "os.environ", "os.getenv", "os.environb", "sys.argv") == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("state/a.py", "from venice_batch.plan import money", "state.a imports plan"),
        ("venice/a.py", "import venice_batch.storage.local", "venice.a imports storage.local"),
        ("steps/a.py", "def f() -> None:\n    from venice_batch.run import x", "steps.a imports run"),
        ("steps/a.py", "if TYPE_CHECKING:\n    from ..job.model import Job", "steps.a imports job.model"),
        ("emulator/a.py", "from venice_batch import errors", "emulator.a imports errors"),
        ("run/a.py", "import venice_batch.emulator", "run.a imports emulator"),
        ("run/a.py", "from venice_batch.report import text", "run.a imports report"),
    ],
)
def test_the_walk_sees_every_form_of_import(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    for name in ("errors.py", file):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("" if name == "errors.py" else text)
    assert trespasses(modules(tmp_path)) == [complaint]


@pytest.mark.parametrize(
    "text",
    ["import sys\nsys.exit(1)", "from os import environ", "x = os.environ['A']", "print(1)", "from sys import argv"],
)
def test_the_walk_sees_every_use_of_the_outside_world(text: str) -> None:
    assert mentions(ast.parse(text), "sys.exit", "os.environ", "sys.argv", "print")
