"""The lease of a state in a bucket: an object that its holder renews, and that others may take over when it is old.

Whether it is old is decided by the server's clock alone: the date of its answer against the date of the object. How
long the holder may trust it is decided by the holder's clock of time since boot, which runs on while the machine
sleeps. So no two clocks are ever compared. Every write is conditional on what was read before; of many contenders one
gets through.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from venice_batch.errors import LeaseLost, Locked, Unavailable, VeniceBatchError
from venice_batch.state.conditional_writes import check_conditional_writes
from venice_batch.storage import Changed, Exists, StateStore

NAME = "lease"
#: The server's dates are whole seconds: two of them may differ by that much more than the times they stand for.
_GRAIN = 1.0
#: The holder stops trusting its lease this part of its time before others may take it over.
_MARGIN = 0.2
#: A renewal is tried this often in the life of a lease; sooner after a failure.
_RENEWALS, _RENEWALS_AFTER_FAILURE = 3, 12
_TRIES = 5


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """How a state in a bucket is held.

    Attributes:
        ttl: seconds without a renewal after which another run may take over.
        safe: whether the store is relied upon for conditional writes; without them two runs that start at the same
            moment may both go ahead.
    """

    ttl: float = 60.0
    safe: bool = True


def boottime() -> float:
    """Return seconds since boot, sleep included; where no such clock exists, of the monotonic one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class BucketLease:
    """A lease while it is held; see `hold`.

    Attributes:
        writer: a random name for this holder.
        tails: the last journal number of each part of the state that was left in good order; a part whose last holder
            was killed has none.
    """

    def __init__(self, store: StateStore, policy: LeasePolicy, clock: Callable[[], float] = boottime) -> None:
        self.writer = secrets.token_hex(8)
        self.tails: dict[str, int] = {}
        self._store = store
        self._policy = policy
        self._clock = clock
        self._since = datetime.now(UTC).isoformat("T", "seconds")
        self._renewals = 0
        self._etag = ""
        self._deadline = 0.0
        self._failure: Unavailable | None = None
        self._asked_at: float | None = None
        self._end: VeniceBatchError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewed, name="lease", daemon=True)

    # Getting and giving back

    def acquire(self) -> None:
        """Become the holder, and stay it until `release`.

        Raises:
            Locked: another run holds the lease.
            Unavailable: the store cannot be reached, or does not do conditional writes.
        """
        probed = not self._policy.safe
        for _ in range(_TRIES):
            found = _read(self._store, self._policy)
            if found is not None and found.left > 0 and not found.released:
                raise Locked(
                    f"another run holds {self._store.place} ({found.owner})",
                    remedy=f"wait until it ends; if it was killed, this job can be run in {found.left:.0f} s",
                )
            self.tails = {} if found is None else dict(found.tails)
            if not probed:
                check_conditional_writes(self._store)
                probed = True
            begun = self._clock()
            with suppress(Exists, Changed):
                self._etag = self._put(None if found is None else found.etag, released=False)
                self._deadline = begun + self._policy.ttl * (1 - _MARGIN)
                self._thread.start()
                return
            # Somebody was faster; whether it still holds the lease is seen in the next round.
        raise Locked(f"others keep taking {self._store.place}{NAME}", remedy="run the job again")

    def release(self) -> None:
        """Give the lease back; a store that cannot be reached just lets it grow old."""
        self._stop.set()
        # A renewal that hangs is not waited for any longer than others would wait for this run.
        self._thread.join(self._policy.ttl)
        if not isinstance(self._end, LeaseLost):
            with suppress(Unavailable, LeaseLost, Changed):
                self._write_over(released=True)

    def _put(self, etag: str | None, *, released: bool) -> str:
        self._renewals += 1
        content = {
            "owner": {"host": socket.gethostname(), "pid": os.getpid()},
            "writer": self.writer,
            "since": self._since,
            "ttl": self._policy.ttl,
            # Makes each content another one: an etag that stood for two of them would be no condition.
            "renewals": self._renewals,
            "released": released,
            "tails": self.tails,
        }
        encoded = json.dumps(content).encode("ascii")
        if not self._policy.safe:
            return self._store.write(NAME, encoded)
        return self._store.write(NAME, encoded, if_absent=etag is None, if_match=etag)

    # Holding

    def check(self) -> None:
        """Make sure that no other run can hold the lease now. No request is made.

        Raises:
            LeaseLost: it ran out while this process stood still, or was taken over.
            Unavailable: it ran out because the store could not be reached.
        """
        if self._end is None and self._clock() > self._deadline:
            self._end = self._ran_out()
        if self._end is not None:
            raise type(self._end)(self._end.message, remedy=self._end.remedy)

    def _ran_out(self) -> VeniceBatchError:
        failure, asked = self._failure, self._asked_at
        if failure is None and (asked is None or self._clock() - asked < self._policy.ttl / _RENEWALS):
            return LeaseLost(
                f"the lease on {self._store.place} ran out while this process stood still",
                remedy="run the job again: it goes on where it stopped",
            )
        why = "the store does not answer" if failure is None else failure.message
        return Unavailable(
            f"the lease on {self._store.place} could not be renewed in time: {why}",
            remedy="" if failure is None else failure.remedy,
        )

    def _keep_renewed(self) -> None:
        renewals = _RENEWALS
        while self._end is None and not self._stop.wait(self._policy.ttl / renewals):
            try:
                self.check()
                self._renew()
                renewals = _RENEWALS
            except Unavailable as error:
                self._failure, renewals = error, _RENEWALS_AFTER_FAILURE
            except LeaseLost as error:
                self._end = error
            except Changed:
                # Written by nobody but us, and yet changed twice within one renewal: not to be trusted.
                self._end = self._lost("is not what was written")

    def _renew(self) -> None:
        self._asked_at = begun = self._clock()
        self._write_over(released=False)
        self._deadline = begun + self._policy.ttl * (1 - _MARGIN)
        self._asked_at = self._failure = None

    def _write_over(self, *, released: bool) -> None:
        if not self._policy.safe:
            self._own_etag()
        try:
            self._etag = self._put(self._etag, released=released)
        except Changed:
            self._etag = self._put(self._own_etag(), released=released)

    def _own_etag(self) -> str:
        """Return the etag of our own lease, left by a renewal whose answer was lost.

        Raises:
            LeaseLost: it is not ours any more.
        """
        found = _read(self._store, self._policy)
        if found is None:
            raise self._lost("was removed")
        if found.writer != self.writer:
            raise self._lost(
                "was broken off with `unlock --force`"
                if found.broken
                else f"was taken over by another run ({found.owner})"
            )
        return found.etag

    def _lost(self, how: str) -> LeaseLost:
        return LeaseLost(
            f"the lease on {self._store.place} {how}", remedy="run the job again once no other run works on it"
        )


