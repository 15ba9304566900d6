"""The wheel: what it holds, and that what it installs runs beside a foreign package named `pipeline`."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from venice_batch.errors import Exit

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline" / "venice_batch"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
#: How this machine reaches its package index, and nothing else of its Python.
_KEPT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "VENICE_"))}
_FOREIGN = {
    "pipeline/__init__.py": "OWNER = 'foreign'\n",
    "foreign-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n",
    "foreign-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "foreign-1.0.dist-info/RECORD": "",
}


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=_KEPT, capture_output=True, text=True, timeout=300, check=False)


def _must(*command: str, cwd: Path) -> str:
    done = _run(*command, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _build(folder: Path) -> Path:
    """Return the wheel of this tree, built as `pip install .` does; skip where no package index is."""
    if _run(*PIP, "download", "--no-deps", "hatchling", cwd=folder).returncode:
        pytest.skip("no package index can be reached, which building and installing need")
    _must(*PIP, "wheel", "--no-deps", "--wheel-dir", "dist", str(ROOT), cwd=folder)
    (wheel,) = (folder / "dist").iterdir()
    return wheel


def _foreign(folder: Path) -> Path:
    """Write a wheel that installs a package named `pipeline`, as other projects do."""
    file = folder / "foreign-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in _FOREIGN.items():
            archive.writestr(name, text)
    return file


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


# One test, since what it builds is worth half a minute.
def test_the_wheel_is_whole_and_runs_the_demo_job_beside_a_foreign_package_named_pipeline(tmp_path: Path) -> None:
    wheel = _build(tmp_path)
    files = {str(file.relative_to(PACKAGE.parent)) for file in PACKAGE.rglob("*") if file.is_file()}
    assert _names(wheel) == {name for name in files if "__pycache__" not in name}
    assert "venice_batch/py.typed" in files

    venv.create(tmp_path / "venv", symlinks=True)
    programs = tmp_path / "venv" / "bin"
    for what in (f"{wheel}[emulator]", str(_foreign(tmp_path))):
        _must(*PIP, "--python", str(programs / "python"), "install", what, cwd=tmp_path)
    asked = "import pipeline, venice_batch; print(pipeline.OWNER, venice_batch.__file__)"
    owner, file = _must(str(programs / "python"), "-c", asked, cwd=tmp_path).split()
    assert owner == "foreign"
    assert Path(file).is_relative_to(tmp_path / "venv")

    _must(str(programs / "python"), "-m", "venice_batch.emulator.photos", "photos", cwd=tmp_path)
    job = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text("utf-8"))
    job |= {"source": {"path": "photos"}, "output": {"path": "finished"}}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(job), "utf-8")
    ran = _run(str(programs / "venice-batch"), "run", "demo.yaml", "--yes", cwd=tmp_path)
    # Two of the twelve photos are bad on purpose.
    assert ran.returncode == Exit.ITEMS_FAILED, ran.stderr
    assert "10 done, 2 invalid" in ran.stdout
