"""The inputs of a job: objects of a place, rows of a prompts file, lines of an address list; and where they may lie."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from venice_batch.errors import AccessDenied, OutputError, SourceError
from venice_batch.imaging import EXTENSIONS
from venice_batch.job import FolderSource, Job, PromptsSource, UrlsSource
from venice_batch.job.reading_rights import ReadingRights
from venice_batch.plan.globs import glob
from venice_batch.plan.metadata import is_json_lines
from venice_batch.plan.model import Candidate
from venice_batch.plan.reading.named_lists import text_lines
from venice_batch.plan.reading.prefetch import AT_ONCE, in_order
from venice_batch.plan.reading.row_files import csv_rows, json_rows
from venice_batch.steps.canonical_json import digest
from venice_batch.storage import Entry, Store, open_store

_SUFFIXES = frozenset(extension.removeprefix(".") for extension in EXTENSIONS)


def candidates(job: Job) -> Iterator[Candidate]:
    """Yield every input of `job` in a stable order.

    Raises:
        SourceError: the folder or file is missing, unreadable, or not in the form it must have.
    """
    rights = job.reads
    match job.source:
        case FolderSource(keys=None):
            yield from _listed(job.source)
        case FolderSource(keys=Path() as path):
            yield from _looked_up(job.source, _text(path, rights, "keys"), path)
        case PromptsSource(prompts=path):
            yield from _unique(_prompts(_text(path, rights, "prompts"), path), path)
        case UrlsSource(urls=path):
            yield from _unique(_addresses(_text(path, rights, "urls"), path), path)


def _listed(source: FolderSource) -> Iterator[Candidate]:
    included = _included(source)
    return (_candidate(entry) for entry in open_store(source.path).list() if included(entry.key))


def _looked_up(source: FolderSource, text: str, path: Path) -> Iterator[Candidate]:
    """Yield the objects that a file of keys names, asked for one by one: the rest of the source is not even listed."""
    store, included = open_store(source.path), _included(source)
    keys = (found for found in read_keys(text, path) if included(found[0]))
    folder = source.path.folder
    at_once = AT_ONCE if folder is None else 1
    for (key, line), entry in in_order(lambda found: _stat(store, found[0]), keys, at_once):
        if entry is None:
            yield Candidate(key, "", problem=f"is not in the source; {path}:{line} lists it", code="missing")
        elif folder is not None and _leads_out(folder, key):
            yield Candidate(key, entry.version, problem="is a link that leads out of the source")
        else:
            yield _candidate(entry)


def _stat(store: Store, key: str) -> Entry | None:
    try:
        return store.stat(key)
    except AccessDenied as error:
        return Entry(key, 0, "", f"cannot be looked at: {error.told}")


def _leads_out(root: Path, key: str) -> bool:
    return not (root / key).resolve().is_relative_to(root.resolve())


def _candidate(entry: Entry) -> Candidate:
    return Candidate(entry.key, entry.version, entry.size, problem=entry.problem, modified=entry.modified)


def _included(source: FolderSource) -> Callable[[str], bool]:
    """Return a test for keys by the source's globs; without `include`, whatever Pillow reads."""
    include = [glob(pattern) for pattern in source.include] or [_is_readable]
    exclude = [glob(pattern) for pattern in source.exclude]
    return lambda key: any(test(key) for test in include) and not any(test(key) for test in exclude)


def _is_readable(key: str) -> bool:
    """Whether the key has an extension that Pillow reads; without `PurePosixPath`, which takes ten times as long."""
    before, _, suffix = key.rpartition(".")
    return suffix.lower() in _SUFFIXES and before != "" and not before.endswith("/")


def read_keys(text: str, path: Path) -> Iterator[tuple[str, int]]:
    """Yield each key in `text`, the content of the file `path`, with its line; skip blank lines and ``#`` comments.

    Raises:
        SourceError: a key stands there twice, or leads out of the source; with the line.
    """
    seen: dict[str, int] = {}
    # Not `splitlines`: a key may hold U+2028 and its like. Spaces at a key's ends belong to it, too.
    for line, written in enumerate(text.split("\n"), 1):
        key = written.removesuffix("\r")
        if not key.strip() or key.startswith("#"):
            continue
        if key in seen:
            raise SourceError(f"{path}:{line}: the same key as in line {seen[key]}", remedy="remove one of them")
        seen[key] = line
        _refuse_unsafe(key, f"{path}:{line}")
        yield key, line


def _refuse_unsafe(key: str, place: str) -> None:
    parts = key.split("/")
    if "\0" in key or {"", ".", ".."} & set(parts):
        raise SourceError(
            f"{place}: this is no key of the source",
            remedy="write keys relative to `source.path`, such as shoes/red.jpg",
        )
    if any(part.startswith(".") for part in parts):
        raise SourceError(f"{place}: the key is hidden, and hidden files are left out", remedy="rename or remove it")


def _prompts(text: str, path: Path) -> Iterator[Candidate]:
    for line, row in _prompt_rows(text, path):
        identity = row.get("id", "").strip()
        if not identity:
            raise SourceError(
                f"{path}:{line}: the row has no id", remedy="give every row an `id`; outputs are named by it"
            )
        yield Candidate(identity, digest(dict(row)), columns=row)


def _prompt_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if is_json_lines(path):
        # Not `splitlines`: JSON may hold U+2028 and its like as they are, and they end no line.
        for line, found in json_rows(text.split("\n"), path, '{"id": …, "prompt": …}'):
            present = {name: value for name, value in found.items() if value is not None}
            yield line, {name: each if isinstance(each, str) else json.dumps(each) for name, each in present.items()}
        return
    header, rows = csv_rows(io.StringIO(text), path)
    if "id" not in header or "prompt" not in header:
        raise SourceError(f"{path}:1: the first line must name the columns `id` and `prompt`", remedy="add them")
    for line, row in rows:
        yield line, dict(zip(header, row, strict=True))


def _addresses(text: str, path: Path) -> Iterator[Candidate]:
    for line, written in enumerate(text.splitlines(), 1):
        url = written.strip()
        if not url or url.startswith("#"):
            continue
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise SourceError(f"{path}:{line}: not an https address", remedy="write one https:// address a line")
        key = unquote(f"{parts.hostname}{parts.path}").rstrip("/")
        yield Candidate(key, digest(url), url=url)


def _unique(found: Iterator[Candidate], path: Path) -> Iterator[Candidate]:
    seen: set[str] = set()
    for candidate in found:
        if candidate.key in seen:
            raise SourceError(f"{path}: {candidate.key!r} stands there twice", remedy="remove or rename one of them")
        seen.add(candidate.key)
        yield candidate


def _text(path: Path, rights: ReadingRights | None, key: str) -> str:
    return "".join(text_lines(path, rights, f"source.{key}"))


# Where inputs may lie


def refuse_overlap(job: Job) -> None:
    """Refuse an output or state inside the source, and a source inside the output.

    The next run would take finished pictures for new ones and buy them again, or a finished file would replace an
    input.

    Raises:
        OutputError: naming both places.
    """
    if not isinstance(job.source, FolderSource):
        return
    source = job.source.path
    for key, place in (("output.path", job.output.path), ("state", job.state)):
        if source.holds(place):
            raise OutputError(f"{key} {place} lies inside the source {source}", remedy=f"move {key} out of the source")
    if job.output.path.holds(source):
        raise OutputError(
            f"the source {source} lies inside output.path {job.output.path}",
            remedy="give the output a place of its own",
        )
