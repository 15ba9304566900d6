"""Prefetching: in order, and within a bound."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from venice_batch.plan.reading.prefetch import in_order


def test_what_is_found_comes_in_the_order_of_the_things() -> None:
    first_may_end = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert first_may_end.wait(5)
        elif number == 3:
            first_may_end.set()
        return number * number

    assert list(in_order(work, range(20), 4)) == [(number, number * number) for number in range(20)]


def test_nothing_is_taken_further_ahead_than_the_bound() -> None:
    taken: list[int] = []

    def things() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    for given, (_, found) in enumerate(in_order(str, things(), 4)):
        assert found == str(given)
        assert len(taken) <= given + 1 + 4


def test_things_are_taken_in_the_callers_thread_and_work_is_done_in_others() -> None:
    here = threading.get_ident()

    def things() -> Iterator[int]:
        for _ in range(5):
            yield threading.get_ident()

    seen = list(in_order(lambda _: threading.get_ident(), things(), 4))
    assert {thing for thing, _ in seen} == {here}
    assert here not in {found for _, found in seen}
    assert {found for _, found in in_order(lambda _: threading.get_ident(), things(), 1)} == {here}


def test_an_error_comes_at_its_things_turn_and_ends_it() -> None:
    before = threading.active_count()

    def work(number: int) -> int:
        if number == 2:
            raise ValueError("no")
        return number

    found = in_order(work, range(10), 4)
    assert [next(found), next(found)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="no"):
        next(found)
    assert threading.active_count() == before


def test_who_stops_early_leaves_no_threads_behind() -> None:
    before = threading.active_count()
    found = in_order(str, range(100), 4)
    assert next(found) == (0, "0")
    found.close()
    assert threading.active_count() == before
