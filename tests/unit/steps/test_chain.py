"""An item's walk through its chain: what is left out, what is open, and which picture a step gets."""

from __future__ import annotations

import pytest

from tests.unit.steps.conftest import HOST, SOURCE, paid, step
from venice_batch.steps.chain import Chain, Finished, Position, Purchase, Stage, Step, Undecided, needs_bytes
from venice_batch.steps.conditions import Known
from venice_batch.steps.fields import MultiEditFields
from venice_batch.steps.input_key import InputKey
from venice_batch.steps.local import LocalStep, orient
from venice_batch.steps.table import build

LARGE, SMALL = (
    Known(4000, 3000, has_alpha=False, format="JPEG", bytes=9_000_000),
    Known(800, 600, has_alpha=False, format="JPEG", bytes=90_000),
)


def chain(*steps: Step) -> Chain:
    return Chain(HOST, steps)


def start(steps: Chain, known: Known = SMALL) -> Position:
    return steps.start(SOURCE, known)


def multi_edit(*images: object) -> Step:
    return build("multi-edit", "multi-edit", MultiEditFields.model_validate({"prompt": "p", "images": list(images)}))


def purchase(stop: object) -> Purchase:
    assert isinstance(stop, Purchase)
    return stop


def test_local_steps_are_gone_through_up_to_the_next_purchase() -> None:
    steps = chain(orient(), step("fit", {"max_side": 400}), paid("upscale"))
    position, stop = steps.advance(start(steps))
    assert position.index == 2
    (picture,) = purchase(stop).inputs
    assert isinstance(picture, Stage)
    assert [local.name for local in picture.local] == ["orient", "fit"]
    assert picture.result is None
    assert (picture.known.width, picture.known.height, picture.known.format) == (400, 300, None)
    assert [name for name, _, _ in picture.input_key.since] == ["orient", "fit"]


def test_a_chain_of_local_steps_is_finished_at_once() -> None:
    steps = chain(orient(), step("fit", {"max_side": 400}))
    position, stop = steps.advance(start(steps))
    assert stop == Finished(position.current)
    assert position.index == 2


def test_what_was_bought_starts_a_new_history() -> None:
    steps = chain(orient(), paid("upscale"), step("fit", {"max_side": 400}))
    position, stop = steps.advance(start(steps))
    position, end = steps.advance(
        steps.bought(position, purchase(stop), Known(1600, 1200, has_alpha=True, format="PNG"))
    )
    assert isinstance(end, Finished)
    assert end.stage.result == purchase(stop).result
    assert end.stage.input_key.origin == "result"
    assert [local.name for local in end.stage.local] == ["fit"]
    assert end.stage.known.has_alpha is True


@pytest.mark.parametrize(("known", "holds"), [(SMALL, True), (LARGE, False)])
def test_a_condition_decides_whether_a_step_is_bought(known: Known, holds: bool) -> None:  # noqa: FBT001 - a table
    steps = chain(paid("upscale", when={"max_side_below": 2000}))
    _, stop = steps.advance(start(steps, known))
    assert isinstance(stop, Purchase) is holds
    assert isinstance(stop, Finished) is not holds


def test_a_condition_that_cannot_be_judged_yet_stops_the_walk() -> None:
    steps = chain(paid("edit", {"prompt": "p"}), paid("upscale", when={"max_side_below": 2000}))
    position, stop = steps.advance(start(steps))
    position = steps.bought(position, purchase(stop), purchase(stop).step.after(SMALL))
    position, stop = steps.advance(position)
    assert stop == Undecided(steps.steps[1])
    assert steps.advance(position) == (position, stop)
    assert isinstance(steps.advance(steps.skip(position))[1], Finished)


def test_a_condition_on_a_local_step_can_be_open_too() -> None:
    steps = chain(step("fit", {"max_side": 100}, when={"format": "png"}), paid("upscale"))
    _, stop = steps.advance(start(steps, Known(10, 10)))
    assert isinstance(stop, Undecided)
    assert isinstance(stop.step, LocalStep)


def test_a_condition_sees_what_the_steps_before_it_made() -> None:
    steps = chain(paid("upscale"), paid("background-remove"), paid("upscale", named="again", when={"has_alpha": True}))
    position, stop = steps.advance(start(steps))
    position = steps.bought(position, purchase(stop), purchase(stop).step.after(SMALL))
    position, stop = steps.advance(position)
    position = steps.bought(position, purchase(stop), purchase(stop).step.after(position.current.known))
    position, stop = steps.advance(position)
    assert purchase(stop).step.id == "again"
    assert (position.current.known.width, position.current.known.height) == (1600, 1200)


# References