@contextmanager
def acquired(store: StateStore, policy: LeasePolicy) -> Iterator[BucketLease]:
    """Hold the lease of the state at `store` while the block runs.

    Raises:
        Locked: another run holds it; the message names it.
        Unavailable: there is no right to write, or the store cannot be reached or does not do conditional writes.
    """
    lease = BucketLease(store, policy)
    lease.acquire()
    try:
        yield lease
    finally:
        lease.release()


@dataclass(frozen=True, slots=True)
class FoundLease:
    """A lease as it was found.

    Attributes:
        owner: host, process and since when, as JSON.
        writer: the random name of its holder.
        silent: seconds since its last renewal, by the server's clock.
        left: seconds until others may take it over by themselves; not positive: it is dead.
        etag: of the object.
        released: given back.
        broken: released by somebody else than its holder.
        tails: see `BucketLease`.
    """

    owner: str
    writer: object
    silent: float
    left: float
    etag: str
    released: bool
    broken: bool
    tails: Mapping[str, int]


def _read(store: StateStore, policy: LeasePolicy) -> FoundLease | None:
    """Return the lease that lies there; one that cannot be read says nothing, but is as new or old as any other."""
    blob = store.get(NAME)
    if blob is None:
        return None
    content: object = None
    with suppress(ValueError):
        content = json.loads(blob.content)
    fields: dict[str, Any] = content if isinstance(content, dict) else {}
    owner, ttl, tails = fields.get("owner"), fields.get("ttl"), fields.get("tails")
    released, silent = fields.get("released") is True, blob.now - blob.modified
    return FoundLease(
        owner=json.dumps({**(owner if isinstance(owner, dict) else {"host": "unknown"}), "since": fields.get("since")}),
        writer=fields.get("writer"),
        silent=silent,
        left=(float(ttl) if isinstance(ttl, int | float) else policy.ttl) + _GRAIN - silent,
        etag=blob.etag,
        released=released,
        broken=released and owner is None,
        tails=tails if released and isinstance(tails, dict) else {},
    )


def find(store: StateStore, policy: LeasePolicy) -> FoundLease | None:
    """Return the lease of the state at `store`, or None where nobody holds it.

    Raises:
        Unavailable: the store cannot be reached.
    """
    found = _read(store, policy)
    return None if found is None or found.released else found


def break_lease(store: StateStore, policy: LeasePolicy, found: FoundLease) -> None:
    """Release somebody else's lease, unless it was renewed since it was found.

    A holder that lives after all finds a stranger's name in it at its next renewal, and begins no call from then on.

    Raises:
        Locked: it was renewed: its holder lives.
        Unavailable: the store cannot be reached or written.
    """
    # No tails: the next holder then looks for answers that the dead run did not record.
    content = {"writer": secrets.token_hex(8), "ttl": policy.ttl, "released": True, "tails": {}}
    try:
        store.write(NAME, json.dumps(content).encode("ascii"), if_match=found.etag if policy.safe else None)
    except Changed:
        raise Locked(
            f"the run that holds {store.place} renewed its lease just now ({found.owner})",
            remedy="it is alive: end it on its host, or wait until it is done",
        ) from None
