"""The tutorial, word by word: its commands are typed in a shell, and its screens compared with what comes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.conftest import REPOSITORY, environment

TUTORIAL = REPOSITORY / "docs" / "tutorial.md"
_BLOCK = re.compile(r"^```(console|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: What no two runs share: moments, and how long the plan thinks it takes.
_VARYING = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|about \d+ s")
#: Where the tutorial's reader works.
_WORK = "/home/you/venice-batch/demo/tutorial"
#: Where a person's terminal draws a bar and wipes it out again.
_PROGRESS = re.compile(r"^\d+ of \d+ items(, .*)?\n", re.MULTILINE)


def _steps() -> Iterator[tuple[str, str]]:
    """Yield each command with the screen that follows, and each file as a command without one."""
    for kind, text in _BLOCK.findall(TUTORIAL.read_text("utf-8")):
        if kind == "yaml":
            name = text.splitlines()[0].removeprefix("# ")
            yield f"cat > {name} <<'END'\n{text}END", ""
            continue
        for each in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, screen = each.partition("\n")
            yield command, screen


def test_the_tutorial_shows_what_its_commands_print(tmp_path: Path) -> None:
    bin_folder = Path(sys.executable).parent
    env = environment(tmp_path / "scratch", None, {"VENICE_BASE_URL": "emulator"})
    env["PATH"] = f"{bin_folder}:{env['PATH']}"
    work = tmp_path / "tutorial"
    work.mkdir()
    steps = list(_steps())
    assert len(steps) > 10
    for command, screen in steps:
        typed = subprocess.run(
            ["sh", "-c", f"{{ {command}\n}} 2>&1"],
            cwd=work,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        printed = _PROGRESS.sub("", typed.stdout).replace(str(work), _WORK)
        assert _VARYING.sub("*", printed) == _VARYING.sub("*", screen), command
    assert len(list((work / "finished").rglob("*.png"))) == 11
