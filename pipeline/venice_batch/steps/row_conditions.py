"""What an item's row of the metadata decides about a condition, and what is left for the picture to decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from venice_batch.steps.conditions import All, AnyOf, ColumnIs, Condition, Decided, Not


def tests_of(condition: Condition) -> Iterator[Condition]:
    """Yield the single tests of a condition."""
    match condition:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from tests_of(part)
        case Not(part):
            yield from tests_of(part)
        case _:
            yield condition


def columns_of(condition: Condition | None) -> tuple[str, ...]:
    """Return the columns of the metadata that a condition asks for, each once."""
    tests = () if condition is None else tests_of(condition)
    return tuple(dict.fromkeys(test.column for test in tests if isinstance(test, ColumnIs)))


def needs_picture(condition: Condition | None) -> bool:
    """Whether a condition asks for anything that only the picture tells."""
    return condition is not None and any(not isinstance(test, ColumnIs | Decided) for test in tests_of(condition))


def resolve(condition: Condition | None, cell: Callable[[str], str]) -> Condition | None:
    """Return what is left of a condition once an item's row has decided its part.

    Args:
        condition: of a step; None: always.
        cell: gives the row's value of a column.

    Returns:
        None where the step is always done, `Decided(False)` where it never is, else the tests of the picture.
    """
    left = None if condition is None else _resolve(condition, cell)
    return None if left == Decided(wanted=True) else left


def _resolve(condition: Condition, cell: Callable[[str], str]) -> Condition:
    match condition:
        case ColumnIs(column):
            return Decided(condition.has(cell(column)))
        case Not(part):
            left = _resolve(part, cell)
            return Decided(not left.wanted) if isinstance(left, Decided) else Not(left)
        case All(parts) | AnyOf(parts):
            decisive = Decided(isinstance(condition, AnyOf))
            rest = [_resolve(part, cell) for part in parts]
            if decisive in rest:
                return decisive
            open_ = tuple(part for part in rest if not isinstance(part, Decided))
            if not open_:
                return Decided(not decisive.wanted)
            return open_[0] if len(open_) == 1 else replace(condition, parts=open_)
        case _:
            return condition
