"""Rules 2 to 4 for a state in a bucket, by trial: nothing that was stored is bought again, whatever is lost.

The machine drives a real state on a real server as a run does, and kills it: with this machine's disk or without, and
with the last objects of the journal torn off. Beside it stands a model: the answers that were stored.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from venice_batch.state import Begun, ItemId, Reserved, RunEnded, RunStarted, Settled, State, to_write

if TYPE_CHECKING:
    from tests.servers.bucket import Bucket

PRICE = 20_000


def key(call: int) -> str:
    return f"{call % 256:02x}{call:062x}"


class Life(RuleBasedStateMachine):
    """One state, through many runs."""

    bucket: Bucket

    def __init__(self) -> None:
        super().__init__()
        self.place = self.bucket.fresh()
        self.temporary = Path(tempfile.mkdtemp(prefix="life-"))
        self.stack = ExitStack()
        self.stored: set[int] = set()
        self.begun: set[int] = set()
        self.torn = False
        self.highest = 0

    @initialize()
    def first_start(self) -> None:
        self.open()

    def teardown(self) -> None:
        self.stack.close()
        shutil.rmtree(self.temporary)

    def open(self) -> None:
        self.state: State = self.stack.enter_context(to_write(self.place, temporary=self.temporary))
        self.state.recover(1000.0)
        self.run, _ = self.state.run_to_continue("job")
        self.state.commit([RunStarted(self.run, "job", 1.0)])
        self.begun.clear()

    # What a run does

    @rule()
    def begin(self) -> None:
        # A torn journal forgets numbers; what is bought is still another thing each time.
        call, self.highest = self.state.next_call(), self.highest + 1
        item = ItemId("job", f"{self.highest}.png")
        self.state.commit([Reserved(call, self.run, item, "s", "/e", None, PRICE, 1.0)])
        self.state.commit([Begun(call, key(self.highest), 1.0)])
        self.begun.add(self.highest)

    @precondition(lambda self: self.begun - self.stored)
    @rule()
    def store_an_answer(self) -> None:
        number = min(self.begun - self.stored)
        file = self.state.results.incoming(key(number))
        file.write_bytes(b"%d" % number)
        self.state.results.keep(key(number), file, {"price_usd": "0.02", "at": 1.0})
        self.stored.add(number)

    @precondition(lambda self: self.begun & self.stored)
    @rule()
    def settle(self) -> None:
        number = min(self.begun & self.stored)
        [call] = [call.id for call in self.state.calls("job") if call.result == key(number)]
        self.state.commit([Settled(call, "spent", "answered", 2.0)])
        self.begun.remove(number)

    # What happens to it

    @rule()
    def end_in_good_order(self) -> None:
        self.state.commit([RunEnded(self.run, 3.0, 0, closed=True)])
        self.stack.close()
        self.open()

    @rule(lost=st.integers(0, 3), cut=st.booleans(), wiped=st.booleans())
    def be_killed(self, lost: int, *, cut: bool, wiped: bool) -> None:
        """Leave without a word, on a machine that may forget, with the end of the journal missing or torn."""
        with suppress(ZeroDivisionError), self.stack:
            raise ZeroDivisionError
        client = self.bucket.client()
        journal = [name for name in self.bucket.keys(self.place) if name.startswith("journal/")]
        for name in sorted(journal)[len(journal) - min(lost, len(journal)) :]:
            if cut:
                self.bucket.fill(self.place, {name: self.bucket.content(self.place, name)[:-3]})
            else:
                client.delete_object(Bucket=self.bucket.name, Key=self.place.prefix + name)
        client.delete_object(Bucket=self.bucket.name, Key=f"{self.place.prefix}lease")
        client.close()
        self.torn = self.torn or lost > 0
        if wiped:
            shutil.rmtree(self.temporary)
            self.temporary.mkdir()
        self.open()

    # What must always hold

    @invariant()
    def nothing_stored_is_ever_bought_again(self) -> None:
        for number in self.stored:
            assert self.state.results.find(key(number)) is not None

    @invariant()
    def what_was_paid_is_counted(self) -> None:
        if self.highest:
            counted = self.state.counted_since(0.0)
            assert counted >= PRICE * len(self.stored)
            if not self.torn:
                assert counted == PRICE * self.highest


def test_a_state_in_a_bucket_lives_through_everything(seaweed: Bucket) -> None:
    class Here(Life):
        bucket = seaweed

    # Each start is a dozen requests: few lives, but long ones.
    limits = settings(max_examples=8, stateful_step_count=15, deadline=None)
    run_state_machine_as_test(Here, settings=limits)
