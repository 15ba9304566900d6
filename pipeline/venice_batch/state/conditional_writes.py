"""Whether a store honours conditional writes: tried with a tiny object before anything depends on it."""

from __future__ import annotations

import secrets
from contextlib import suppress

from venice_batch.errors import Unavailable
from venice_batch.storage import Changed, Exists, StateStore

_OTHER_ETAG = "0" * 32


def check_conditional_writes(store: StateStore) -> None:
    """Make sure that `store` may be written and keeps to If-None-Match and If-Match.

    Raises:
        Unavailable: it does not, or there is no right to write; the message says which.
    """
    name = f"probe-{secrets.token_hex(8)}"
    try:
        missing = _first_unsupported(store, name)
    finally:
        with suppress(Unavailable):
            # What went wrong before is the news; a tiny object that stays does no harm.
            store.delete(name)
    if missing:
        raise Unavailable(
            f"the store of {store.place} does not honour conditional writes ({missing}), so two runs at once could"
            " both buy",
            remedy="keep the state in another store, or, if never two runs start at once, write `lease: unsafe`",
        )


def _first_unsupported(store: StateStore, name: str) -> str:
    """Return the condition that is not honoured, or nothing."""
    # Each content is another one, so that no write can be taken for the repetition of an earlier one.
    try:
        etag = store.write(name, b"1", if_absent=True)
    except Unavailable:
        store.write(name, b"2")  # no right at all, or no such store: its own message says it better
        return "If-None-Match is refused"
    if not _refused(store, name, b"3", if_absent=True):
        return "If-None-Match is ignored"
    if not _refused(store, name, b"4", if_match=_OTHER_ETAG):
        return "If-Match is ignored"
    if _refused(store, name, b"5", if_match=etag):
        return "If-Match is refused"
    return ""


def _refused(
    store: StateStore, name: str, content: bytes, *, if_absent: bool = False, if_match: str | None = None
) -> bool:
    try:
        store.write(name, content, if_absent=if_absent, if_match=if_match)
    except (Exists, Changed):
        return True
    return False
