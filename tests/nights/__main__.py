"""Many nights of a simulated shop: what is bought, told, kept and left over, against a model of its own.

    python -m tests.nights --seed 1 --nights 60 [--bucket]

Prints the diary, and exits with 1 when anything is not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.nights.simulation import simulate


def main() -> int:
    """Let the nights pass, print the diary, and say what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of all events")
    parser.add_argument("--seeds", type=int, default=1, help="so many seeds, one after the other")
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--bucket", action="store_true", help="source, output and state in a bucket")
    given = parser.parse_args()
    begun, wrong = time.monotonic(), []
    for seed in range(given.seed, given.seed + given.seeds):
        wrong += simulate(seed, given.nights, bucket=given.bucket, tell=_say)
    _say(f"{time.monotonic() - begun:.0f} s")
    for sentence in wrong:
        _say(f"WRONG: {sentence}")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
