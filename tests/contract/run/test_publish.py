"""Putting finished files in their place: ours are replaced, a stranger's never."""

from __future__ import annotations

import pytest

from tests.contract.run.conftest import OpenShop, Shop
from venice_batch import imaging
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run.tasks import FinishedFile, ItemFailed, RunFailed, WrittenFile
from venice_batch.state import OutputRow


def ours(written: WrittenFile) -> OutputRow:
    """Return the manifest's row of a file that was published."""
    return OutputRow("a.png", 0, written.name, written.version, written.sha256)


def once_more(row: OutputRow) -> FinishedFile:
    """Return the task's word for a file of which the manifest knows something."""
    return FinishedFile(row.path, None, row)


def refusal(shop: Shop, outcome: object) -> str:
    assert isinstance(outcome, ItemFailed), outcome
    assert not outcome.error.lasting
    assert outcome.error.remedy
    assert shop.scratch() == []
    return outcome.error.code


def test_a_finished_file_is_there_whole_with_its_hash(shop: Shop) -> None:
    source = shop.picture()
    done = shop.published(source)
    target = shop.out / "x" / "a.png"
    assert target.read_bytes() == source.read_bytes()
    assert done.sha256 == file_hash(target)
    assert done.ours
    assert done.version == f"{target.stat().st_size}-{target.stat().st_mtime_ns}"
    assert shop.scratch() == []


def test_a_file_with_identical_bytes_is_adopted(shop: Shop) -> None:
    source = shop.picture()
    (shop.out / "x").mkdir()
    target = shop.out / "x" / "a.png"
    target.write_bytes(source.read_bytes())
    before = target.stat()
    done = shop.published(source)
    assert done.ours
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert done.version == f"{before.st_size}-{before.st_mtime_ns}"


@pytest.mark.parametrize("same_size", [True, False])
def test_a_strangers_file_is_refused_and_left(shop: Shop, *, same_size: bool) -> None:
    source = shop.picture()
    (shop.out / "x").mkdir()
    target = shop.out / "x" / "a.png"
    theirs = b"x" * (source.stat().st_size if same_size else 9)
    target.write_bytes(theirs)
    assert refusal(shop, shop.worker.do(shop.publish(source))) == "exists"
    assert target.read_bytes() == theirs
    assert list(target.parent.iterdir()) == [target]


def test_our_own_file_is_replaced_when_the_recipe_changed(shop: Shop) -> None:
    first = shop.published(shop.picture())
    other = shop.picture("b.png", (400, 400))
    second = shop.published(other, ours=ours(first))
    assert (shop.out / "x" / "a.png").read_bytes() == other.read_bytes()
    assert second.version != first.version


def test_our_own_file_that_somebody_touched_is_theirs(shop: Shop) -> None:
    first = shop.published(shop.picture())
    target = shop.out / "x" / "a.png"
    target.write_bytes(b"retouched by hand")
    other = shop.picture("b.png", (400, 400))
    assert refusal(shop, shop.worker.do(shop.publish(other, once_more(ours(first))))) == "exists"
    assert target.read_bytes() == b"retouched by hand"


def test_a_file_that_was_planned_but_never_written_is_not_ours(shop: Shop) -> None:
    (shop.out / "x").mkdir()
    (shop.out / "x" / "a.png").write_bytes(b"theirs")
    row = OutputRow("a.png", 0, "x/a.png", None, None)
    assert refusal(shop, shop.worker.do(shop.publish(shop.picture(), once_more(row)))) == "exists"


def test_our_own_file_that_is_gone_is_written_again(shop: Shop) -> None:
    first = shop.published(shop.picture())
    (shop.out / "x" / "a.png").unlink()
    shop.published(shop.folder / "in" / "a.png", ours=ours(first))
    assert (shop.out / "x" / "a.png").exists()


def test_skip_leaves_a_strangers_file_and_says_that_it_is_not_ours(open_shop: OpenShop) -> None:
    shop = open_shop("skip")
    source = shop.picture()
    (shop.out / "x").mkdir()
    (shop.out / "x" / "a.png").write_bytes(b"theirs")
    assert not shop.published(source).ours
    assert (shop.out / "x" / "a.png").read_bytes() == b"theirs"
    (shop.out / "x" / "a.png").write_bytes(source.read_bytes())
    assert shop.published(source).ours


def test_replace_takes_the_place_of_a_strangers_file(open_shop: OpenShop) -> None:
    shop = open_shop("replace")
    source = shop.picture()
    (shop.out / "x").mkdir()
    (shop.out / "x" / "a.png").write_bytes(b"theirs")
    assert shop.published(source).ours
    assert (shop.out / "x" / "a.png").read_bytes() == source.read_bytes()


def test_a_name_that_leads_out_fails_the_item_only(shop: Shop) -> None:
    (shop.folder / "elsewhere").mkdir()
    (shop.out / "x").symlink_to(shop.folder / "elsewhere")
    outcome = shop.worker.do(shop.publish(shop.picture()))
    assert isinstance(outcome, ItemFailed)
    assert outcome.error.code == "output"
    assert list((shop.folder / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("in_the_way", ["x", "x/a.png/"])
def test_a_file_or_folder_in_the_way_fails_the_item_only(shop: Shop, in_the_way: str) -> None:
    if in_the_way.endswith("/"):
        (shop.out / in_the_way).mkdir(parents=True)
    else:
        (shop.out / in_the_way).write_bytes(b"theirs")
    outcome = shop.worker.do(shop.publish(shop.picture()))
    assert isinstance(outcome, ItemFailed), outcome
    assert outcome.error.code == "output"


def test_a_file_is_what_its_name_says(shop: Shop) -> None:
    shop.published(shop.picture(), "a.jpg")
    assert imaging.probe(shop.out / "a.jpg").format == "JPEG"
    assert shop.scratch() == []


def test_bytes_that_are_gone_stop_the_run_and_not_silently(shop: Shop) -> None:
    source = shop.picture()
    task = shop.publish(source)
    source.unlink()
    outcome = shop.worker.do(task)
    assert isinstance(outcome, RunFailed | ItemFailed)
    assert not (shop.out / "x").exists()
