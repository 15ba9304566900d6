"""What is remembered of items that need nothing."""

from __future__ import annotations

import tracemalloc

from venice_batch.plan.hash_bag import HashBag


def test_what_was_put_in_is_found_and_nothing_else() -> None:
    bag = HashBag()
    for number in range(1000):
        bag.add(("key", number))
    assert all(("key", number) in bag for number in range(1000))
    assert not any(("key", number) in bag for number in range(1000, 5000))
    assert "key" not in HashBag()


def test_more_may_be_put_in_after_a_question() -> None:
    bag = HashBag()
    bag.add("a")
    assert "b" not in bag
    bag.add("b")
    assert "b" in bag
    assert "a" in bag


def test_what_was_put_in_several_times_is_told_with_its_number() -> None:
    bag = HashBag()
    for text in ("a", "b", "c", "b", "c", "b"):
        bag.add(text)
    assert bag.repeated() == {hash("b"): 3, hash("c"): 2}


def test_a_hash_takes_about_8_bytes() -> None:
    tracemalloc.start()
    try:
        bag = HashBag()
        for number in range(50_000):
            bag.add(f"some/folder/picture-{number}.jpg")
        assert "elsewhere" not in bag
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 50_000 * 12
    assert most < 50_000 * 16
