"""Reading inputs by key, version and hash, and keeping copies of those that items in flight still need."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol, runtime_checkable

from venice_batch.errors import ItemError
from venice_batch.plan.reading.probe import file_hash
from venice_batch.run.tasks import InputRef
from venice_batch.steps.references import BesideRef, FileRef
from venice_batch.storage import Changed, Store
from venice_batch.venice import CallFailed, Client

#: More than a run has items in flight; only an engine that never tells of ended items gets there.
_MOST_COPIES = 256
#: How long a signed address is good: the longest call with all its repetitions and waits.
_ADDRESS_SECONDS = 3600


@runtime_checkable
class Addressable(Protocol):
    """A store that can lend one object to whoever has its address."""

    def address(self, key: str, seconds: int) -> str:
        """Return an https address that reads the object for so many seconds."""


class Inputs:
    """The source as a worker sees it, with a bounded cache of copies by content hash; safe in any number of threads.

    Working from a copy is what makes a result's key true: were the file read again for sending, somebody could have
    changed it in between, and the answer would be kept under the wrong hash for ever.
    """

    def __init__(self, client: Client, source: Store | None, folder: Path, most: int = _MOST_COPIES) -> None:
        """Read from `source` (None for prompts and addresses) and keep at most so many copies in `folder`."""
        self._client = client
        self._source = source
        self._folder = folder
        self._most = most
        self._names = itertools.count()
        self._lock = threading.Lock()
        #: By hash, the least recently used first: the copy, and the keys of the items that need it.
        self._copies: OrderedDict[str, tuple[Path, set[str]]] = OrderedDict()

    # Items' own inputs

    def read(self, ref: InputRef, into: Path) -> str:
        """Copy the input and return the hash of exactly the copied bytes.

        Raises:
            ItemError: it cannot be read, or is not what was listed.
        """
        if not ref.url:
            return self._read(ref.key, ref.version, into)
        try:
            self._client.fetch(ref.url, into)
        except CallFailed as failure:
            raise ItemError("unreachable", failure.message, remedy="check the address", lasting=False) from failure
        return file_hash(into)

    def keep(self, ref: InputRef, file: Path) -> None:
        """Keep a copy of `file`, the input's bytes, until `release`."""
        with self._lock:
            if ref.sha256 not in self._copies:
                self._copies[ref.sha256] = _linked(file, self._folder / f"input-{next(self._names)}"), set()
            self._copies[ref.sha256][1].add(ref.key)
            while len(self._copies) > self._most:
                _, (oldest, _) = self._copies.popitem(last=False)
                oldest.unlink(missing_ok=True)

    def copy(self, ref: InputRef, into: Path) -> Path:
        """Give the name `into` to the input's bytes, which must not be changed; they are read again where no copy is.

        Raises:
            ItemError: there is no copy, and the input is no longer what was read first.
        """
        with self._lock:
            if ref.sha256 in self._copies:
                self._copies.move_to_end(ref.sha256)
                # A name of the task's own: the copy may go while the task works on it.
                return _linked(self._copies[ref.sha256][0], into)
        if self.read(ref, into) != ref.sha256:
            raise changed()
        self.keep(ref, into)
        return into

    def release(self, ref: InputRef) -> None:
        """Remove the copy of an input that its item needs no more, unless another item has the same bytes."""
        with self._lock:
            copy, keys = self._copies.get(ref.sha256, (None, set[str]()))
            keys.discard(ref.key)
            if copy is not None and not keys:
                del self._copies[ref.sha256]
                copy.unlink(missing_ok=True)

    def address(self, ref: InputRef) -> str:
        """Return a signed address from which the API reads the input by itself."""
        lender: object = self._source
        if not isinstance(lender, Addressable):
            raise TypeError("only a bucket gives signed addresses")
        return lender.address(ref.key, _ADDRESS_SECONDS)

    def is_changed(self, ref: InputRef, version: str) -> bool:
        """Whether the source now holds something else under the input's key, or nothing."""
        if self._source is None:
            return False
        found = self._source.stat(ref.key)
        return found is None or found.version != version

    # Other files that a step names

    def referenced(self, ref: FileRef | BesideRef, into: Path) -> Path:
        """Copy a file that a step names, or one beside the item's input, exactly as the plan saw it.

        Raises:
            ItemError: it cannot be read, or is not what was planned.
        """
        if isinstance(ref, BesideRef):
            name = ref.key
            sha256 = self._read(ref.key, ref.version, into, f"{name} ")
            expected = ref.sha256 or sha256
        else:
            name, expected = str(ref.path), ref.sha256
            try:
                shutil.copyfile(ref.path, into)
            except (FileNotFoundError, PermissionError) as error:
                raise changed(f"{name} ") from error
            sha256 = file_hash(into)
        if sha256 != expected:
            raise changed(f"{name} ")
        return into

    def _read(self, key: str, version: str, into: Path, named: str = "") -> str:
        if self._source is None:
            raise TypeError("this job has no files to read")
        try:
            return self._source.read(key, into, version)
        except Changed as error:
            raise changed(named) from error
        except PermissionError as error:
            raise ItemError("unreadable", f"{named}cannot be read: {error.strerror}", lasting=False) from error


def changed(named: str = "") -> ItemError:
    """Return the error of a file that is not as it was listed, `named` where it is not the item's own."""
    return ItemError(
        "changed", f"{named}changed or vanished after it was listed", remedy="run the job again", lasting=False
    )


def _linked(file: Path, name: Path) -> Path:
    """Give `file` a second name; a copy where the file system has no hard links."""
    try:
        name.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, name)
    return name
