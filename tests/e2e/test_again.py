"""Running a job again: what was bought once is never bought twice (rule 4)."""

from __future__ import annotations

import os

from tests.e2e.conftest import CUT, ENLARGE, Copy, Work, tree


def test_the_same_job_again_buys_nothing_and_says_that_it_reuses(copy_of_demo: Copy) -> None:
    before, sources = copy_of_demo.outputs(), tree(copy_of_demo.photos)
    again = copy_of_demo.run()
    assert again.code == 3
    assert copy_of_demo.vendor.paid() == []
    assert "0 new, 0 changed, 10 reused, 0 waiting, 2 invalid" in again.out
    assert "spent: 0.00 USD" in again.out
    assert copy_of_demo.outputs() == before
    assert tree(copy_of_demo.photos) == sources


def test_a_changed_prompt_of_step_3_buys_step_3_alone(copy_of_demo: Copy) -> None:
    before = copy_of_demo.outputs()
    text = copy_of_demo.job.read_text("utf-8")
    copy_of_demo.job.write_text(text.replace("a warm studio backdrop", "a cold concrete wall"), "utf-8")
    again = copy_of_demo.run()
    assert again.code == 3
    assert [call["path"] for call in copy_of_demo.vendor.paid()] == ["/image/edit"] * 10
    assert {call["params"]["prompt"] for call in copy_of_demo.vendor.paid()} == {
        "place the product on a cold concrete wall"
    }
    after = copy_of_demo.outputs()
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


def test_renamed_inputs_are_finished_under_their_new_names_without_a_call(copy_of_demo: Copy) -> None:
    before = copy_of_demo.outputs()
    for photo in [path for path in copy_of_demo.photos.rglob("*") if path.is_file()]:
        photo.rename(photo.with_name(f"new {photo.name}"))
    again = copy_of_demo.run()
    assert again.code == 3
    assert copy_of_demo.vendor.paid() == []
    expected = {_renamed(name): data for name, data in before.items()}
    assert {name: data for name, data in copy_of_demo.outputs().items() if "new " in name} == expected
    states = copy_of_demo.states()
    assert states["mug.jpg"] == "vanished"
    assert states["new mug.jpg"] == "done"


def test_deleted_outputs_come_back_byte_for_byte_without_a_call(copy_of_demo: Copy) -> None:
    before = copy_of_demo.outputs()
    for name in before:
        (copy_of_demo.finished / name).unlink()
    again = copy_of_demo.run()
    assert again.code == 3
    assert copy_of_demo.vendor.paid() == []
    assert copy_of_demo.outputs() == before


def test_two_inputs_with_the_same_bytes_are_bought_once(work: Work) -> None:
    work.draw("one.jpg")
    (work.photos / "two.jpg").write_bytes((work.photos / "one.jpg").read_bytes())
    work.write(CUT, ENLARGE)
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 2
    outputs = work.outputs()
    assert outputs["one.png"] == outputs["two.png"]


def test_a_changed_input_is_bought_again_and_the_others_are_not(work: Work) -> None:
    work.draw("one.jpg", "two.jpg")
    work.write(CUT)
    assert work.run().code == 0
    work.draw("other.jpg")
    (work.photos / "other.jpg").replace(work.photos / "two.jpg")
    first = work.outputs()
    again = work.run()
    assert again.code == 0
    assert "1 changed" in again.out
    assert len(work.vendor.paid()) == 3
    assert work.outputs()["one.png"] == first["one.png"]
    assert work.outputs()["two.png"] != first["two.png"]


def test_a_touched_input_with_the_same_bytes_is_not_bought_again(work: Work) -> None:
    work.draw("one.jpg")
    work.write(CUT)
    assert work.run().code == 0
    os.utime(work.photos / "one.jpg", (1, 1))
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 1


def test_limit_takes_that_many_items_still_to_do_and_ends_with_0(work: Work) -> None:
    work.draw("a.jpg", "b.jpg", "c.jpg")
    work.write(CUT)
    assert work.run("--limit", "2").code == 0
    assert sorted(work.outputs()) == ["a.png", "b.png"]
    assert work.run("--limit", "2").code == 0
    assert sorted(work.outputs()) == ["a.png", "b.png", "c.png"]
    assert len(work.vendor.paid()) == 3


def test_only_takes_the_items_whose_key_matches(work: Work) -> None:
    work.draw("shoes/a.jpg", "bags/b.jpg")
    work.write(CUT)
    assert work.run("--only", "shoes/*").code == 0
    assert sorted(work.outputs()) == ["shoes/a.png"]


def _renamed(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}new {file}"
