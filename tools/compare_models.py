"""Tells what a live catalogue has different from the one that the emulator serves.

    python -m tools.compare_models https://api.venice.ai/api/v1
    python -m tools.compare_models saved-models.json

The argument is a base URL, of which ``GET /models?type=all`` is read without a key, or a saved answer of it. Only
types that the emulator serves are compared. Exit codes: 0 alike, 1 different, 2 unreadable.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

BUNDLED = Path(__file__).parents[1] / "pipeline" / "venice_batch" / "emulator" / "models.json"
#: What drifts without meaning anything here.
_IGNORED = frozenset({"created", "object", "owned_by"})
#: What an entry that says nothing means.
_IMPLIED: Mapping[str, object] = {"model_spec.offline": False, "model_spec.beta": False, "model_spec.traits": "[]"}

Facts = Mapping[str, object]


def differences(live: object, ours: object) -> list[str]:
    """Return a line for each difference between two answers of ``GET /models``.

    Args:
        live: the newer one.
        ours: the one to compare it with.

    Raises:
        ValueError: one of them is no such answer.
    """
    known = _entries(ours)
    types = {facts.get("type") for facts in known.values()}
    found = {name: facts for name, facts in _entries(live).items() if facts.get("type") in types}
    return [
        *(f"+ {name}: {found[name].get('type')}, not known here" for name in sorted(found.keys() - known.keys())),
        *(f"- {name}: not listed any more" for name in sorted(known.keys() - found.keys())),
        *(line for name in sorted(found.keys() & known.keys()) for line in _changes(name, found[name], known[name])),
    ]


def _changes(name: str, live: Facts, ours: Facts) -> Iterator[str]:
    for path in sorted(live.keys() | ours.keys()):
        old, new = (facts.get(path, _IMPLIED.get(path)) for facts in (ours, live))
        if old != new:
            yield f"~ {name} {path}: {_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    return "absent" if value is None else str(value)


def _entries(listing: object) -> dict[str, Facts]:
    data = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(data, list):
        raise ValueError(  # noqa: TRY004 - the type is wrong in a document, not in the code
            "no answer of GET /models: it has no list `data`"
        )
    named = (entry for entry in data if isinstance(entry, dict) and isinstance(entry.get("id"), str))
    return {entry["id"]: dict(_flat(entry, "")) for entry in named}


def _flat(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield each value of an entry with its dotted path; lists are values, and numbers alike in value are alike."""
    if isinstance(value, dict):
        for key, each in value.items():
            if path or key not in _IGNORED:
                yield from _flat(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield path, json.dumps(value)
    else:
        # 0.0034500000000000004, as the live catalogue has it, is the price 0.00345.
        yield path, round(value, 9) if isinstance(value, float) else value


def _read(source: str) -> Any:
    if not source.startswith(("http://", "https://")):
        return json.loads(Path(source).read_text("utf-8"))
    return httpx2.get(f"{source.rstrip('/')}/models", params={"type": "all"}, timeout=60).raise_for_status().json()


def main(argv: Sequence[str] | None = None) -> int:
    """Print the differences."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare_models", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("live", help="base URL of the API, or a saved answer of GET /models?type=all")
    parser.add_argument("ours", nargs="?", default=str(BUNDLED), help="what to compare it with (the emulator's)")
    given = parser.parse_args(argv)
    try:
        lines = differences(_read(given.live), _read(given.ours))
    except (OSError, ValueError, httpx2.HTTPError) as error:
        sys.stderr.write(f"cannot compare: {error}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in lines) or "alike\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