def test_source_means_the_picture_as_a_person_sees_it() -> None:
    steps = chain(orient(), paid("upscale"), multi_edit("current", "source"))
    position, stop = steps.advance(start(steps))
    position, stop = steps.advance(steps.bought(position, purchase(stop), Known()))
    current, source = purchase(stop).inputs
    assert isinstance(current, Stage)
    assert isinstance(source, Stage)
    assert current.input_key.origin == "result"
    assert source.input_key == SOURCE.then("orient", "{}", 1)
    assert [local.name for local in source.local] == ["orient"]


def test_only_an_orient_at_the_top_turns_the_source() -> None:
    steps = chain(step("fit", {"max_side": 100}), orient("second"), multi_edit("source"))
    _, stop = steps.advance(start(steps))
    (source,) = purchase(stop).inputs
    assert isinstance(source, Stage)
    assert source.input_key == SOURCE


def test_a_step_can_be_referred_to_by_its_id() -> None:
    steps = chain(
        paid("upscale", named="big"), paid("background-remove", named="cut"), multi_edit("current", {"step": "big"})
    )
    position, first = steps.advance(start(steps))
    position, second = steps.advance(steps.bought(position, purchase(first), Known()))
    _, third = steps.advance(steps.bought(position, purchase(second), Known()))
    results = [picture.result for picture in purchase(third).inputs if isinstance(picture, Stage)]
    assert results == [purchase(second).result, purchase(first).result]


def test_a_step_that_was_left_out_stands_for_what_it_was_given() -> None:
    steps = chain(
        paid("upscale", named="big", when={"width_below": 10}), paid("background-remove"), multi_edit({"step": "big"})
    )
    position, stop = steps.advance(start(steps))
    _, stop = steps.advance(steps.bought(position, purchase(stop), Known()))
    (picture,) = purchase(stop).inputs
    assert isinstance(picture, Stage)
    assert picture.input_key == SOURCE


def test_a_local_step_can_be_referred_to() -> None:
    steps = chain(
        step("fit", {"max_side": 100}, named="small"), paid("upscale"), multi_edit("current", {"step": "small"})
    )
    position, stop = steps.advance(start(steps))
    _, stop = steps.advance(steps.bought(position, purchase(stop), Known()))
    _, small = purchase(stop).inputs
    assert isinstance(small, Stage)
    assert [local.id for local in small.local] == ["small"]
    assert small.result is None


def test_the_paid_steps_are_told_in_order() -> None:
    steps = chain(orient(), paid("upscale"), step("fit", {"max_side": 9}), paid("edit", {"prompt": "p"}))
    assert [each.name for each in steps.paid] == ["upscale", "edit"]


@pytest.mark.parametrize(
    ("steps", "needed"),
    [
        ([paid("edit", {"prompt": "p"})], False),
        ([paid("background-remove")], False),
        ([multi_edit("current")], False),
        ([paid("upscale")], True),
        ([step("fit", {"max_side": 1})], True),
        ([paid("edit", {"prompt": "p"}, when={"width_below": 5})], True),
    ],
)
def test_an_address_is_fetched_where_the_first_step_needs_bytes(steps: list[Step], needed: bool) -> None:  # noqa: FBT001 - a table
    assert needs_bytes(steps) is needed


def test_variants_start_the_same_way_and_end_in_their_own_picture() -> None:
    steps = chain(paid("generate", {"model": "m", "prompt": "p", "variants": 2}), paid("upscale"))
    claims = []
    for variant in (1, 2):
        position, stop = steps.advance(steps.start(InputKey("unread", "row"), Known()), variant)
        _, later = steps.advance(steps.bought(position, purchase(stop), Known()), variant)
        claims.append((purchase(stop).claim, purchase(later).claim))
    assert claims[0][0] == claims[1][0]
    assert claims[0][1] != claims[1][1]


# What may still come


def test_the_steps_ahead_are_told_with_what_each_will_get() -> None:
    steps = chain(
        step("fit", {"max_side": 400}),
        paid("upscale", when={"max_side_at_least": 401}, named="never"),
        paid("upscale"),
        paid("edit", {"prompt": "p"}),
        paid("upscale", when={"max_side_below": 900}, named="perhaps"),
    )
    ahead = [(each.id, known.width) for each, known in steps.ahead(start(steps))]
    assert ahead == [("upscale", 400), ("edit", 800), ("perhaps", None)]


@pytest.mark.parametrize(
    ("scale", "known", "factors"),
    [
        (2, Known(), ("2x",)),
        (4, Known(), ("2x", "4x")),
        (3, Known(300, 300), ("4x",)),
        (4, Known(2048, 2048), ("2x",)),
        (4, Known(2047, 2048), ("4x",)),
    ],
)
def test_the_price_of_an_upscale_goes_by_its_size(scale: int, known: Known, factors: tuple[str, ...]) -> None:
    assert paid("upscale", {"scale": scale}).factors(known) == factors
