"""Mutation tests of the modules that decide about money: ``make mutants``, or ``python -m tools.mutants budget``.

Each module is changed in hundreds of small ways (a ``<`` to a ``<=``, an argument to None), and the tests next to it
are run against each change. One that no test notices is a *survivor*: a test is missing, or the change means nothing.

The tool knows sources at the top of a project or in `src/`, so it works in a copy of the tree that has them there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIES = ROOT / "build" / "mutants"
#: What is mutated, and the tests that are to notice it.
MODULES: Mapping[str, tuple[str, Sequence[str]]] = {
    "scheduler": ("run/scheduler.py", ["tests/unit/run/test_scheduler.py"]),
    "budget": ("run/budget.py", ["tests/unit/run/test_budget.py"]),
    "gate": ("venice/gate.py", ["tests/contract/venice/test_gate.py"]),
    "lease": ("state/lease.py", ["tests/unit/state/test_lease.py"]),
    "prices": ("venice/prices.py", ["tests/unit/steps/test_paid.py", "tests/contract/venice/test_free.py"]),
    "conditions": ("steps/conditions.py", ["tests/unit/steps/test_conditions.py"]),
}
_COPIED = ("tests", "tools", "docs", "configs", "README.md", "LICENSE")


def prepare(name: str) -> Path:
    """Return a fresh copy of the tree, set up for the mutation of one module."""
    module, tests = MODULES[name]
    copy = COPIES / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT / "pipeline", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for each in _COPIED:
        source = ROOT / each
        if source.is_dir():
            shutil.copytree(source, copy / each, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / each)
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    lines = [
        settings.replace('pythonpath = [".", "pipeline"]', 'pythonpath = [".", "src"]'),
        "[tool.mutmut]",
        'source_paths = ["src"]',
        f'only_mutate = ["src/venice_batch/{module}"]',
        f"also_copy = {list(_COPIED)}",
        f"pytest_add_cli_args_test_selection = {list(tests)}",
        # Many sessions of pytest in one process: what one leaves to the garbage collector is no fault of the next.
        'pytest_add_cli_args = ["-W", "ignore::pytest.PytestUnraisableExceptionWarning"]',
        # A change may make a wait that never ends.
        "timeout_multiplier = 10.0",
    ]
    (copy / "pyproject.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return copy


def survivors(name: str) -> list[str]:
    """Mutate one module and return the names of the changes that no test noticed.

    Raises:
        subprocess.CalledProcessError: the tests fail on the code as it is.
    """
    copy = prepare(name)
    sys.stdout.write(f"{name}: what happens is told in {copy / 'log.txt'}\n")
    sys.stdout.flush()
    with (copy / "log.txt").open("w", encoding="utf-8") as log:
        subprocess.run([sys.executable, "-m", "mutmut", "run"], cwd=copy, stdout=log, stderr=log, check=True)
    results = subprocess.run(
        [sys.executable, "-m", "mutmut", "results"], cwd=copy, capture_output=True, text=True, check=True
    )
    # A change that makes the tests wait for ever (``timeout``) was noticed.
    return [line.strip() for line in results.stdout.splitlines() if line.endswith((": survived", ": no tests"))]


def main(names: Sequence[str]) -> None:
    """Mutate the modules named, or all, and print what survived."""
    for name in names or MODULES:
        found = survivors(name)
        sys.stdout.write(f"{name}: {len(found)} survived; see one: cd {COPIES / name}; mutmut show NAME\n")
        sys.stdout.writelines(f"  {line}\n" for line in found)


if __name__ == "__main__":
    main(sys.argv[1:])
