"""Rows of the manifest and ledger, as they are handed out: each field is the column of that name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar


class _Row(Protocol):
    """A row of one table."""

    TABLE: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


Row = TypeVar("Row", bound=_Row)


@cache
def columns(kind: type[_Row]) -> str:
    """Return the columns of a kind of row, as a query names them."""
    return ", ".join(field.name for field in fields(kind))


@cache
def reader(kind: type[Row]) -> Callable[[Sequence[Any]], Row]:
    """Return what makes one row of what was selected as `columns`: SQLite has no truth values of its own."""
    flags = [number for number, field in enumerate(fields(kind)) if field.type == "bool"]

    def read(values: Sequence[Any]) -> Row:
        found = list(values)
        for number in flags:
            found[number] = bool(found[number])
        return kind(*found)

    return read


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as the manifest knows it; `result` is the key of the answer that is held back, if one is."""

    TABLE: ClassVar[str] = "items"
    key: str
    variant: int
    version: str
    fingerprint: str
    state: str
    code: str
    reason: str
    lasting: bool
    updated_at: float
    result: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What is known of an input of this version: its size, hash and header (JSON)."""

    TABLE: ClassVar[str] = "sources"
    key: str
    version: str
    size: int
    sha256: str
    facts: str


@dataclass(frozen=True, slots=True)
class OutputRow:
    """A file that an item writes; `version` is None until it was written."""

    TABLE: ClassVar[str] = "outputs"
    key: str
    variant: int
    path: str
    version: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """One row of the ledger; times are Unix seconds, `micros` millionths of a US dollar."""

    TABLE: ClassVar[str] = "calls"
    id: int
    run: int
    key: str
    variant: int
    step: str
    endpoint: str
    model: str | None
    micros: int
    fate: str
    outcome: str
    result: str | None
    reserved_at: float
    begun_at: float | None
    ended_at: float | None
    status: int | None
    attempts: int
    request_id: str | None
    model_served: str | None
    balance_usd: str | None
    balance_diem: str | None


@dataclass(frozen=True, slots=True)
class ResultUse:
    """A result and what it was used for.

    Attributes:
        result: its key.
        source: bytes of an input, by SHA-256 or etag; empty: none, or not known.
        at: when an item last began or ceased to use it, Unix seconds.
    """

    TABLE: ClassVar[str] = "result_uses"
    result: str
    source: str
    at: float


@dataclass(frozen=True, slots=True)
class Spending:
    """Money of one step and model, in millionths of a US dollar, with the number of calls."""

    step: str
    model: str
    spent: int
    uncertain: int
    calls: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run, with the exit code of its last start; None while it is under way or after a crash.

    `cause` is what ended its last start early, `unproduced` an `Unproduced` as JSON, empty where there is nothing.
    """

    TABLE: ClassVar[str] = "runs"
    id: int
    started_at: float
    ended_at: float | None
    exit_code: int | None
    closed: bool
    cause: str = ""
    unproduced: str = ""


@dataclass(frozen=True, slots=True)
class Unproduced:
    """Finished files that no item produces any more; the numbers below `files` add up to it.

    Attributes:
        inputs: items that are no longer in the source.
        files: how many there were.
        deleted: as `output.on_vanished` says.
        held_back: kept, as more would have gone than `output.max_deleted` allows.
        gone: were not there any more.
        edited: kept, as somebody changed them.
        kept: for every other reason: the rule, or an item that is still there and produces others now.
    """

    inputs: int = 0
    files: int = 0
    deleted: int = 0
    held_back: int = 0
    gone: int = 0
    edited: int = 0
    kept: int = 0
