"""A state copied to another place, in a folder or in a bucket alike: whatever was bought there is known here."""

from __future__ import annotations

import shutil
from pathlib import Path

from venice_batch.errors import UsageError
from venice_batch.state.events import Event, ResultStored
from venice_batch.state.manifest import State
from venice_batch.state.results import Result, index_text

#: Results of one commit.
_GROUP = 500


def copy_state(old: State, new: State) -> int:
    """Copy results and manifest from `old` into `new`; return how many results `new` has.

    The results come first: a copy that was interrupted is begun again, and goes on where it stopped. Of answers that
    were set aside only the fact is copied, not their bytes.

    Raises:
        UsageError: `new` has a memory of its own.
        ItemError: a result of `old` is gone.
        Unavailable: one of them cannot be reached, or has no room.
    """
    if new.next_call() > 1 or new.jobs():
        raise UsageError(
            f"the state {new.root} has a memory of its own",
            remedy="give the job a `state:` that is new, and copy there",
        )
    unused = sorted({found.key for found in old.results.stored() if found.bad is not None})
    events: list[Event] = [
        new.results.set_aside(_kept(new, Result(key, {}), None)) for key in unused if not new.results.was_set_aside(key)
    ]
    for key in sorted(old.results.keys()):
        found = old.results.find(key)
        if found is not None:
            kept = new.results.find(key) or _kept(new, found, old.results.bytes(key, new.scratch / "moved"))
            events.append(ResultStored(kept.key, index_text(found.facts)))
            (new.scratch / "moved").unlink(missing_ok=True)
    new.replace_with(old)
    for start in range(0, len(events), _GROUP):
        new.commit(events[start : start + _GROUP])
    return sum(isinstance(event, ResultStored) for event in events)


def _kept(new: State, result: Result, content: Path | None) -> Result:
    arriving = new.results.incoming(result.key)
    if content is None:
        arriving.write_text("set aside in the state that this one was copied from\n", "utf-8")
    else:
        shutil.copyfile(content, arriving)
    return new.results.keep(result.key, arriving, result.facts)
