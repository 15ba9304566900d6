"""Many who want the same lease at the same moment, round after round: each round has one winner.

python -m tests.contract.state.contenders --rounds 20
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from venice_batch.errors import Locked
from venice_batch.state.bucket_lease import BucketLease, LeasePolicy
from venice_batch.storage import S3Place, open_store

if TYPE_CHECKING:
    from tests.servers.bucket import Bucket

#: Of the dead lease that is fought over in every second round; the server's dates are whole seconds.
_DEAD_TTL = 0.1
_UNTIL_DEAD = 2.2


def compete(bucket: Bucket, contenders: int, rounds: int) -> list[int]:
    """Return how many won in each round: of a lease given back in the even ones, of a dead one in the odd ones."""
    place = bucket.fresh()
    winners = []
    for number in range(rounds):
        if number % 2:
            bucket.fill(place, {"lease": json.dumps({"ttl": _DEAD_TTL, "released": False}).encode()})
            time.sleep(_UNTIL_DEAD)
        winners.append(_round(place, contenders))
    return winners


def _round(place: S3Place, contenders: int) -> int:
    start = threading.Barrier(contenders)

    def contend() -> BucketLease | None:
        lease = BucketLease(open_store(place), LeasePolicy(ttl=30.0))
        start.wait()
        try:
            lease.acquire()
        except Locked:
            return None
        return lease

    with ThreadPoolExecutor(contenders) as pool:
        won = [lease for lease in [job.result() for job in [pool.submit(contend) for _ in range(contenders)]] if lease]
    for lease in won:
        lease.check()
        lease.release()
    return len(won)


def main() -> None:
    """Compete on a SeaweedFS of its own and print the winners of each round."""
    from tests.servers.bucket import only_these_variables  # noqa: PLC0415 - boto3 is not needed to ask for help
    from tests.servers.seaweed import running  # noqa: PLC0415 - likewise

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contenders", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    wanted = parser.parse_args()
    with only_these_variables(), running() as server:
        winners = compete(server.bucket, wanted.contenders, wanted.rounds)
    print(f"{wanted.contenders} contenders, winners in {wanted.rounds} rounds: {winners}")  # noqa: T201 - a program
    raise SystemExit(set(winners) != {1})


if __name__ == "__main__":
    main()
