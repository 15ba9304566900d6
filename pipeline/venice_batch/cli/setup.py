"""What helps to write a job and to try it: `init`, `schema`, `presets`, `completion`, `emulator`."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import click
import yaml
from click.shell_completion import BashComplete, get_completion_class

from venice_batch.cli.printing import print_json, print_rows
from venice_batch.errors import Exit, UsageError
from venice_batch.job.presets import CHECKED, PRESETS, Preset
from venice_batch.report.text import shown


def init(file: Path) -> int:
    """Write the starter job; never over something that is there."""
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(_STARTER)
    except FileExistsError:
        raise UsageError(f"{file} exists already", remedy="name another file") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", remedy="name another file") from error
    click.echo(f"wrote {shown(str(file))}; next: venice-batch plan {shown(str(file))}")
    return Exit.DONE


def schema() -> int:
    """Print the JSON Schema of the job file."""
    from venice_batch.job.json_schema import json_schema  # noqa: PLC0415 - no other command needs it

    click.echo(json.dumps(json_schema(), indent=2))
    return Exit.DONE


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
        about = ("name", "description", "leaves", "rules")
        documents = [
            {key: getattr(preset, key) for key in about} | {"checked": CHECKED} | preset.as_job() for preset in chosen
        ]
        print_json("presets", documents if name is None else documents[0])
    elif name is None:
        print_rows(("preset", "for"), [(preset.name, preset.description) for preset in chosen], empty="")
        click.echo(f"looked up on {CHECKED}; `venice-batch presets NAME` shows rules, sources and steps")
    else:
        click.echo(_preset_yaml(chosen[0]), nl=False)
    return Exit.DONE


def _preset_yaml(preset: Preset) -> str:
    """Return a preset as a part of a job file, its rules as comments."""
    lines = [f"{preset.name}: {preset.description}", f"Rules as read on {CHECKED}; marketplaces change them:"]
    for rule in preset.rules:
        lines += [f"- {rule.text}", f"  {rule.source}{'' if rule.official else ' (not the marketplace itself)'}"]
    lines.append(f"Yours to see to: {preset.leaves}")
    comments = "".join(f"# {line}\n" for line in lines)
    return comments + yaml.safe_dump(preset.as_job(), sort_keys=False, default_flow_style=None, width=120)


def completion(shell: str) -> int:
    """Print what `shell` is to evaluate: click's own completion; a job argument completes as a file.

    Raises:
        UsageError: click knows no such shell.
    """
    from venice_batch.cli.commands import cli  # noqa: PLC0415 - it imports this module where it runs a command

    kind = _AnyBash if shell == "bash" else get_completion_class(shell)
    if kind is None:
        raise UsageError(f"there is no completion for {shell}", remedy="one of bash, zsh, fish")
    click.echo(kind(cli, {}, "venice-batch", "_VENICE_BATCH_COMPLETE").source())
    return Exit.DONE


class _AnyBash(BashComplete):
    """Without a look at the bash of this machine: the text may be for another one."""

    @staticmethod
    def _check_version() -> None:
        """Do nothing."""


def emulator(*, host: str, port: int, latency: float, rpm: int, usd: str, diem: str, catalogue: Path | None) -> int:
    """Serve the emulator until it is interrupted."""
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - no other command needs it

    try:
        from venice_batch.emulator import Settings, serve  # noqa: PLC0415 - an extra that few commands need

        served = Settings(latency=latency, rpm=rpm, usd=Decimal(usd), diem=Decimal(diem), catalogue=catalogue)
    except ImportError as error:
        raise UsageError("the emulator is not installed", remedy="pip install 'venice-batch[emulator]'") from error
    except InvalidOperation as error:
        raise UsageError("a balance is not a number", remedy="write --usd 50") from error
    try:
        serve(served, host, port, ready=lambda at: click.echo(f"emulator listening on {at.url} key {at.key}"))
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}", remedy="choose another --port") from error
    except ValueError as error:
        raise UsageError(str(error), remedy="save the answer of GET /models?type=all") from error
    return Exit.DONE


_STARTER = """\
# A job for venice-batch. Try it without money first:  venice-batch run job.yaml --base-url emulator
version: 1
name: my-first-job                 # names the job's memory

source:
  path: ./photos                   # relative to this file; nothing in it is ever changed

steps:                             # done in this order, for every picture
  - background-remove
  # - upscale: {scale: 2}
  # - edit: {prompt: "on white marble", model: nano-banana-pro-edit, resolution: 2K}

output:
  path: ./finished
  name: "{dir}/{stem}.{ext}"

budget:
  max_usd: 5                       # a run never spends more
"""
