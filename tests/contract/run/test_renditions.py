"""Several finished files of one item: all made before the first is put, each put by the rules for one."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.contract.run.conftest import OpenShop, Shop
from venice_batch import imaging
from venice_batch.imaging import Rendition
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run.publish import output_events
from venice_batch.run.tasks import FinishedFile, ItemFailed, Published, WrittenFile
from venice_batch.state import ItemId, OutputDropped, OutputRow, OutputWritten

MAIN = FinishedFile("x/a.jpg", Rendition("JPEG", 88, max_side=200), None)
THUMB = FinishedFile("x/a-thumb.webp", Rendition("WEBP", max_side=50), None)


def published(shop: Shop, *files: FinishedFile) -> Published:
    outcome = shop.worker.do(shop.publish(shop.picture(), *files))
    assert isinstance(outcome, Published), outcome
    return outcome


def test_all_files_are_put_in_their_order(shop: Shop) -> None:
    done = published(shop, MAIN, THUMB)
    assert done.error is None
    assert [file.name for file in done.files] == ["x/a.jpg", "x/a-thumb.webp"]
    assert [imaging.probe(shop.out / file.name).max_side for file in done.files] == [200, 50]
    assert [file.sha256 for file in done.files] == [file_hash(shop.out / file.name) for file in done.files]
    assert shop.scratch() == []


def test_doing_it_again_adopts_what_is_there(shop: Shop) -> None:
    first = published(shop, MAIN, THUMB)
    assert published(shop, MAIN, THUMB).files == first.files


def test_only_what_is_missing_is_written_again(shop: Shop) -> None:
    first = published(shop, MAIN, THUMB)
    (shop.out / "x" / "a-thumb.webp").unlink()
    again = published(shop, MAIN, THUMB)
    assert again.files[0] == first.files[0]
    assert again.files[1].sha256 == first.files[1].sha256


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (Rendition("JPEG", max_bytes=300), "too-heavy"),
        (Rendition("JPEG"), "alpha-lost"),
    ],
)
def test_an_item_of_which_one_file_cannot_be_made_publishes_none(shop: Shop, bad: Rendition, code: str) -> None:
    source = shop.picture()
    with Image.effect_noise((300, 260), 90) as noise:
        image = noise.convert("RGB")
    if code == "alpha-lost":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(source)
    good = FinishedFile("a.webp", Rendition("WEBP"), None)
    outcome = shop.worker.do(shop.publish(source, good, FinishedFile("a.jpg", bad, None)))
    assert isinstance(outcome, ItemFailed)
    assert outcome.error.code == code
    assert outcome.error.message.startswith("a.jpg: ")
    assert outcome.error.remedy
    assert outcome.error.lasting
    assert list(shop.out.iterdir()) == []
    assert shop.scratch() == []


def test_what_lies_there_before_a_name_that_is_taken_is_told(shop: Shop) -> None:
    (shop.out / "x").mkdir()
    (shop.out / "x" / "a-thumb.webp").write_bytes(b"theirs")
    done = published(shop, MAIN, THUMB)
    assert [file.name for file in done.files] == ["x/a.jpg"]
    assert "a-thumb.webp is in the output already" in str(done.error)
    assert (shop.out / "x" / "a-thumb.webp").read_bytes() == b"theirs"
    # Known as ours, it can be replaced when the recipe changes.
    row = OutputRow("a.png", 0, "x/a.jpg", done.files[0].version, done.files[0].sha256)
    smaller = FinishedFile("x/a.jpg", Rendition("JPEG", max_side=100), row)
    assert published(shop, smaller).error is None
    assert imaging.probe(shop.out / "x" / "a.jpg").max_side == 100


def test_skip_leaves_one_strangers_file_and_puts_the_others(open_shop: OpenShop) -> None:
    shop = open_shop("skip")
    (shop.out / "x").mkdir()
    (shop.out / "x" / "a.jpg").write_bytes(b"theirs")
    done = published(shop, MAIN, THUMB)
    assert [file.ours for file in done.files] == [False, True]
    assert (shop.out / "x" / "a.jpg").read_bytes() == b"theirs"


def test_the_manifest_records_ours_and_drops_a_foreign_one() -> None:
    item = ItemId("job", "a.png")
    files = [WrittenFile("a.jpg", "1", "hash"), WrittenFile("b.jpg", "2", "other", ours=False)]
    assert output_events(item, files) == (OutputWritten(item, "a.jpg", "1", "hash"), OutputDropped("job", "b.jpg"))
