"""Files of rows, CSV or JSON lines: the metadata table of a job, and what a prompts file is read with."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from venice_batch.errors import SourceError
from venice_batch.job.model import MetadataFile
from venice_batch.job.reading_rights import ReadingRights
from venice_batch.plan.metadata import MetadataTable, is_json_lines, row_name
from venice_batch.plan.reading.named_lists import text_lines


def read_table(
    file: MetadataFile, choose: Callable[[Sequence[str]], Iterable[str]], rights: ReadingRights | None = None
) -> MetadataTable:
    """Read a metadata file, and of it only the columns that `choose` takes of all; it is called once, before any row.

    `rights` say where it must lie.

    Raises:
        SourceError: the file cannot be read, has no column that names items, or names an item twice; with the line.
    """
    path = file.file
    columns = tuple(_columns(path, rights))
    by = _naming_column(file, columns)
    kept = tuple(dict.fromkeys(choose(columns)))
    rows: dict[str, tuple[int, tuple[str, ...]]] = {}
    # Brands and categories come again and again: each text is kept once.
    shared: dict[str, str] = {}
    for line, (written, *values) in _values(path, rights, (by, *kept)):
        name = row_name(written.strip())
        if not name:
            raise SourceError(f"{path}:{line}: the row has no {by}", remedy="fill it in, or remove the row")
        if name in rows:
            raise SourceError(
                f"{path}:{line}: the same {by} as in line {rows[name][0]}",
                remedy="remove one of them",
            )
        rows[name] = line, tuple(shared.setdefault(text, text) for text in values)
    return MetadataTable(path, by, columns, kept, rows)


def _naming_column(file: MetadataFile, columns: Sequence[str]) -> str:
    candidates = [file.by] if file.by else ["key", "stem"]
    for column in candidates:
        if column in columns:
            return column
    named = " or ".join(repr(column) for column in candidates)
    raise SourceError(
        f"{file.file}: no column {named} tells which row belongs to which picture",
        remedy=f"add it, or write source.metadata.by: one of {_shown(columns)}",
    )


def _shown(columns: Sequence[str]) -> str:
    """Return the names of columns where they are such: the first line of a file that is no table is not repeated."""
    if not columns:
        return "nothing: it is empty"
    are_names = len(columns) > 1 and all(_NAME.fullmatch(column) for column in columns)
    return ", ".join(columns) if are_names else "its columns, whose names are in its first line"


def _columns(path: Path, rights: ReadingRights | None) -> Iterable[str]:
    """Return the names of all columns, each once: of a header, or of all the objects."""
    if not is_json_lines(path):
        return csv_rows(text_lines(path, rights, "source.metadata"), path)[0]
    return dict.fromkeys(
        name for _, found in json_rows(text_lines(path, rights, "source.metadata"), path, _EXAMPLE) for name in found
    )


def _values(path: Path, rights: ReadingRights | None, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line and values of `columns`, row by row."""
    if is_json_lines(path):
        for line, found in json_rows(text_lines(path, rights, "source.metadata"), path, _EXAMPLE):
            yield line, [_text(found.get(column)) for column in columns]
    else:
        header, rows = csv_rows(text_lines(path, rights, "source.metadata"), path)
        places = [header.index(column) for column in columns]
        for line, row in rows:
            yield line, [row[place] for place in places]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


#: What a column is called; nobody's password looks like all columns of a table.
_NAME = re.compile(r"\w[\w .-]{0,30}")
_EXAMPLE = '{"key": …, "title": …}'


def csv_rows(lines: Iterable[str], path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header of a CSV file, and line and values row by row.

    Raises:
        SourceError: it is no CSV, or a row has more or fewer values than the header; with the line.
    """
    reader = csv.reader(lines, strict=True)

    def row_or_error() -> list[str] | None:
        try:
            return next(reader, None)
        except csv.Error as error:
            raise SourceError(f"{path}:{reader.line_num}: {error}", remedy="write it as plain CSV") from error

    header = [name.strip() for name in row_or_error() or ()]
    if len(set(header)) < len(header):
        raise SourceError(f"{path}:1: two columns have the same name", remedy="rename or remove one of them")

    def rows() -> Iterator[tuple[int, list[str]]]:
        while (row := row_or_error()) is not None:
            if row and len(row) != len(header):
                what = f"the row has {len(row)} values, and there are {len(header)} columns"
                remedy = "put a value that contains a comma in double quotes"
                raise SourceError(f"{path}:{reader.line_num}: {what}", remedy=remedy)
            if row:
                yield reader.line_num, row

    return header, rows()


def json_rows(lines: Iterable[str], path: Path, example: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line and object of a file of JSON lines; empty lines are skipped, `example` is told where one is wrong.

    Raises:
        SourceError: a line is no JSON object, or its text cannot be written anywhere.
    """
    for line, written in enumerate(lines, 1):
        if written.strip():
            yield line, _json_row(written, f"{path}:{line}", example)


def _json_row(written: str, place: str, example: str) -> dict[str, Any]:
    try:
        found = json.loads(written)
        # JSON can spell half a character ("\ud800"), which is no text: no file, manifest or request can hold it.
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{place}: holds half a character, {error.object[error.start : error.end]!r}", remedy="correct the text"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{place}: not JSON", remedy="write one JSON object per line") from error
    if not isinstance(found, dict):
        raise SourceError(f"{place}: not a JSON object", remedy=f"write {example}")
    return found
