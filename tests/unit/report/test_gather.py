"""From a state to the review page: which pictures are shown, which are opened, and what becomes of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.report.nights import JOB, START, STEPS, Night, draw
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

    def __init__(self, happening: Night) -> None:
        self.opened: list[str] = []
        self._access = happening.access()

    def before(self, row: ItemRow, spare: Path) -> Path | None:
        self.opened.append(row.key)
        return self._access.before(row, spare)

    def access(self) -> Access:
        return replace(self._access, before=self.before)


def test_an_item_shows_its_input_every_step_and_the_finished_file(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)
    item = only(happening.gather(), "a.png")
    assert item.before is not None
    assert (item.before.width, item.before.height) == (640, 480)
    assert [(step.step, step.picture is not None, step.flags) for step in item.steps] == [
        ("background-remove", True, ()),
        ("staged", True, ()),
    ]
    assert item.after is not None
    assert (item.after.width, item.after.height) == (480, 600)
    assert {picture.file for picture in item.pictures()} == {
        path.name for path in (happening.folder / "thumbnails").iterdir()
    }
    assert [(file.path, file.href) for file in item.files] == [("a.png", "./../../finished/a.png")]
    assert item.micros == 260_000


def test_a_flagged_answer_is_shown_with_its_flag(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "flagged", "blurred", "held back", steps=STEPS)
    item = only(happening.gather(), "a.png")
    assert item.steps[-1].flags == ("blurred",)
    assert item.steps[-1].picture is not None
    assert item.after is None


def test_a_lost_answer_is_a_step_without_a_picture(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "uncertain", "uncertain", "lost", steps=STEPS[:1], lost="staged")
    item = only(happening.gather(), "a.png")
    assert [step.picture is None for step in item.steps] == [False, True]
    assert [call.fate for call in item.calls] == ["spent", "uncertain"]
    assert item.micros == 260_000


def test_a_renamed_input_shows_what_was_bought_under_its_old_name_and_costs_nothing(happening: Night) -> None:
    happening.begin()
    happening.item("old.png", "vanished", steps=STEPS)
    bought = only(happening.gather(), "old.png")
    draw(happening.source / "new.png", "old.png", "photo")
    source = happening.state.source(JOB, "old.png")
    assert source is not None
    happening.state.commit(
        [
            SourceRead(JOB, "new.png", "v1", source.size, source.sha256, source.facts),
            ItemMoved(ItemId(JOB, "new.png"), "v1", "f1", "done", happening.at),
        ]
    )
    renamed = only(happening.gather(), "new.png")
    assert renamed.steps == bought.steps
    assert renamed.before == bought.before
    assert renamed.micros == 0


def test_pictures_of_steps_that_the_job_no_longer_has_are_not_shown_but_their_money_is(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=("staged", "background-remove"))
    data = happening.gather(steps=["staged"])
    assert [row.step for row in data.spent_total] == ["staged", "background-remove"]
    assert [step.step for step in only(data, "a.png").steps] == ["staged"]


def test_pictures_and_money_come_in_the_order_of_the_chain(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)
    data = happening.gather(steps=["staged", "background-remove"])
    assert [row.step for row in data.spent_total] == ["staged", "background-remove"]
    assert [step.step for step in only(data, "a.png").steps] == ["staged", "background-remove"]


def test_each_variant_of_a_call_shows_its_own_picture(happening: Night, tmp_path: Path) -> None:
    happening.begin()
    for number, size in enumerate([(100, 50), (200, 50)]):
        Image.new("RGB", size).save(arriving := tmp_path / "arriving", "PNG")
        into = happening.state.results.incoming(f"key.{number}")
        into.write_bytes(arriving.read_bytes())
        happening.state.results.keep(f"key.{number}", into, {})
    happening.gather()
    for variant in (1, 2):
        who = ItemId(JOB, "row", variant)
        happening.state.commit(
            [
                Reserved(variant, 1, who, "staged", "/image/generate", None, 10_000, 5.0),
                # The ledger names the first picture of the call, whichever item paid for it.
                Begun(variant, "key.0", 5.0),
                Settled(variant, "spent", "answered", 6.0),
                ItemMoved(who, "v1", "f1", "done", 7.0),
            ]
        )
    data = happening.gather()
    widths = {item.name: step.picture.width for item in data.items for step in item.steps if step.picture}
    assert widths == {"row-1": 100, "row-2": 200}


def test_money_that_was_only_set_aside_is_no_call(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "pending")
    happening.gather()
    happening.state.commit(
        [
            Reserved(1, 1, ItemId(JOB, "a.png"), "staged", "/image/edit", None, 230_000, 5.0),
            Settled(1, "released", "bought already", 6.0),
        ]
    )
    assert only(happening.gather(), "a.png").calls == ()


def test_a_picture_that_did_not_change_is_not_opened_again(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)
    counted = Counted(happening)
    first = happening.gather(access=counted.access())
    again = happening.gather(access=counted.access())
    assert counted.opened == ["a.png"]
    assert again.items == first.items


def test_a_picture_that_is_known_elsewhere_is_not_opened(happening: Night, tmp_path: Path) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)
    names = happening.gather().thumbnails
    (happening.folder / "thumbnails").rename(tmp_path / "elsewhere")
    counted = Counted(happening)
    data = happening.gather(access=counted.access(), known=names)
    assert counted.opened == []
    assert data.thumbnails == names


def test_a_changed_input_gets_a_new_thumbnail_and_the_old_one_goes(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "pending")
    happening.report()
    (old,) = (happening.folder / "thumbnails").iterdir()
    strange = happening.folder / "thumbnails" / "mine.webp"
    strange.touch()
    happening.state.commit(
        [
            SourceRead(JOB, "a.png", "v2", 9, "another hash", "{}"),
            ItemMoved(ItemId(JOB, "a.png"), "v2", "f1", "pending", happening.at),
        ]
    )
    happening.report()
    left = set((happening.folder / "thumbnails").iterdir())
    assert old not in left
    assert strange in left
    assert len(left) == 2


def test_what_needs_a_look_always_has_pictures_and_of_the_others_the_newest(happening: Night) -> None:
    happening.begin()
    happening.item("flagged.png", "flagged", "blurred", "held back", steps=STEPS[:1])
    for number in range(5):
        happening.item(f"{number}.png", "done", steps=STEPS[:1])
    data = happening.gather(limits=ReportLimits(others=2))
    assert {item.name for item in data.items if item.before} == {"flagged.png", "3.png", "4.png"}
    assert any("3 have none" in note for note in data.notes)


def test_when_the_time_is_up_the_rest_is_left_for_the_next_report(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "failed", "broken", "no")
    happening.item("b.png", "done")
    # The first look at the clock begins the time; there is enough of it for one picture.
    ticks = iter([0.0, 1.0, *[11.0] * 100])
    data = happening.gather(limits=ReportLimits(seconds=10), clock=lambda: next(ticks))
    assert [item.name for item in data.items if item.before] == ["a.png"]
    assert any("left for the next report" in note for note in data.notes)
    data = happening.gather()
    assert all(item.before for item in data.items)
    assert data.notes == ()


def test_a_store_that_cannot_be_reached_costs_the_pictures_only(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)

    def unreachable(_: object, __: Path) -> Path | None:
        raise Unavailable("the bucket does not answer")

    data = happening.gather(access=Access(unreachable, unreachable, unreachable))
    assert list(only(data, "a.png").pictures()) == []
    assert any("4 pictures could not be read, the first because: the bucket" in note for note in data.notes)


@pytest.mark.parametrize("bytes_", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_an_input_that_is_no_picture_is_shown_without_one_and_without_a_remark(happening: Night, bytes_: bytes) -> None:
    happening.begin()
    happening.item("a.png", "invalid", "broken", "the picture is damaged")
    (happening.source / "a.png").write_bytes(bytes_)
    data = happening.gather()
    assert only(data, "a.png").before is None
    assert data.notes == ()


def test_a_damaged_result_is_a_step_without_a_picture(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)
    for facts in (happening.root / "state" / "results").glob("??/*.json"):
        facts.write_text("{}")
    item = only(happening.gather(), "a.png")
    assert [step.picture for step in item.steps] == [None, None]
    assert item.after is not None


def test_fetched_bytes_do_not_stay(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "done", steps=STEPS)
    local = happening.access()

    def fetched(row: ItemRow, spare: Path) -> Path | None:
        return spare if (found := local.before(row, spare)) and spare.write_bytes(found.read_bytes()) else None

    data = happening.gather(access=replace(local, before=fetched))
    assert only(data, "a.png").before is not None
    assert list((happening.root / "scratch").iterdir()) == []


@pytest.mark.parametrize("path", ["javascript:alert(1)", "a b/c#d?e.png", "\udcff.png"])
def test_the_address_of_a_finished_file_is_a_path_and_nothing_else(tmp_path: Path, path: str) -> None:
    href = relative_href(tmp_path / "state" / "report", tmp_path / "out")(path)
    assert href is not None
    assert href.startswith("./../../out/")
    assert not set(href) & set(":#? ")


def test_of_very_many_items_those_that_need_a_look_and_the_newest_others_are_listed(happening: Night) -> None:
    happening.begin()
    happening.item("a.png", "failed", "refused", "why", steps=())
    for name in "bcdef":
        happening.item(f"{name}.png", "done", steps=STEPS)
    happening.end(3)
    data = happening.gather(limits=ReportLimits(listed=3))
    assert [item.name for item in data.items] == ["a.png", "e.png", "f.png"]
    assert any("3 more are not on this page" in note for note in data.notes)
    assert [len(item.calls) for item in data.items] == [0, 2, 2]


def test_the_numbers_count_items_that_are_not_listed(happening: Night) -> None:
    happening.begin(1, START - 86_400)
    happening.item("old.png", "done", steps=STEPS)
    happening.end(0)
    happening.begin(2)
    for name in "abcd":
        happening.item(f"{name}.png", "done", steps=STEPS)
    happening.end(0)
    few, all_of_it = (summarize(happening.gather(limits=limits)) for limits in (ReportLimits(listed=2), ReportLimits()))
    assert few == all_of_it
    assert (few.counts["done"], few.ended_items) == (5, 4)


def test_only_the_newest_calls_are_kept_for_the_charts(happening: Night) -> None:
    happening.begin()
    for name in "abc":
        happening.item(f"{name}.png", "done", steps=STEPS)
    data = happening.gather(limits=ReportLimits(calls=2))
    assert [call.key for call in data.calls] == ["c.png", "c.png"]
    assert sum(row.calls for row in data.spent_total) == 6
