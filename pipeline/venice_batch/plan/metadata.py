"""A catalogue's table: one row for each item, read once, and of it only the columns that the job asks for."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from venice_batch.errors import SourceError
from venice_batch.job.model import MetadataFile
from venice_batch.plan.json_rows import json_row
from venice_batch.plan.sources import Candidate

#: A line of the file, and the values of its row; None where the row has no such column.
_Read = tuple[int, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one item.

    Attributes:
        place: the file and the line of the row, from 1.
        values: by the position of the column in `Table.kept`; what is not there is empty.
    """

    place: str
    values: tuple[str, ...]


class Table:
    """The rows of a metadata file, by what names their items.

    Attributes:
        path: the file.
        columns: every column that the file has.
        kept: those whose values are kept.
    """

    def __init__(self, file: MetadataFile, asked: Callable[[Sequence[str]], Iterable[str]]) -> None:
        """Read the file.

        Args:
            file: where it is, and which column names the item.
            asked: chooses among the file's columns those to keep; called once, before a row is kept.

        Raises:
            SourceError: the file cannot be read, has no column that names items, or names an item twice; with the line.
        """
        self.path = file.file
        self.columns = tuple(_columns(self.path))
        self.by = self._naming(file.by)
        self.kept = tuple(dict.fromkeys(asked(self.columns)))
        self._rows: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._met: set[str] = set()
        self._read()

    def row(self, candidate: Candidate) -> Row | None:
        """Return the row of an input, or None."""
        name = _same(_NAMES.get(self.by, stem_of)(candidate))
        found = self._rows.get(name)
        if found is None:
            return None
        self._met.add(name)
        line, values = found
        return Row(f"{self.path}:{line}", values)

    @property
    def unmet(self) -> int:
        """How many rows have not been asked for by any input."""
        return len(self._rows) - len(self._met)

    def _naming(self, by: str) -> str:
        wanted = [by] if by else ["key", "stem"]
        for column in wanted:
            if column in self.columns:
                return column
        named = " or ".join(repr(column) for column in wanted)
        raise SourceError(
            f"{self.path}: no column {named} tells which row belongs to which picture",
            remedy=f"add it, or write source.metadata.by: one of {', '.join(self.columns) or 'nothing: it is empty'}",
        )

    def _read(self) -> None:
        # Brands and categories come again and again: each text is kept once.
        shared: dict[str, str] = {}
        for line, (named, *values) in _rows(self.path, (self.by, *self.kept)):
            name = _same((named or "").strip())
            if not name:
                raise SourceError(
                    f"{self.path}:{line}: the row has no {self.by}", remedy="fill it in, or remove the row"
                )
            if name in self._rows:
                raise SourceError(
                    f"{self.path}:{line}: {name!r} stands there twice, first in line {self._rows[name][0]}",
                    remedy="remove one of them",
                )
            texts = (value or "" for value in values)
            self._rows[name] = line, tuple(shared.setdefault(text, text) for text in texts)


def stem_of(candidate: Candidate) -> str:
    """Return the name of an input's file without folder and extension."""
    path = PurePosixPath(candidate.key)
    return path.stem if "." in path.name.lstrip(".") else path.name


def folder_of(candidate: Candidate) -> str:
    """Return the folder of an input within the source; empty at its root."""
    return candidate.key.rpartition("/")[0]


def _key(candidate: Candidate) -> str:
    return candidate.key


def _url(candidate: Candidate) -> str:
    return candidate.url


#: How a column of this name names an item; all others by the stem.
_NAMES: dict[str, Callable[[Candidate], str]] = {"key": _key, "url": _url}


def _same(name: str) -> str:
    # Some systems store é as two letters in file names; a spreadsheet writes one.
    return name if name.isascii() else unicodedata.normalize("NFC", name)


# Reading


def is_json(path: Path) -> bool:
    """Whether a file holds JSON lines, by its name; else it is CSV."""
    return path.suffix.lower() in {".jsonl", ".ndjson"}


def _columns(path: Path) -> Iterator[str]:
    """Yield the names of all columns, each once: of a header, or of all the objects."""
    if not is_json(path):
        yield from _csv(path, ())[0]
        return
    seen: dict[str, None] = {}
    for _, found in _objects(path):
        seen.update(dict.fromkeys(found))
    yield from seen


def _rows(path: Path, columns: Sequence[str]) -> Iterable[_Read]:
    if not is_json(path):
        return _csv(path, columns)[1]
    return ((line, [_text(found.get(column)) for column in columns]) for line, found in _objects(path))


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _csv(path: Path, columns: Sequence[str]) -> tuple[list[str], Iterator[_Read]]:
    """Return the header of a CSV file, and the values of `columns` row by row."""
    lines = _lines(path)
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise _no_csv(path, reader.line_num, error) from error
    if len(set(header)) < len(header):
        raise SourceError(f"{path}:1: two columns have the same name", remedy="rename or remove one of them")
    places = [header.index(column) for column in columns]

    def rows() -> Iterator[_Read]:
        try:
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    what = f"the row has {len(row)} values, and there are {len(header)} columns"
                    remedy = "put a value that contains a comma in double quotes"
                    raise SourceError(f"{path}:{reader.line_num}: {what}", remedy=remedy)
                yield reader.line_num, [row[place] for place in places]
        except csv.Error as error:
            raise _no_csv(path, reader.line_num, error) from error

    return header, rows()


def _no_csv(path: Path, line: int, error: csv.Error) -> SourceError:
    return SourceError(f"{path}:{line}: {error}", remedy="write it as plain CSV")


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for line, written in enumerate(_lines(path), 1):
        if not written.strip():
            continue
        yield line, json_row(written, f"{path}:{line}", '{"key": …, "title": …}')


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines with their ends, without holding the file; only line feeds end one."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", remedy="check source.metadata") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}:{number}: not UTF-8 text", remedy="save the file as UTF-8") from error
