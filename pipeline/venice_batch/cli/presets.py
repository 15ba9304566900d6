"""`presets`: what marketplaces ask for, and what stands for it in a job file."""

from __future__ import annotations

import difflib
import json
from typing import Any

import click
import yaml

from venice_batch.errors import Exit, UsageError
from venice_batch.job.presets import CHECKED, PRESETS, Preset
from venice_batch.report.text import table


def presets(name: str | None, *, as_json: bool) -> int:
    """List the presets, or show one of them with its rules and as YAML that can be pasted into a job file.

    Raises:
        UsageError: there is no preset of that name.
    """
    chosen = [preset for known, preset in PRESETS.items() if name in {None, known}]
    if not chosen:
        near = difflib.get_close_matches(str(name), PRESETS, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"one of {', '.join(PRESETS)}"
        raise UsageError(f"there is no preset {name!r}", remedy=remedy)
    if as_json:
        told = [_as_json(preset) for preset in chosen]
        click.echo(json.dumps(told if name is None else told[0], indent=2))
    elif name is None:
        click.echo(table(("preset", "for"), [(preset.name, preset.description) for preset in chosen]))
        click.echo(f"looked up on {CHECKED}; `venice-batch presets NAME` shows rules, sources and steps")
    else:
        click.echo(_as_yaml(chosen[0]), nl=False)
    return Exit.DONE


def _as_yaml(preset: Preset) -> str:
    """Return a preset as a part of a job file, its rules as comments."""
    lines = [f"{preset.name}: {preset.description}", f"Rules as read on {CHECKED}; marketplaces change them:"]
    for rule in preset.rules:
        lines += [f"- {rule.text}", f"  {rule.source}{'' if rule.official else ' (not the marketplace itself)'}"]
    lines.append(f"Yours to see to: {preset.leaves}")
    comments = "".join(f"# {line}\n" for line in lines)
    return comments + yaml.safe_dump(preset.as_written(), sort_keys=False, default_flow_style=None, width=120)


def _as_json(preset: Preset) -> dict[str, Any]:
    rules = [{"text": rule.text, "source": rule.source, "official": rule.official} for rule in preset.rules]
    about = {"name": preset.name, "description": preset.description, "checked": CHECKED, "leaves": preset.leaves}
    return {**about, "rules": rules, **preset.as_written()}
