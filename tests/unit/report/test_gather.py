"""From a state to the review page: which pictures are shown, which are opened, and what becomes of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.report.state_builder import JOB, START, STEPS, StateBuilder, draw
from venice_batch.errors import Unavailable
from venice_batch.report.gather import Access, ReportLimits, relative_href
from venice_batch.report.report_data import ReportData, ReportItem
from venice_batch.report.summary import summarize
from venice_batch.state import Begun, ItemId, ItemMoved, ItemRow, Reserved, Settled, SourceRead


def only(data: ReportData, name: str) -> ReportItem:
    (found,) = [item for item in data.items if item.name == name]
    return found


class Counted:
    """Access to a night's pictures that keeps count of what it opens."""

    def __init__(self, built: StateBuilder) -> None:
        self.opened: list[str] = []
        self._access = built.access()

    def before(self, row: ItemRow, spare: Path) -> Path | None:
        self.opened.append(row.key)
        return self._access.before(row, spare)

    def access(self) -> Access:
        return replace(self._access, before=self.before)


def test_an_item_shows_its_input_every_step_and_the_finished_file(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)
    item = only(built.gather(), "a.png")
    assert item.before is not None
    assert (item.before.width, item.before.height) == (640, 480)
    assert [(step.step, step.picture is not None, step.flags) for step in item.steps] == [
        ("background-remove", True, ()),
        ("staged", True, ()),
    ]
    assert item.after is not None
    assert (item.after.width, item.after.height) == (480, 600)
    assert {picture.file for picture in item.pictures()} == {
        path.name for path in (built.folder / "thumbnails").iterdir()
    }
    assert [(file.path, file.href) for file in item.files] == [("a.png", "./../../finished/a.png")]
    assert item.micros == 260_000


def test_a_flagged_answer_is_shown_with_its_flag(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "flagged", "blurred", "held back", steps=STEPS)
    item = only(built.gather(), "a.png")
    assert item.steps[-1].flags == ("blurred",)
    assert item.steps[-1].picture is not None
    assert item.after is None


def test_a_lost_answer_is_a_step_without_a_picture(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "uncertain", "uncertain", "lost", steps=STEPS[:1], lost="staged")
    item = only(built.gather(), "a.png")
    assert [step.picture is None for step in item.steps] == [False, True]
    assert [call.fate for call in item.calls] == ["spent", "uncertain"]
    assert item.micros == 260_000


def test_a_renamed_input_shows_what_was_bought_under_its_old_name_and_costs_nothing(built: StateBuilder) -> None:
    built.begin()
    built.item("old.png", "vanished", steps=STEPS)
    bought = only(built.gather(), "old.png")
    draw(built.source / "new.png", "old.png", "photo")
    source = built.state.source(JOB, "old.png")
    assert source is not None
    built.state.commit(
        [
            SourceRead(JOB, "new.png", "v1", source.size, source.sha256, source.facts),
            ItemMoved(ItemId(JOB, "new.png"), "v1", "f1", "done", built.at),
        ]
    )
    renamed = only(built.gather(), "new.png")
    assert renamed.steps == bought.steps
    assert renamed.before == bought.before
    assert renamed.micros == 0


def test_pictures_of_steps_that_the_job_no_longer_has_are_not_shown_but_their_money_is(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=("staged", "background-remove"))
    data = built.gather(steps=["staged"])
    assert [row.step for row in data.spent_total] == ["staged", "background-remove"]
    assert [step.step for step in only(data, "a.png").steps] == ["staged"]


def test_pictures_and_money_come_in_the_order_of_the_chain(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)
    data = built.gather(steps=["staged", "background-remove"])
    assert [row.step for row in data.spent_total] == ["staged", "background-remove"]
    assert [step.step for step in only(data, "a.png").steps] == ["staged", "background-remove"]


def test_each_variant_of_a_call_shows_its_own_picture(built: StateBuilder, tmp_path: Path) -> None:
    built.begin()
    for number, size in enumerate([(100, 50), (200, 50)]):
        Image.new("RGB", size).save(arriving := tmp_path / "arriving", "PNG")
        into = built.state.results.incoming(f"key.{number}")
        into.write_bytes(arriving.read_bytes())
        built.state.results.keep(f"key.{number}", into, {})
    built.gather()
    for variant in (1, 2):
        who = ItemId(JOB, "row", variant)
        built.state.commit(
            [
                Reserved(variant, 1, who, "staged", "/image/generate", None, 10_000, 5.0),
                # The ledger names the first picture of the call, whichever item paid for it.
                Begun(variant, "key.0", 5.0),
                Settled(variant, "spent", "answered", 6.0),
                ItemMoved(who, "v1", "f1", "done", 7.0),
            ]
        )
    data = built.gather()
    widths = {item.name: step.picture.width for item in data.items for step in item.steps if step.picture}
    assert widths == {"row-1": 100, "row-2": 200}


def test_money_that_was_only_set_aside_is_no_call(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "pending")
    built.gather()
    built.state.commit(
        [
            Reserved(1, 1, ItemId(JOB, "a.png"), "staged", "/image/edit", None, 230_000, 5.0),
            Settled(1, "released", "bought already", 6.0),
        ]
    )
    assert only(built.gather(), "a.png").calls == ()


def test_a_picture_that_did_not_change_is_not_opened_again(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)
    counted = Counted(built)
    first = built.gather(access=counted.access())
    again = built.gather(access=counted.access())
    assert counted.opened == ["a.png"]
    assert again.items == first.items


