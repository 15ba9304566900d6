"""The inputs of a job: the files of a folder, the rows of a prompts file, the lines of an address list."""

from __future__ import annotations

import csv
import fnmatch
import functools
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pipeline.errors import SourceError
from pipeline.imaging import EXTENSIONS
from pipeline.job import FolderSource, Job, PromptsSource, UrlsSource
from pipeline.steps.canonical import digest
from pipeline.storage import Entry, LocalStore


@dataclass(frozen=True, slots=True)
class Candidate:
    """One input as it was listed, not yet looked at.

    Attributes:
        key: names the item within the job.
        version: changes when the input may have changed.
        size: bytes, 0 where unknown.
        url: the address, for a list of addresses.
        columns: the row, for a prompts file.
        problem: why it cannot be used, or empty.
    """

    key: str
    version: str
    size: int = 0
    url: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def candidates(job: Job) -> Iterator[Candidate]:
    """Yield every input of `job` in a stable order.

    Raises:
        SourceError: the folder or file is missing, unreadable, or not in the form it must have.
    """
    match job.source:
        case FolderSource(path=path):
            yield from _files(job.source, path)
        case PromptsSource(prompts=path):
            yield from _unique(_rows(path), path)
        case UrlsSource(urls=path):
            yield from _unique(_addresses(path), path)


def _files(source: FolderSource, root: Path) -> Iterator[Candidate]:
    wanted = _selection(source.include, source.exclude)
    for entry in LocalStore(root).list():
        if wanted(entry.key):
            yield _file(entry)


def _file(entry: Entry) -> Candidate:
    return Candidate(entry.key, entry.version, entry.size, problem=entry.problem)


def _selection(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for keys; without `include`, whatever Pillow reads."""
    taken = [glob(pattern) for pattern in include]
    left = [glob(pattern) for pattern in exclude]

    def wanted(key: str) -> bool:
        suits = any(test(key) for test in taken) if taken else PurePosixPath(key).suffix.lower() in EXTENSIONS
        return suits and not any(test(key) for test in left)

    return wanted


@functools.cache
def glob(pattern: str) -> Callable[[str], bool]:
    """Return a test of keys against `pattern`: ``*`` stays within a folder, ``**/`` crosses any number, also none."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(
        special.get(part) or (fnmatch.translate(part)[4:-3] if part.startswith("[") else re.escape(part))
        for part in parts
    )
    compiled = re.compile(expression, re.DOTALL)
    return lambda key: compiled.fullmatch(key) is not None


def _rows(path: Path) -> Iterator[Candidate]:
    text = _text(path)
    rows = _jsonl(text, path) if path.suffix.lower() in {".jsonl", ".ndjson"} else _csv(text, path)
    for line, row in rows:
        identity = row.get("id", "").strip()
        if not identity:
            raise SourceError(
                f"{path}:{line}: the row has no id", remedy="give every row an `id`; outputs are named by it"
            )
        yield Candidate(identity, digest(dict(row)), columns=row)


def _csv(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        if "id" not in names or "prompt" not in names:
            raise SourceError(f"{path}:1: the first line must name the columns `id` and `prompt`", remedy="add them")
        if len(set(names)) < len(names):
            raise SourceError(f"{path}:1: two columns have the same name", remedy="rename or remove one of them")
        for row in reader:
            if None in row or None in row.values():
                raise SourceError(
                    f"{path}:{reader.line_num}: the row has not as many values as there are columns ({len(names)})",
                    remedy="put a value that contains a comma in double quotes",
                )
            yield reader.line_num, {name.strip(): value for name, value in row.items()}
    except csv.Error as error:
        # The inner reader's count: the outer one's still stands at the last good row.
        raise SourceError(f"{path}:{reader.reader.line_num}: {error}", remedy="write it as plain CSV") from error


def _jsonl(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    # Not `splitlines`: JSON may hold U+2028 and its like as they are, and they end no line.
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            row = json.loads(written)
        except ValueError as error:
            raise SourceError(f"{path}:{line}: not JSON: {error}", remedy="write one JSON object a line") from error
        if not isinstance(row, dict):
            raise SourceError(f"{path}:{line}: not a JSON object", remedy='write {"id": …, "prompt": …}')
        present = {name: value for name, value in row.items() if value is not None}
        yield line, {name: value if isinstance(value, str) else json.dumps(value) for name, value in present.items()}


def _addresses(path: Path) -> Iterator[Candidate]:
    for line, written in enumerate(_text(path).splitlines(), 1):
        url = written.strip()
        if not url or url.startswith("#"):
            continue
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise SourceError(
                f"{path}:{line}: not an https address: {url!r}", remedy="write one https:// address a line"
            )
        key = unquote(f"{parts.hostname}{parts.path}").rstrip("/")
        yield Candidate(key, digest(url), url=url)


def _unique(found: Iterator[Candidate], path: Path) -> Iterator[Candidate]:
    seen: set[str] = set()
    for candidate in found:
        if candidate.key in seen:
            raise SourceError(f"{path}: {candidate.key!r} stands there twice", remedy="remove or rename one of them")
        seen.add(candidate.key)
        yield candidate


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", remedy="check the path in `source`") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text: {error}", remedy="save it as UTF-8") from error
