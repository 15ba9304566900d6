"""Every command with its options. No work is done here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from venice_batch import __version__

Function = TypeVar("Function", bound=Callable[..., Any])

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
@click.version_option(__version__, prog_name="venice-batch")
def cli() -> None:
    """Run thousands of pictures through the Venice image API: priced first, resumable, never buying twice.

    Exit codes: 0 all done, 2 the job file or the command line, 3 some items failed or were flagged, 4 the key was
    refused, 5 money, 6 API or store unavailable or too many failures, 7 another run holds the job, 130/143 interrupted,
    1 a bug in this tool.
    """


def _command(carried_out_by: str, *options: Callable[[Any], Any], **fixed: str) -> Callable[[Callable[[], None]], None]:
    """Declare a command by its name and help, which the decorated function has, and by its options.

    `carried_out_by` is ``module.function`` of this package, imported only when the command runs, so that `--help` is
    fast; it is given the options' values and `fixed`.
    """

    def declare(described: Callable[[], None]) -> None:
        def call(**given: Any) -> int:
            module, _, name = carried_out_by.partition(".")
            code: int = getattr(import_module(f"venice_batch.cli.{module}"), name)(**fixed, **given)
            return code

        for option in reversed(options):
            option(call)
        cli.command(name=described.__name__, help=described.__doc__)(call)

    return declare


def _job(function: Function) -> Function:
    """Add what every command about a job takes."""
    return _base_url(_overrides(click.argument("job", type=click.Path(path_type=Path))(function)))


def _overrides(function: Function) -> Function:
    text = "Override a value of the job file, such as steps.0.scale=4. May be given several times."
    return click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help=text)(function)


def _base_url(function: Function) -> Function:
    text = "Call this API instead; `emulator` starts the bundled one. Also: VENICE_BASE_URL."
    return click.option("--base-url", metavar="URL", help=text)(function)


def _json(function: Function) -> Function:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(function)


def _csv(function: Function) -> Function:
    return click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")(function)


def _item_filter(function: Function) -> Function:
    function = click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N items.")(function)
    function = click.option("--only", metavar="GLOB", help="Only items whose key matches.")(function)
    text = "A repeatable sample of N items, then report and stop; a later run does the rest."
    function = click.option("--sample", type=click.IntRange(1), metavar="N", help=text)(function)
    text = "Only items last modified since then: 2026-11-20, 2026-11-20T06:00Z, 36h, 7d."
    function = click.option("--since", metavar="TIME", help=text)(function)
    function = click.option("--budget", metavar="USD", help="Replaces budget.max_usd of the job.")(function)
    text = (
        "Let JOB read files there that it names, although it alone says where their lines go. Also: VENICE_ALLOW_READ."
    )
    folder = click.Path(path_type=Path)
    function = click.option("--allow-read", type=folder, multiple=True, metavar="DIR", help=text)(function)
    text = "Also retry items that failed permanently."
    return click.option("--retry-failed", is_flag=True, help=text)(function)


def _held(function: Function) -> Function:
    """Add what the commands take that decide about held-back results."""
    function = click.option("--all", "everything", is_flag=True, help="All results that are held back.")(function)
    function = click.argument("keys", nargs=-1, metavar="[KEY]...")(function)
    return _job(function)


@_command(
    "run_job.run",
    _job,
    _item_filter,
    _json,
    click.option("--dry-run", is_flag=True, help="The same as `plan`."),
    click.option(
        "--partial", is_flag=True, help="If the money does not cover everything, process as many items as it covers."
    ),
    click.option("--wait-for-balance", "wait", metavar="TIME", help="Wait up to 2h, 30m, ... for credits, then go on."),
    click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Calls in flight at most."),
    click.option("--yes", "-y", is_flag=True, help="Do not ask before spending."),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="stderr format; json: one JSON object per line.",
    ),
)
def run() -> None:
    """Plan JOB, check the balance, do the work, and report the result."""


@_command("run_job.plan", _job, _item_filter, _json)
def plan() -> None:
    """Say what a run of JOB would do and cost, without spending or changing anything."""


@_command("queries.check", _job, _json)
def check() -> None:
    """Validate JOB without asking the API."""


@_command("queries.status", _job, _json)
def status() -> None:
    """Show what the state of JOB knows: items, the last run, and money by step and model."""


@_command(
    "queries.items",
    _job,
    _json,
    _csv,
    click.option("--state", "state", metavar="STATE", help="Only items in this state, such as failed."),
)
def items() -> None:
    """List the items of JOB with their states and reasons."""


@_command("decisions.decide", _held, _json, decision="released")
def release() -> None:
    """Accept the flagged results of the items KEY..., named as `items` names them: the next run publishes them."""


@_command("decisions.decide", _held, _json, decision="rejected")
def reject() -> None:
    """Refuse the flagged results of the items KEY...: the next run regenerates them (charged again)."""


@_command("queries.ledger", _job, _json, _csv)
def ledger() -> None:
    """List every call of JOB with its price and its outcome."""


@_command("report.report", _job, _json)
def report() -> None:
    """Write the review page of JOB, with its pictures, and print its path."""


@_command("reconcile.reconcile", _job, _json)
def reconcile() -> None:
    """Compare the ledger of JOB with the account's; needs an ADMIN key, changes nothing.

    Exit 0: nothing was charged twice or without an answer; 3: something was.
    """


@_command("queries.balance", _base_url, _json)
def balance() -> None:
    """Show what the key may spend, and how fast it may call."""


@_command(
    "queries.models",
    _base_url,
    _json,
    click.option(
        "--type", "kind", type=click.Choice(["image", "inpaint", "upscale"]), help="Only models of this type."
    ),
)
def models() -> None:
    """List the models of the live catalogue with their prices."""


@_command("queries.styles", _base_url, _json)
def styles() -> None:
    """List the style presets that generate takes."""


@_command("setup.presets", click.argument("name", required=False), _json)
def presets() -> None:
    """List what `preset:` in a job file may name; with NAME its rules, sources, steps and renditions."""


@_command("setup.init", click.argument("file", type=click.Path(path_type=Path), default=Path("job.yaml")))
def init() -> None:
    """Write a starter job to FILE (job.yaml)."""


@_command("setup.schema")
def schema() -> None:
    """Print the JSON Schema of the job file."""


@_command(
    "setup.emulator",
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."),
    click.option(
        "--latency", default=0.0, show_default=True, type=click.FloatRange(0), help="Seconds a paid call takes."
    ),
    click.option("--rpm", default=60, show_default=True, type=click.IntRange(1), help="Calls a minute for each model."),
    click.option("--usd", default="50", show_default=True, help="The USD balance."),
    click.option("--diem", default="0", show_default=True, help="The DIEM balance."),
    click.option(
        "--catalogue",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Serve the models of a saved answer of GET /models?type=all.",
    ),
)
def emulator() -> None:
    """Serve the offline Venice: its image endpoints, models, prices and limits, and pictures that cost nothing."""


@_command(
    "doctor.doctor",
    click.argument("job", type=click.Path(path_type=Path), required=False),
    _overrides,
    _base_url,
    _json,
)
def doctor() -> None:
    """Check key, money, network, clock, disk and codecs; with JOB also its models, folders and buckets.

    Spends nothing. The exit code is that of the most serious finding: 5 money, 4 the key, 6 network, store or disk,
    2 the job; 0 where nothing is bad.
    """


@_command(
    "maintenance.gc",
    _job,
    _json,
    click.argument("others", type=click.Path(path_type=Path), nargs=-1, metavar="[OTHER_JOB]..."),
    click.option(
        "--older-than", default="30d", show_default=True, metavar="TIME", help="Only results unused for this long."
    ),
    click.option("--larger-than", metavar="SIZE", help="Only files of this size and more, such as 100MB."),
    click.option("--yes", "-y", is_flag=True, help="Delete; without it, only show."),
)
def gc() -> None:
    """Free stored results that no item of JOB needs any more; shows them unless --yes is given.

    Where several jobs share a state, name them all: what a job needs whose file is not named is kept.
    """


@_command(
    "maintenance.unlock",
    _job,
    click.option("--force", is_flag=True, help="Break it although its holder may be alive."),
    click.option("--claim", is_flag=True, help="Instead: the state has moved; let it own the output."),
    click.option("--copy-from", metavar="STATE", help="The same, and copy the state from this folder or prefix first."),
)
def unlock() -> None:
    """Break the lease that a dead run left on the state of JOB."""


@_command("setup.completion", click.argument("shell", type=click.Choice(["bash", "zsh", "fish"])))
def completion() -> None:
    """Print what makes SHELL complete commands, options and job files.

    For bash, put this into ~/.bashrc:  eval "$(venice-batch completion bash)"
    """
