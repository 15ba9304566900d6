"""`source.keys`: a list of what to take, instead of a listing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plan.conftest import Bench, statuses
from venice_batch.errors import SourceError
from venice_batch.plan.model import Candidate
from venice_batch.plan.reading.sources import candidates, read_keys
from venice_batch.state import ItemId, ItemMoved, OutputWritten

SOURCE = "{path: ./in, keys: keys.txt}"


def keys(bench: Bench, text: str | bytes) -> None:
    (bench.folder / "keys.txt").write_bytes(text if isinstance(text, bytes) else text.encode())


def found(bench: Bench, source: str = SOURCE) -> list[Candidate]:
    return list(candidates(bench.job("upscale", source=source)))


def refused(bench: Bench, text: str | bytes) -> str:
    keys(bench, text)
    with pytest.raises(SourceError) as caught:
        found(bench)
    assert caught.value.remedy
    return caught.value.message


def test_the_keys_listed_are_taken_in_their_order_and_no_others() -> None:
    text = "b.png\r\n# a comment\n\n  \nsub/a b.png\n ünï\u2028.png\n"
    assert list(read_keys(text, Path("k"))) == [
        ("b.png", 1),
        ("sub/a b.png", 5),
        (" ünï\u2028.png", 6),
    ]


def test_what_is_listed_is_looked_up(bench: Bench) -> None:
    for key in ("a.png", "b.png", "sub/c.png"):
        bench.picture(key)
    keys(bench, "sub/c.png\na.png\n")
    assert statuses(bench.plan("upscale", source=SOURCE)) == {"sub/c.png": "new", "a.png": "new"}
    by_listing = {each.key: each for each in found(bench, "./in")}
    assert found(bench) == [by_listing["sub/c.png"], by_listing["a.png"]]


def test_a_key_that_is_not_there_is_an_invalid_item_and_the_rest_goes_on(bench: Bench) -> None:
    bench.picture("a.png")
    keys(bench, "gone.png\na.png\n")
    plan = bench.plan("upscale", source=SOURCE)
    assert statuses(plan) == {"gone.png": "invalid", "a.png": "new"}
    assert plan.items[0].code == "missing"
    assert "keys.txt:1" in plan.items[0].reason


def test_patterns_choose_among_the_keys_listed(bench: Bench) -> None:
    for key in ("a.png", "b.png", "c.txt"):
        bench.picture(key.replace("txt", "gif")).rename(bench.folder / "in" / key)
    keys(bench, "a.png\nb.png\nc.txt\n")
    assert [each.key for each in found(bench)] == ["a.png", "b.png"]
    assert [each.key for each in found(bench, "{path: ./in, keys: keys.txt, exclude: ['a*']}")] == ["b.png"]
    assert [each.key for each in found(bench, "{path: ./in, keys: keys.txt, include: ['*.txt']}")] == ["c.txt"]


def test_what_is_not_listed_has_not_vanished(bench: Bench) -> None:
    bench.picture("a.png")
    keys(bench, "a.png\n")
    gone = ItemId("job", "gone.png")
    bench.state.commit([ItemMoved(gone, "v", "f", "done", 1.0), OutputWritten(gone, "gone.png", "v", "s")])
    plan = bench.plan("upscale", source=SOURCE)
    assert (plan.vanished, plan.dropped) == ((), ())
    assert bench.plan("upscale").vanished == (("gone.png", 0),)


@pytest.mark.parametrize(
    "key", ["/etc/passwd", "../a.png", "x/../../a.png", "a//b.png", "./a.png", "sub/", "a\0.png", ".hidden/a.png"]
)
def test_a_key_that_no_listing_would_give_is_refused_with_its_line(bench: Bench, key: str) -> None:
    assert "keys.txt:3:" in refused(bench, f"# head\na.png\n{key}\n")


def test_a_key_that_stands_there_twice_is_refused_with_both_lines(bench: Bench) -> None:
    message = refused(bench, "a.png\nb.png\n\na.png\n")
    assert "keys.txt:4:" in message
    assert "line 1" in message


def test_a_file_of_keys_that_cannot_be_read_is_told(bench: Bench) -> None:
    assert "keys.txt:2: not UTF-8" in refused(bench, b"a.png\ncaf\xe9.png\n")
    (bench.folder / "keys.txt").unlink()
    with pytest.raises(SourceError, match=r"cannot read .*keys\.txt"):
        found(bench)


def test_a_link_out_of_the_source_is_no_way_out_for_a_key_either(bench: Bench) -> None:
    (bench.folder / "secret.png").write_bytes(b"x")
    (bench.folder / "in" / "link.png").symlink_to("../secret.png")
    (bench.folder / "in" / "sub").symlink_to("..")
    keys(bench, "link.png\nsub/secret.png\n")
    plan = bench.plan("upscale", source=SOURCE)
    assert statuses(plan) == {"link.png": "invalid", "sub/secret.png": "invalid"}
    assert all("leads out" in item.reason for item in plan.items)
