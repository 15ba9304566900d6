"""Sidecars: files of the source beside an item's own picture, such as masks; found by one listing of the source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from venice_batch import imaging
from venice_batch.errors import ItemError
from venice_batch.job import FolderSource
from venice_batch.plan.model import Candidate
from venice_batch.plan.reading.probe import file_hash
from venice_batch.steps.paid import MultiEdit
from venice_batch.steps.references import BesideRef
from venice_batch.storage import Entry, open_store


class Sidecars:
    """The files beside the pictures of one source."""

    def __init__(self, source: FolderSource, names: Sequence[str]) -> None:
        """Read nothing yet; `names` are those of the files as the job has them, with placeholders."""
        self._source = source
        self._store = open_store(source.path)
        self._pattern = re.compile("|".join(map(_pattern, names)), re.DOTALL)
        self._listed: dict[str, Entry] | None = None
        #: Keys that some item uses.
        self.used: set[str] = set()

    def find(self, ref: BesideRef, candidate: Candidate) -> BesideRef:
        """Return the reference with the key and version of the item's own file.

        Raises:
            ItemError: there is no such file.
            SourceError, Unavailable: the source cannot be listed.
        """
        key = f"{candidate.folder}/{ref.name}" if candidate.folder else ref.name
        entry = self._entry(key)
        if entry is None:
            raise ItemError("beside", f"its file {key} is not in the source", remedy="add it")
        if entry.problem:
            raise ItemError("beside", f"its file {key} {entry.problem}")
        self.used.add(entry.key)
        return replace(ref, key=entry.key, version=entry.version)

    def with_hash(self, ref: BesideRef) -> BesideRef:
        """Return the reference with the hash of the bytes, where the file is on this machine.

        Raises:
            ItemError: the file cannot be read, or is none that the API takes: better told now than after a payment.
        """
        folder = self._source.path.folder
        if folder is None or ref.sha256:
            return ref
        path = folder / ref.key
        try:
            imaging.check_size(imaging.probe(path).size, MultiEdit.limits)
            return replace(ref, sha256=file_hash(path))
        except ItemError as error:
            raise ItemError("beside", f"its file {ref.key}: {error.told}", lasting=error.lasting) from error
        except OSError as error:
            text = f"its file {ref.key} cannot be read: {error.strerror}"
            raise ItemError("beside", text, lasting=False) from error

    def _entry(self, key: str) -> Entry | None:
        if self._source.keys is not None:
            # A job that lists its keys wants no listing of a source that may be far larger.
            return self._store.stat(key)
        if self._listed is None:
            self._listed = {entry.key: entry for entry in self._store.list() if self._pattern.fullmatch(entry.key)}
        return self._listed.get(key)


def _pattern(name: str) -> str:
    """Return what keys of files of this name look like, whatever its placeholders stand for."""
    fixed = [re.escape(part) for part in re.split(r"\{[^{}]*\}", name)]
    return "(?:.*/)?" + "[^/]*".join(fixed)
