"""``python -m venice_batch.emulator``: serve, and say where in one line of JSON on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from venice_batch.emulator.server import Running, serve
from venice_batch.emulator.settings import Settings


def _announce(running: Running) -> None:
    sys.stdout.write(json.dumps({"url": running.url, "key": running.key, "admin_key": running.admin_key}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m venice_batch.emulator", description="An offline Venice.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="TCP port, 0 for a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that a paid call takes at least")
    parser.add_argument("--rpm", type=int, default=60, help="requests per minute and model")
    parser.add_argument("--usd", type=Decimal, default=Decimal(50), help="USD balance")
    parser.add_argument("--diem", type=Decimal, default=Decimal(0), help="DIEM balance")
    parser.add_argument("--error-budget", type=int, default=20, help="client errors in 30 s before a block")
    parser.add_argument("--accept-any-key", action="store_true", help="take every bearer token")
    parser.add_argument("--pictures", choices=("real", "canned"), default="real", help="canned: for benchmarks")
    parser.add_argument("--catalogue", type=Path, help="a saved answer of GET /models?type=all, instead of the bundled")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until a signal ends it."""
    given = vars(_parser().parse_args(argv))
    host, port = given.pop("host"), given.pop("port")
    serve(Settings(**given), host, port, ready=_announce)


if __name__ == "__main__":
    main()
