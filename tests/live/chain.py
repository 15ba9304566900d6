"""A short chain over every endpoint, bought by the installed command under a cap."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from venice_batch.emulator.photos import draw_catalogue

COMMAND = Path(sys.executable).with_name("venice-batch")
#: USD. Each of the two jobs may spend half of it; both together cost about a tenth of it.
CAP = Decimal(1)
_JOBS: Mapping[str, Mapping[str, Any]] = {
    "photos": {
        "source": {"path": "photos", "include": ["mug.jpg"]},
        "steps": [
            {"edit": {"prompt": "put it on white marble"}},
            {"multi-edit": {"prompt": "a little brighter"}},
            "background-remove",
            {"upscale": {"scale": 2}},
        ],
    },
    "words": {
        "source": {"prompts": "prompts.csv"},
        "steps": [{"generate": {"model": "z-image-turbo", "seed": 7}}],
    },
}


def _command(root: Path, env: Mapping[str, str], *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [COMMAND, *arguments], cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def buy(root: Path, env: Mapping[str, str]) -> Decimal:
    """Plan, run and run again both jobs; return what was spent, in USD.

    Args:
        root: an empty folder.
        env: the environment of the commands, with the key and, for another API, its address.
    """
    draw_catalogue(root / "photos")
    (root / "prompts.csv").write_text("id,prompt\nvase,a blue vase on a white table\n", "utf-8")
    return sum((_bought(root, env, name) for name in _JOBS), Decimal(0))


def _bought(root: Path, env: Mapping[str, str], name: str) -> Decimal:
    job, limit = f"{name}.yaml", CAP / len(_JOBS)
    common = {"version": 1, "name": name, "output": {"path": f"{name}-finished"}, "budget": {"max_usd": float(limit)}}
    (root / job).write_text(yaml.safe_dump({**common, **_JOBS[name]}), "utf-8")
    plan = json.loads(_command(root, env, "plan", job, "--json"))
    assert plan["items"]["new"] == 1
    assert Decimal(plan["cost"]["high"]) <= limit, f"the prices have risen: {plan['cost']}"
    _command(root, env, "run", job, "--yes")
    calls = json.loads(_command(root, env, "ledger", job, "--json"))
    assert {call["fate"] for call in calls} == {"spent"}
    spent = sum((Decimal(call["usd"]) for call in calls), Decimal(0))
    assert 0 < spent <= Decimal(plan["cost"]["high"])
    (finished,) = [path for path in (root / f"{name}-finished").iterdir() if path.suffix in {".png", ".webp"}]
    with Image.open(finished) as picture:
        picture.load()
    # Nothing is bought twice.
    _command(root, env, "run", job, "--yes")
    assert json.loads(_command(root, env, "ledger", job, "--json")) == calls
    return spent