def test_a_picture_that_is_known_elsewhere_is_not_opened(built: StateBuilder, tmp_path: Path) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)
    names = built.gather().thumbnails
    (built.folder / "thumbnails").rename(tmp_path / "elsewhere")
    counted = Counted(built)
    data = built.gather(access=counted.access(), known=names)
    assert counted.opened == []
    assert data.thumbnails == names


def test_a_changed_input_gets_a_new_thumbnail_and_the_old_one_goes(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "pending")
    built.report()
    (old,) = (built.folder / "thumbnails").iterdir()
    strange = built.folder / "thumbnails" / "mine.webp"
    strange.touch()
    built.state.commit(
        [
            SourceRead(JOB, "a.png", "v2", 9, "another hash", "{}"),
            ItemMoved(ItemId(JOB, "a.png"), "v2", "f1", "pending", built.at),
        ]
    )
    built.report()
    left = set((built.folder / "thumbnails").iterdir())
    assert old not in left
    assert strange in left
    assert len(left) == 2


def test_what_needs_a_look_always_has_pictures_and_of_the_others_the_newest(built: StateBuilder) -> None:
    built.begin()
    built.item("flagged.png", "flagged", "blurred", "held back", steps=STEPS[:1])
    for number in range(5):
        built.item(f"{number}.png", "done", steps=STEPS[:1])
    data = built.gather(limits=ReportLimits(others=2))
    assert {item.name for item in data.items if item.before} == {"flagged.png", "3.png", "4.png"}
    assert any("3 have none" in note for note in data.notes)


def test_when_the_time_is_up_the_rest_is_left_for_the_next_report(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "failed", "broken", "no")
    built.item("b.png", "done")
    # The first look at the clock begins the time; there is enough of it for one picture.
    ticks = iter([0.0, 1.0, *[11.0] * 100])
    data = built.gather(limits=ReportLimits(seconds=10), clock=lambda: next(ticks))
    assert [item.name for item in data.items if item.before] == ["a.png"]
    assert any("left for the next report" in note for note in data.notes)
    data = built.gather()
    assert all(item.before for item in data.items)
    assert data.notes == ()


def test_a_store_that_cannot_be_reached_costs_the_pictures_only(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)

    def unreachable(_: object, __: Path) -> Path | None:
        raise Unavailable("the bucket does not answer")

    data = built.gather(access=Access(unreachable, unreachable, unreachable))
    assert list(only(data, "a.png").pictures()) == []
    assert any("4 pictures could not be read, the first because: the bucket" in note for note in data.notes)


@pytest.mark.parametrize("bytes_", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_an_input_that_is_no_picture_is_shown_without_one_and_without_a_remark(
    built: StateBuilder, bytes_: bytes
) -> None:
    built.begin()
    built.item("a.png", "invalid", "broken", "the picture is damaged")
    (built.source / "a.png").write_bytes(bytes_)
    data = built.gather()
    assert only(data, "a.png").before is None
    assert data.notes == ()


def test_a_damaged_result_is_a_step_without_a_picture(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)
    for facts in (built.root / "state" / "results").glob("??/*.json"):
        facts.write_text("{}")
    item = only(built.gather(), "a.png")
    assert [step.picture for step in item.steps] == [None, None]
    assert item.after is not None


def test_fetched_bytes_do_not_stay(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "done", steps=STEPS)
    local = built.access()

    def fetched(row: ItemRow, spare: Path) -> Path | None:
        return spare if (found := local.before(row, spare)) and spare.write_bytes(found.read_bytes()) else None

    data = built.gather(access=replace(local, before=fetched))
    assert only(data, "a.png").before is not None
    assert list((built.root / "scratch").iterdir()) == []


@pytest.mark.parametrize("path", ["javascript:alert(1)", "a b/c#d?e.png", "\udcff.png"])
def test_the_address_of_a_finished_file_is_a_path_and_nothing_else(tmp_path: Path, path: str) -> None:
    href = relative_href(tmp_path / "state" / "report", tmp_path / "out")(path)
    assert href is not None
    assert href.startswith("./../../out/")
    assert not set(href) & set(":#? ")


def test_of_very_many_items_those_that_need_a_look_and_the_newest_others_are_listed(built: StateBuilder) -> None:
    built.begin()
    built.item("a.png", "failed", "refused", "why", steps=())
    for name in "bcdef":
        built.item(f"{name}.png", "done", steps=STEPS)
    built.end(3)
    data = built.gather(limits=ReportLimits(listed=3))
    assert [item.name for item in data.items] == ["a.png", "e.png", "f.png"]
    assert any("3 more are not on this page" in note for note in data.notes)
    assert [len(item.calls) for item in data.items] == [0, 2, 2]


def test_the_numbers_count_items_that_are_not_listed(built: StateBuilder) -> None:
    built.begin(1, START - 86_400)
    built.item("old.png", "done", steps=STEPS)
    built.end(0)
    built.begin(2)
    for name in "abcd":
        built.item(f"{name}.png", "done", steps=STEPS)
    built.end(0)
    few, all_of_it = (summarize(built.gather(limits=limits)) for limits in (ReportLimits(listed=2), ReportLimits()))
    assert few == all_of_it
    assert (few.counts["done"], few.ended_items) == (5, 4)


def test_only_the_newest_calls_are_kept_for_the_charts(built: StateBuilder) -> None:
    built.begin()
    for name in "abc":
        built.item(f"{name}.png", "done", steps=STEPS)
    data = built.gather(limits=ReportLimits(calls=2))
    assert [call.key for call in data.calls] == ["c.png", "c.png"]
    assert sum(row.calls for row in data.spent_total) == 6
