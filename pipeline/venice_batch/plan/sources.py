"""The inputs of a job: the objects of a place, the rows of a prompts file, the lines of an address list."""

from __future__ import annotations

import csv
import fnmatch
import functools
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from venice_batch.errors import SourceError
from venice_batch.imaging import EXTENSIONS
from venice_batch.job import FolderSource, Job, PromptsSource, UrlsSource
from venice_batch.plan.json_rows import json_row
from venice_batch.plan.keys import Listed, listed
from venice_batch.plan.prefetch import AT_ONCE, in_order
from venice_batch.steps.canonical_json import digest
from venice_batch.storage import Entry, Store, open_store

#: One empty row for all that have none: a mapping of their own would be a quarter of what an input takes.
_NO_ROW: Mapping[str, str] = {}
_SUFFIXES = frozenset(extension.removeprefix(".") for extension in EXTENSIONS)


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
        modified: when it was last written, Unix seconds; 0 where unknown.
        code: a short word for `problem`.
    """

    key: str
    version: str
    size: int = 0
    url: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: _NO_ROW)
    problem: str = ""
    modified: float = 0.0
    code: str = "source"


def candidates(job: Job) -> Iterator[Candidate]:
    """Yield every input of `job` in a stable order.

    Raises:
        SourceError: the folder or file is missing, unreadable, or not in the form it must have.
    """
    match job.source:
        case FolderSource(keys=None):
            yield from _found(job.source)
        case FolderSource(keys=Path() as path):
            yield from _asked_for(job.source, path)
        case PromptsSource(prompts=path):
            yield from _unique(_rows(path), path)
        case UrlsSource(urls=path):
            yield from _unique(_addresses(path), path)


def _found(source: FolderSource) -> Iterator[Candidate]:
    wanted = _selection(source.include, source.exclude)
    for entry in open_store(source.path).list():
        if wanted(entry.key):
            yield _candidate(entry)


def _asked_for(source: FolderSource, path: Path) -> Iterator[Candidate]:
    """Yield the objects that a file lists, looked at one by one: the rest of the source is not even listed."""
    store, wanted = open_store(source.path), _selection(source.include, source.exclude)
    keys = (found for found in listed(_text(path), path) if wanted(found.key))
    at_once = 1 if isinstance(source.path, Path) else AT_ONCE
    for found, entry in in_order(functools.partial(_looked_up, store), keys, at_once):
        if entry is None:
            problem = f"is not in the source; {path}:{found.line} lists it"
            yield Candidate(found.key, "", problem=problem, code="missing")
        elif isinstance(source.path, Path) and _leads_out(source.path, found.key):
            yield Candidate(found.key, entry.version, problem="is a link that leads out of the source")
        else:
            yield _candidate(entry)


def _looked_up(store: Store, found: Listed) -> Entry | None:
    return store.stat(found.key)


def _leads_out(root: Path, key: str) -> bool:
    return not (root / key).resolve().is_relative_to(root.resolve())


def _candidate(entry: Entry) -> Candidate:
    return Candidate(entry.key, entry.version, entry.size, problem=entry.problem, modified=entry.modified)


def _selection(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for keys; without `include`, whatever Pillow reads."""
    taken = [glob(pattern) for pattern in include] or [_can_be_read]
    left = [glob(pattern) for pattern in exclude]

    def wanted(key: str) -> bool:
        return any(test(key) for test in taken) and not any(test(key) for test in left)

    return wanted


def _can_be_read(key: str) -> bool:
    """Whether the key has an extension that Pillow reads; without `PurePosixPath`, which takes ten times as long."""
    before, _, suffix = key.rpartition(".")
    return suffix.lower() in _SUFFIXES and before != "" and not before.endswith("/")


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
        row = json_row(written, f"{path}:{line}", '{"id": …, "prompt": …}')
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
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path}:{line}: not UTF-8 text", remedy="save the file as UTF-8") from error
